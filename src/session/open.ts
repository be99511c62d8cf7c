/**
 * Opening one connection to one address, stage by stage, up to ReadyForQuery: the path that every session takes,
 * the ones that must succeed and the ones that must be refused. Nothing here throws for what the server does:
 * each stage's outcome is a value.
 */
import { randomBytes } from 'node:crypto'
import type net from 'node:net'
import type tls from 'node:tls'
import { type Budget, remainingMs, roundMs } from '../budget.ts'
import { connect } from '../dial/connect.ts'
import { awaitAlert, brokenOff, type Handshake, handshake, type Presented } from '../dial/handshake.ts'
import { requestTls } from '../dial/ssl-request.ts'
import { type Evidence, ProbeError } from '../failure/error.ts'
import type { Host, ProbeConfig } from '../settings/config.ts'
import { type Startup, startup, startupEvidence } from './startup.ts'

/** The stages after the lookup, in order. `database` is what follows AuthenticationOk. */
export type Stage = 'tcp' | 'tls' | 'session' | 'database'

export interface StageOutcome {
  readonly durationMs: number
  readonly evidence: Evidence
  readonly failure: ProbeError | null
}

/** Whom to be, and how to come. */
export interface Login {
  readonly user: string
  readonly certificate: Presented
  /** false: a StartupMessage in plaintext, with no SSLRequest */
  readonly tls: boolean
  /** ask whether a password is stored for the user, where the server asks for one (startup.ts) */
  readonly whetherPassword?: boolean
}

export interface Opened {
  readonly host: Host
  readonly address: string
  readonly stages: Partial<Record<Stage, StageOutcome>>
  /** the failure of the last stage, null if there is a session */
  readonly failure: ProbeError | null
  readonly startup: Startup | null
  readonly handshake: Handshake | null
  /** what the setting connection_probe.session must be on this connection, and on no other */
  readonly token: string
  /** open and paused after ReadyForQuery; null if there is no session */
  readonly socket: net.Socket | tls.TLSSocket | null
}

export interface OpenContext {
  readonly config: ProbeConfig
  readonly budget: Budget
  readonly slots: Slots
}

/** A setting of our own that no server knows and every server keeps: what sets it at startup finds it again. */
export const SESSION_TOKEN = 'connection_probe.session'

/**
 * What every session sets at startup: the server ends for itself what we no longer wait for (a little before we give
 * up, so that its answer still arrives), and prints times in one way whatever the role's settings are.
 */
function startupParameters(context: OpenContext, user: string, token: string): Record<string, string> {
  const { budget, config } = context
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

/**
 * Opens a connection.
 * @param onConnected called once TCP stands, so that another connection to the same address can be dialled meanwhile
 */
export async function open(
  context: OpenContext,
  { host, address }: { readonly host: Host; readonly address: string },
  login: Login,
  onConnected?: () => void,
): Promise<Opened> {
  const first = await attempt(context, host, address, login, {}, onConnected)
  const ambiguous =
    first.failure?.code === 'SESSION_CLOSED' &&
    first.handshake?.socket.getProtocol !== undefined &&
    first.handshake.evidence.protocol === 'TLSv1.3' &&
    first.startup?.answered === false
  if (!ambiguous) return first
  // On TLS 1.3 a rejected certificate and a server that goes away look the same if the alert is lost on the way; on
  // TLS 1.2 the rejection falls inside the handshake (contract: layers and failure codes).
  const second = await attempt(context, host, address, login, { maxVersion: 'TLSv1.2' })
  second.socket?.destroy()
  if (second.failure?.code !== 'TLS_VERSION') return decide(first, second)
  // A server of TLS 1.3 only: what it says of our certificate comes whole if nothing of ours crosses it on the way.
  const third = await attempt(context, host, address, login, { hold: true })
  third.socket?.destroy()
  return decide(first, third)
}

/** Which of the two it was: see above. */
function decide(first: Opened, second: Opened): Opened {
  const again = {
    redialledWith: second.handshake?.evidence.protocol ?? 'TLSv1.2',
    outcome: second.failure?.code ?? 'accepted',
  }
  const atTls = second.stages.tls?.failure
  const rejected = atTls?.code.startsWith('TLS_CLIENT') ? atTls : null
  // Before the keys are exchanged the server has not seen our certificate: it is going away.
  const isBrokenOff = atTls?.code === 'TLS_CLOSED' && atTls.evidence.keysExchanged === true
  if (!rejected && !isBrokenOff) {
    Object.assign(first.failure?.evidence ?? {}, again)
    return first
  }
  const failure = rejected ?? brokenOff(first.failure?.cause)
  Object.assign(failure.evidence, again, first.handshake?.evidence)
  const tlsStage = first.stages.tls
  return {
    ...first,
    stages: {
      ...(first.stages.tcp && { tcp: first.stages.tcp }),
      tls: { durationMs: tlsStage?.durationMs ?? 0, evidence: tlsStage?.evidence ?? {}, failure },
    },
    failure,
  }
}

async function attempt(
  context: OpenContext,
  host: Host,
  address: string,
  login: Login,
  {
    maxVersion,
    hold = false,
  }: {
    readonly maxVersion?: 'TLSv1.2'
    /** hold the StartupMessage back for a moment, so that an alert about our certificate is not lost */
    readonly hold?: boolean
  },
  onConnected?: () => void,
): Promise<Opened> {
  const { config, budget } = context
  const stages: Partial<Record<Stage, StageOutcome>> = {}
  const token = randomBytes(8).toString('hex')
  const opened = { host, address, stages, startup: null, handshake: null, token, socket: null }
  let startedAt = performance.now()
  /** Ends a stage; returns its failure. */
  const end = (stage: Stage, evidence: Evidence, failure: ProbeError | null) => {
    const now = performance.now()
    stages[stage] = { durationMs: now - startedAt, evidence: { ...evidence, ...failure?.evidence }, failure }
    startedAt = now
    return failure
  }

  const release = await context.slots.acquire(`[${address}]:${host.port}`)
  startedAt = performance.now()
  const tcpEvidence = { address, port: host.port }
  let socket: net.Socket
  try {
    socket = await connect(address, host.port, budget)
  } catch (error) {
    release()
    return { ...opened, failure: end('tcp', tcpEvidence, asFailure(error)) }
  }
  socket.once('close', release)
  end('tcp', tcpEvidence, null)
  onConnected?.()

  let secured: Handshake | null = null
  let channel: net.Socket | tls.TLSSocket = socket
  if (login.tls) {
    let sslRequestMs = 0
    try {
      await requestTls(socket, budget)
      sslRequestMs = roundMs(performance.now() - startedAt)
      secured = await handshake(
        socket,
        {
          tlsName: host.tlsName,
          material: config.credentials,
          present: login.certificate,
          ...(maxVersion && { maxVersion }),
        },
        budget,
      )
      channel = secured.socket
      if (hold) await awaitAlert(secured.socket, budget)
    } catch (error) {
      socket.destroy()
      const failure = asFailure(error)
      if (failure.code === 'TCP_RESET') {
        // A reset before the first byte belongs to the connection, not to TLS.
        delete stages.tcp
        return { ...opened, failure: end('tcp', tcpEvidence, failure) }
      }
      return { ...opened, handshake: secured, failure: end('tls', {}, failure) }
    }
    end('tls', { ...secured.evidence, sslRequestMs }, null)
  }

  let said: Startup
  try {
    const asking = { namesUser: namesUser(config), whetherPassword: login.whetherPassword ?? false }
    said = await startup(channel, startupParameters(context, login.user, token), asking, budget)
  } catch (error) {
    socket.destroy()
    return { ...opened, handshake: secured, failure: end('session', {}, asFailure(error)) }
  }
  const { failure } = said
  const evidence = startupEvidence(said)
  const result = { ...opened, handshake: secured, startup: said, failure }
  if (!failure) {
    end('session', evidence, null)
    end('database', {}, null)
    return { ...result, socket: channel }
  }
  socket.destroy()
  if (failure.layer === 'tls' && secured) {
    // The alert came after the handshake: the certificate was the matter (RFC 8446, 4.4.2).
    const { durationMs } = stages.tls ?? { durationMs: 0 }
    stages.tls = { durationMs, evidence: { ...secured.evidence, ...failure.evidence }, failure }
  } else if (said.authenticated && !failure.code.startsWith('AUTH_')) {
    end('session', evidence, null)
    end('database', {}, failure)
  } else end('session', evidence, failure)
  return result
}

/** Only a ProbeError is the target's doing; anything else is a bug and goes on up. */
export function asFailure(error: unknown): ProbeError {
  if (error instanceof ProbeError) return error
  throw error
}

/** Whether CN or a DNS SAN of our certificate is the user. */
const namesUser = (config: ProbeConfig): boolean => !config.warnings.some(warning => warning.code === 'CERT_IDENTITY')

/** At most so many connections at once per address and port (contract: Settings). */
const PER_ADDRESS = 4
const HANDOVER_MS = 10

export interface Slots {
  /** Resolves when a connection to the endpoint may be opened, with the function that gives the place back. */
  acquire(endpoint: string): Promise<() => void>
}

/** Places for connections, first come first served. */
export function createSlots(limit = PER_ADDRESS): Slots {
  const taken = new Map<string, number>()
  const waiting = new Map<string, (() => void)[]>()
  return {
    async acquire(endpoint) {
      const inUse = taken.get(endpoint) ?? 0
      if (inUse < limit) taken.set(endpoint, inUse + 1)
      else await new Promise<void>(go => waiting.set(endpoint, [...(waiting.get(endpoint) ?? []), go]))
      let released = false
      return () => {
        if (released) return
        released = true
        const [next, ...rest] = waiting.get(endpoint) ?? []
        waiting.set(endpoint, rest)
        // Not at once: the server, too, must have seen that one go before it sees another come.
        if (next) setTimeout(next, HANDOVER_MS)
        else taken.set(endpoint, (taken.get(endpoint) ?? 1) - 1)
      }
    },
  }
}
