/**
 * Opening one connection to one address, stage by stage, up to ReadyForQuery: the path that every session takes,
 * the ones that must succeed and the ones that must be refused. Nothing here throws for what the server does:
 * each stage's outcome is a value.
 */
import { randomBytes } from 'node:crypto'
import type net from 'node:net'
import type tls from 'node:tls'
import { type Budget, recorded, remainingMs } from '../budget.ts'
import { SESSION_TOKEN } from '../database/sql.ts'
import { aboutOurKey } from '../dial/client-key.ts'
import { type Dialled, type DialOptions, dial, type Stage, stageOf, type Time } from '../dial/dial.ts'
import { brokenOff, type Handshake, type Presented } from '../dial/handshake.ts'
import { asProbeError, evidence, isCertificateRefusal, isClosedAfterKeys, type ProbeError } from '../failure/error.ts'
import type { Endpoint, ProbeConfig } from '../settings/config.ts'
import { type Startup, startup, startupEvidence } from './startup.ts'

/** The stages after the lookup, in order. `database` is what follows AuthenticationOk. */
export const STAGES = ['tcp', 'tls', 'session', 'database'] as const
export type StageId = (typeof STAGES)[number]
export type Stages = Readonly<Partial<Record<StageId, Stage>>>

/** Whom to be, and how to come. */
export interface Login {
  readonly user: string
  readonly certificate: Presented
  /** false: a StartupMessage in plaintext, with no SSLRequest */
  readonly tls: boolean
  /** ask whether a password is stored for the user, where the server asks for one (startup.ts) */
  readonly findStoredPassword?: boolean
}

/** The login of every session: the configured user with the configured certificate. */
export const ownLogin = ({ user }: Pick<ProbeConfig, 'user'>): Login => ({ user, certificate: 'own', tls: true })

export interface Opened extends Endpoint {
  /** the stages that it came to */
  readonly stages: Stages
  /** what ended the last stage; null if there is a session */
  readonly error: ProbeError | null
  readonly startup: Startup | null
  readonly handshake: Handshake | null
  /** between us and the server, as the SSLRequest showed it, ms (dial.ts) */
  readonly roundTripMs: number | null
  /** what the setting connection_probe.session must be on this connection, and on no other */
  readonly token: string
  /** open and paused after ReadyForQuery; null if there is no session */
  readonly socket: net.Socket | tls.TLSSocket | null
}

export interface OpenContext {
  readonly config: ProbeConfig
  readonly budget: Budget
}

/**
 * What every session sets at startup: the server ends for itself what we no longer wait for (a little before we give
 * up, so that its answer still arrives), and prints times in one way whatever the role's settings are.
 */
function startupParameters({ budget, config }: OpenContext, user: string, token: string): Record<string, string> {
  const ms = Math.max(1, Math.floor(Math.min(budget.waitMs * 0.9, remainingMs(budget))))
  return {
    user,
    database: config.database,
    application_name: 'connection-probe',
    client_encoding: 'UTF8',
    DateStyle: 'ISO',
    TimeZone: 'UTC',
    options: `-c statement_timeout=${ms} -c lock_timeout=${ms} -c ${SESSION_TOKEN}=${token}`,
  }
}

/** Opens a connection. The socket, if there is one, is the caller's to end. */
export async function open(context: OpenContext, endpoint: Endpoint, login: Login): Promise<Opened> {
  const first = await attempt(context, endpoint, login)
  const isAmbiguous =
    first.error?.code === 'SESSION_CLOSED' &&
    first.handshake?.protocol === 'TLSv1.3' &&
    first.startup?.answered === false
  if (!isAmbiguous) return first
  // On TLS 1.3 a rejected certificate and a server that goes away look the same if the alert is lost on the way; on
  // TLS 1.2 the rejection falls inside the handshake (RFC 8446, 4.4.2).
  const second = await attempt(context, endpoint, login, { maxVersion: 'TLSv1.2' })
  second.socket?.destroy()
  if (second.error?.code !== 'TLS_VERSION') return decide(first, second)
  // A server of TLS 1.3 only: what it says of our certificate comes whole if nothing of ours crosses it on the way.
  const third = await attempt(context, endpoint, login, { hold: true })
  third.socket?.destroy()
  return decide(first, third)
}

/** Which of the two it was: see above. */
function decide(first: Opened, second: Opened): Opened {
  const again = {
    redialledWith: second.handshake?.protocol ?? 'TLSv1.2',
    outcome: second.error?.code ?? 'accepted',
  }
  const atTls = second.stages.tls?.error
  const isRejected = atTls != null && isCertificateRefusal(atTls)
  // Before the keys are exchanged the server has not seen our certificate: it is going away.
  if (!isRejected && !(atTls && isClosedAfterKeys(atTls))) {
    const error = first.error?.with({ evidence: again }) ?? null
    return { ...first, stages: { ...first.stages, session: { ...sessionStage(first), error } }, error }
  }
  const error = (isRejected ? atTls : brokenOff(first.error?.cause)).with({
    evidence: evidence(again, first.handshake?.evidence ?? {}),
  })
  const { tcp, tls } = first.stages
  if (!tcp || !tls) throw new Error('a startup that was closed came after TLS')
  return { ...first, stages: { tcp, tls: stageOf(tls, tls.evidence, error) }, error }
}

function sessionStage({ stages }: Opened): Stage {
  if (!stages.session) throw new Error('a startup that was closed is a stage that was come to')
  return stages.session
}

/** The stages of a dial. */
const dialStages = ({ tcp, tls }: Dialled): Stages => ({ tcp, ...(tls && { tls }) })

async function attempt(
  context: OpenContext,
  { host, address }: Endpoint,
  login: Login,
  how: Pick<DialOptions, 'maxVersion' | 'hold'> = {},
): Promise<Opened> {
  const { config, budget } = context
  const { tls, certificate, findStoredPassword = false } = login
  const token = randomBytes(8).toString('hex')
  const dialled = await dial({ host, address }, { tls, certificate, ...how }, config.credentials, budget)
  const stages = dialStages(dialled)
  const { error, handshake, roundTripMs, socket } = dialled
  const opened = { host, address, stages, error, startup: null, handshake, roundTripMs, token, socket: null }
  if (!socket) return opened

  const startedAt = performance.now()
  const parameters = startupParameters(context, login.user, token)
  const { identityMatches, principals } = config
  const options = { identityMatches, principals, findStoredPassword }
  try {
    const starting = () => startup(socket, parameters, options, budget)
    const answer = await recorded(budget, 'startup', starting, 'session')
    const shown = certificate === 'none' || !tls ? null : config.credentials.cert
    const said = { ...answer, error: answer.error && aboutOurKey(answer.error, shown) }
    const took = { startedAt, durationMs: performance.now() - startedAt }
    const ended = { ...opened, startup: said, error: said.error, stages: startupStages(said, dialled, took) }
    return said.error ? ended : { ...ended, socket }
  } catch (thrown) {
    const error = asProbeError(thrown)
    const took = { startedAt, durationMs: performance.now() - startedAt }
    return { ...opened, error, stages: { ...stages, session: stageOf(took, {}, error) } }
  }
}

const atItsEnd = ({ startedAt, durationMs }: Time): Time => ({ startedAt: startedAt + durationMs, durationMs: 0 })

/** The stages of a connection whose startup has ended. */
function startupStages(said: Startup, dialled: Dialled, took: Time): Stages {
  const stages = dialStages(dialled)
  const seen = startupEvidence(said)
  const { error, authenticated } = said
  const { handshake, tls } = dialled
  // An alert after the handshake: the certificate was the matter (RFC 8446, 4.4.2).
  if (error?.layer === 'tls' && handshake && tls) return { ...stages, tls: stageOf(tls, handshake.evidence, error) }
  const isLetIn = !error || (authenticated && !error.code.startsWith('AUTH_'))
  return isLetIn
    ? { ...stages, session: stageOf(took, seen, null), database: stageOf(atItsEnd(took), {}, error) }
    : { ...stages, session: stageOf(took, seen, error) }
}
