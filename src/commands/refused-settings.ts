/** Wrong settings are a report, too: what was to be run is blocked, every check of it. */
import type { AnyCheck } from '../checks/check.ts'
import type { ReportCommand } from '../report/report.ts'
import type { Loaded } from '../settings/config.ts'
import { EXIT, type Program } from './command.ts'
import type { Renderer } from './renderer.ts'

/** A run that could not begin. */
export interface Refused {
  readonly command: ReportCommand
  /** null: a new one */
  readonly runId: string | null
  /** the checks of the run, in order */
  readonly checks: readonly AnyCheck[]
  readonly render: Renderer
  readonly program: Program
}

/** Prints the report; returns the exit code. */
export async function refuseSettings(
  { error, target, origin, warnings }: Loaded & { ok: false },
  { command, runId, checks, render, program }: Refused,
): Promise<number> {
  const { randomUUID } = await import('node:crypto')
  const { configurationReport } = await import('../report/report.ts')
  const run = {
    command,
    program: program.name,
    runId: runId ?? randomUUID(),
    target,
    origin,
    startedAt: new Date().toISOString(),
    durationMs: 0,
    attempts: 0,
    warnings,
  }
  await program.print(render(configurationReport(run, checks, error.toFailure(), error.evidence), program))
  return EXIT.usage
}
