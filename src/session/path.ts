/**
 * The path to the server: the addresses one after another until one gives a session. An address that fails is evidence,
 * and the next one is tried if it may have none of that trouble (refused, draining); a certificate or an identity is the
 * deployment's, and ends the path.
 */
import { setMaxListeners } from 'node:events'
import { type Budget, pause, type RecordSpan, recorded, remainingMs, type Span } from '../budget.ts'
import { resolve } from '../dial/resolve.ts'
import { CODES } from '../failure/codes.ts'
import { asProbeError, type Evidence, evidence, type Facts, ProbeError } from '../failure/error.ts'
import { type Endpoint, endpointKey } from '../settings/config.ts'
import { type Login, type OpenContext, type Opened, open, ownLogin, STAGES } from './open.ts'

/** What the lookups found. */
export interface LookUp {
  readonly endpoints: readonly Endpoint[]
  readonly evidence: Evidence
}

/**
 * Finds the addresses of every configured host. A host whose lookup fails is evidence if another one's does not.
 * Rejects with the first failure if none is found.
 */
export async function lookUp({ config, budget }: OpenContext): Promise<LookUp> {
  const endpoints: Endpoint[] = []
  const lookups: (Facts | Evidence)[] = []
  let error: ProbeError | null = null
  for (const host of config.hosts) {
    try {
      const found = await recorded(budget, `lookup of ${host.host}`, () => resolve(host, config.names, budget))
      const known = new Set(endpoints.map(endpointKey))
      endpoints.push(
        ...found.addresses.map(address => ({ host, address })).filter(found => !known.has(endpointKey(found))),
      )
      lookups.push(found.evidence)
    } catch (thrown) {
      const failed = asProbeError(thrown)
      error ??= failed
      lookups.push(evidence(failed.evidence, { failed: failed.code }))
    }
  }
  if (endpoints.length === 0 && error) throw error
  return { endpoints, evidence: evidence(lookups.length === 1 ? (lookups[0] ?? {}) : { hosts: lookups }) }
}

export interface Path {
  /** the attempt that got furthest: the last one, if there is a session */
  readonly opened: Opened
  /** each address tried, with its outcome */
  readonly tried: readonly Tried[]
  /** the independent second connection; null where there is no session, or none was asked for */
  readonly second: Second | null
}

/** The stages of the path have checks of their own, called like them; all of it is dialled by `tcp`. */
const ofItsCheck =
  (record: RecordSpan): RecordSpan =>
  span =>
    record(span.stage ? { ...span, check: span.stage } : span)

/** A connection that is dialled beside another one, so that it costs no time of its own. */
export interface Second {
  /** Takes it over: whoever does ends it. */
  claim(): Promise<Opened>
  /** Gives up dialling it, and ends it unless it was claimed. */
  abandon(): Promise<void>
}

function openBeside(context: OpenContext, endpoint: Endpoint, login: Login): Second {
  const abort = new AbortController()
  const signal = AbortSignal.any([context.budget.signal, abort.signal])
  setMaxListeners(0, signal)
  const spans: Span[] = []
  const record: RecordSpan = span => void spans.push({ ...span, name: `${span.name} (second connection)` })
  const opening = open({ ...context, budget: { ...context.budget, signal, record } }, endpoint, login)
  opening.catch(() => undefined)
  let isClaimed = false
  return {
    async claim() {
      isClaimed = true
      const opened = await opening
      spans.forEach(ofItsCheck(context.budget.record))
      return opened
    },
    async abandon() {
      abort.abort(new ProbeError('INTERRUPTED', 'this connection is not needed'))
      const { socket } = await opening
      if (!isClaimed) socket?.destroy()
    },
  }
}

/** One address, and what it came to. */
export interface Tried {
  readonly address: string
  readonly port: number
  readonly outcome: string
  readonly durationMs: number
}

/** How far an attempt got: the number of stages passed. */
const progress = ({ stages }: Opened): number => STAGES.filter(stage => stages[stage]?.error === null).length

const triedOf = ({ address, host, error, stages }: Opened): Tried => ({
  address,
  port: host.port,
  outcome: error ? error.code : 'connected',
  durationMs: Math.round(Object.values(stages).reduce((sum, stage) => sum + stage.durationMs, 0)),
})

/**
 * Opens the path as `login`: the endpoints in their order, until one gives a session or fails for good.
 * @param inPairs two connections are dialled to each, side by side
 */
export async function openPath(
  context: OpenContext,
  endpoints: readonly Endpoint[],
  login: Login,
  inPairs = false,
): Promise<Path> {
  const tried: Tried[] = []
  let best: Opened | null = null
  const { budget } = context
  const first = { ...context, budget: { ...budget, record: ofItsCheck(budget.record) } }
  for (const endpoint of endpoints) {
    const opening = open(first, endpoint, login)
    const second = inPairs ? openBeside(context, endpoint, login) : null
    const opened = await opening
    tried.push(triedOf(opened))
    if (!opened.error) return { opened, tried, second }
    await second?.abandon()
    if (!best || progress(opened) > progress(best)) best = opened
    if (!CODES[opened.error.code].tryNextAddress) break
  }
  if (!best) throw new Error('a path without an address')
  return { opened: best, tried, second: null }
}

/** Waits between two tries of something that may come back, ms. */
const PAUSE_MS = 250

/**
 * Opens another session on any of the endpoints, the first one first, and goes on trying until the deadline: for what
 * must be settled although the first connection is gone.
 * Rejects with the last attempt's failure.
 */
async function reopen(context: OpenContext, endpoints: readonly Endpoint[], login: Login): Promise<Opened> {
  let last: ProbeError | null = null
  for (;;) {
    for (const endpoint of endpoints) {
      const opened = await open(context, endpoint, login)
      if (!opened.error) return opened
      // Why the tries before failed says more than that the deadline came during this one.
      if (opened.error.code === 'DEADLINE') throw last ?? opened.error
      last = opened.error
      if (!CODES[last.code].tryNextAddress) throw last
    }
    await pause(PAUSE_MS, context.budget)
    if (last && remainingMs(context.budget) === 0) throw last
  }
}

/** The ways of one run to the server, under its budget. */
export interface Dialler {
  lookUp(): Promise<LookUp>
  /** Opens the path as the configured user, two connections to each endpoint. */
  openPath(endpoints: readonly Endpoint[]): Promise<Path>
  /** Opens one connection, as the configured user unless another login is given. The socket is the caller's to end. */
  open(endpoint: Endpoint, login?: Login, within?: Budget): Promise<Opened>
  /** Opens a session as the configured user on any of the endpoints, and goes on trying until the deadline. */
  reopen(endpoints: readonly Endpoint[]): Promise<Opened>
}

/** Whose connection it is that is opened beside the path's. */
function namedFor(record: RecordSpan, { user, certificate, tls }: Login, own: Login): RecordSpan {
  const how = [
    ...(user === own.user ? [] : [`as ${user}`]),
    ...(tls ? [] : ['without TLS']),
    ...(certificate === 'own' || !tls
      ? []
      : [certificate === 'none' ? 'without a certificate' : 'with a forged certificate']),
  ].join(' ')
  return how === '' ? record : span => record({ ...span, name: `${span.name} ${how}` })
}

export function diallerOf(context: OpenContext): Dialler {
  const own = ownLogin(context.config)
  return {
    lookUp: () => lookUp(context),
    openPath: endpoints => openPath(context, endpoints, own, true),
    open(endpoint, login = own, within = context.budget) {
      const budget = { ...within, record: namedFor(within.record, login, own) }
      return open({ ...context, budget }, endpoint, login)
    },
    reopen: endpoints => reopen(context, endpoints, own),
  }
}
