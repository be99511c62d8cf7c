/**
 * What the server's certificate is worth: the first thing wrong with it, in the order trust, time, use, name.
 *
 * Verified here and not by Node's `rejectUnauthorized`, which would destroy the socket before the certificate could be
 * shown as evidence; nothing but TLS records is sent before it has passed.
 */
import type { X509Certificate } from 'node:crypto'
import type tls from 'node:tls'
import { classifyVerify } from '../failure/classify-tls.ts'
import type { Code } from '../failure/codes.ts'
import { type Facts, ProbeError } from '../failure/error.ts'
import { describeCertificate, extendedKeyUsage, parseCertificates } from '../settings/certificate.ts'
import { findIssuer, leadsToRoot, validityProblem } from '../settings/lint.ts'
import { printable } from '../settings/pem.ts'
import { matchServerName } from './server-name.ts'

const NOT_FOR_SERVERS = "the server's certificate is not for servers (serverAuth)"
const SAYS: Partial<Record<Code, string>> = {
  TLS_SERVER_UNTRUSTED: "the server's certificate is not issued by the configured CA",
  TLS_SERVER_EXPIRED: "the server's certificate, or its CA's, has expired",
  TLS_SERVER_NOT_YET_VALID: "the server's certificate, or its CA's, is not valid yet",
  TLS_SERVER_USAGE: NOT_FOR_SERVERS,
}

const BROKEN_CHAIN =
  'the CA is the right one, but the chain breaks a rule (evidence: openssl): reissue the certificate that breaks it; to check: openssl verify -CAfile ca.crt node.crt'
const WITHOUT_ROOT = "the server's certificate is issued by a configured CA whose root is not configured"
const ROOT_MISSING =
  'the CA file holds an intermediate and not the root above it (evidence: issuer): add the root, and what lies between, to it; a root has one name in openssl x509 -in FILE -noout -subject -issuer'
const AUTHORITY_OVER =
  "the server's own certificate is valid now, but the CA certificate above it is not (evidence: outOfForce): reissue that one and everything it signed, then set the CRDB_* secrets"

/**
 * Verifies the certificate of a socket that has shaken hands.
 * @param tlsName the name that it must carry
 * @param ca the trusted CAs, PEM
 * @returns what in the certificate names the server
 * @throws ProbeError TLS_SERVER_UNTRUSTED, TLS_SERVER_EXPIRED, TLS_SERVER_NOT_YET_VALID, TLS_SERVER_USAGE, TLS_SERVER_NAME
 */
export function verifyServer(
  socket: tls.TLSSocket,
  certificate: X509Certificate,
  { tlsName, ca }: { readonly tlsName: string; readonly ca: string },
): string {
  if (!socket.authorized) throw chainFailure(socket, certificate, ca)
  const usages = extendedKeyUsage(certificate)
  if (usages && !usages.includes('serverAuth'))
    throw new ProbeError('TLS_SERVER_USAGE', NOT_FOR_SERVERS, { evidence: { usages } })
  const { matched, rule } = matchServerName(certificate, tlsName)
  if (!matched)
    throw new ProbeError(
      'TLS_SERVER_NAME',
      `the server's certificate is not for ${tlsName}${namedInstead(certificate)}`,
      { evidence: { wanted: tlsName, names: certificate.subjectAltName ?? null } },
    )
  return rule
}

/** What a certificate names that is not for us. A subject is no name of a host: it tells which certificate this is. */
function namedInstead(certificate: X509Certificate): string {
  if (certificate.subjectAltName) return ` but for ${printable(certificate.subjectAltName)}`
  const { subject } = describeCertificate(certificate, Date.now())
  return `: it names no host in its SANs (its subject is ${subject || 'empty'})`
}

/** OpenSSL goes no further up a chain. */
const DEEPEST_CHAIN = 100

/** The certificates above the server's own: those it sent, and the configured CAs. */
function above(certificate: X509Certificate, ca: string) {
  const sent: X509Certificate[] = []
  for (let at = certificate.issuerCertificate; at && sent.length < DEEPEST_CHAIN; at = at.issuerCertificate)
    sent.push(at)
  return { sent, authorities: parseCertificates(ca).certificates }
}

/** What OpenSSL says of the chain, in a sentence; Node's own code for many a reason is UNSPECIFIED. */
function verifyMessage(socket: tls.TLSSocket): string | null {
  const { _handle } = socket as unknown as { _handle?: { verifyError?(): { message?: string } | null } | null }
  return _handle?.verifyError?.()?.message ?? null
}

/** What is wrong with the chain, where OpenSSL did not accept it. */
function chainFailure(socket: tls.TLSSocket, certificate: X509Certificate, ca: string): ProbeError {
  // Of several errors OpenSSL keeps the last one; without trust the others say nothing.
  const reason = String(socket.authorizationError)
  const openssl = verifyMessage(socket)
  const { sent, authorities } = above(certificate, ca)
  const now = Date.now()
  const failure = (code: Code, says: string, hint?: string, more: Facts = {}) =>
    new ProbeError(code, `${says} (${openssl ?? reason})`, {
      hint,
      evidence: { verification: reason, openssl, ...more },
    })

  const issuer = findIssuer(certificate, sent, authorities)
  if (!issuer) return failure('TLS_SERVER_UNTRUSTED', `${SAYS.TLS_SERVER_UNTRUSTED}`)
  if (!leadsToRoot(issuer, authorities))
    return failure('TLS_SERVER_UNTRUSTED', WITHOUT_ROOT, ROOT_MISSING, { issuer: describeCertificate(issuer, now) })
  const code = classifyVerify(reason)
  const says = SAYS[code] ?? code
  if (code === 'TLS_SERVER_EXPIRED' || code === 'TLS_SERVER_NOT_YET_VALID') {
    const over = validityProblem(certificate, now)
      ? undefined
      : [...sent, ...authorities].find(one => validityProblem(one, now))
    if (!over) return failure(code, says)
    const instead = says.replace("certificate, or its CA's,", "certificate is valid now, but its CA's")
    return failure(code, instead, AUTHORITY_OVER, { outOfForce: describeCertificate(over, now) })
  }
  // A usage that an authority lacks is no usage of the server's certificate.
  if (code === 'TLS_SERVER_USAGE' && !extendedKeyUsage(certificate)?.includes('serverAuth')) return failure(code, says)
  return failure(
    'TLS_SERVER_UNTRUSTED',
    "the server's certificate is issued by the configured CA, and the chain is not accepted",
    BROKEN_CHAIN,
  )
}
