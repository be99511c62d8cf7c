/** Wrong settings are a report, too: what was to be run is blocked, every check of it. */
import { randomUUID } from 'node:crypto'
import type { AnyCheck } from '../checks/check.ts'
import { opened, withoutSecretTexts, withValues } from '../report/evidence.ts'
import { renderRefusal } from '../report/refusal.ts'
import type { ReportCommand } from '../report/report.ts'
import type { Loaded } from '../settings/config.ts'
import { EXIT, type Program } from './command.ts'
import type { Delivery } from './probe-options.ts'

/** A run that could not begin. */
export interface Refused {
  readonly command: ReportCommand
  /** null: a new one */
  readonly runId: string | null
  /** Loads the checks of the run, in order. */
  checks(): Promise<readonly AnyCheck[]>
  readonly delivery: Delivery
  readonly program: Program
}

/** Prints the report; returns the exit code. */
export async function refuseSettings(loaded: Loaded & { ok: false }, refused: Refused): Promise<number> {
  const { format, files } = refused.delivery
  if (format === 'text' && files.length === 0) return refuseAsText(loaded, refused)
  const [{ refusedSettings }, { deliver }, checks] = await Promise.all([
    import('../report/refused-settings.ts'),
    import('./deliver.ts'),
    refused.checks(),
  ])
  const { command, runId, program, delivery } = refused
  await deliver(refusedSettings(loaded, { command, runId, program: program.name, checks }), delivery, program)
  return EXIT.usage
}

/** Which run it is, or would have been. */
const identityOf = ({ command, program, runId }: Refused) => ({
  command,
  program: program.name,
  runId: runId ?? randomUUID(),
  startedAt: new Date().toISOString(),
})

/** The text has no checks, so they are not loaded for it: somebody who forgot a setting waits for this. */
async function refuseAsText(
  { error, target, origin, warnings }: Loaded & { ok: false },
  refused: Refused,
): Promise<number> {
  const { delivery, program } = refused
  const { colour, columns } = program
  const refusal = {
    ...identityOf(refused),
    target: withoutSecretTexts(target),
    origin: withoutSecretTexts(origin),
    warnings,
    failure: withValues(error.toFailure(), target),
    evidence: opened(error.evidence),
  }
  await program.print(renderRefusal(refusal, { colour, columns, verbose: delivery.verbose }))
  return EXIT.usage
}
