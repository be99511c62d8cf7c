/**
 * The path to the server: the lookup, then the addresses one after another until one gives a session. An address that
 * fails is evidence, and the next one is tried if waiting could have cured the failure (the node's trouble, such as
 * refused or draining); what cannot be cured so (a certificate, an identity) is the deployment's and ends the path.
 */
import { pause, remainingMs } from '../budget.ts'
import { resolve } from '../dial/resolve.ts'
import { CODES } from '../failure/codes.ts'
import type { Evidence, ProbeError } from '../failure/error.ts'
import type { Host } from '../settings/config.ts'
import { asFailure, type Login, type OpenContext, type Opened, open, type Stage, type StageOutcome } from './open.ts'

export interface Candidate {
  readonly host: Host
  readonly address: string
}

/** One name for an address and a port: several hosts may share an address. */
export const endpoint = ({ host, address }: Candidate): string => `[${address}]:${host.port}`

export interface Path {
  readonly dns: StageOutcome
  /** every address there was to try, in order */
  readonly candidates: readonly Candidate[]
  /** the attempt that got furthest, the last one if there is a session; null if there was no address */
  readonly opened: Opened | null
  /** each address tried, with its outcome */
  readonly tried: readonly Evidence[]
}

const STAGES: readonly Stage[] = ['tcp', 'tls', 'session', 'database']

/** How far an attempt got: the number of stages passed. */
const progress = (opened: Opened): number => STAGES.filter(stage => opened.stages[stage]?.failure === null).length

const outcome = ({ address, host, failure, stages }: Opened): Evidence => ({
  address,
  port: host.port,
  outcome: failure ? failure.code : 'connected',
  durationMs: Math.round(Object.values(stages).reduce((sum, stage) => sum + stage.durationMs, 0)),
})

/** Finds the addresses of every configured host. A host whose lookup fails is evidence if another one's does not. */
export async function lookUp({ config, budget }: OpenContext): Promise<{
  readonly dns: StageOutcome
  readonly candidates: readonly Candidate[]
}> {
  const startedAt = performance.now()
  const candidates: Candidate[] = []
  const lookups: Evidence[] = []
  let failure: ProbeError | null = null
  for (const host of config.hosts) {
    try {
      const { addresses, evidence } = await resolve(host, config.names, budget)
      const known = new Set(candidates.map(endpoint))
      candidates.push(...addresses.map(address => ({ host, address })).filter(found => !known.has(endpoint(found))))
      lookups.push(evidence)
    } catch (error) {
      const failed = asFailure(error)
      failure ??= failed
      lookups.push({ ...failed.evidence, failed: failed.code })
    }
  }
  const evidence = lookups.length === 1 ? (lookups[0] ?? {}) : { hosts: lookups }
  const durationMs = performance.now() - startedAt
  return { dns: { durationMs, evidence, failure: candidates.length > 0 ? null : failure }, candidates }
}

/**
 * Opens the path as `login`.
 * @param onConnected called with the address each time TCP stands
 */
export async function openPath(
  context: OpenContext,
  login: Login,
  onConnected?: (candidate: Candidate) => void,
): Promise<Path> {
  const { dns, candidates } = await lookUp(context)
  const tried: Evidence[] = []
  let best: Opened | null = null
  for (const candidate of candidates) {
    const opened = await open(context, candidate, login, () => onConnected?.(candidate))
    tried.push(outcome(opened))
    if (!best || !opened.failure || progress(opened) > progress(best)) best = opened
    if (!opened.failure || !CODES[opened.failure.code].waitable || opened.failure.layer === 'run') break
  }
  return { dns, candidates, opened: best, tried }
}

/**
 * Whether a dial to where a session was opened a moment ago found the way gone: nothing is wrong with the port, the
 * certificates or the settings then, whatever their layer's own hint says.
 */
export const isPathLost = ({ code, layer }: ProbeError): boolean =>
  (layer === 'tcp' && code !== 'TCP_FAILED') || code === 'TLS_TIMEOUT' || code === 'SESSION_TIMEOUT'

export const PATH_LOST =
  'the way was there when the run began and went away in it: ping -6 the address, fly machine list and fly logs -a multiplayer-fabric-crdb; then probe again'

/** Waits between two tries of something that may come back, ms. */
const PAUSE_MS = 250

/**
 * Opens another session on any of the candidates, the one given first, and goes on trying until the deadline: for what
 * must be settled although the first connection is gone.
 * Rejects with the last attempt's failure.
 */
export async function reopen(context: OpenContext, candidates: readonly Candidate[], login: Login): Promise<Opened> {
  let last: ProbeError | null = null
  for (;;) {
    for (const candidate of candidates) {
      const opened = await open(context, candidate, login)
      if (!opened.failure) return opened
      // Why the tries before failed says more than that the deadline came during this one.
      if (opened.failure.code === 'DEADLINE') throw last ?? opened.failure
      last = opened.failure
      if (!CODES[last.code].waitable || last.layer === 'run') throw last
    }
    await pause(PAUSE_MS, context.budget)
    if (last && remainingMs(context.budget) === 0) throw last
  }
}
