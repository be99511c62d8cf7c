/**
 * The server's side of a TLS handshake, with the alerts that Node's own TLS server never sends.
 *
 * Node verifies a client certificate in JavaScript, after the handshake, and then closes without an alert.
 * CockroachDB and PostgreSQL send one. Here the handshake is done by OpenSSL, what it writes after the client's
 * certificate is held back, and an alert can take its place, as a real server's would:
 *   TLS 1.2   in the clear, instead of the server's ChangeCipherSpec and Finished
 *   TLS 1.3   after the client's Finished, encrypted with the server's application key, record number 0
 *
 * alert record   15 · 03 03 · length · level (02 fatal) · description
 * TLS 1.3        17 · 03 03 · length · AEAD(level · description · 15), key and iv from SERVER_TRAFFIC_SECRET_0
 *
 * Sources: RFC 5246 7.2; RFC 8446 5.2, 6, 7.1, 7.3.
 */
import type { X509Certificate } from 'node:crypto'
import { createCipheriv, createHmac } from 'node:crypto'
import type net from 'node:net'
import { Duplex } from 'node:stream'
import tls from 'node:tls'
import { conclude, decide, type HandshakeAct, type Moment, perform } from './acts.ts'

/** What the server presents and accepts. A client certificate is asked for, and taken whatever it is, unless said otherwise. */
export type ServerTls = Pick<
  tls.TlsOptions,
  | 'cert'
  | 'key'
  | 'ca'
  | 'minVersion'
  | 'maxVersion'
  | 'ciphers'
  | 'ecdhCurve'
  | 'sigalgs'
  | 'requestCert'
  | 'rejectUnauthorized'
>

/** A fatal alert in the clear. */
export const plainAlert = (description: number): Buffer => Buffer.of(0x15, 3, 3, 0, 2, 2, description)

const CIPHERS: Record<
  string,
  { cipher: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305'; key: number; hash: string }
> = {
  TLS_AES_128_GCM_SHA256: { cipher: 'aes-128-gcm', key: 16, hash: 'sha256' },
  TLS_AES_256_GCM_SHA384: { cipher: 'aes-256-gcm', key: 32, hash: 'sha384' },
  TLS_CHACHA20_POLY1305_SHA256: { cipher: 'chacha20-poly1305', key: 32, hash: 'sha256' },
}

/** A fatal alert as the first record under a TLS 1.3 traffic secret. */
function sealedAlert(description: number, suite: string, secret: Buffer): Buffer {
  const parameters = CIPHERS[suite]
  if (parameters === undefined) throw new Error(`no TLS 1.3 cipher suite: ${suite}`)
  const { cipher, key: keyLength, hash } = parameters
  const expand = (label: string, length: number): Buffer => {
    const name = Buffer.from(`tls13 ${label}`)
    const info = Buffer.concat([Buffer.of(0, length, name.length), name, Buffer.of(0, 1)])
    return createHmac(hash, secret).update(info).digest().subarray(0, length)
  }
  const plain = Buffer.of(2, description, 0x15)
  const header = Buffer.of(0x17, 3, 3, 0, plain.length + 16)
  // the types of the AEAD modes differ by their names only
  const seal = createCipheriv(cipher as 'aes-128-gcm', expand('key', keyLength), expand('iv', 12), {
    authTagLength: 16,
  })
  seal.setAAD(header)
  return Buffer.concat([header, seal.update(plain), seal.final(), seal.getAuthTag()])
}

/** Carries the handshake between OpenSSL and the socket, and can hold back what OpenSSL writes. */
function gate(socket: net.Socket) {
  let closed = false
  let closeAtNextRead = false
  let over = false
  const held: Buffer[] = []
  const duplex = new Duplex({
    read() {
      socket.resume()
    },
    write(chunk: Buffer, _encoding, done) {
      if (!closed) return void socket.write(chunk, () => done())
      held.push(chunk)
      done()
    },
    final(done) {
      socket.end(() => done())
    },
    destroy(error, done) {
      socket.destroy()
      done(error)
    },
  })
  // One record at a time, and a turn of the loop between two: what OpenSSL thinks of a broken signature stays in its
  // queue of errors until the call ends, and a record that is read in the same call is taken for failed.
  let rest: Buffer = Buffer.alloc(0)
  let waiting = false
  let ended = false
  const pass = (): void => {
    waiting = false
    const length = rest.length < 5 ? Number.POSITIVE_INFINITY : 5 + rest.readUInt16BE(3)
    if (!over && rest.length >= length) {
      if (closeAtNextRead) closed = true
      const record = rest.subarray(0, length)
      rest = rest.subarray(length)
      if (!duplex.push(record)) socket.pause()
      again()
    } else if (ended) duplex.push(null)
  }
  const again = (): void => {
    if (!waiting) setImmediate(pass)
    waiting = true
  }
  socket.on('data', chunk => {
    rest = Buffer.concat([rest, chunk])
    again()
  })
  socket.on('end', () => {
    ended = true
    again()
  })
  socket.on('close', () => duplex.destroy())
  duplex.on('error', () => {})
  return {
    duplex,
    /** From now on, or from the client's next bytes on, nothing gets out. */
    hold: (from: 'now' | 'next read') => {
      if (from === 'now') closed = true
      else closeAtNextRead = true
    },
    /** OpenSSL hears nothing more: the conversation goes on without it. */
    leave: () => {
      over = true
    },
    release: () => {
      closed = false
      closeAtNextRead = false
      if (held.length > 0) socket.write(Buffer.concat(held.splice(0)))
    },
  }
}

/** Waits for the end of the handshake: false when it came to nothing. */
const secured = (stream: tls.TLSSocket): Promise<boolean> =>
  new Promise(resolve => {
    stream.once('secure', () => resolve(true))
    stream.once('close', () => resolve(false))
  })

/** What OpenSSL thinks of the client's certificate. */
function verification(stream: tls.TLSSocket): string | undefined {
  const { _handle } = stream as unknown as { _handle?: { verifyError?(): { code?: string } | null } | null }
  return _handle?.verifyError?.()?.code
}

/** decrypt_error (RFC 8446, 6.2): what PostgreSQL says of a signature that does not verify. */
const DECRYPT_ERROR = 51

/**
 * Handshakes as the server on a socket whose next bytes are the ClientHello.
 * `onCertificate` decides once the client's certificate (undefined: none) is known; an alert goes out as described above.
 * Returns the encrypted stream, or undefined when the conversation is over. Of the certificate only the signature is
 * verified, where the client sends along (or `ca` holds) what it can be verified with.
 */
export async function handshake(
  socket: net.Socket,
  options: ServerTls,
  onCertificate?: Moment<X509Certificate | undefined, HandshakeAct>,
): Promise<tls.TLSSocket | undefined> {
  const way = gate(socket)
  const stream = new tls.TLSSocket(way.duplex as unknown as net.Socket, {
    requestCert: true,
    rejectUnauthorized: false,
    ...options,
    isServer: true,
  })
  let isSecured = false
  // An alert that OpenSSL itself has written goes out.
  stream.on('error', () => isSecured || way.release())
  stream.once('close', way.leave)
  let secret: Buffer | undefined
  stream.on('keylog', (line: Buffer) => {
    const [label, , value = ''] = line.toString().trim().split(' ')
    if (label === 'CLIENT_RANDOM') way.hold('now') // TLS 1.2: before the server's ChangeCipherSpec is written
    if (label !== 'SERVER_TRAFFIC_SECRET_0') return
    secret = Buffer.from(value, 'hex')
    way.hold('next read')
  })
  isSecured = await secured(stream)
  if (!isSecured) return undefined

  const isForged = verification(stream) === 'CERT_SIGNATURE_FAILURE'
  const decided = await decide(onCertificate, stream.getPeerX509Certificate())
  const act = decided === 'go on' && isForged ? ({ alert: DECRYPT_ERROR } as const) : decided
  if (act === 'go on') {
    way.release()
    return stream
  }
  way.leave()
  if (typeof act === 'object' && 'alert' in act) {
    const suite = stream.getCipher().standardName
    socket.write(secret === undefined ? plainAlert(act.alert) : sealedAlert(act.alert, suite, secret))
    conclude(act.next ?? 'close', { stream: socket, socket })
    return undefined
  }
  await perform(act, { stream: socket, socket })
  return undefined
}
