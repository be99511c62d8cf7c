/**
 * The way into a session, as far as the StartupMessage: what the scriptable server and the proxy have in common.
 *
 * moment                what happens when the script does not name it
 *   onAccept              nothing is sent
 *   onSslRequest          S and a TLS handshake when the script has `tls`, N when not
 *   onClientHello         the handshake
 *   onClientCertificate   accepted, whatever it is
 *   onStartup             what comes after (sessions.ts, `converse`) answers
 * Bytes that a script sends at a moment take the place of the server's own answer there.
 */
import type { X509Certificate } from 'node:crypto'
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
  /** the name that the ClientHello asked for (SNI); undefined: none */
  readonly serverName: string | undefined
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

/** A session whose StartupMessage has come. */
export interface Entered {
  readonly ends: Ends
  readonly startup: Extract<ClientMessage, { kind: 'StartupMessage' }>
  /** the client's next message; undefined when it has gone */
  next(): Promise<ClientMessage | undefined>
  /** whether the script has answered the StartupMessage already */
  readonly answered: boolean
}

/** What is read-only for those who watch can be written by those who record. */
export type Mutable<T> = { -readonly [K in keyof T]: T[K] }

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
export async function enter(
  script: EntryScript,
  socket: net.Socket,
  session: Mutable<Session>,
  happened: () => void,
): Promise<Entered | undefined> {
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
        session.serverName = (stream as { servername?: string | false } | undefined)?.servername || undefined
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
