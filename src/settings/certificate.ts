/**
 * Certificates as facts: what an X.509 certificate says about itself, in words that operators know.
 */
import { X509Certificate } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { AGAIN, GIVE, notPem, type Wrong } from './der.ts'
import { type Pem, pemBlocks, printable } from './pem.ts'

/** Extended key usages (RFC 5280 4.2.1.12). */
const EKU_NAMES: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
  '2.5.29.37.0': 'anyExtendedKeyUsage',
}

/** What a certificate says about itself. JSON; every text from the certificate is printable. */
export interface CertificateFacts {
  readonly subject: string
  readonly issuer: string
  readonly commonNames: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly otherNames: readonly string[]
  /** names of the extended key usages; null where the certificate has no such extension (good for everything) */
  readonly extendedKeyUsage: readonly string[] | null
  readonly isCa: boolean
  readonly notBefore: string
  readonly notAfter: string
  readonly daysLeft: number
  /** e.g. "ec prime256v1", "rsa 2048" */
  readonly key: string
  readonly serialNumber: string
  readonly fingerprint256: string
}

/** The certificates of a PEM text, one by one. `broken` says what is wrong with it, null if nothing is. */
export function parseCertificates(
  text: string,
  binary: Pem['binary'] = null,
): { certificates: X509Certificate[]; broken: Wrong | null } {
  const { blocks, broken } = pemBlocks(text)
  const certificates: X509Certificate[] = []
  const own = blocks.filter(block => block.label === 'CERTIFICATE')
  for (const [index, block] of own.entries()) {
    const certificate = parseCertificate(block.text)
    if (certificate === null) {
      // OpenSSL wants the base64 in lines; a shell that expands a variable without quotes makes one line of it.
      const isOneLine = !block.text.trim().includes('\n')
      const why = isOneLine ? 'whose line breaks are lost' : 'that is garbage'
      const message = `holds a certificate (number ${index + 1}) ${why}`
      return { certificates, broken: { message, ...(isOneLine && AGAIN) } }
    }
    certificates.push(certificate)
  }
  if (broken) return { certificates, broken: { message: 'holds text that is no whole PEM block', ...AGAIN } }
  if (own.length > 0) return { certificates, broken: null }
  return { certificates, broken: insteadOfCertificate(text, blocks[0]?.label, binary) }
}

const UNSIGNED = ['which no CA has signed yet', 'the certificate is what the CA makes of it'] as const

/** Blocks that are no certificate as it is used everywhere, and what to do with them. */
const OTHER_BLOCKS: Readonly<Record<string, readonly [what: string, hint: string]>> = {
  'TRUSTED CERTIFICATE': ["OpenSSL's own form of a certificate", 'openssl x509 -in FILE -out NEWFILE'],
  'X509 CERTIFICATE': ['an old name of a certificate', 'openssl x509 -in FILE -out NEWFILE'],
  PKCS7: ['a bundle of certificates', 'openssl pkcs7 -in FILE -print_certs -out NEWFILE'],
  'CERTIFICATE REQUEST': UNSIGNED,
  'NEW CERTIFICATE REQUEST': UNSIGNED,
}

const FOLLOW = {
  hint: 'give the text of the file here, "$(cat FILE)", or its path in CRDB_CA_CERT, CRDB_CLIENT_CERT, CRDB_ADMIN_CERT',
  fileHint: 'give the path that stands in that file',
} as const

function insteadOfCertificate(text: string, label: string | undefined, binary: Pem['binary']): Wrong {
  if (binary) return notPem(binary.kind, binary.form, 'certificate')
  if (label === undefined) {
    const looksLikePath = /^\s*[./~][^\n]*\s*$/.test(text)
    return looksLikePath
      ? { message: 'holds no PEM certificate (it looks like a path)', ...FOLLOW }
      : { message: 'holds no PEM certificate' }
  }
  const other = OTHER_BLOCKS[label]
  if (other) return { message: `holds a ${label}, ${other[0]}`, hint: other[1] }
  if (!label.endsWith(' KEY')) return { message: 'holds no PEM certificate' }
  const what = label === 'PUBLIC KEY' ? label : 'private key'
  return {
    message: `holds a ${what} where a certificate is expected`,
    hint: GIVE.certificate,
  }
}

function parseCertificate(block: string): X509Certificate | null {
  try {
    const certificate = new X509Certificate(block)
    const body = Buffer.from(block.replace(/-----[^-]+-----/g, ''), 'base64')
    const dates = validity(certificate)
    return body.length === certificate.raw.length && dates.from < dates.to ? certificate : null
  } catch {
    return null
  }
}

/** Validity as epoch milliseconds. */
export const validity = (certificate: X509Certificate): { from: number; to: number } => ({
  from: Date.parse(certificate.validFrom),
  to: Date.parse(certificate.validTo),
})

/** What a certificate may be good for. */
export type Usage = 'serverAuth' | 'clientAuth'

/** Whether it may be used for a purpose; a certificate without the extension may be used for all. */
export function allows(certificate: X509Certificate, usage: Usage): boolean {
  const names = extendedKeyUsage(certificate)
  return names === null || names.includes(usage) || names.includes('anyExtendedKeyUsage')
}

/**
 * The names of a certificate's extended key usages, an OID where one has no name; null without the extension. The types
 * of Node 20 promise an array there.
 */
export function extendedKeyUsage(certificate: X509Certificate): string[] | null {
  const oids: string[] | undefined = certificate.keyUsage
  return oids === undefined ? null : oids.map(oid => EKU_NAMES[oid] ?? oid)
}

/** The names of a certificate, unescaped: CNs, DNS SANs, IP SANs and all others (with their type in front). */
export function namesOf(certificate: X509Certificate): Record<'common' | 'dns' | 'ip' | 'other', string[]> {
  const names: Record<'common' | 'dns' | 'ip' | 'other', string[]> = {
    common: [certificate.toLegacyObject().subject?.CN ?? []].flat(),
    dns: [],
    ip: [],
    other: [],
  }
  for (const [, type = '', value = ''] of (certificate.subjectAltName ?? '').matchAll(SAN)) {
    const text = unquote(value)
    if (type === 'DNS') names.dns.push(text)
    else if (type === 'IP Address') names.ip.push(shortAddress(text))
    else names.other.push(`${type}:${text}`)
  }
  return names
}

/** Node's text of a subjectAltName: `DNS:a, IP Address:…`, a value in JSON quotes where it holds something odd. */
const SAN = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g

/** Node writes IPv6 SANs in full; this is the usual spelling (RFC 5952). */
const shortAddress = (address: string): string =>
  isIPv6(address) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address

function unquote(value: string): string {
  if (!value.startsWith('"')) return value
  try {
    return String(JSON.parse(value))
  } catch {
    return value
  }
}

/** CockroachDB's principals of a certificate: its CN and every DNS SAN (measured on CockroachDB 22.1). */
export function principalsOf(certificate: X509Certificate): string[] {
  const { common, dns } = namesOf(certificate)
  return [...new Set([...common, ...dns])]
}

/** Whether one certificate is signed by another. */
export const isIssuedBy = (certificate: X509Certificate, ca: X509Certificate): boolean => {
  try {
    return certificate.checkIssued(ca) && certificate.verify(ca.publicKey)
  } catch {
    return false
  }
}

/** Whether a chain may end at it: at a CA, or at one that signed itself, which then vouches for itself alone (OpenSSL). */
export const isAnchor = (certificate: X509Certificate): boolean => {
  try {
    return certificate.ca || certificate.verify(certificate.publicKey)
  } catch {
    return false
  }
}

/**
 * Whether TLS has a signature for its key: in TLS 1.3 DSA and EC on any other curve have none that Go and OpenSSL both
 * know (RFC 8446, 4.2.3), and such a certificate is not even shown.
 */
export const fitsTls = (certificate: X509Certificate): boolean =>
  /^(?:rsa|ed25519|ed448|ec (?:prime256v1|secp384r1|secp521r1))\b/.test(keyName(certificate))

/** Everything above, for evidence. `now` is epoch milliseconds. */
export function describeCertificate(certificate: X509Certificate, now: number): CertificateFacts {
  const names = namesOf(certificate)
  const { from, to } = validity(certificate)
  const all = (texts: readonly string[]) => texts.map(printable)
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    commonNames: all(names.common),
    dnsNames: all(names.dns),
    ipAddresses: all(names.ip),
    otherNames: all(names.other),
    extendedKeyUsage: extendedKeyUsage(certificate),
    isCa: certificate.ca,
    notBefore: isoTime(from, certificate.validFrom),
    notAfter: isoTime(to, certificate.validTo),
    daysLeft: Math.floor((to - now) / DAY_MS),
    key: keyName(certificate),
    serialNumber: certificate.serialNumber,
    fingerprint256: certificate.fingerprint256,
  }
}

/** A certificate's time; as it stands there if it is none: a server may show anything. */
const isoTime = (ms: number, text: string): string => (Number.isNaN(ms) ? printable(text) : new Date(ms).toISOString())

export const DAY_MS = 86_400_000

/** Node puts one attribute on a line, and a line end inside a value is escaped there. */
const oneLine = (name: string | undefined): string => printable((name ?? '').replaceAll('\n', ', '))

/** Kind and size of its key, as in `CertificateFacts.key`. */
export function keyName(certificate: X509Certificate): string {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey
    const size = asymmetricKeyDetails?.namedCurve ?? asymmetricKeyDetails?.modulusLength
    return [asymmetricKeyType, size].filter(part => part !== undefined).join(' ')
  } catch {
    return 'unknown'
  }
}
