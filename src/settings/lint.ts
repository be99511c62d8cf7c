/**
 * What can be wrong with a CA, a client certificate and its key before any packet is sent.
 * Used by the configuration and by certs:check, so that both say the same.
 */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { Code, Warning } from '../failure/codes.ts'
import { count, type Problem } from '../failure/error.ts'
import {
  allows,
  type CertificateFacts,
  DAY_MS,
  describeCertificate,
  isIssuedBy,
  parseCertificates,
  principalsOf,
  type Usage,
  validity,
} from './certificate.ts'
import { GIVE, notPem, type Wrong } from './der.ts'
import { type Pem, type PemFile, pemBlocks, printable, quotePath } from './pem.ts'

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
  const pair = lintPair({ cert, key, usages: ['clientAuth'], now })
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

const NEW_CERTIFICATE =
  'make a new one with a key of at least 2048 bits and SHA-256, as cockroach cert create-client {user} does'
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

/** A certificate, what it must be good for, and its key. A part that is null is left out. */
export function lintPair({
  cert,
  key,
  usages,
  now,
}: {
  cert: Pem | null
  key: Pem | null
  usages: readonly Usage[]
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
  }
  const keyMatches = leaf && privateKey ? leaf.checkPrivateKey(privateKey.object) : null
  if (key && keyMatches === false) {
    const message = `is not the key of the certificate in ${cert?.name}`
    problems.push(problem(key, 'KEY_MISMATCH', { message }))
  }
  return { certificates, privateKey, keyMatches, problems, warnings }
}

/** The CA certificates of a text. Of several one in force is enough: during a change of CA the old one may be over. */
export function lintAuthorities(pem: Pem, now: number): Pick<PairLint, 'certificates' | 'problems' | 'warnings'> {
  const problems: Problem[] = []
  const certificates = certificatesOf(pem, problems)
  const [first] = certificates
  if (!first) return { certificates, problems, warnings: [] }
  const inForce = certificates.filter(one => validityProblem(one, now) === null)
  const over = inForce.length === 0 ? validityProblem(first, now) : null
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

const problem = ({ name, file }: Pem, code: Code, { message, hint, fileHint }: Wrong): Problem => ({
  ...{ name, code, hint: file ? (fileHint ?? hint) : hint },
  message: file ? `${quotePath(file.path)} ${message}` : message,
})

function certificatesOf(pem: Pem, problems: Problem[]): X509Certificate[] {
  const { certificates, broken } = parseCertificates(pem.text, pem.binary)
  if (broken === null) return certificates
  problems.push(problem(pem, 'CERT_INVALID', broken))
  return []
}

/**
 * libpq's rule for the key's file (fe-secure-openssl.c, manual 34.19): 0600 or less, or 0640 or less when root owns it.
 * @returns whether the permissions are too wide
 */
const isKeyTooOpen = ({ mode, uid }: Pick<PemFile, 'mode' | 'uid'>): boolean =>
  (mode & (uid === 0 ? 0o037 : 0o077)) !== 0

/** A private key as text and object; null, and problems, if it cannot be used. */
function loadKey(pem: Pem, problems: Problem[]): { text: string; object: KeyObject } | null {
  const complain = (code: Code, wrong: Wrong) => void problems.push(problem(pem, code, wrong))
  if (pem.file && isKeyTooOpen(pem.file)) {
    const mode = pem.file.mode.toString(8).padStart(4, '0')
    const message = `has permissions ${mode}: more than 0600, or 0640 for a file that root owns`
    complain('KEY_PERMISSIONS', { message })
  }
  const { blocks } = pemBlocks(pem.text)
  const block = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'))
  if (!block) {
    complain(...insteadOfKey(pem, blocks[0]?.label))
    return null
  }
  if (block.label === 'OPENSSH PRIVATE KEY') {
    const message = 'holds a private key in the form of OpenSSH'
    complain('CERT_INVALID', { message, hint: 'ssh-keygen -p -m PKCS8 -f FILE' })
    return null
  }
  if (block.label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type:.*ENCRYPTED/m.test(block.text)) {
    complain('KEY_ENCRYPTED', { message: 'is encrypted: nobody is there to type the passphrase' })
    return null
  }
  try {
    return { text: block.text, object: createPrivateKey(block.text) }
  } catch {
    complain('CERT_INVALID', {
      message: 'holds a private key that is garbage or of an unknown kind',
      hint: LOOK_AT_KEY,
    })
    return null
  }
}

/** What a text without a private key holds. */
function insteadOfKey({ binary }: Pem, label: string | undefined): [code: Code, wrong: Wrong] {
  if (binary) {
    const code = binary.kind === 'encrypted private key' ? 'KEY_ENCRYPTED' : 'CERT_INVALID'
    const wrong = notPem(binary.kind, binary.form, 'private key')
    return [code, { ...wrong, hint: wrong.hint ?? LOOK_AT_KEY }]
  }
  return [
    'CERT_INVALID',
    label === 'CERTIFICATE'
      ? { message: 'holds a certificate where a private key is expected', hint: GIVE['private key'] }
      : { message: 'holds no private key', hint: LOOK_AT_KEY },
  ]
}

const LOOK_AT_KEY = 'look at what the setting really holds: openssl pkey -in FILE -noout'

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
