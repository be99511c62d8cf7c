/**
 * A proxy in front of a real PostgreSQL: a target that is right in everything but one thing.
 *
 * It ends the client's TLS with certificates of its own choice, logs in upstream on the client's behalf, and relays
 * every message both ways. Statements can be given a fault:
 *
 *   not run, error            { execute: false, instead: { C: '40001', … } }
 *   run, error (40003)        { instead: { C: '40003', … } }
 *   cut before it got there   { execute: false, instead: 'reset' }
 *   cut while it runs         { instead: 'reset', atOnce: true }
 *   cut, answer lost          { instead: 'reset' }
 *   late                      { before: promise } or { after: promise }
 *   never answered            { instead: 'silent' }
 *   a changed value           { row: values => … }
 *
 * When a client goes, upstream finishes what it was given and is closed then: as when a link is lost.
 *
 * unit   what ends with one ReadyForQuery: a simple query, or extended messages up to Sync
 */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { conclude, type Ends, write } from './acts.ts'
import { type Conversation, type EntryScript, type Session, type SessionServer, serveSessions } from './sessions.ts'
import {
  type ClientMessage,
  type Column,
  commandComplete,
  dataRow,
  errorResponse,
  type Fields,
  query,
  readColumns,
  readRow,
  readText,
  readyForQuery,
  type ServerMessage,
  serverDecoder,
  sslRequest,
  startupMessage,
  sync,
  terminate,
  type Value,
} from './wire.ts'

export interface Fault {
  /** false: upstream never gets the statement */
  readonly execute?: boolean
  /** awaited before upstream gets the statement */
  readonly before?: Promise<unknown>
  /** awaited before the client gets the answer */
  readonly after?: Promise<unknown>
  /** what the client gets in place of the answer: an error, the end of the connection, or nothing ever again */
  readonly instead?: Fields | 'close' | 'reset' | 'silent'
  /** the connection ends as soon as upstream has the statement, not only when it has answered */
  readonly atOnce?: boolean
  /** changes a row of the answer; undefined leaves it out */
  readonly row?: (values: readonly Value[], columns: readonly Column[]) => readonly Value[] | undefined
  /** changes the command tag */
  readonly tag?: (tag: string) => string
}

type Maybe<T> = T | undefined | Promise<T | undefined>

export interface ProxyOptions extends EntryScript {
  /** the real server, on [::1] unless `host` says otherwise */
  readonly upstream: { readonly port: number; readonly host?: string }
  /**
   * How to log in upstream for this client, by `session.peerName` and `session.startup`: TLS options with or without
   * a client certificate, or undefined to go in the clear.
   */
  readonly credentials: (session: Session) => tls.ConnectionOptions | undefined
  /** other parameters for upstream's StartupMessage */
  readonly startup?: (session: Session) => Readonly<Record<string, string>>
  readonly onStatement?: (sql: string, params: readonly Value[], session: Session) => Maybe<Fault>
  /** bytes to forward in place of a client's message (none at all: an empty buffer) */
  readonly onClientMessage?: (message: ClientMessage, session: Session) => Maybe<Buffer>
  /** bytes to forward in place of a server's message, or how to end the connection */
  readonly onServerMessage?: (message: ServerMessage, session: Session) => Maybe<Buffer | 'close' | 'reset' | 'silent'>
}

const IN_TRANSACTION = 'T'.charCodeAt(0)

interface Unit {
  fault: Fault | undefined
  /** its answer has begun to come */
  begun: boolean
}

/** Connects and, with TLS options, handshakes. Throws what the socket or the handshake says. */
export async function dial(
  { host = '::1', port }: ProxyOptions['upstream'],
  options: tls.ConnectionOptions | undefined,
  opened: (socket: net.Socket) => void,
): Promise<Ends> {
  const socket = net.connect({ host, port, family: 6, noDelay: true })
  opened(socket)
  await once(socket, 'connect')
  if (options === undefined) return { stream: socket, socket }
  socket.write(sslRequest())
  const [answer] = (await once(socket, 'data')) as [Buffer]
  if (answer.toString() !== 'S') throw new Error(`upstream has no TLS: ${answer}`)
  const stream = tls.connect({ socket, servername: 'localhost', ...options })
  await once(stream, 'secureConnect')
  return { stream, socket }
}

/** Relays one client's session; resolves when the client's side is over. */
async function relay(options: ProxyOptions, conversation: Conversation, upstream: Ends): Promise<void> {
  const { session, ends, next, recordStatement } = conversation
  const units: Unit[] = []
  const statements = new Map<string, string>()
  let current: Unit | undefined // the unit that the client has not synced yet
  let bound = '' // the statement bound last
  let columns: readonly Column[] = []
  let started = false // upstream's first ReadyForQuery has come
  let over = false // nothing more goes to the client

  const toClient = async (bytes: Buffer): Promise<void> => {
    if (!over) await write(ends.stream, bytes)
  }
  const toServer = (bytes: Buffer): Promise<void> => write(upstream.stream, bytes)
  const leave = (how: 'close' | 'reset' | 'silent'): void => {
    if (!over) conclude(how, ends)
    over = true
  }
  /** Upstream is left when the client is gone and everything it was given is answered. */
  const leaveUpstream = (): void => {
    if (ends.stream.destroyed && units.length === 0) upstream.stream.end(terminate())
  }

  // From upstream to the client

  async function answer(message: ServerMessage): Promise<void> {
    const { type, bytes } = message
    const unit = started ? units[0] : undefined
    const fault = unit?.fault
    if (type === 'T') columns = readColumns(bytes)
    if (unit !== undefined && fault !== undefined && !unit.begun) {
      unit.begun = true
      await fault.after
    }
    const error = typeof fault?.instead === 'object' ? fault.instead : undefined
    if (type === 'Z') {
      if (started) units.shift()
      started = true
      if (error !== undefined && fault?.execute === false) await toClient(errorResponse(error))
      if (error === undefined) return toClient(bytes)
      return toClient(bytes[5] === IN_TRANSACTION ? readyForQuery('E') : bytes)
    }
    if (fault?.instead === undefined) {
      if (type === 'D' && fault?.row !== undefined) {
        const row = fault.row(readRow(bytes), columns)
        return row === undefined ? undefined : toClient(dataRow(row))
      }
      if (type === 'C' && fault?.tag !== undefined) return toClient(commandComplete(fault.tag(readText(bytes))))
      return toClient(bytes)
    }
    // the answer is replaced: rows go nowhere, and what ends the statement is where the fault shows
    if (type === 'D') return undefined
    if (type !== 'C' && type !== 'E' && type !== 'I') return toClient(bytes)
    if (typeof fault.instead === 'object') return toClient(errorResponse(fault.instead))
    return leave(fault.instead)
  }

  async function fromServer(): Promise<void> {
    const decode = serverDecoder()
    try {
      for await (const chunk of upstream.stream) {
        for (const message of decode(chunk as Buffer)) {
          const other = await options.onServerMessage?.(message, session)
          if (typeof other === 'string') leave(other)
          else await answer(other === undefined ? message : { ...message, bytes: other })
          leaveUpstream()
        }
      }
    } catch {
      // upstream broke off: for the client that is the end of the connection
    }
    units.length = 0
    if (!over) conclude('close', ends)
    over = true
  }

  // From the client to upstream

  /** Asks for a fault; resolves to what is to be forwarded: the statement, or not. */
  async function judge(unit: Unit, sql: string, params: readonly Value[]): Promise<boolean> {
    recordStatement({ sql, params })
    unit.fault = await options.onStatement?.(sql, params, session)
    await unit.fault?.before
    const { execute = true, instead } = unit.fault ?? {}
    if (!execute && typeof instead === 'string') {
      units.splice(units.indexOf(unit), 1)
      leave(instead)
    }
    return execute
  }
  /** What upstream gets in place of a statement that is not to run; it answers ReadyForQuery in its turn. */
  const inPlaceOf = (unit: Unit, sql: string): Buffer => {
    if (!/^\s*commit/i.test(sql)) return sync()
    unit.fault = { ...unit.fault, execute: true } // a COMMIT that fails has ended its transaction all the same
    return query('rollback')
  }
  const given = ({ fault }: Unit): void => {
    if (fault?.atOnce && typeof fault.instead === 'string') leave(fault.instead)
  }

  async function take(message: ClientMessage): Promise<void> {
    const bytes = (await options.onClientMessage?.(message, session)) ?? message.bytes
    if (message.kind === 'Query') {
      const unit: Unit = { fault: undefined, begun: false }
      units.push(unit)
      const execute = await judge(unit, message.sql, [])
      if (over) return
      await toServer(execute ? bytes : inPlaceOf(unit, message.sql))
      return given(unit)
    }
    if (message.kind === 'Terminate' || message.kind === 'Password') return toServer(bytes)
    if (current === undefined) {
      current = { fault: undefined, begun: false }
      units.push(current)
    }
    const unit = current
    if (message.kind === 'Parse') statements.set(message.name, message.sql)
    if (message.kind === 'Bind') {
      bound = statements.get(message.name) ?? ''
      await judge(unit, bound, message.params)
    }
    if (over) return
    const skipped = unit.fault?.execute === false
    if (message.kind !== 'Sync') return skipped ? undefined : toServer(bytes)
    current = undefined
    await toServer(skipped ? inPlaceOf(unit, bound) : bytes)
    given(unit)
  }

  ends.stream.once('close', leaveUpstream)
  const answers = fromServer()
  await toServer(options.startup === undefined ? conversation.startup.bytes : startupMessage(options.startup(session)))
  for (let message = await next(); message !== undefined && !over; message = await next()) await take(message)
  if (!ends.stream.destroyed && over) ends.stream.resume()
  leaveUpstream()
  await answers
}

/** Starts a proxy before `options.upstream`. Disposing closes every socket on both sides. */
export function faultyProxy(options: ProxyOptions): Promise<SessionServer> {
  const upstreams = new Set<net.Socket>()
  const opened = (socket: net.Socket): void => {
    upstreams.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => upstreams.delete(socket))
  }

  async function converse(conversation: Conversation): Promise<void> {
    const { session, ends } = conversation
    const upstream = await dial(options.upstream, options.credentials(session), opened).catch(() => undefined)
    if (upstream === undefined) return void conclude('close', ends)
    upstream.stream.on('error', () => {})
    await relay(options, conversation, upstream)
    upstream.stream.destroy()
    upstream.socket.destroy()
  }

  return serveSessions(options, converse, async () => {
    const closing = [...upstreams].map(socket => new Promise(resolve => socket.once('close', resolve)))
    for (const socket of upstreams) socket.destroy()
    await Promise.all(closing)
  })
}
