/**
 * The checks, and the runner.
 *
 * Runs the checks on an opened path: each as soon as the one it needs has passed, all others at the same time. Then
 * removes the rows, and ends the sessions. Rejects only for a bug, and cleans up even then.
 */
import { roundMs } from '../budget.ts'
import type { ProbeConfig } from '../config.ts'
import { engineOf } from '../database/engine.ts'
import { ProbeError, redactAll } from '../failure/failure.ts'
import { CHECKS, type CheckId, type CheckResult, type Warning } from '../report/report.ts'
import { asFailure, type Login, type OpenContext, type Opened } from '../session/open.ts'
import { type Candidate, endpoint, isPathLost, PATH_LOST, type Path, reopen } from '../session/path.ts'
import { type Session, sessionOf } from '../session/session.ts'
import type { AddressOutcome } from './addresses.ts'
import type { Check, CheckContext } from './check.ts'
import { askFacts, type Facts } from './facts.ts'
import { createLedger } from './ledger.ts'
import { config, database, dns, session, table, tcp, tls } from './path.ts'
import { ddlRefused, dml } from './privileges.ts'
import { certificateBound, certificateRequired } from './refusals.ts'
import { sequentialWrites, statementsUnnamed } from './reuse.ts'
import { role } from './role.ts'
import { rowVisible } from './row-visible.ts'
import { cleanUp, newSession, sweep } from './rows.ts'

/** The checks, in the order of the report. */
export const ALL_CHECKS: readonly Check[] = [
  config,
  dns,
  tcp,
  tls,
  session,
  database,
  certificateRequired,
  certificateBound,
  table,
  role,
  rowVisible,
  dml,
  ddlRefused,
  sequentialWrites,
  statementsUnnamed,
]

export interface ChecksInput extends OpenContext {
  readonly config: ProbeConfig
  readonly login: Login
  readonly path: Path
  readonly runId: string
  /** rows that an earlier attempt could not remove */
  readonly inherited: readonly string[]
  /** the independently dialled connection */
  readonly second: () => Promise<Opened>
  readonly note: (text: string) => void
  readonly progress: (done: number, total: number) => void
}

export interface ChecksOutcome {
  /** every check once */
  readonly checks: readonly CheckResult[]
  readonly warnings: readonly Warning[]
  /** rows that could not be removed, by id; ROWS_LEFT is among the warnings then */
  readonly left: readonly string[]
}

/** Runs every check and leaves nothing behind. */
export async function runChecks(input: ChecksInput): Promise<ChecksOutcome> {
  const { config, budget, slots, login, path, runId, inherited, second, note, progress } = input
  const opening: OpenContext = { config, budget, slots }
  const sessions: Session[] = []
  const warnings: Warning[] = []

  const own = async (session: Promise<Session>): Promise<Session> => {
    sessions.push(await session)
    return session
  }
  const writer = once(async () => {
    if (!path.opened) throw new Error('a session was asked for, and the path has none')
    return own(sessionOf(path.opened, budget))
  })
  const another = () =>
    newSession(opening, path, login).catch((error: unknown) => {
      const failure = asFailure(error)
      if (!isPathLost(failure)) throw failure
      throw new ProbeError('CONNECTION_LOST', `the connection was lost, and there is no other: ${failure.message}`, {
        cause: failure,
        hint: PATH_LOST,
      })
    })
  let reading = once(async () => own(sessionOf(await second(), budget)))
  // A reader that one check lost is replaced for the next: what broke it is that one's matter.
  const reader = async (): Promise<Session> => {
    const current = reading
    if ((await current()).isLost() && reading === current) reading = once(() => own(another()))
    return reading()
  }
  const facts = once(async (): Promise<Facts> => {
    const { startup } = path.opened ?? {}
    if (!startup) throw new Error('facts were asked for without a session')
    return askFacts(await writer(), engineOf(startup), config.user, config.database)
  })
  const reconnect = async () => sessionOf(await reopen(opening, candidatesFrom(path), login), budget)
  const ledger = createLedger(reconnect, inherited)
  const results = new Map<CheckId, Promise<CheckResult>>()
  const context: CheckContext = {
    ...opening,
    runId,
    path,
    writer,
    reader,
    facts,
    ledger,
    addresses: once(
      async (): Promise<readonly AddressOutcome[]> =>
        config.options.allAddresses ? (await import('./addresses.ts')).tryAddresses(context, opening, login) : [],
    ),
    settled: async id => void (await results.get(id)),
    warn: (code, message) => warnings.push({ code, message }),
    progress,
  }
  for (const check of ALL_CHECKS) results.set(check.id, runCheck(check, context, results))
  const settled = await Promise.allSettled(results.values())
  // What has been found is final; rows and connections go now, whatever it was.
  const left = await cleanUp(context, opening, login, sessions)
  if (!budget.signal.aborted) await sweep(context, sessions, note)
  await Promise.all(sessions.map(session => session.close()))
  const checks = settled.map(result => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
  return {
    checks,
    warnings: [...warnings, ...(left ? [left] : []), ...pathWarnings(path)],
    left: left ? ledger.rows() : [],
  }
}

/** Runs one check once what it needs is decided. Rejects only for a bug. */
async function runCheck(
  check: Check,
  context: CheckContext,
  results: ReadonlyMap<CheckId, Promise<CheckResult>>,
): Promise<CheckResult> {
  const meta = CHECKS.find(({ id }) => id === check.id)
  if (!meta) throw new Error(`check ${check.id} is not in the report's list`)
  const { id, layer, criterion, title, needs } = meta
  // In the contract's order, which a spread keeps.
  const result: CheckResult = {
    id,
    layer,
    criterion,
    title,
    status: 'blocked',
    durationMs: 0,
    evidence: {},
    failure: null,
    blockedBy: null,
  }
  // Every check yields first, so that the map of results is complete when one looks another up.
  const needed = await (needs === null ? Promise.resolve(null) : results.get(needs))
  if (needed && needed.status !== 'passed') return { ...result, status: 'blocked', blockedBy: needed.id }
  const from = performance.now()
  /** spent on letting other checks go first, ms: not this one's time */
  let waited = 0
  const settled = async (other: CheckId) => {
    const since = performance.now()
    await context.settled(other)
    waited += performance.now() - since
  }
  const own = () => roundMs(performance.now() - from - waited)
  try {
    const outcome = await check.run({ ...context, settled })
    if ('blockedBy' in outcome) return { ...result, status: 'blocked', blockedBy: outcome.blockedBy }
    const durationMs = outcome.durationMs === undefined ? own() : roundMs(outcome.durationMs)
    return { ...result, status: 'passed', durationMs, evidence: redactAll(outcome.evidence) }
  } catch (error) {
    const failed = asFailure(error)
    const evidence = redactAll(failed.evidence)
    const durationMs = failed.durationMs === undefined ? own() : roundMs(failed.durationMs)
    return { ...result, status: 'failed', durationMs, evidence, failure: failed.toFailure() }
  }
}

/** A function whose work is done once, by whoever asks first. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= work()
    return made
  }
}

/** The candidates, the one in use first. */
function candidatesFrom({ candidates, opened }: Path): Candidate[] {
  const isInUse = (candidate: Candidate) => opened !== null && endpoint(candidate) === endpoint(opened)
  return [...candidates.filter(isInUse), ...candidates.filter(candidate => !isInUse(candidate))]
}

/** A certificate this near its end is worth a warning, days. */
const EXPIRY_DAYS = 30

/** Warnings about the server, its certificate and its address. */
export function pathWarnings({ opened }: Path): Warning[] {
  const warnings: Warning[] = []
  if (!opened) return warnings
  const { handshake, startup, address } = opened
  if (handshake) {
    const days = (handshake.server.expires.getTime() - Date.now()) / 86_400_000
    if (days < EXPIRY_DAYS)
      warnings.push({
        code: 'CERT_EXPIRES_SOON',
        message: `the server's certificate expires ${handshake.server.expires.toISOString()}, in ${Math.floor(days)} days`,
      })
    const { usages } = handshake.server
    if (usages && !usages.includes('clientAuth'))
      warnings.push({
        code: 'NODE_CERT_USAGE',
        message: "the server's certificate lacks clientAuth, which CockroachDB needs between nodes",
      })
  }
  // fdaa::/16 (facts/fly-6pn.md); a literal may be written with leading zeros.
  if (!/^fdaa:/i.test(address))
    warnings.push({ code: 'ADDRESS_NOT_6PN', message: `${address} is outside fdaa::/16, Fly's private network` })
  if (startup?.authenticated && engineOf(startup).id !== 'cockroachdb')
    warnings.push({ code: 'ENGINE_NOT_COCKROACHDB', message: 'the server is PostgreSQL, not CockroachDB' })
  return warnings
}
