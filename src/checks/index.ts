/**
 * The checks, and the runner: one after the other, in the order of the report; a check whose need did not pass is
 * blocked. Then the rows are removed and the sessions ended. Rejects only for a bug, and cleans up even then.
 */
import { remainingMs, roundMs } from '../budget.ts'
import { engineOf } from '../database/engine.ts'
import { redactAll } from '../failure/error.ts'
import { CHECKS, type CheckId, type CheckResult, checksOf, type Warning } from '../report/report.ts'
import { asFailure, type Login, type OpenContext, type Opened } from '../session/open.ts'
import { type Candidate, endpoint, type Path, reopen } from '../session/path.ts'
import { type Session, sessionOf } from '../session/postgres.ts'
import { parseCertificates, principalsOf } from '../settings/certificate.ts'
import type { ProbeConfig } from '../settings/config.ts'
import { everyAddress } from './addresses.ts'
import { type Check, type CheckContext, StillLost } from './check.ts'
import { explained } from './explained.ts'
import { askFacts, type Facts } from './facts.ts'
import { createLedger } from './ledger.ts'
import { config, database, dns, session, table, tcp, tls } from './path.ts'
import { ddlRefused, dml } from './privileges.ts'
import { certificateBound, certificateRequired, certificateVerified } from './refusals.ts'
import { sequentialWrites, statementsUnnamed } from './reuse.ts'
import { role } from './role.ts'
import { rowVisible } from './row-visible.ts'
import { cleanUp, newSession, sweep } from './rows.ts'

/** The checks, in the order in which they run and stand in the report. */
export const ALL_CHECKS: readonly Check[] = [
  config,
  dns,
  tcp,
  tls,
  session,
  database,
  certificateRequired,
  certificateVerified,
  role,
  certificateBound,
  table,
  dml,
  rowVisible,
  ddlRefused,
  sequentialWrites,
  statementsUnnamed,
  everyAddress,
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
  let left: Warning | null = null

  const own = async (session: Promise<Session>): Promise<Session> => {
    sessions.push(await session)
    return session
  }
  const writer = once(async () => {
    if (!path.opened) throw new Error('a session was asked for, and the path has none')
    return own(sessionOf(path.opened, budget))
  })
  let lostIn: CheckId | null = null
  const another = async (met: CheckId) => {
    try {
      return await own(newSession(opening, path, login))
    } catch (error) {
      asFailure(error)
      // What took the last one away is still there: that one's matter, not the next check's.
      throw new StillLost(met)
    }
  }
  let reading = once(async () => own(sessionOf(await second(), budget)))
  // A reader that a check lost is replaced for the next: what broke it is that one's matter. One that was lost while
  // nobody used it is the matter of whoever finds it so.
  const reader = async (): Promise<Session> => {
    const [current, met] = [reading, lostIn]
    if (met !== null && (await current()).isLost() && reading === current) reading = once(() => another(met))
    return reading()
  }
  const facts = once(async (): Promise<Facts> => askFacts(await writer(), config, principals(config)))
  const reconnect = async () => sessionOf(await reopen(opening, candidatesFrom(path), login), budget)
  const ledger = createLedger(reconnect, inherited)
  const context: CheckContext = {
    ...opening,
    login,
    runId,
    path,
    writer,
    reader,
    facts,
    ledger,
    warn: (code, message) => warnings.push({ code, message }),
    progress,
  }
  const results: CheckResult[] = []
  /** the check in which the run came to its end, by an interruption or the deadline */
  let ended: CheckId | null = null
  try {
    for (const { id } of checksOf(config.options.allAddresses)) {
      const lost = sessions.filter(session => session.isLost()).length
      const result = await runCheck(id, context, results, ended)
      results.push(result)
      if (result.status !== 'failed') continue
      if (sessions.filter(session => session.isLost()).length > lost || result.failure?.code === 'CONNECTION_LOST')
        lostIn = id
      if (budget.signal.aborted || remainingMs(budget) === 0) ended ??= id
    }
  } finally {
    // What has been found is final; rows and connections go now, whatever it was.
    left = await cleanUp(context, opening, login, sessions)
    if (!budget.signal.aborted) await sweep(context, sessions, note)
    await Promise.all(sessions.map(session => session.close()))
  }
  return {
    checks: results,
    warnings: [...warnings, ...(left ? [left] : []), ...pathWarnings(path)],
    left: left ? ledger.rows() : [],
  }
}

/** Whom our certificate names. */
const principals = ({ credentials }: ProbeConfig): readonly string[] => {
  const [leaf] = parseCertificates(credentials.cert).certificates
  return leaf ? principalsOf(leaf) : []
}

function metaOf(id: CheckId): Pick<CheckResult, 'id' | 'layer' | 'criterion' | 'title'> & { needs: CheckId | null } {
  const meta = CHECKS.find(check => check.id === id)
  if (!meta) throw new Error(`check ${id} is not in the report's list`)
  return meta
}

function blocked(id: CheckId, by: CheckId): CheckResult {
  const { layer, criterion, title } = metaOf(id)
  return { id, layer, criterion, title, status: 'blocked', durationMs: 0, evidence: {}, failure: null, blockedBy: by }
}

/**
 * Runs one check if what it needs has passed, and the run is not over. Rejects only for a bug.
 * @param ended the check in which the run ended
 */
async function runCheck(
  id: CheckId,
  context: CheckContext,
  before: readonly CheckResult[],
  ended: CheckId | null,
): Promise<CheckResult> {
  const check = ALL_CHECKS.find(one => one.id === id)
  if (!check) throw new Error(`there is no check ${id}`)
  const { layer, criterion, title, needs } = metaOf(id)
  const needed = before.find(result => result.id === needs)
  if (needed && needed.status !== 'passed') return blocked(id, needed.id)
  if (ended) return blocked(id, ended)
  const from = performance.now()
  const took = (durationMs = performance.now() - from) => roundMs(durationMs)
  const result = { id, layer, criterion, title, blockedBy: null }
  try {
    const { evidence, durationMs } = await check.run(context)
    return inOrder({
      ...result,
      status: 'passed',
      durationMs: took(durationMs),
      evidence: redactAll(evidence),
      failure: null,
    })
  } catch (error) {
    if (error instanceof StillLost) return blocked(id, error.blockedBy)
    const failed = await explained(asFailure(error), context)
    const evidence = redactAll(failed.evidence)
    const durationMs = took(failed.durationMs)
    return inOrder({ ...result, status: 'failed', durationMs, evidence, failure: failed.toFailure() })
  }
}

/** The same, its keys in the report's order. */
const inOrder = ({ id, layer, criterion, title, status, durationMs, evidence, failure, blockedBy }: CheckResult) => ({
  id,
  layer,
  criterion,
  title,
  status,
  durationMs,
  evidence,
  failure,
  blockedBy,
})

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
