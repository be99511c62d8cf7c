/** The failures of a report: a block for each cause, one line for each failure that is another one's consequence. */
import { CODES } from '../failure/codes.ts'
import type { Cause, Failure } from '../failure/error.ts'
import { type Line, line, type Palette } from './lines.ts'
import { evidenceLines, INDENT } from './parts.ts'
import { explainCommand, LONGEST_HINT, plain } from './plain.ts'
import type { CheckId, CheckResult, Report, Status } from './report.ts'

/** Of each failed check the earlier one whose failure is the cause of its own; null where it has one of its own. */
export type Blocks = ReadonlyMap<CheckId, CheckId | null>

/**
 * Which failures have a cause of their own. One cause has one code: the same code with the same next step again is the
 * same cause, and so is whatever the node or the link going away does to the checks after it.
 */
export function blocksOf({ checks }: Report): Blocks {
  const roots: CheckResult[] = []
  const blocks = new Map<CheckId, CheckId | null>()
  for (const check of checks) {
    const { failure } = check
    if (!failure) continue
    const root = roots.find(({ failure: before }) => before !== null && isConsequence(failure, before))
    blocks.set(check.id, root?.id ?? null)
    if (!root) roots.push(check)
  }
  return blocks
}

const isConsequence = (failure: Failure, before: Failure): boolean =>
  (failure.code === before.code && failure.hint === before.hint) ||
  (CODES[failure.code].endsSession === true && CODES[before.code].endsSession === true)

export function mark(status: Status, paint: Palette): string {
  if (status === 'passed') return paint.green('√')
  return status === 'failed' ? paint.red('×') : paint.yellow('-')
}

/** Characters of one value of evidence where not all of it is shown. */
const SHORT_VALUE = 160

/** What of a block is shown. */
interface Shown {
  /** all of the evidence */
  readonly whole: boolean
  /** what to do next: not where the report's last lines say it */
  readonly next: boolean
}

/** What stands below a failed check; nothing below another one. */
export function blockLines(
  { id, failure, evidence }: CheckResult,
  blocks: Blocks,
  paint: Palette,
  { whole, next }: Shown,
): Line[] {
  if (failure === null) return []
  const root = blocks.get(id)
  if (root) return [line(INDENT, `${paint.red(failure.code)}: the same cause as ${root}`)]
  return [
    line(INDENT, `${paint.red(failure.code)}: ${plain(failure.message, 600)}`),
    ...failure.causes.flatMap(causeLines),
    ...(next
      ? [
          line(`${INDENT}next: `, plain(failure.hint, LONGEST_HINT)),
          line(`${INDENT}more: `, explainCommand(failure.code)),
        ]
      : []),
    ...evidenceLines(evidence, paint, whole ? undefined : SHORT_VALUE),
  ]
}

/** One link of the chain of original errors. */
function causeLines({ name, code, message, hint }: Cause): Line[] {
  const what = [plain(name), code === null ? '' : plain(code)].filter(part => part !== '').join(' ')
  return [
    line(`${INDENT}cause: `, `${what}${message === '' ? '' : `: ${plain(message, 1000)}`}`),
    ...(hint === undefined ? [] : [line(`${INDENT}       next: `, plain(hint, LONGEST_HINT))]),
  ]
}
