/**
 * Dialling: one TCP connection to one address, and TLS on it. Nothing here throws for what the other side does: how far
 * it got, and what ended it, is a value, since a dial that fails is evidence as often as it is the end.
 */
import type net from 'node:net'
import type tls from 'node:tls'
import { type Budget, recorded, roundMs } from '../budget.ts'
import { asProbeError, type Evidence, evidence, type Facts, type ProbeError } from '../failure/error.ts'
import type { Endpoint } from '../settings/config.ts'
import { connect } from './connect.ts'
import { awaitAlert, type Handshake, handshake, type Material, type Presented } from './handshake.ts'
import { requestTls } from './ssl-request.ts'

/** When something began, on performance.now()'s clock, and how long it took, ms. */
export interface Time {
  readonly startedAt: number
  readonly durationMs: number
}

/** How one stage of a connection ended. */
export interface Stage extends Time {
  readonly evidence: Evidence
  readonly error: ProbeError | null
}

/** How to dial. */
export interface DialOptions {
  /** false: no SSLRequest, plaintext */
  readonly tls: boolean
  readonly certificate: Presented
  readonly maxVersion?: 'TLSv1.2'
  /** wait after the handshake for an alert about our certificate (handshake.ts) */
  readonly hold?: true
}

export interface Dialled {
  readonly tcp: Stage
  /** null where TLS was not come to, or not asked for */
  readonly tls: Stage | null
  readonly handshake: Handshake | null
  /** what the SSLRequest took to be answered: one round trip, and next to no work of the server; null where it was not */
  readonly roundTripMs: number | null
  /** open and paused; null where there is an error */
  readonly socket: net.Socket | tls.TLSSocket | null
  readonly error: ProbeError | null
}

/** Runs a stage: what it came to, when, and how long it took. */
async function timed<T>(work: () => Promise<T>): Promise<Time & { value?: T; error: ProbeError | null }> {
  const startedAt = performance.now()
  try {
    return { value: await work(), error: null, startedAt, durationMs: performance.now() - startedAt }
  } catch (error) {
    return { error: asProbeError(error), startedAt, durationMs: performance.now() - startedAt }
  }
}

/** A stage that ended so, with what is known of it and what the error shows. */
export const stageOf = ({ startedAt, durationMs }: Time, known: Evidence | Facts, error: ProbeError | null): Stage => ({
  startedAt,
  durationMs,
  evidence: evidence(known, error?.evidence ?? {}),
  error,
})

/** Dials. The connection is the caller's to end. */
export async function dial(
  { host, address }: Endpoint,
  options: DialOptions,
  material: Material,
  budget: Budget,
): Promise<Dialled> {
  const known = { address, port: host.port }
  const connecting = () => connect(address, host.port, budget)
  const connected = await timed(() => recorded(budget, 'TCP connect', connecting, 'tcp'))
  const { value: socket, error } = connected
  const tcp = stageOf(connected, known, error)
  const nothing = { tcp, tls: null, handshake: null, roundTripMs: null, socket: null, error }
  if (!socket) return nothing
  if (!options.tls) return { ...nothing, socket }

  let secured: Handshake | null = null
  let roundTripMs: number | null = null
  const tls = await timed(async () => {
    const from = performance.now()
    await recorded(budget, 'SSLRequest', () => requestTls(socket, budget), 'tls')
    roundTripMs = roundMs(performance.now() - from)
    const { certificate: present, maxVersion } = options
    const how = { tlsName: host.tlsName, material, present, maxVersion }
    secured = await recorded(budget, 'TLS handshake', () => handshake(socket, how, budget), 'tls')
    if (options.hold) await awaitAlert(secured.socket, budget)
    return secured
  })
  if (tls.value) {
    const stage = stageOf(tls, evidence(tls.value.evidence, { sslRequestMs: roundTripMs }), null)
    return { tcp, tls: stage, handshake: tls.value, roundTripMs, socket: tls.value.socket, error: null }
  }
  socket.destroy()
  // A reset before the first byte belongs to the connection, not to TLS.
  if (tls.error?.code === 'TCP_RESET') return { ...nothing, tcp: stageOf(tls, known, tls.error), error: tls.error }
  return { ...nothing, tls: stageOf(tls, {}, tls.error), handshake: secured, roundTripMs, error: tls.error }
}
