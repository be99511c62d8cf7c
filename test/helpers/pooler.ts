/**
 * A pooler in front of a real PostgreSQL: it takes clients as a server does, and runs each unit of theirs on one of the
 * sessions that it has upstream, as `route` says.
 *
 * unit       what ends with one ReadyForQuery: a simple query, or extended messages up to Sync. The driver sends
 *            Parse · Describe · Flush, reads the answer, then sends Bind · Execute · Sync: one unit
 * backend    a session upstream, by the name that `route` gives it. It is logged in when it is first named, with the
 *            startup parameters and the certificate of that client, and lives as long as the pooler
 * greeting   what a backend's server said up to its first ReadyForQuery, BackendKeyData included: what the client gets
 *
 * A client's units are run one after another. A backend that has a unit takes the next when it is done.
 */
import type net from 'node:net'
import { conclude, type Ends, reader, write } from './acts.ts'
import { dial, type ProxyOptions } from './proxy.ts'
import { type Conversation, type EntryScript, type Session, type SessionServer, serveSessions } from './sessions.ts'
import { type ClientMessage, query, type ServerMessage, serverDecoder, startupMessage, sync } from './wire.ts'

export interface Unit {
  readonly client: Session
  /** 0 for the client's first unit; -1 for its login */
  readonly number: number
  /** its first statement; empty for a login */
  readonly sql: string
  readonly protocol: 'simple' | 'extended'
  /** the inserts of this client up to here, this one included */
  readonly inserts: number
}

export interface PoolerOptions extends EntryScript, Pick<ProxyOptions, 'upstream' | 'credentials'> {
  /** the backend that serves a unit; for a login, the one whose greeting the client gets */
  readonly route: (unit: Unit) => string
  /** whether a client may log in upstream; one that may not waits for the backend until another has made it. Default: all */
  readonly logsIn?: (client: Session) => boolean
  /** other parameters for upstream's StartupMessage */
  readonly startup?: (client: Session) => Readonly<Record<string, string>>
  /** SQL that the pooler itself runs before a unit, on the unit's backend */
  readonly before?: (unit: Unit) => string | undefined
  /** the session is given back at Flush already, and what follows it is routed anew: `number` goes up by one there */
  readonly splitAtFlush?: boolean
}

/** The server is over, or broke off. */
const GONE = Symbol('gone')

interface Backend {
  /** the answer to the login: the greeting, a challenge, or why there is none */
  readonly greeting: Buffer
  readonly outcome: 'logged in' | 'challenged' | 'refused'
  /** Waits for its turn, and has the backend to itself meanwhile. */
  exclusively<T>(work: () => Promise<T>): Promise<T>
  send(bytes: Buffer): Promise<void>
  /** the server's next message */
  next(): Promise<ServerMessage | typeof GONE>
}

/** Reads a server's messages one after another. */
function messagesOf({ stream }: Ends): () => Promise<ServerMessage | typeof GONE> {
  const source = reader(stream)
  const decode = serverDecoder()
  const pending: ServerMessage[] = []
  return async () => {
    while (pending.length === 0) {
      const chunk = await source.next()
      if (chunk === null) return GONE
      pending.push(...decode(chunk))
    }
    return pending.shift() ?? GONE
  }
}

/** Whether the server asks for something: an Authentication message that is not AuthenticationOk. */
const isChallenge = ({ type, bytes }: ServerMessage): boolean => type === 'R' && bytes.readInt32BE(5) !== 0

/** Logs in upstream; resolves when the server has said ReadyForQuery, asks for something, refuses or breaks off. */
async function logIn(ends: Ends, startup: Buffer): Promise<Backend> {
  const next = messagesOf(ends)
  const greeting: Buffer[] = []
  let outcome: Backend['outcome'] = 'refused'
  await write(ends.stream, startup)
  for (let said = await next(); said !== GONE; said = await next()) {
    greeting.push(said.bytes)
    if (said.type === 'Z') outcome = 'logged in'
    if (isChallenge(said)) outcome = 'challenged'
    if (outcome !== 'refused' || said.type === 'E') break
  }
  let turn: Promise<unknown> = Promise.resolve()
  return {
    greeting: Buffer.concat(greeting),
    outcome,
    exclusively(work) {
      const mine = turn.then(work)
      turn = mine.catch(() => undefined)
      return mine
    },
    send: bytes => write(ends.stream, bytes),
    next,
  }
}

/** Reads one unit's answer to its end, and hands each message on. False where the server broke off. */
async function answered(backend: Backend, take: (message: ServerMessage) => Promise<void> | void): Promise<boolean> {
  for (let said = await backend.next(); said !== GONE; said = await backend.next()) {
    await take(said)
    if (said.type === 'Z') return true
  }
  return false
}

const sqlOf = (message: ClientMessage): string | undefined => ('sql' in message ? message.sql : undefined)

/** Serves one client until it goes. */
async function serve(
  { session: client, ends, next, recordStatement }: Conversation,
  options: PoolerOptions,
  backendOf: (name: string) => Promise<Backend>,
): Promise<void> {
  const unit = { client, number: -1, sql: '', protocol: 'simple' as Unit['protocol'], inserts: 0 }
  const toClient = ({ bytes }: { readonly bytes: Buffer }) => write(ends.stream, bytes)
  // Upstream breaks off over a certificate as it does with a client of its own: that is the end of this one, too.
  const own = await backendOf(options.route({ ...unit })).catch(() => null)
  if (own) await toClient({ bytes: own.greeting })
  // Nobody is let in with a password here; what the server says to one is the client's matter.
  while (own?.outcome === 'challenged') {
    const message = await next()
    if (message === undefined) break
    await own.send(message.bytes)
    const said = await own.next()
    if (said === GONE) break
    await toClient(said)
    if (!isChallenge(said)) break
  }
  if (own?.outcome !== 'logged in') return void conclude('close', ends)

  /** Passes on the client's messages from `first` to the end of the unit, and their answer back; true to go on. */
  const run = async (first: ClientMessage, backend: Backend): Promise<boolean> => {
    const sql = options.before?.({ ...unit })
    if (sql !== undefined) {
      await backend.send(query(sql))
      if (!(await answered(backend, () => undefined))) return false
    }
    let atFlush = false
    const whole = answered(backend, said => (atFlush && said.type === 'Z' ? undefined : toClient(said)))
    for (let message: ClientMessage | undefined = first; ; message = await next()) {
      atFlush = options.splitAtFlush === true && message?.kind === 'Flush'
      // A client that is gone leaves no unit open upstream.
      await backend.send(message === undefined || atFlush ? sync() : message.bytes)
      if (message === undefined || atFlush || message.kind === 'Query' || message.kind === 'Sync') break
    }
    return whole
  }

  for (let message = await next(); message !== undefined && message.kind !== 'Terminate'; message = await next()) {
    const first = message
    unit.number += 1
    unit.sql = sqlOf(first) ?? unit.sql
    unit.protocol = first.kind === 'Query' ? 'simple' : 'extended'
    if (/^insert /i.test(sqlOf(first) ?? '')) unit.inserts += 1
    recordStatement({ sql: unit.sql, params: [] })
    const backend = await backendOf(options.route({ ...unit }))
    if (!(await backend.exclusively(() => run(first, backend)))) break
  }
  conclude('close', ends)
}

/** Starts a pooler before `options.upstream`. Disposing closes every socket on both sides. */
export function pooler(options: PoolerOptions): Promise<SessionServer> {
  const { logsIn = () => true } = options
  const sockets = new Set<net.Socket>()
  const backends = new Map<string, PromiseWithResolver<Backend> & { begun: boolean }>()

  const opened = (socket: net.Socket): void => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }
  async function make({ session, startup }: Conversation): Promise<Backend> {
    const ends = await dial(options.upstream, options.credentials(session), opened)
    ends.stream.on('error', () => {})
    return logIn(ends, options.startup === undefined ? startup.bytes : startupMessage(options.startup(session)))
  }
  const converse = (conversation: Conversation): Promise<void> => {
    const backendOf = (name: string): Promise<Backend> => {
      const known = backends.get(name) ?? { ...withResolver<Backend>(), begun: false }
      backends.set(name, known)
      if (!known.begun && logsIn(conversation.session)) {
        known.begun = true
        known.resolve(make(conversation))
      }
      return known.promise
    }
    return serve(conversation, options, backendOf)
  }
  return serveSessions(options, converse, async () => {
    const closing = [...sockets].map(socket => new Promise(resolve => socket.once('close', resolve)))
    for (const socket of sockets) socket.destroy()
    await Promise.all(closing)
  })
}

interface PromiseWithResolver<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T | Promise<T>) => void
}

function withResolver<T>(): PromiseWithResolver<T> {
  let resolve: PromiseWithResolver<T>['resolve'] = () => undefined
  const promise = new Promise<T>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}
