/**
 * The text of a run whose settings were refused: each problem once, with its setting and its own next step. Nothing was
 * tried, so there is nothing to say of the checks; their list is not loaded for it, since somebody who forgot a setting
 * waits for this.
 */
import { type Cause, count, type Facts, type Failure } from '../failure/error.ts'
import { EMPTY, type Line, layout, line, type Palette, palette } from './lines.ts'
import { endLines, evidenceLines, INDENT, startedLine, type TextOptions, targetLines, warningLines } from './parts.ts'
import { headline, LONGEST_HINT, plain } from './plain.ts'
import type { Report } from './report.ts'

/** What is known of a run that was not begun. */
export type Refusal = Pick<Report, 'command' | 'program' | 'runId' | 'startedAt' | 'target' | 'origin' | 'warnings'> & {
  readonly failure: Failure
  readonly evidence: Facts
}

/** The text, with a line end. */
export function renderRefusal(refusal: Refusal, { columns = null, ...options }: TextOptions): string {
  const { command, program, failure, evidence } = refusal
  const paint = palette(options.colour)
  const problems = failure.causes.filter(isProblem)
  const verdict = headline({ command, program, failure, verdict: 'fail', checks: [] })
  const what =
    problems.length === 0 ? plain(failure.message, 600) : `${count(problems.length, 'problem')} with the settings`
  const lines = [
    line('', `${paint.red(verdict)}: ${what}`),
    // The first lines of a log say all that the last ones do.
    ...(columns === null ? [line('next: ', plain(failure.hint, LONGEST_HINT))] : []),
    EMPTY,
    ...targetLines(refusal, options.note),
    ...(columns === null ? [startedLine(refusal)] : []),
    EMPTY,
    ...problems.flatMap(problem => problemLines(problem, paint)),
    ...warningLines(refusal, paint),
    ...(options.verbose ? [EMPTY, ...evidenceLines(evidence, paint)] : []),
    EMPTY,
    ...endLines(`${verdict}. Nothing was sent.`, failure, paint),
  ]
  return layout(lines, columns)
}

type Problem = Cause & { readonly code: string; readonly hint: string }
const isProblem = (cause: Cause): cause is Problem => cause.code !== null && cause.hint !== undefined

const problemLines = ({ name, code, message, hint }: Problem, paint: Palette): Line[] => [
  line(`${INDENT}problem: `, `${plain(name)}: ${paint.red(code)}: ${plain(message, 1000)}`),
  line(`${INDENT}    next: `, plain(hint, LONGEST_HINT)),
]
