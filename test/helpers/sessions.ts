/**
 * A server on [::1] that lets clients in by a script (entry.ts), keeps a record of each, and hands those that get as
 * far as a StartupMessage to whoever answers from there on: the scriptable server, or the proxy.
 */
import { EventEmitter, once } from 'node:events'
import type net from 'node:net'
import { type Entered, type EntryScript, enter, type Mutable, type Session, type Statement } from './entry.ts'
import { listen } from './listen.ts'

export type { EntryScript, Session, Statement } from './entry.ts'

/** A running server, whatever stands behind it. */
export interface SessionServer extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly connections: number
  readonly open: number
  /** the most connections that were open at once */
  readonly maxOpen: number
  /** one for each connection, in order */
  readonly sessions: readonly Session[]
  /** every statement of every connection, in the order in which they came */
  readonly statements: readonly Statement[]
  /** Resolves as soon as `holds` does; it is asked again whenever something has happened. */
  until(holds: (server: SessionServer) => boolean): Promise<void>
  /** Ends every open connection now. */
  cut(how?: 'close' | 'reset'): void
}

/** A session that has come as far as its StartupMessage, and where to record what it does next. */
export interface Conversation extends Entered {
  readonly session: Session
  recordStatement(statement: Statement): void
  recordPassword(): void
}

/**
 * Starts a server on [::1] that plays the script to every client and hands those that get through to `converse`, which
 * resolves when the conversation is over. Disposing closes every socket, then does what `leave` does.
 */
export async function serveSessions(
  script: EntryScript,
  converse: (conversation: Conversation) => Promise<void>,
  leave: () => Promise<void> = async () => {},
): Promise<SessionServer> {
  const sessions: Session[] = []
  const statements: Statement[] = []
  const events = new EventEmitter().setMaxListeners(0)
  const happened = (): void => void events.emit('happened')

  async function serve(socket: net.Socket): Promise<void> {
    const own: Statement[] = []
    const session: Mutable<Session> = {
      id: sessions.length + 1,
      from: socket.remotePort ?? 0,
      sslRequested: false,
      clientHello: false,
      protocol: undefined,
      serverName: undefined,
      cipher: undefined,
      peer: undefined,
      peerName: undefined,
      startup: undefined,
      passwords: 0,
      statements: own,
      closed: false,
      push: () => {},
      end: () => {},
    }
    sessions.push(session)
    socket.on('close', () => {
      session.closed = true
      happened()
    })
    happened()
    const entered = await enter(script, socket, session, happened)
    if (entered === undefined) return
    await converse({
      ...entered,
      session,
      recordStatement(statement) {
        own.push(statement)
        statements.push(statement)
        happened()
      },
      recordPassword() {
        session.passwords += 1
        happened()
      },
    })
    entered.ends.stream.resume()
  }

  const listener = await listen(socket => {
    serve(socket).catch(error => {
      socket.destroy()
      // a client that cannot be understood is its own affair; a script with a bug must not be overlooked
      if (!(error instanceof RangeError)) events.emit('error', error)
    })
  })
  const server: SessionServer = {
    host: listener.host,
    port: listener.port,
    get connections() {
      return listener.connections
    },
    get open() {
      return listener.open
    },
    get maxOpen() {
      return listener.maxOpen
    },
    sessions,
    statements,
    async until(holds) {
      while (!holds(server)) await once(events, 'happened')
    },
    cut: how => listener.cut(how),
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]()
      await leave()
    },
  }
  return server
}
