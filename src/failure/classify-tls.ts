/**
 * From what TLS said to a failure code and a next step: the alerts that the peer sent (RFC 8446, section 6), as OpenSSL
 * and Node name them, and what the verification of its certificate came to.
 */
import type { Code } from './codes.ts'

/** The alerts by which a server turns a client's certificate down (RFC 8446, 6.2). */
const CLIENT_CERTIFICATE_ALERTS: ReadonlySet<string> = new Set([
  'bad_certificate',
  'unsupported_certificate',
  'certificate_revoked',
  'certificate_expired',
  'certificate_unknown',
  'unknown_ca',
  'access_denied',
  'decrypt_error',
])

/**
 * An alert as Node names it, by OpenSSL's text: "sslv3 alert …" up to 3.4, "ssl/tls alert …" since; those of TLS
 * extensions (RFC 6066) have no ALERT in it: ERR_SSL_TLSV1_UNRECOGNIZED_NAME.
 */
const ALERT = /^ERR_SSL_(?:SSLV3_ALERT|SSL\/TLS_ALERT|TLSV1_ALERT|TLSV13_ALERT|TLSV1)_(.+)$/

/** No common protocol version: the peer's choice of one that we refuse. */
const VERSION_ERRORS: ReadonlySet<string> = new Set([
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
  'ERR_SSL_VERSION_TOO_LOW',
  'ERR_SSL_NO_PROTOCOLS_AVAILABLE',
])

/** What OpenSSL says of bytes that are no TLS record at all. */
const NOT_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
  'ERR_SSL_RECORD_TOO_SMALL',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
])

/** A TLS error's verdict, and the alert's name where an alert was it. */
export interface TlsVerdict {
  readonly code: Code
  readonly alert: string | null
}

/**
 * The code of an error that OpenSSL or the socket reported during or right after the handshake.
 * `keysExchanged`: the key exchange had taken place. Our certificate leaves together with our half of it (TLS 1.2) or
 * after it (TLS 1.3): an alert of before is about no certificate of ours, whatever its name. Of after, handshake_failure
 * no longer means that there is no common cipher, but that the server got no certificate (RFC 5246, 7.4.6).
 */
export function classifyTls(errorCode: string | undefined, keysExchanged: boolean): TlsVerdict {
  const code = errorCode ?? ''
  const alert = ALERT.exec(code)?.[1]?.toLowerCase() ?? null
  if (alert !== null) return { code: classifyAlert(alert, keysExchanged), alert }
  if (VERSION_ERRORS.has(code)) return { code: 'TLS_VERSION', alert }
  if (NOT_TLS.has(code)) return { code: 'TLS_NOT_POSTGRES', alert }
  const closed = code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED'
  return { code: closed ? 'TLS_CLOSED' : 'TLS_FAILED', alert }
}

function classifyAlert(alert: string, keysExchanged: boolean): Code {
  if (alert === 'protocol_version') return 'TLS_VERSION'
  if (!keysExchanged) return 'TLS_FAILED'
  if (CLIENT_CERTIFICATE_ALERTS.has(alert)) return 'TLS_CLIENT_REJECTED'
  return alert === 'certificate_required' || alert === 'handshake_failure' ? 'TLS_CLIENT_REQUIRED' : 'TLS_FAILED'
}

const OURS = 'openssl x509 -in client.{user}.crt -noout'
const SIGNED =
  'did the CA that the server runs with sign the client certificate? openssl verify -CAfile ca.crt client.{user}.crt'

/** What to look at first, by the alert that turned our certificate down; what is wrong with it alone config has found. */
const ALERT_HINTS: Readonly<Record<string, string>> = {
  bad_certificate: `${SIGNED}; if so, is it valid by the server's clock? date -u there, and ${OURS} -dates`,
  unsupported_certificate: `the server wants keyUsage digitalSignature and clientAuth: ${OURS} -ext keyUsage,extendedKeyUsage; reissue it with cockroach cert create-client {user}`,
  certificate_revoked: `the server's revocation list has the client certificate: ${OURS} -serial (PostgreSQL: SHOW ssl_crl_file; openssl crl -in FILE -noout -text); reissue it with cockroach cert create-client {user}`,
  certificate_expired: `by this clock the client certificate is valid: compare date -u on the server with ${OURS} -dates; then its CA (openssl x509 -in ca.crt -noout -enddate) and its revocation list (PostgreSQL: SHOW ssl_crl_file; openssl crl -in FILE -noout -nextupdate)`,
  certificate_unknown: `the server does not understand the client certificate: an unknown critical extension? ${OURS} -text; reissue it with cockroach cert create-client {user}`,
  unknown_ca: `${SIGNED}; if so, the server has another ca.crt, or its revocation list is another CA's (PostgreSQL: SHOW ssl_ca_file; SHOW ssl_crl_file; openssl crl -in FILE -noout -issuer)`,
}

/** The hint of a client certificate that an alert turned down; undefined where its code's own says all. */
export const alertHint = ({ code, alert }: TlsVerdict): string | undefined =>
  code === 'TLS_CLIENT_REJECTED' ? ALERT_HINTS[alert ?? ''] : undefined

/** What chain verification said of the server's certificate (X509_V_ERR_*, as Node names it). */
const VERIFY_ERRORS: Readonly<Record<string, Code>> = {
  CERT_HAS_EXPIRED: 'TLS_SERVER_EXPIRED',
  CERT_NOT_YET_VALID: 'TLS_SERVER_NOT_YET_VALID',
  INVALID_PURPOSE: 'TLS_SERVER_USAGE',
  ERR_TLS_CERT_ALTNAME_INVALID: 'TLS_SERVER_NAME',
  ERR_TLS_CERT_ALTNAME_FORMAT: 'TLS_SERVER_NAME',
  HOSTNAME_MISMATCH: 'TLS_SERVER_NAME',
  IP_ADDRESS_MISMATCH: 'TLS_SERVER_NAME',
}

/** The code of a failed chain verification: anything that is not about time, use or name is a matter of trust. */
export const classifyVerify = (error: string): Code => VERIFY_ERRORS[error] ?? 'TLS_SERVER_UNTRUSTED'
