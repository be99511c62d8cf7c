/** The report of a run whose settings were refused: nothing was tried, every check is blocked. */
import { randomUUID } from 'node:crypto'
import type { AnyCheck } from '../checks/check.ts'
import type { Loaded } from '../settings/config.ts'
import { configurationReport, type Report, type ReportCommand } from './report.ts'

export interface RefusedRun {
  readonly command: ReportCommand
  /** name and version, as reports carry them */
  readonly program: string
  /** null: a new one */
  readonly runId: string | null
  /** what was to be run, in order */
  readonly checks: readonly AnyCheck[]
}

export function refusedSettings(
  { error, target, origin, warnings }: Loaded & { ok: false },
  { command, program, runId, checks }: RefusedRun,
): Report {
  const startedAt = new Date().toISOString()
  const run = { command, program, runId: runId ?? randomUUID(), target, origin, startedAt, warnings }
  return configurationReport({ ...run, durationMs: 0, attempts: 0 }, checks, error.toFailure(), error.evidence)
}
