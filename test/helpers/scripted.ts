/**
 * A scriptable PostgreSQL-speaking server on [::1]: real sockets, real TLS, real bytes, no database.
 *
 * A script is what it does at each moment of a connection; what it does not name, a well-behaved server does:
 *   onAccept              nothing is sent
 *   onSslRequest          S and a TLS handshake when the script has `tls`, N when not
 *   onClientHello         the handshake
 *   onClientCertificate   accepted, whatever it is
 *   onStartup             AuthenticationOk, parameters, key, ReadyForQuery
 *   onPassword            28000, the connection ends (only after a challenge)
 *   onParse               no error
 *   onStatement           success without rows
 * Bytes that a script sends at a moment take the place of the server's own answer there.
 */
import type { X509Certificate } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import type net from 'node:net'
import type { TLSSocket } from 'node:tls'
import {
  type Act,
  conclude,
  decide,
  type Ends,
  type HandshakeAct,
  type Moment,
  perform,
  reader,
  write,
} from './acts.ts'
import { listen } from './listen.ts'
import { answerStatements, type OnStatement } from './statements.ts'
import { handshake, plainAlert, type ServerTls } from './tls-side.ts'
import {
  authenticationOk,
  backendKeyData,
  type ClientMessage,
  clientDecoder,
  errorResponse,
  type Fields,
  parameterStatus,
  readyForQuery,
  type Value,
} from './wire.ts'

export interface Statement {
  readonly sql: string
  readonly params: readonly Value[]
}

/** What one client did, as far as it has come. The server adds to it while the connection lives. */
export interface Session {
  /** 1 for the first connection */
  readonly id: number
  /** the client's port */
  readonly from: number
  readonly sslRequested: boolean
  /** the client's first TLS bytes have come */
  readonly clientHello: boolean
  /** TLS version and cipher, once the handshake is done */
  readonly protocol: string | undefined
  readonly cipher: string | undefined
  /** the client's certificate, not verified */
  readonly peer: X509Certificate | undefined
  /** the CN of the client's certificate */
  readonly peerName: string | undefined
  /** the parameters of the StartupMessage */
  readonly startup: Readonly<Record<string, string>> | undefined
  /** passwords and SASL answers received */
  readonly passwords: number
  readonly statements: readonly Statement[]
  readonly closed: boolean
  /** Sends bytes now, whatever the conversation is at. */
  push(bytes: Buffer): void
  /** Ends the connection now. */
  end(how?: 'close' | 'reset'): void
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export interface Script {
  /** what the server presents; absent: it has no TLS */
  readonly tls?: ServerTls
  readonly onAccept?: Moment<Session>
  /** Bytes that begin with S lead on to TLS, others to a StartupMessage without it. */
  readonly onSslRequest?: Moment<Session>
  readonly onClientHello?: Moment<Session, HandshakeAct>
  /** The certificate is in `session.peer`. An alert goes out as a real server's would, also on TLS 1.3. */
  readonly onClientCertificate?: Moment<Session, HandshakeAct>
  /** `startup` and `peer` of the session are known. */
  readonly onStartup?: Moment<Session>
  readonly onPassword?: Moment<Session>
  /** an error to give at Parse, before the statement runs (extended protocol only) */
  readonly onParse?: (sql: string, session: Session) => Fields | undefined | Promise<Fields | undefined>
  readonly onStatement?: OnStatement<Session>
}

export interface ScriptedServer extends AsyncDisposable {
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
  until(holds: (server: ScriptedServer) => boolean): Promise<void>
  /** Ends every open connection now. */
  cut(how?: 'close' | 'reset'): void
}

/** The messages of a login that succeeds. */
export const accepted = (parameters: Readonly<Record<string, string>> = { server_version: '15.0' }): Buffer[] => [
  authenticationOk(),
  ...Object.entries(parameters).map(([name, value]) => parameterStatus(name, value)),
  backendKeyData(1, 1),
  readyForQuery(),
]

/** An ErrorResponse and nothing after it: how a server ends a login. `routine` is field R. */
export const refusal = (sqlstate: string, message: string, routine = 'auth_failed'): Act => ({
  send: errorResponse({ S: 'FATAL', V: 'FATAL', C: sqlstate, M: message, R: routine }),
  next: 'close',
})

const commonName = (peer: X509Certificate | undefined): string | undefined =>
  /^CN=(.*)$/m.exec(peer?.subject ?? '')?.[1]

/** Plays the script to one client up to the end of the connection. */
async function play(
  script: Script,
  socket: net.Socket,
  session: Mutable<Session>,
  happened: () => void,
  record: (statement: Statement) => void,
): Promise<void> {
  let ends: Ends = { stream: socket, socket }
  let source = reader(socket)
  const decode = clientDecoder()
  const pending: ClientMessage[] = []
  const next = async (): Promise<ClientMessage | undefined> => {
    while (pending.length === 0) {
      const chunk = await source.next()
      if (chunk === null) return undefined
      pending.push(...decode(chunk))
    }
    return pending.shift()
  }
  /** What is still said is read and forgotten, so that the client's going is noticed. */
  const over = (): void => {
    source.release()
    ends.stream.resume()
  }

  session.push = bytes => void write(ends.stream, bytes)
  session.end = (how = 'reset') => void conclude(how, ends)
  if (!(await perform(await decide(script.onAccept, session), ends))) return over()

  let first = await next()
  if (first?.kind === 'SSLRequest') {
    session.sslRequested = true
    happened()
    const act = await decide(script.onSslRequest, session)
    const left = await perform(act, ends)
    if (left === false) return over()
    if (left === 'answer') await write(socket, Buffer.from(script.tls === undefined ? 'N' : 'S'))
    if (script.tls !== undefined && (left === 'answer' || answersYes(act))) {
      const stream = await secure(script.tls)
      if (stream === undefined) return
      ends = { stream, socket }
      source = reader(stream)
    }
    first = await next()
  }

  /** Takes the ClientHello and handshakes; undefined when the conversation is over. */
  async function secure(options: ServerTls): Promise<TLSSocket | undefined> {
    const hello = await source.next()
    source.release(hello ?? undefined)
    if (hello === null) return undefined
    session.clientHello = true
    happened()
    const act = await decide(script.onClientHello, session)
    if (typeof act === 'object' && 'alert' in act) {
      await write(socket, plainAlert(act.alert))
      conclude(act.next ?? 'close', ends)
      return undefined
    }
    if (!(await perform(act, ends))) return undefined
    const { onClientCertificate } = script
    const know = (peer: X509Certificate | undefined): void => {
      session.peer = peer
      session.peerName = commonName(peer)
      happened()
    }
    const stream = await handshake(
      socket,
      options,
      onClientCertificate === undefined
        ? undefined
        : peer => {
            know(peer)
            return decide(onClientCertificate, session)
          },
    )
    if (stream === undefined) return undefined
    session.protocol = stream.getProtocol() ?? undefined
    session.cipher = stream.getCipher().standardName
    know(stream.getPeerX509Certificate())
    return stream
  }

  if (first?.kind !== 'StartupMessage') return void socket.destroySoon()
  session.startup = first.parameters
  happened()
  const left = await perform(await decide(script.onStartup, session), ends)
  if (left === false) return over()
  if (left === 'answer') await write(ends.stream, Buffer.concat(accepted()))

  const answer = answerStatements(
    ends,
    async (sql, params) => {
      record({ sql, params })
      return script.onStatement?.(sql, params, session)
    },
    async sql => script.onParse?.(sql, session),
  )
  for (let message = await next(); message !== undefined; message = await next()) {
    if (message.kind === 'Password') {
      session.passwords += 1
      happened()
      const act = await decide(script.onPassword, session)
      const refused = refusal('28000', `password authentication failed for user ${session.startup.user ?? ''}`)
      if (!(await perform(act === 'go on' ? refused : act, ends))) return over()
    } else if (!(await answer(message))) return over()
  }
}

/** Whether bytes sent as the answer to SSLRequest begin with S. */
function answersYes(act: Act): boolean {
  if (typeof act !== 'object' || !('send' in act)) return false
  const bytes = Buffer.isBuffer(act.send) ? act.send : Buffer.concat(act.send)
  return bytes[0] === 'S'.charCodeAt(0)
}

/** Starts a server that plays the script to every client. Disposing closes every socket. */
export async function scriptedServer(script: Script = {}): Promise<ScriptedServer> {
  const sessions: Session[] = []
  const statements: Statement[] = []
  const events = new EventEmitter().setMaxListeners(0)
  const listener = await listen(socket => {
    const own: Statement[] = []
    const session: Mutable<Session> = {
      id: sessions.length + 1,
      from: socket.remotePort ?? 0,
      sslRequested: false,
      clientHello: false,
      protocol: undefined,
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
    const happened = (): void => void events.emit('happened')
    socket.on('close', () => {
      session.closed = true
      happened()
    })
    happened()
    const record = (statement: Statement): void => {
      own.push(statement)
      statements.push(statement)
      happened()
    }
    play(script, socket, session, happened, record).catch(error => {
      // a client that cannot be understood, or a script with a bug: the second must not be overlooked
      socket.destroy()
      if (!(error instanceof RangeError)) events.emit('error', error)
    })
  })
  const server: ScriptedServer = {
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
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  }
  return server
}
