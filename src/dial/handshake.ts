/**
 * The TLS handshake, and what the server's certificate is worth.
 *
 * Verification is done here and not by Node's `rejectUnauthorized`, which would destroy the socket before the
 * certificate could be shown as evidence; nothing but TLS records is sent before it has passed.
 */
import type { X509Certificate } from 'node:crypto'
import net from 'node:net'
import tls from 'node:tls'
import { type Budget, within } from '../budget.ts'
import { classifyTls, classifyVerify } from '../failure/classify.ts'
import type { Code } from '../failure/codes.ts'
import { type Evidence, ProbeError } from '../failure/error.ts'
import { parseCertificates } from '../settings/certificate.ts'
import { findIssuer, validityProblem } from '../settings/lint.ts'
import { withBrokenSignature } from './forge.ts'
import { matchServerName, type NameMatch } from './server-name.ts'

/** Extended key usages (RFC 5280, 4.2.1.12). */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const USAGES: Readonly<Record<string, string>> = { [SERVER_AUTH]: 'serverAuth', [CLIENT_AUTH]: 'clientAuth' }

/**
 * Groups in our order of preference. OpenSSL 3.0 sends a key share for the first one only, PostgreSQL up to 17 takes
 * prime256v1 only by default, and everybody takes prime256v1: first, it saves a HelloRetryRequest.
 */
const GROUPS = 'prime256v1:X25519:secp384r1:secp521r1'

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
  readonly maxVersion?: 'TLSv1.2'
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
      ecdhCurve: GROUPS,
    })
  made.set(name, context)
  return context
}

export interface Handshake {
  readonly socket: tls.TLSSocket
  readonly evidence: Evidence
  /** facts about the server's certificate that warnings are made of */
  readonly server: { readonly expires: Date; readonly usages: readonly string[] | null }
}

/** Facts about a certificate. */
function describe(certificate: X509Certificate): Evidence {
  return {
    subject: certificate.subject?.replaceAll('\n', ', ') ?? '',
    issuer: certificate.issuer?.replaceAll('\n', ', ') ?? '',
    names: certificate.subjectAltName ?? null,
    usages: usagesOf(certificate),
    notBefore: isoTime(certificate.validFrom),
    notAfter: isoTime(certificate.validTo),
    fingerprint256: certificate.fingerprint256,
  }
}

/** A certificate's time; as it stands there if it is none (nothing has been verified yet). */
function isoTime(text: string): string {
  const time = new Date(text)
  return Number.isNaN(time.getTime()) ? text : time.toISOString()
}

const usagesOf = (certificate: X509Certificate): string[] | null =>
  (certificate.keyUsage as string[] | undefined)?.map(oid => USAGES[oid] ?? oid) ?? null

const SAYS: Partial<Record<Code, string>> = {
  TLS_SERVER_UNTRUSTED: "the server's certificate is not issued by the configured CA",
  TLS_SERVER_EXPIRED: "the server's certificate, or its CA's, has expired",
  TLS_SERVER_NOT_YET_VALID: "the server's certificate, or its CA's, is not valid yet",
  TLS_SERVER_USAGE: "the server's certificate is not for servers (serverAuth)",
}

/** The certificates above the server's own: those it sent, and the configured CAs. */
function above(certificate: X509Certificate, ca: string) {
  const sent: X509Certificate[] = []
  for (let at = certificate.issuerCertificate; at && sent.length < 8; at = at.issuerCertificate) sent.push(at)
  return { sent, authorities: parseCertificates(ca).certificates }
}

/** What OpenSSL says of the chain, in a sentence; Node's own code for many a reason is UNSPECIFIED. */
function verifyMessage(socket: tls.TLSSocket): string | null {
  const { _handle } = socket as unknown as { _handle?: { verifyError?(): { message?: string } | null } | null }
  return _handle?.verifyError?.()?.message ?? null
}

const BROKEN_CHAIN =
  'the CA is the right one, the chain breaks a rule (evidence: openssl): make the certificate that breaks it anew; openssl verify -CAfile ca.crt node.crt'
const AUTHORITY_OVER =
  "the server's own certificate is in force, the one above it is not (evidence: outOfForce): make that one anew, all that it signed, and the CRDB_* secrets"

/** What is wrong with the chain, where OpenSSL did not accept it. */
function chainFailure(socket: tls.TLSSocket, certificate: X509Certificate, ca: string): ProbeError {
  // Of several errors OpenSSL keeps the last one; without trust the others say nothing.
  const reason = String(socket.authorizationError)
  const openssl = verifyMessage(socket)
  const { sent, authorities } = above(certificate, ca)
  const trusted = findIssuer(certificate, sent, authorities) !== null
  const now = Date.now()
  const evidence: Evidence = { verification: reason, openssl }
  const failure = (code: Code, says: string, hint?: string) =>
    new ProbeError(code, `${says} (${openssl ?? reason})`, { evidence, ...(hint !== undefined && { hint }) })

  const code = trusted ? classifyVerify(reason) : 'TLS_SERVER_UNTRUSTED'
  const says = SAYS[code] ?? code
  if (!trusted) return failure(code, says)
  if (code === 'TLS_SERVER_EXPIRED' || code === 'TLS_SERVER_NOT_YET_VALID') {
    const over = validityProblem(certificate, now)
      ? undefined
      : [...sent, ...authorities].find(one => validityProblem(one, now))
    if (!over) return failure(code, says)
    evidence.outOfForce = describe(over)
    return failure(code, says.replace("certificate, or its CA's,", "certificate is in force, its CA's"), AUTHORITY_OVER)
  }
  // A usage that an authority lacks is no usage of the server's certificate.
  if (code === 'TLS_SERVER_USAGE' && !usagesOf(certificate)?.includes('serverAuth')) return failure(code, says)
  return failure(
    'TLS_SERVER_UNTRUSTED',
    "the server's certificate is issued by the configured CA, and the chain is not accepted",
    BROKEN_CHAIN,
  )
}

/** What in the server's certificate names it; or the first thing wrong, in the order trust, time, use, name. */
function verify(
  socket: tls.TLSSocket,
  certificate: X509Certificate,
  { tlsName, material: { ca } }: HandshakeOptions,
): ProbeError | NameMatch {
  if (!socket.authorized) return chainFailure(socket, certificate, ca)
  const usages = usagesOf(certificate)
  if (usages && !usages.includes('serverAuth'))
    return new ProbeError('TLS_SERVER_USAGE', SAYS.TLS_SERVER_USAGE ?? '', { evidence: { usages } })
  const named = matchServerName(certificate, tlsName)
  if (!named.matched)
    return new ProbeError(
      'TLS_SERVER_NAME',
      `the server's certificate is not for ${tlsName} but for ${certificate.subjectAltName ?? certificate.subject}`,
      { evidence: { wanted: tlsName, names: certificate.subjectAltName ?? null } },
    )
  return named
}

/** The failure that a TLS or socket error stands for; `at`: before or after the keys were exchanged, or after it all. */
export function tlsFailure(error: NodeJS.ErrnoException, at: 'hello' | 'keys' | 'afterwards'): ProbeError {
  const keysExchanged = at !== 'hello'
  const verdict = classifyTls(error.code, keysExchanged)
  // Whoever has shaken hands speaks TLS, whatever follows.
  const code = at === 'afterwards' && verdict.code === 'TLS_NOT_POSTGRES' ? 'TLS_FAILED' : verdict.code
  const { alert } = verdict
  const message = alert
    ? `the server broke off with the TLS alert ${alert}`
    : code === 'TLS_CLOSED'
      ? 'the server closed the connection inside the TLS handshake'
      : code === 'TLS_NOT_POSTGRES'
        ? 'what follows the SSLRequest is not TLS'
        : `TLS failed: ${error.code ?? error.message}`
  return new ProbeError(code, message, { cause: error, evidence: { alert, error: error.code ?? null, keysExchanged } })
}

/** The server has answered the SSLRequest, so small packets pass; what is missing is its certificate flight. */
const STALLED =
  'small packets pass, the certificates do not: a path-MTU hole if ping -6 -M do -s 1232 HOST passes and -s 1372 does not; else the server hangs'

/**
 * Shakes hands on a connected socket whose SSLRequest was answered with `S`.
 * Rejects with a TLS_ code. On TLS 1.3 a server rejects our certificate only after this has resolved (RFC 8446, 4.4.2
 * and 6.2): whoever reads next must treat an alert before the server's first byte as this layer's.
 */
export function handshake(socket: net.Socket, options: HandshakeOptions, budget: Budget): Promise<Handshake> {
  const wait = { code: 'TLS_TIMEOUT', what: 'the TLS handshake did not end', hint: STALLED } as const
  return within(
    budget,
    wait,
    signal =>
      new Promise((resolve, reject) => {
        let keysExchanged = false
        let secured: tls.TLSSocket
        try {
          secured = tls.connect({
            socket,
            secureContext: secureContext(options),
            ...(net.isIP(options.tlsName) === 0 && { servername: options.tlsName }),
            rejectUnauthorized: false,
            // Node would compare with "localhost" where the name is an address; `verify` compares with the name.
            checkServerIdentity: () => undefined,
          })
        } catch (error) {
          // OpenSSL refuses to load what we configured; the linter did not see it coming.
          socket.destroy()
          return reject(
            new ProbeError('TLS_FAILED', 'OpenSSL does not take the configured certificates', { cause: error }),
          )
        }
        const fail = (error: ProbeError) => {
          secured.destroy()
          socket.destroy()
          reject(error)
        }
        const failed = (error: NodeJS.ErrnoException) => fail(tlsFailure(error, keysExchanged ? 'keys' : 'hello'))
        const ended = () =>
          fail(
            new ProbeError('TLS_CLOSED', 'the server closed the connection inside the TLS handshake', {
              evidence: { keysExchanged },
            }),
          )
        const aborted = () => {
          secured.destroy()
          socket.destroy()
        }
        signal.addEventListener('abort', aborted, { once: true })
        // TLS 1.2 only: 1.3 names its secrets otherwise, and has an alert of its own for a missing certificate.
        secured.on('keylog', (line: Buffer) => {
          keysExchanged ||= line.subarray(0, 13).toString('latin1') === 'CLIENT_RANDOM'
        })
        secured.once('error', failed).once('close', ended)
        const shaken = () => {
          secured.off('error', failed).off('close', ended)
          secured.on('error', () => undefined)
          const certificate = secured.getPeerX509Certificate()
          if (!certificate) return fail(new ProbeError('TLS_FAILED', 'the server presented no certificate'))
          const evidence = {
            protocol: secured.getProtocol(),
            cipher: secured.getCipher().name,
            serverName: options.tlsName,
            clientCertificateOffered: options.present !== 'none',
            serverCertificate: describe(certificate),
          }
          const verified = verify(secured, certificate, options)
          if (verified instanceof ProbeError) {
            Object.assign(verified.evidence, evidence)
            return fail(verified)
          }
          resolve({
            socket: secured,
            evidence: { ...evidence, nameRule: verified.rule },
            server: { expires: new Date(certificate.validTo), usages: usagesOf(certificate) },
          })
        }
        secured.once('secureConnect', () => {
          try {
            shaken()
          } catch (error) {
            // Nothing has been verified: what calls itself a certificate may hold anything.
            fail(new ProbeError('TLS_FAILED', "the server's certificate is not understood", { cause: error }))
          }
        })
      }),
  )
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
    'the server breaks off where it verifies the client certificate, without an alert',
    {
      cause,
    },
  )
