/** The path is dialled once, by `tcp`: the checks after it say what its later stages came to. */
import { evidence } from '../failure/error.ts'
import type { Opened, StageId } from '../session/open.ts'
import type { Outcome } from './check.ts'

/** What one stage of a connection came to, with what is found in it. */
export function stageOutcome<Found>({ stages }: Opened, id: StageId, found: Found, more = {}): Outcome<Found> {
  const stage = stages[id]
  if (!stage) throw new Error(`the path never came to ${id}, and no earlier stage failed`)
  const { error, durationMs: tookMs, startedAt } = stage
  const took = { tookMs, startedAt }
  if (error) return { error: error.with({ evidence: evidence(stage.evidence, more, error.evidence) }), ...took }
  return { evidence: evidence(stage.evidence, more), found, ...took }
}
