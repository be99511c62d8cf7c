/** The runner: one check after the other, in their order. It prints nothing. */
import { remainingMs } from '../budget.ts'
import { asProbeError, type Evidence, evidence, type Facts, type Failure, type ProbeError } from '../failure/error.ts'
import { type AnyCheck, type Context, type Failed, type Outcome, StillLost } from './check.ts'
import { explainedBySettings } from './role-settings.ts'
import { explainedByPolicies } from './row-security.ts'
import { explainedByLink } from './slow-link.ts'

/** What became of a check. */
export interface Result {
  readonly check: AnyCheck
  readonly status: 'passed' | 'failed' | 'blocked'
  readonly durationMs: number
  /** on performance.now()'s clock, ms; null where nothing was tried */
  readonly startedAt: number | null
  readonly evidence: Evidence
  readonly failure: Failure | null
  /** the id of the check because of which this one could not be tried */
  readonly blockedBy: string | null
}

interface Blocked {
  readonly blockedBy: string
}

/**
 * Runs the checks. One is blocked by the first that it needs and that did not pass; all are, once the run is over, by
 * the check in which it ended. Rejects only for a bug; the steps for the end are taken even then.
 */
export async function runChecks(
  checks: readonly AnyCheck[],
  given: Omit<Context, 'atEnd' | 'sessions' | 'lostIn'>,
): Promise<readonly Result[]> {
  const steps: (() => Promise<void>)[] = []
  let lostIn: string | null = null
  const context: Context = {
    ...given,
    sessions: [],
    lostIn: () => lostIn,
    atEnd: step => void steps.unshift(step),
  }
  const found = new Map<AnyCheck, unknown>()
  const results: Result[] = []
  let ended: AnyCheck | undefined
  try {
    for (const check of checks) {
      const lostBefore = lostSessions(context)
      const startedAt = performance.now()
      given.timeline.enter(check.id)
      const blocker = Object.values(check.needs).find(need => !found.has(need)) ?? ended
      const outcome = blocker ? { blockedBy: blocker.id } : await outcomeOf(check, context, found)
      results.push(resultOf(check, outcome, { startedAt, tookMs: performance.now() - startedAt }))
      if ('found' in outcome) found.set(check, outcome.found)
      if (!('error' in outcome)) continue
      if (lostSessions(context) > lostBefore || outcome.error.code === 'CONNECTION_LOST') lostIn = check.id
      if (given.budget.signal.aborted || remainingMs(given.budget) === 0) ended ??= check
    }
  } finally {
    for (const step of steps) await step()
    await Promise.all(context.sessions.map(session => session.close()))
  }
  return results
}

const lostSessions = ({ sessions }: Context): number => sessions.filter(session => session.isLost()).length

async function outcomeOf(
  check: AnyCheck,
  context: Context,
  found: ReadonlyMap<AnyCheck, unknown>,
): Promise<Outcome<unknown> | Blocked | (Partial<Failed> & { readonly error: ProbeError })> {
  const needs = Object.fromEntries(Object.entries(check.needs).map(([name, need]) => [name, found.get(need)]))
  try {
    return await check.run(context, needs as never)
  } catch (error) {
    if (error instanceof StillLost) return { blockedBy: error.blockedBy }
    const explained = await explainedBySettings(asProbeError(error), context)
    return { error: explainedByLink(await explainedByPolicies(explained, context), context) }
  }
}

function resultOf(
  check: AnyCheck,
  outcome: Awaited<ReturnType<typeof outcomeOf>>,
  ran: Required<Pick<Failed, 'startedAt' | 'tookMs'>>,
): Result {
  const nothing = { check, durationMs: 0, startedAt: null, evidence: evidence(), failure: null, blockedBy: null }
  if ('blockedBy' in outcome) return { ...nothing, status: 'blocked', blockedBy: outcome.blockedBy }
  const time = { durationMs: outcome.tookMs ?? ran.tookMs, startedAt: outcome.startedAt ?? ran.startedAt }
  if ('error' in outcome) {
    const { error } = outcome
    return { ...nothing, ...time, status: 'failed', evidence: error.evidence, failure: error.toFailure() }
  }
  const seen: Evidence | Facts = outcome.evidence
  return { ...nothing, ...time, status: 'passed', evidence: evidence(seen) }
}
