/** The waterfall of a run: the timeline as rows on one time axis, for the reporters that draw it. */
import type { Report, Status, TimelineEntry } from './report.ts'

/** One bar, as parts of the whole width. */
export interface Row {
  readonly entry: TimelineEntry
  /** a check, or something within one */
  readonly isCheck: boolean
  /** what became of the check */
  readonly status: Status
  /** where the bar begins, from 0 to 1 */
  readonly from: number
  /** how wide it is, from 0 to 1 */
  readonly width: number
}

/** The rows, and what the whole width stands for, ms. */
export function waterfall({ timeline, checks }: Report): { readonly rows: readonly Row[]; readonly totalMs: number } {
  const totalMs = Math.max(0, ...timeline.map(({ startMs, durationMs }) => startMs + durationMs))
  const part = (ms: number): number => (totalMs === 0 ? 0 : Math.min(1, ms / totalMs))
  const rows = timeline.map((entry): Row => {
    const { name, check, startMs, durationMs } = entry
    const status = checks.find(({ id }) => id === check)?.status ?? 'passed'
    return { entry, isCheck: name === check, status, from: part(startMs), width: part(durationMs) }
  })
  return { rows, totalMs }
}
