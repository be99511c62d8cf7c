/**
 * A run of the probe or of the witness: has the checks run, attempt after attempt, and returns a report. It never
 * prints, and never throws for what the target does.
 */
import { randomUUID } from 'node:crypto'
import { attempts, type Budget, roundMs, startBudget, waitMsOf } from '../budget.ts'
import { CODES, type Warning } from '../failure/codes.ts'
import { assembleReport, checkResult, type Report, type ReportCommand } from '../report/report.ts'
import { diallerOf } from '../session/path.ts'
import type { ProbeConfig, Target } from '../settings/config.ts'
import type { AnyCheck } from './check.ts'
import { rowsLeft } from './clean-up.ts'
import { checksOf } from './index.ts'
import { runChecks } from './run.ts'
import { createTimeline } from './timeline.ts'
import type { Announce } from './witness/awaited.ts'

export interface ProbeHooks {
  /** aborted with a ProbeError INTERRUPTED when the run is to end */
  readonly signal: AbortSignal
  /** for a person watching */
  readonly note: (text: string) => void
  readonly progress: (done: number, total: number) => void
  readonly program: string
  /** stands in for the checks of the run: the same ones, in their order; left out: these as they are */
  readonly checks?: readonly AnyCheck[]
  /** the ids of rows that earlier runs could not remove, kept up to date: this one removes them with its own */
  readonly unremoved?: Set<string>
}

export interface WitnessHooks extends Omit<ProbeHooks, 'progress' | 'checks' | 'unremoved'> {
  /** says what to run in the back end, once */
  readonly announce: Announce
  /** how long the row is awaited still, ms */
  readonly waiting: (leftMs: number) => void
}

/** Runs attempts until one passes, one fails for a cause that waiting cannot cure, or `--wait` is over. */
export function probe(config: ProbeConfig, hooks: ProbeHooks): Promise<Report> {
  const { allAddresses, deadlineMs } = config.options
  const { checks = checksOf(allAddresses), unremoved = new Set<string>() } = hooks
  const make = (attempts: number) => {
    const budget = startBudget(deadlineMs, hooks.signal)
    const run = { command: 'probe', runId: randomUUID(), checks, attempts } as const
    return attempt(config, hooks, { ...run, budget, dialling: budget, unremoved })
  }
  return attempts(make, { ...hooks, waitMs: config.options.waitMs, curable })
}

/**
 * Waits for the row of this run, and says whose session wrote it. What `--wait` and `--deadline` leave is one budget:
 * the way to the server has the deadline for itself.
 * @param app the app whose machines the session must come from; null: from anywhere
 */
export async function witness(
  config: ProbeConfig,
  { announce, waiting, ...hooks }: WitnessHooks,
  { runId, app }: { readonly runId: string; readonly app: string | null },
): Promise<Report> {
  const { waitMs, deadlineMs } = config.options
  // The probe, which imports this file too, does without.
  const [{ witnessChecks }, { rowIdOf }] = await Promise.all([
    import('./witness/index.ts'),
    import('./witness/row-id.ts'),
  ])
  const unremoved = new Set<string>()
  let until: number | null = null
  let isSeen = false
  let lookedAt: number | null = null
  const awaited = {
    rowId: rowIdOf(runId),
    user: config.user,
    app,
    announce: onceOnly(announce),
    waiting,
    until: () => {
      until ??= performance.now() + waitMs
      return until
    },
    seen: () => {
      isSeen = true
    },
    lookedAt: () => lookedAt,
    looked: (at: number) => {
      lookedAt = at
    },
  }
  const make = (attempts: number) => {
    const dialling = startBudget(deadlineMs, hooks.signal)
    const budget = { ...startBudget(deadlineMs + waitMs, hooks.signal), waitMs: waitMsOf(deadlineMs) }
    const run = { command: 'witness', runId, checks: witnessChecks(awaited), attempts } as const
    return attempt(config, { ...hooks, progress: () => undefined }, { ...run, budget, dialling, unremoved })
  }
  // A row that was seen has been judged, and removed: another attempt would wait for it in vain.
  return attempts(make, { ...hooks, waitMs, curable: report => (isSeen ? null : curable(report)) })
}

/** The same, said at the first call only. */
function onceOnly(announce: Announce): Announce {
  let said: Promise<void> | undefined
  return engine => {
    said ??= announce(engine)
    return said
  }
}

/** What of a run waiting may cure; null where that is nothing, or not all. */
function curable({ checks, failure }: Report): string | null {
  const failed = checks.filter(check => check.status === 'failed')
  const isCurable = failed.length > 0 && failed.every(({ failure }) => failure && CODES[failure.code].retryable)
  return isCurable ? `${failure?.code}: ${failure?.message}` : null
}

interface Attempt {
  readonly command: ReportCommand
  readonly runId: string
  readonly checks: readonly AnyCheck[]
  /** which attempt it is, from 1 */
  readonly attempts: number
  readonly budget: Budget
  /** of the way to the server */
  readonly dialling: Budget
  /** the rows that those before it could not remove, and then those that this one left */
  readonly unremoved: Set<string>
}

async function attempt(
  config: ProbeConfig,
  { signal: _, note, progress, program }: ProbeHooks,
  { command, runId, checks: list, attempts, budget, dialling, unremoved }: Attempt,
): Promise<Report> {
  const startedAt = new Date().toISOString()
  const from = performance.now()
  const timeline = createTimeline(from)
  const { record } = timeline
  const warnings: Warning[] = []
  const [{ host, port, tlsName }] = config.hosts
  const { user, database, origin } = config
  let target: Target = { host, port, database, user, tlsName, address: null, engine: null }
  const results = await runChecks(list, {
    ...{ config, runId, unremoved, note, progress, timeline },
    budget: { ...budget, record },
    dialler: diallerOf({ config, budget: { ...dialling, record } }),
    warn: (code, message) => warnings.push({ code, message }),
    reached: what => {
      target = { ...target, ...what }
    },
  })
  const durationMs = roundMs(performance.now() - from)
  const run = { command, program, runId, target, origin, startedAt, durationMs, attempts }
  const parts = { ...run, timeline: timeline.entries(results), warnings: [...config.warnings, ...warnings] }
  const report = assembleReport(parts, list, results.map(checkResult))
  const isSaid = config.options.keep || warnings.some(({ code }) => code === 'ROWS_LEFT')
  if (unremoved.size === 0 || isSaid || !report.failure) return report
  // No session, no row of this run's: what an earlier attempt left stays until the path is there.
  return { ...report, warnings: [...report.warnings, rowsLeft([...unremoved], report.failure)] }
}
