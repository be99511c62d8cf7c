/**
 * What can be wrong with a CA, a client certificate and its key before any packet is sent.
 * Used by the configuration and by certs:check, so that both say the same.
 */
import type { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { Code, Warning } from '../failure/codes.ts'
import { count, type Problem } from '../failure/error.ts'
import {
  allows,
  type CertificateFacts,
  DAY_MS,
  describeCertificate,
  fitsTls,
  isAnchor,
  isIssuedBy,
  keyName,
  parseCertificates,
  principalsOf,
  type Usage,
  validity,
} from './certificate.ts'
import { type Pem, printable, problem } from './pem.ts'
import { loadKey } from './private-key.ts'

/** A certificate that ends within so many days is a warning. */
export const EXPIRES_SOON_DAYS = 30

interface ClientFiles {
  readonly ca: Pem | null
  readonly cert: Pem | null
  readonly key: Pem | null
  /** the role to log in as; null if it is not known */
  readonly user: string | null
  /** epoch milliseconds */
  readonly now: number
}

interface ClientLint {
  /** whom the certificate names: its CN and DNS SANs */
  readonly principals: readonly string[]
  readonly problems: readonly Problem[]
  readonly warnings: readonly Warning[]
  readonly facts: {
    /** the first ones of a bundle; `caCount` says how many there are */
    readonly ca: readonly CertificateFacts[]
    readonly caCount: number
    readonly certificate: CertificateFacts | null
    /** whether one of the configured CAs signed the certificate; false is no error: the server may know another CA */
    readonly issuedByConfiguredCa: boolean | null
    readonly keyMatches: boolean | null
  }
  /** the three texts, nothing but their PEM blocks; null if there is any problem */
  readonly pem: { readonly ca: string; readonly cert: string; readonly key: string } | null
}

/** Holds the three against each other and against the clock. A part that is null was reported by the caller. */
export function lintClient({ ca, cert, key, user, now }: ClientFiles): ClientLint {
  const authorities = ca ? lintAuthorities(ca, now) : NONE
  const pair = lintPair({ cert, key, usages: ['clientAuth'], authorities: authorities.certificates, now })
  const [leaf] = pair.certificates
  const principals = leaf ? principalsOf(leaf) : []
  const problems = [...authorities.problems, ...pair.problems]
  const pem = {
    ca: joined(authorities.certificates),
    cert: joined(pair.certificates),
    key: pair.privateKey?.text ?? '',
  }
  if (problems.length === 0 && ca && cert && key) problems.push(...refusedByOpenSsl(cert, pem))
  return {
    principals,
    problems,
    warnings: [...authorities.warnings, ...pair.warnings, ...(leaf ? identityWarnings(principals, user) : [])],
    facts: {
      ca: authorities.certificates.slice(0, 4).map(one => describeCertificate(one, now)),
      caCount: authorities.certificates.length,
      certificate: leaf ? describeCertificate(leaf, now) : null,
      issuedByConfiguredCa: leaf && ca ? findIssuer(leaf, pair.certificates, authorities.certificates) !== null : null,
      keyMatches: pair.keyMatches,
    },
    pem: problems.length === 0 && ca && cert && key ? pem : null,
  }
}

const NONE = { certificates: [], problems: [], warnings: [] } as const

const joined = (certificates: readonly X509Certificate[]): string => certificates.map(one => one.toString()).join('')

/** What OpenSSL itself will not work with (a key too short, a digest too weak), before a dial runs into it. */
function refusedByOpenSsl(cert: Pem, pem: { ca: string; cert: string; key: string }): Problem[] {
  try {
    createSecureContext(pem)
    return []
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code'
    const message = `holds a certificate that OpenSSL does not work with (${code})`
    return [problem(cert, 'CERT_INVALID', { message, hint: NEW_CERTIFICATE })]
  }
}

const CREATE_CLIENT = 'cockroach cert create-client {user}'
const NEW_CERTIFICATE = `make a new one with an RSA key of at least 2048 bits or an EC key on P-256, and SHA-256, as ${CREATE_CLIENT} does`
const GIVE_AUTHORITY =
  'give the ca.crt of the database machine here; openssl x509 -in FILE -noout -subject -ext basicConstraints shows CA:TRUE of a CA'
const NEW_AUTHORITY =
  'set the CA certificate that is in force now; where there is none, make a new CA on the database machine, and every certificate with it'

interface PairLint {
  /** the certificates, the leaf first */
  readonly certificates: readonly X509Certificate[]
  readonly privateKey: { readonly text: string } | null
  readonly keyMatches: boolean | null
  readonly problems: readonly Problem[]
  readonly warnings: readonly Warning[]
}

/** A certificate, what it must be good for, the CAs beside it, and its key. A part that is null is left out. */
export function lintPair({
  cert,
  key,
  usages,
  authorities,
  now,
}: {
  cert: Pem | null
  key: Pem | null
  usages: readonly Usage[]
  authorities: readonly X509Certificate[]
  now: number
}): PairLint {
  const problems: Problem[] = []
  const warnings: Warning[] = []
  const certificates = cert ? certificatesOf(cert, problems) : []
  const privateKey = key ? loadKey(key, problems) : null
  const [leaf] = certificates
  if (cert && leaf) {
    const over = validityProblem(leaf, now)
    if (over) problems.push(problem(cert, over.code, { message: `holds a certificate that ${over.message}` }))
    else warnings.push(...expiresSoon(`the certificate of ${cert.name}`, validity(leaf).to, now))
    for (const usage of usages.filter(usage => !allows(leaf, usage))) {
      const message = `holds a certificate whose extended key usage lacks ${usage}`
      problems.push(problem(cert, 'CERT_USAGE', { message }))
    }
    problems.push(...unfitKey(cert, leaf, usages))
  }
  const isKeyOfCa = privateKey && !leaf?.ca && authorities.some(one => one.ca && one.checkPrivateKey(privateKey.object))
  if (key && isKeyOfCa) {
    const message = `is the key of a CA, too: whoever has it ${CAN_ISSUE}`
    problems.push(problem(key, 'CERT_USAGE', { message, hint: reissue(usages) }))
  }
  const keyMatches = leaf && privateKey ? leaf.checkPrivateKey(privateKey.object) : null
  if (key && keyMatches === false) {
    const message = `is not the key of the certificate in ${cert?.name}`
    problems.push(problem(key, 'KEY_MISMATCH', { message }))
  }
  return { certificates, privateKey, keyMatches, problems, warnings }
}

const CAN_ISSUE = 'can issue certificates for any user'

const reissue = (usages: readonly Usage[]): string =>
  `reissue it, with a key of its own: ${usages.includes('serverAuth') ? 'cockroach cert create-node HOST' : CREATE_CLIENT} ... --overwrite`

/** A key that TLS cannot sign with, or that signs more than it should: Node's `ca` is what OpenSSL takes for an issuer. */
function unfitKey(cert: Pem, leaf: X509Certificate, usages: readonly Usage[]): Problem[] {
  const problems: Problem[] = []
  if (leaf.ca) {
    const message = `holds a certificate that is a CA: whoever has its key ${CAN_ISSUE}`
    problems.push(problem(cert, 'CERT_USAGE', { message, hint: reissue(usages) }))
  }
  if (!fitsTls(leaf)) {
    const message = `holds a certificate with a key that TLS cannot use (${keyName(leaf)})`
    problems.push(problem(cert, 'CERT_INVALID', { message, hint: NEW_CERTIFICATE }))
  }
  return problems
}

/** The CA certificates of a text. Of several one in force is enough: during a change of CA the old one may be over. */
export function lintAuthorities(pem: Pem, now: number): Pick<PairLint, 'certificates' | 'problems' | 'warnings'> {
  const problems: Problem[] = []
  const certificates = certificatesOf(pem, problems)
  const [first] = certificates
  if (!first) return { certificates, problems, warnings: [] }
  const anchors = certificates.filter(isAnchor)
  if (anchors.length === 0) {
    const message = `holds no CA certificate: ${describeCertificate(first, now).subject} is none (basic constraints), and signs nothing`
    problems.push(problem(pem, 'CERT_INVALID', { message, hint: GIVE_AUTHORITY }))
    return { certificates, problems, warnings: [] }
  }
  const inForce = anchors.filter(one => validityProblem(one, now) === null)
  const [anchor = first] = anchors
  const over = inForce.length === 0 ? validityProblem(anchor, now) : null
  if (over) {
    const hint = over.code === 'CERT_EXPIRED' ? NEW_AUTHORITY : undefined
    problems.push(problem(pem, over.code, { message: `holds a CA certificate that ${over.message}`, hint }))
  }
  const end = Math.max(...inForce.map(one => validity(one).to))
  const warnings = over ? [] : expiresSoon(`the CA certificate of ${pem.name}`, end, now)
  return { certificates, problems, warnings }
}

/** The CA that a leaf's chain ends at, through the intermediates beside it; null if it ends at none of them. */
export function findIssuer(
  leaf: X509Certificate,
  intermediates: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): X509Certificate | null {
  let left = intermediates.filter(one => one.fingerprint256 !== leaf.fingerprint256)
  for (let at = leaf; ; ) {
    const authority = authorities.find(one => isIssuedBy(at, one))
    if (authority) return authority
    const next = left.find(one => isIssuedBy(at, one))
    if (!next) return null
    left = left.filter(one => one !== next)
    at = next
  }
}

/** Whether the certificates above a CA stand beside it, up to a root: OpenSSL trusts nothing that ends below one. */
export function leadsToRoot(authority: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  if (isIssuedBy(authority, authority)) return true
  const others = authorities.filter(one => one !== authority)
  const next = others.find(one => isIssuedBy(authority, one))
  return next !== undefined && leadsToRoot(next, others)
}

function certificatesOf(pem: Pem, problems: Problem[]): X509Certificate[] {
  const { certificates, broken } = parseCertificates(pem.text, pem.binary)
  if (broken === null) return certificates
  problems.push(problem(pem, 'CERT_INVALID', broken))
  return []
}

function identityWarnings(principals: readonly string[], user: string | null): Warning[] {
  if (user === null || principals.includes(user)) return []
  const names = principals.map(printable).join(', ') || 'nobody'
  const message = `the client certificate names ${names}, not the user ${printable(user)}`
  return [{ code: 'CERT_IDENTITY', message }]
}

/** Whether a certificate is out of force now, and since or until when. */
export function validityProblem(certificate: X509Certificate, now: number): { code: Code; message: string } | null {
  const { from, to } = validity(certificate)
  if (now > to) return { code: 'CERT_EXPIRED', message: `expired on ${new Date(to).toISOString()}` }
  if (now < from) return { code: 'CERT_NOT_YET_VALID', message: `is not valid before ${new Date(from).toISOString()}` }
  return null
}

function expiresSoon(what: string, end: number, now: number): Warning[] {
  const days = Math.floor((end - now) / DAY_MS)
  if (days >= EXPIRES_SOON_DAYS) return []
  const message = `${what} expires on ${new Date(end).toISOString()}, in ${count(days, 'day')}`
  return [{ code: 'CERT_EXPIRES_SOON', message }]
}
