/** A change of the verdict, as a line of a log. */
import type { Code } from '../failure/codes.ts'
import { plain } from '../report/plain.ts'
import type { Report } from '../report/report.ts'

/** What there is to change from and to. */
export type State = 'started' | Report['verdict'] | 'ended'

export interface Change {
  /** ISO 8601, UTC */
  readonly time: string
  /** null: there was nothing before */
  readonly from: State | null
  readonly to: State
  readonly code: Code | null
  readonly message: string
}

/** What a report says of itself in one line. */
export const messageOf = ({ failure, checks }: Report): string =>
  plain(failure ? failure.message : `all ${checks.length} checks`, 1000)

/** One line, with a line end; as JSON or as text. */
export function changeLine(change: Change, asJson: boolean): string {
  const { time, from, to, code, message } = change
  if (asJson) return `${JSON.stringify({ time, from, to, code, message })}\n`
  const states = from === null ? to : `${from} -> ${to}`
  return `${time} ${states}${code === null ? '' : ` ${code}`}: ${message}\n`
}
