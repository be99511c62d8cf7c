/**
 * The way into a session, as far as the StartupMessage, and the record of who came: what the scriptable server and the
 * proxy have in common. What happens from there on is theirs (`converse`).
 *
 * moment                what happens when the script does not name it
 *   onAccept              nothing is sent
 *   onSslRequest          S and a TLS handshake when the script has `tls`, N when not
 *   onClientHello         the handshake
 *   onClientCertificate   accepted, whatever it is
 *   onStartup             `converse` answers
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
import { handshake, plainAlert, type ServerTls } from './tls-side.ts'
import { type ClientMessage, clientDecoder, type Value } from './wire.ts'

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

export interface EntryScript {
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
}

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

/** A session whose StartupMessage has come. */
export interface Conversation {
  readonly session: Session
  readonly ends: Ends
  readonly startup: Extract<ClientMessage, { kind: 'StartupMessage' }>
  /** the client's next message; undefined when it has gone */
  next(): Promise<ClientMessage | undefined>
  /** whether the script has answered the StartupMessage already */
  readonly answered: boolean
  recordStatement(statement: Statement): void
  recordPassword(): void
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Whether bytes sent as the answer to SSLRequest begin with S. */
function answersYes(act: Act): boolean {
  if (typeof act !== 'object' || !('send' in act)) return false
  const bytes = Buffer.isBuffer(act.send) ? act.send : Buffer.concat(act.send)
  return bytes[0] === 'S'.charCodeAt(0)
}

const commonName = (peer: X509Certificate | undefined): string | undefined =>
  /^CN=(.*)$/m.exec(peer?.subject ?? '')?.[1]

/** What the way in leaves behind: the ends, and the client's messages from here on. */
interface Way {
  ends: Ends
  next(): Promise<ClientMessage | undefined>
  /** Reads the next chunk and gives it back; null when the client has gone. */
  peek(): Promise<Buffer | null>
  secure(stream: TLSSocket): void
  /** What is still said is read and forgotten, so that the client's going is noticed. */
  forget(): void
}

function wayIn(socket: net.Socket): Way {
  let source = reader(socket)
  const decode = clientDecoder()
  const pending: ClientMessage[] = []
  const way: Way = {
    ends: { stream: socket, socket },
    async next() {
      while (pending.length === 0) {
        const chunk = await source.next()
        if (chunk === null) return undefined
        pending.push(...decode(chunk))
      }
      return pending.shift()
    },
    async peek() {
      const chunk = await source.next()
      source.release(chunk ?? undefined)
      return chunk
    },
    secure(stream) {
      way.ends = { stream, socket }
      source = reader(stream)
    },
    forget() {
      source.release()
      way.ends.stream.resume()
    },
  }
  return way
}

/** Takes the ClientHello and handshakes; undefined when the conversation is over. */
async function secure(
  script: EntryScript & { tls: ServerTls },
  way: Way,
  session: Session,
  know: (stream: TLSSocket | undefined, peer: X509Certificate | undefined) => void,
): Promise<TLSSocket | undefined> {
  const { socket } = way.ends
  const act = await decide(script.onClientHello, session)
  if (typeof act === 'object' && 'alert' in act) {
    await write(socket, plainAlert(act.alert))
    conclude(act.next ?? 'close', way.ends)
    return undefined
  }
  if (!(await perform(act, way.ends))) return undefined
  const { onClientCertificate } = script
  const decideOn = (peer: X509Certificate | undefined): Promise<HandshakeAct> => {
    know(undefined, peer)
    return decide(onClientCertificate, session)
  }
  const stream = await handshake(socket, script.tls, onClientCertificate === undefined ? undefined : decideOn)
  if (stream !== undefined) know(stream, stream.getPeerX509Certificate())
  return stream
}

/** Plays the script's part to one client; returns its conversation when it came as far as the StartupMessage. */
async function enter(
  script: EntryScript,
  socket: net.Socket,
  session: Mutable<Session>,
  happened: () => void,
): Promise<Pick<Conversation, 'ends' | 'startup' | 'next' | 'answered'> | undefined> {
  const way = wayIn(socket)
  session.push = bytes => void write(way.ends.stream, bytes)
  session.end = (how = 'reset') => void conclude(how, way.ends)
  const over = (): undefined => void way.forget()

  if (!(await perform(await decide(script.onAccept, session), way.ends))) return over()
  let first = await way.next()
  if (first?.kind === 'SSLRequest') {
    session.sslRequested = true
    happened()
    const act = await decide(script.onSslRequest, session)
    const left = await perform(act, way.ends)
    if (left === false) return over()
    const { tls } = script
    if (left === 'answer') await write(socket, Buffer.from(tls === undefined ? 'N' : 'S'))
    if (tls !== undefined && (left === 'answer' || answersYes(act))) {
      if ((await way.peek()) === null) return over()
      session.clientHello = true
      happened()
      const stream = await secure({ ...script, tls }, way, session, (stream, peer) => {
        session.peer = peer
        session.peerName = commonName(peer)
        session.protocol = stream?.getProtocol() ?? undefined
        session.cipher = stream?.getCipher().standardName
        happened()
      })
      if (stream === undefined) return undefined
      way.secure(stream)
    }
    first = await way.next()
  }
  if (first?.kind !== 'StartupMessage') return void socket.destroySoon()
  session.startup = first.parameters
  happened()
  const left = await perform(await decide(script.onStartup, session), way.ends)
  if (left === false) return over()
  return { ends: way.ends, startup: first, next: way.next, answered: left === 'answered' }
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
