/**
 * A run of the probe: has the checks run, attempt after attempt, and returns a report. It never prints, and never throws
 * for what the target does.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { roundMs, startBudget } from '../budget.ts'
import { CODES, type Warning } from '../failure/codes.ts'
import { assembleReport, checkResult, type Report } from '../report/report.ts'
import { diallerOf } from '../session/path.ts'
import type { ProbeConfig, Target } from '../settings/config.ts'
import { rowsLeft } from './clean-up.ts'
import { checksOf } from './index.ts'
import { runChecks } from './run.ts'

// Drizzle and the driver, whose loading takes longer than most dials: begun here, awaited by the check `database`.
import('../row/index.ts').catch(() => undefined)

export interface ProbeHooks {
  /** aborted with a ProbeError INTERRUPTED when the run is to end */
  readonly signal: AbortSignal
  /** for a person watching */
  readonly note: (text: string) => void
  readonly progress: (done: number, total: number) => void
  readonly program: string
}

/** Between attempts, ms. */
const ATTEMPT_PAUSE_MS = 1_000

/** Runs attempts until one passes, one fails for a cause that waiting cannot cure, or `--wait` is over. */
export async function probe(config: ProbeConfig, hooks: ProbeHooks): Promise<Report> {
  const until = performance.now() + config.options.waitMs
  const unremoved = new Set<string>()
  for (let attempts = 1; ; attempts++) {
    const report = await attempt(config, hooks, attempts, unremoved)
    const failed = report.checks.filter(check => check.status === 'failed')
    const isCurable = failed.length > 0 && failed.every(({ failure }) => failure && CODES[failure.code].retryable)
    if (!isCurable || hooks.signal.aborted || performance.now() + ATTEMPT_PAUSE_MS >= until) return report
    hooks.note(`attempt ${attempts}: ${report.failure?.code}: ${report.failure?.message}; trying again`)
    await sleep(ATTEMPT_PAUSE_MS, undefined, { signal: hooks.signal }).catch(() => undefined)
  }
}

/** One attempt. `unremoved` has the rows that those before it could not remove, and then those that this one left. */
async function attempt(
  config: ProbeConfig,
  { signal, note, progress, program }: ProbeHooks,
  attempts: number,
  unremoved: Set<string>,
): Promise<Report> {
  const startedAt = new Date().toISOString()
  const from = performance.now()
  const budget = startBudget(config.options.deadlineMs, signal)
  const runId = randomUUID()
  const warnings: Warning[] = []
  const [{ host, port, tlsName }] = config.hosts
  const { user, database, origin } = config
  let target: Target = { host, port, database, user, tlsName, address: null, engine: null }
  const results = await runChecks(checksOf(config.options.allAddresses), {
    ...{ config, budget, runId, unremoved, note, progress },
    dialler: diallerOf({ config, budget }),
    warn: (code, message) => warnings.push({ code, message }),
    reached: what => {
      target = { ...target, ...what }
    },
  })
  const run = { program, runId, target, origin, startedAt, durationMs: roundMs(performance.now() - from), attempts }
  const checks = results.map(checkResult)
  const report = assembleReport({ ...run, checks, warnings: [...config.warnings, ...warnings] })
  const isSaid = config.options.keep || warnings.some(({ code }) => code === 'ROWS_LEFT')
  if (unremoved.size === 0 || isSaid || !report.failure) return report
  // No session, no row of this run's: what an earlier attempt left stays until the path is there.
  return { ...report, warnings: [...report.warnings, rowsLeft([...unremoved], report.failure)] }
}
