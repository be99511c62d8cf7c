/** What is kept of the runs: the last report, the last hundred verdicts, and since when the present one holds. */
import type { Code, Layer } from '../failure/codes.ts'
import type { Report } from '../report/report.ts'

/** A run, as the strip shows it. */
export interface Past {
  readonly startedAt: string
  readonly durationMs: number
  readonly verdict: Report['verdict']
  readonly failure: { readonly layer: Layer; readonly code: Code } | null
}

/** How many verdicts are kept. */
export const MOST_VERDICTS = 100

export interface Since {
  readonly startedAt: string
  readonly runs: number
}

export interface History {
  record(report: Report): void
  /** null before the first run has ended */
  last(): Report | null
  /** the last verdicts, the oldest first */
  verdicts(): readonly Past[]
  /** when the first run with the present verdict began, and how many there were; null before the first run has ended */
  since(): Since | null
  /** whether the last run ended so long ago that it says nothing of now */
  isStale(): boolean
}

/**
 * @param staleAfterMs the age from which on the last run is stale
 * @param now on performance.now()'s clock, ms: a wall clock that jumps makes no run older
 */
export function createHistory(staleAfterMs: number, now: () => number = () => performance.now()): History {
  let last: Report | null = null
  let since: Since | null = null
  let endedAt = 0
  const verdicts: Past[] = []
  return {
    record(report) {
      const { startedAt, durationMs, verdict, failure } = report
      const isSame = verdict === last?.verdict
      since = since && isSame ? { ...since, runs: since.runs + 1 } : { startedAt, runs: 1 }
      last = report
      endedAt = now()
      const { layer, code } = failure ?? {}
      verdicts.push({ startedAt, durationMs, verdict, failure: layer && code ? { layer, code } : null })
      if (verdicts.length > MOST_VERDICTS) verdicts.shift()
    },
    last: () => last,
    verdicts: () => verdicts,
    since: () => since,
    isStale: () => last !== null && now() - endedAt > staleAfterMs,
  }
}

/** Three periods; at least what a run may take and the period before it. */
export const staleAfter = (everyMs: number, runMs: number): number => Math.max(3 * everyMs, runMs + everyMs)
