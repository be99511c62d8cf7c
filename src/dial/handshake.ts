/** The TLS handshake (RFC 8446, RFC 5246), and what the server says afterwards of our certificate. */
import net from 'node:net'
import tls from 'node:tls'
import { type Budget, within } from '../budget.ts'
import { alertHint, classifyTls } from '../failure/classify-tls.ts'
import { asProbeError, type Evidence, evidence, ProbeError } from '../failure/error.ts'
import { describeCertificate, extendedKeyUsage } from '../settings/certificate.ts'
import { aboutOurKey } from './client-key.ts'
import { withBrokenSignature } from './forge.ts'
import { verifyServer } from './verify-server.ts'

/**
 * Groups in our order of preference: those that OpenSSL 3.0 takes by default, so that no server is refused which psql
 * reaches. OpenSSL sends a key share for the first one only, PostgreSQL up to 17 takes prime256v1 only by default, and
 * everybody takes prime256v1: first, it saves a HelloRetryRequest.
 */
const GROUPS = [
  ...['prime256v1', 'X25519', 'secp384r1', 'secp521r1', 'X448'],
  ...['ffdhe2048', 'ffdhe3072', 'ffdhe4096', 'ffdhe6144', 'ffdhe8192'],
].join(':')

/** The post-quantum groups of OpenSSL 3.5, which earlier ones refuse by name. */
const HYBRID_GROUPS = 'X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024'

const [major = 0, minor = 0] = process.versions.openssl.split('.').map(Number)

/** The groups that this OpenSSL knows, in our order. */
const KNOWN_GROUPS = major * 100 + minor >= 305 ? `${GROUPS}:${HYBRID_GROUPS}` : GROUPS

/** PEM: whom we trust, and who we are. */
export interface Material {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** Which certificate to present: ours, ours with its signature broken (forge.ts), or none. */
export type Presented = 'own' | 'forged' | 'none'

export interface HandshakeOptions {
  /** the name that the certificate must carry; sent as SNI when it is no IP literal (RFC 6066, 3) */
  readonly tlsName: string
  readonly material: Material
  readonly present: Presented
  readonly maxVersion?: 'TLSv1.2' | undefined
}

export interface Handshake {
  readonly socket: tls.TLSSocket
  /** "TLSv1.2" or "TLSv1.3" */
  readonly protocol: string | null
  readonly evidence: Evidence
  /** facts about the server's certificate: what warnings are made of, and which one it is */
  readonly server: {
    readonly expires: Date
    readonly usages: readonly string[] | null
    readonly fingerprint: string
  }
}

/** Contexts that were made: reading certificates and key is the dearer half of a dial, and they do not change. */
const contexts = new WeakMap<Material, Map<string, tls.SecureContext>>()

function secureContext({ material, present, maxVersion }: HandshakeOptions): tls.SecureContext {
  const made = contexts.get(material) ?? new Map<string, tls.SecureContext>()
  contexts.set(material, made)
  const name = `${present} ${maxVersion}`
  const context =
    made.get(name) ??
    tls.createSecureContext({
      ca: material.ca,
      ...(present !== 'none' && {
        cert: present === 'own' ? material.cert : withBrokenSignature(material.cert),
        key: material.key,
      }),
      minVersion: 'TLSv1.2',
      ...(maxVersion && { maxVersion }),
      ecdhCurve: KNOWN_GROUPS,
    })
  made.set(name, context)
  return context
}

const CLOSED = 'the server closed the connection inside the TLS handshake'

/** The failure that a TLS or socket error stands for; `at`: before or after the keys were exchanged, or after it all. */
export function tlsFailure(error: NodeJS.ErrnoException, at: 'hello' | 'keys' | 'afterwards'): ProbeError {
  const keysExchanged = at !== 'hello'
  const verdict = classifyTls(error.code, keysExchanged)
  // Whoever has shaken hands speaks TLS, whatever follows.
  const code = at === 'afterwards' && verdict.code === 'TLS_NOT_POSTGRES' ? 'TLS_FAILED' : verdict.code
  const { alert } = verdict
  const message = alert
    ? `the server ended the handshake with the TLS alert ${alert}${keysExchanged ? '' : ', before we sent a certificate'}`
    : code === 'TLS_CLOSED'
      ? CLOSED
      : code === 'TLS_NOT_POSTGRES'
        ? 'what follows the SSLRequest is not TLS'
        : `TLS failed: ${error.code ?? error.message.split('\n', 1)[0]}`
  return new ProbeError(code, message, {
    cause: error,
    origin: { kind: 'tls', alert, keysExchanged },
    evidence: { alert, error: error.code ?? null, keysExchanged },
    hint: alertHint(verdict),
  })
}

/** The server has answered the SSLRequest, so small packets pass; what is missing is its certificate flight. */
const STALLED =
  'small packets pass, the certificates do not: a path-MTU hole if ping -6 -M do -s 1232 {host} passes and -s 1372 does not; else the server hangs'

/**
 * Shakes hands on a connected socket whose SSLRequest was answered with `S`.
 * Rejects with a TLS_ code. On TLS 1.3 a server rejects our certificate only after this has resolved (RFC 8446, 4.4.2
 * and 6.2): whoever reads next must treat an alert before the server's first byte as this layer's.
 */
export function handshake(socket: net.Socket, options: HandshakeOptions, budget: Budget): Promise<Handshake> {
  const wait = { code: 'TLS_TIMEOUT', what: 'the TLS handshake did not end', hint: STALLED } as const
  return within(budget, wait, async signal => {
    const secured = startTls(socket, options)
    try {
      await secureConnect(secured, signal)
      return verified(secured, options)
    } catch (error) {
      secured.destroy()
      socket.destroy()
      const shown = options.present === 'none' ? null : options.material.cert
      if (error instanceof ProbeError) throw aboutOurKey(error, shown)
      // Nothing has been verified: what calls itself a certificate may hold anything.
      throw new ProbeError('TLS_FAILED', "the server's certificate is not understood", { cause: error })
    }
  })
}

function startTls(socket: net.Socket, options: HandshakeOptions): tls.TLSSocket {
  try {
    return tls.connect({
      socket,
      secureContext: secureContext(options),
      ...(net.isIP(options.tlsName) === 0 && { servername: options.tlsName }),
      rejectUnauthorized: false,
      // Node would compare with "localhost" where the name is an address; `verifyServer` compares with the name.
      checkServerIdentity: () => undefined,
    })
  } catch (error) {
    // OpenSSL refuses to load what we configured; the linter did not see it coming.
    socket.destroy()
    throw new ProbeError('TLS_FAILED', 'OpenSSL does not take the configured certificates', { cause: error })
  }
}

/** Resolves when the handshake is over. Rejects with what broke it off. */
function secureConnect(secured: tls.TLSSocket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let keysExchanged = false
    const settle = (failure?: ProbeError) => {
      secured.off('error', failed).off('close', ended)
      // From here on whoever reads the socket listens for its end; an error nobody waits for is not a crash.
      secured.on('error', () => undefined)
      if (failure) reject(failure)
      else resolve()
    }
    const failed = (error: NodeJS.ErrnoException) => settle(tlsFailure(error, keysExchanged ? 'keys' : 'hello'))
    const ended = () => {
      const origin = { kind: 'tls', alert: null, keysExchanged } as const
      settle(new ProbeError('TLS_CLOSED', CLOSED, { origin, evidence: { keysExchanged } }))
    }
    signal.addEventListener('abort', () => secured.destroy(), { once: true })
    // TLS 1.2 only: 1.3 names its secrets otherwise, and has an alert of its own for a missing certificate.
    secured.on('keylog', (line: Buffer) => {
      keysExchanged ||= line.subarray(0, 13).toString('latin1') === 'CLIENT_RANDOM'
    })
    secured
      .once('error', failed)
      .once('close', ended)
      .once('secureConnect', () => settle())
  })
}

function verified(secured: tls.TLSSocket, { tlsName, material, present }: HandshakeOptions): Handshake {
  const certificate = secured.getPeerX509Certificate()
  if (!certificate) throw new ProbeError('TLS_FAILED', 'the server presented no certificate')
  const protocol = secured.getProtocol()
  const seen = {
    protocol,
    cipher: secured.getCipher().name,
    serverName: tlsName,
    clientCertificateOffered: present !== 'none',
    serverCertificate: describeCertificate(certificate, Date.now()),
  }
  try {
    const nameRule = verifyServer(secured, certificate, { tlsName, ca: material.ca })
    return {
      socket: secured,
      protocol,
      evidence: evidence(seen, { nameRule }),
      server: {
        expires: new Date(certificate.validTo),
        usages: extendedKeyUsage(certificate),
        fingerprint: certificate.fingerprint256,
      },
    }
  } catch (error) {
    throw asProbeError(error).with({ evidence: seen })
  }
}

/** How long a server that has our certificate may take to say what it thinks of it, ms; at most half of one wait. */
const ALERT_MS = 1_500

/**
 * Waits after a handshake, saying nothing, for what the server says of our certificate (RFC 8446, 4.4.2): one that
 * takes it says nothing and waits for us.
 * Rejects with the code of the alert; with TLS_CLIENT_REJECTED if the server closes the connection without one.
 */
export function awaitAlert(socket: tls.TLSSocket, budget: Budget): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (failure?: ProbeError) => {
      clearTimeout(timer)
      budget.signal.removeEventListener('abort', interrupted)
      socket.off('error', failed).off('end', ended).off('close', ended)
      socket.pause()
      if (failure) reject(failure)
      else resolve()
    }
    const failed = (error: NodeJS.ErrnoException) => {
      const failure = tlsFailure(error, 'afterwards')
      settle(failure.code === 'TLS_CLOSED' ? brokenOff(error) : failure)
    }
    const ended = () => settle(brokenOff())
    // The startup that follows says so.
    const interrupted = () => settle()
    const timer = setTimeout(settle, Math.min(ALERT_MS, budget.waitMs / 2))
    budget.signal.addEventListener('abort', interrupted, { once: true })
    socket.on('error', failed).on('end', ended).on('close', ended)
    socket.resume()
  })
}

/** A server that ends the connection where it verifies our certificate, and sends no alert. */
export const brokenOff = (cause?: unknown): ProbeError =>
  new ProbeError(
    'TLS_CLIENT_REJECTED',
    'the server closed the connection where it verifies the client certificate, without an alert',
    { cause, origin: { kind: 'tls', alert: null, keysExchanged: true } },
  )
