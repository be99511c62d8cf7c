/** The parts that every text of a run has: a run that was not begun, and one that was. */
import type { Facts, Failure } from '../failure/error.ts'
import { type Line, line, type Palette } from './lines.ts'
import { explainCommand, hostPort, LONGEST_HINT, LONGEST_WARNING, originLine, plain, printableJson } from './plain.ts'
import type { Report } from './report.ts'

export interface TextOptions {
  /** whether to colour with ANSI sequences */
  readonly colour: boolean
  /** a remark about the target, such as that it is a throwaway server */
  readonly note?: string | undefined
  /** how wide the terminal is that it is for; null where it is for a file or a log, and no line is wrapped */
  readonly columns?: number | null
  /** every check on a terminal too, and what was done when */
  readonly verbose?: boolean
}

/** Below a check. */
export const INDENT = '    '

/** What was to be reached, and from where. */
export function targetLines({ target, origin }: Pick<Report, 'target' | 'origin'>, note: string | undefined): Line[] {
  const { database, user, tlsName, address, engine } = target
  const reached = [
    address === null ? 'no address reached' : plain(address),
    tlsName === null ? null : `verified as ${plain(tlsName)}`,
    engine === null ? null : plain(engine),
  ].filter(part => part !== null)
  const who = `database ${plain(database ?? '(none)')}, user ${plain(user ?? '(none)')}`
  return [
    line('target   ', `${hostPort(target)}, ${who}`),
    line('reached  ', reached.join(', ')),
    line('from     ', originLine({ origin })),
    ...(note === undefined ? [] : [line('note     ', plain(note))]),
  ]
}

/** Which run it was, and when. */
export const startedLine = ({ startedAt, runId }: Pick<Report, 'startedAt' | 'runId'>): Line =>
  line('started  ', `${plain(startedAt)}, run ${plain(runId)}`)

/** An empty line and the warnings; nothing where there are none. */
export const warningLines = ({ warnings }: Pick<Report, 'warnings'>, paint: Palette): Line[] =>
  warnings.flatMap(({ code, message }, at) => [
    ...(at === 0 ? [line('')] : []),
    line(`${paint.yellow('!')} `, `${paint.yellow(code)}: ${plain(message, LONGEST_WARNING)}`),
  ])

/** The last lines, which are on the screen when the prompt comes back: the verdict, and what to do next. */
export const endLines = (verdict: string, failure: Failure | null, paint: Palette): Line[] => [
  line('', (failure === null ? paint.green : paint.red)(verdict)),
  ...(failure === null
    ? []
    : [line('next: ', plain(failure.hint, LONGEST_HINT)), line('more: ', paint.dim(explainCommand(failure.code)))]),
]

/** What says nothing to somebody who wants to know what went wrong. */
const isNothing = (value: unknown): boolean => value === null || (Array.isArray(value) && value.length === 0)

/** Characters of one value of evidence. */
const LONGEST_VALUE = 1000
const MOST_VALUES = 30

/** Evidence as "key: value" lines, nested values as JSON; bounded in length and number. */
export function evidenceLines(evidence: Facts, paint: Palette, longest = LONGEST_VALUE): Line[] {
  const isShort = longest < LONGEST_VALUE
  const entries = Object.entries(evidence).filter(([, value]) => value !== undefined && !(isShort && isNothing(value)))
  const values = entries
    .slice(0, MOST_VALUES)
    .map(([key, value]): [string, string] => [plain(key, 40), typeof value === 'string' ? value : printableJson(value)])
  const shown = values.map(([key, value]) => line(`${INDENT}    `, paint.dim(`${key}: ${plain(value, longest)}`)))
  const more = entries.length - shown.length
  const isCut = values.some(([, value]) => value.length > longest)
  const rest = [...(more > 0 ? [`… and ${more} more`] : []), ...(isCut ? ['… stands for what was cut'] : [])]
  return rest.length === 0
    ? shown
    : [...shown, line(`${INDENT}    `, paint.dim(`(${rest.join(', ')}: --format json has all of it)`))]
}
