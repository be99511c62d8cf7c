/** Whose time it was, the link's or the server's: from the shortest round trip. */
import { roundMs } from '../budget.ts'
import type { ProbeError } from '../failure/error.ts'
import type { Session } from '../session/postgres.ts'
import type { Context } from './check.ts'

/** From the insert to the row seen: Parse and Describe, Bind and Execute, of an insert and of a read. */
const ROW_ROUND_TRIPS = 4

/** Of a whole run, without its sequential writes, which take two each (npm run bench). */
const RUN_ROUND_TRIPS = 45

/** The shortest round trip of these sessions, ms. */
function roundTripOf(sessions: readonly Session[]): number | null {
  const measured = sessions.flatMap(session => session.roundTripMs() ?? [])
  return measured.length === 0 ? null : Math.min(...measured)
}

export interface ShareOfLink {
  readonly roundTripMs: number
  readonly linkMs: number
}

/** How much of the time from the insert to the row seen is the link's, ms; null where no round trip was measured. */
export function shareOfLink(sessions: readonly Session[], visibleMs: number): ShareOfLink | null {
  const roundTripMs = roundTripOf(sessions)
  return roundTripMs === null
    ? null
    : { roundTripMs, linkMs: roundMs(Math.min(ROW_ROUND_TRIPS * roundTripMs, visibleMs)) }
}

const shown = (ms: number): string => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0))

const NEARER = 'Run it in the region of the database (fly status -a {app})'

/** What to do about a row that is late. */
export function lateHint({ roundTripMs, linkMs }: ShareOfLink, visibleMs: number, limitMs: number): string {
  const share = `${ROW_ROUND_TRIPS} round trips of ${shown(roundTripMs)} ms on the link are ${shown(linkMs)} of the ${shown(visibleMs)} ms`
  if (linkMs > limitMs)
    return `${share}, more than the limit alone: no server is fast enough. ${NEARER}, or raise --visible-within`
  return linkMs > visibleMs / 2
    ? `${share}: the link is slow, not the server. ${NEARER}`
    : `${share}: the server is slow, not the link. Run it again; if it stays late, look at the machine's load: fly status -a {app}`
}

/** The same failure; where the round trips of a run alone take most of the deadline, the next step says so. */
export function explainedByLink(error: ProbeError, { sessions, config }: Context): ProbeError {
  const roundTripMs = error.code === 'DEADLINE' ? roundTripOf(sessions) : null
  const { writes, deadlineMs } = config.options
  const roundTrips = RUN_ROUND_TRIPS + 2 * writes
  if (roundTripMs === null || roundTrips * roundTripMs < deadlineMs / 2) return error
  const needed = Math.ceil((roundTrips * roundTripMs) / 1000)
  const hint = `a run with ${writes} writes takes about ${roundTrips} round trips, of ${shown(roundTripMs)} ms each on this link: ${needed} s. ${NEARER}, or give it longer with --deadline ${2 * needed}`
  return error.with({ hint, evidence: { roundTripMs } })
}
