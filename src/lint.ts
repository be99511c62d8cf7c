/**
 * What can be wrong with a CA, a client certificate and its key before any packet is sent (contract: layer config).
 * Used by the configuration and by certs:check, so that both say the same.
 */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import {
  allows,
  type CertificateFacts,
  DAY_MS,
  describeCertificate,
  isIssuedBy,
  parseCertificates,
  principalsOf,
  validity,
} from './certificate.ts'
import type { Code } from './failure/codes.ts'
import { type Pem, type PemFile, pemBlocks, printable, quotePath } from './pem.ts'
import type { Warning } from './report/report.ts'
import type { Problem } from './url.ts'

/** A certificate that ends within so many days is a warning. */
export const EXPIRES_SOON_DAYS = 30

export interface ClientFiles {
  readonly ca: Pem | null
  readonly cert: Pem | null
  readonly key: Pem | null
  /** the role to log in as; null if it is not known */
  readonly user: string | null
  /** epoch milliseconds */
  readonly now: number
}

export interface ClientLint {
  readonly problems: readonly Problem[]
  readonly warnings: readonly Warning[]
  readonly facts: {
    readonly ca: readonly CertificateFacts[]
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
  const problems: Problem[] = []
  const warnings: Warning[] = []
  const authorities = ca ? certificatesOf(ca, problems) : []
  const chain = cert ? certificatesOf(cert, problems) : []
  const privateKey = key ? loadKey(key, problems) : null
  const leaf = chain[0]

  if (ca && authorities.length > 0) lintAuthorities(ca, authorities, now, problems, warnings)
  if (cert && leaf) lintLeaf(cert, leaf, user, now, problems, warnings)
  const keyMatches = leaf && privateKey ? leaf.checkPrivateKey(privateKey.object) : null
  if (key && keyMatches === false) {
    problems.push(problem(key, 'KEY_MISMATCH', `is not the key of the certificate in ${cert?.name}`))
  }
  const complete = problems.length === 0 && privateKey && authorities.length > 0 && chain.length > 0
  return {
    problems,
    warnings,
    facts: {
      ca: authorities.map(authority => describeCertificate(authority, now)),
      certificate: leaf ? describeCertificate(leaf, now) : null,
      issuedByConfiguredCa: leaf && authorities.length > 0 ? authorities.some(one => isIssuedBy(leaf, one)) : null,
      keyMatches,
    },
    pem: complete ? { ca: joined(authorities), cert: joined(chain), key: privateKey.text } : null,
  }
}

const joined = (certificates: readonly X509Certificate[]): string => certificates.map(one => one.toString()).join('')

const problem = ({ name, file }: Pem, code: Code, message: string): Problem => ({
  name,
  code,
  message: file ? `${quotePath(file.path)} ${message}` : message,
})

function certificatesOf(pem: Pem, problems: Problem[]): X509Certificate[] {
  const { certificates, broken } = parseCertificates(pem.text)
  if (broken === null) return certificates
  problems.push(problem(pem, 'CERT_INVALID', broken))
  return []
}

/**
 * libpq's rule for the key's file (fe-secure-openssl.c, manual 34.19): 0600 or less, or 0640 or less when root owns it.
 * @returns whether the permissions are too wide
 */
export const isKeyTooOpen = ({ mode, uid }: Pick<PemFile, 'mode' | 'uid'>): boolean =>
  (mode & (uid === 0 ? 0o037 : 0o077)) !== 0

/** A private key as text and object; null, and problems, if it cannot be used. */
function loadKey(pem: Pem, problems: Problem[]): { text: string; object: KeyObject } | null {
  const complain = (code: Code, message: string) => void problems.push(problem(pem, code, message))
  if (pem.file && isKeyTooOpen(pem.file)) {
    const mode = pem.file.mode.toString(8).padStart(4, '0')
    complain('KEY_PERMISSIONS', `has permissions ${mode}: more than 0600, or 0640 for a file that root owns`)
  }
  const { blocks } = pemBlocks(pem.text)
  const block = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'))
  if (!block) {
    const instead = blocks.some(({ label }) => label === 'CERTIFICATE')
    complain('CERT_INVALID', instead ? 'holds a certificate where a private key is expected' : 'holds no private key')
    return null
  }
  if (block.label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type:.*ENCRYPTED/m.test(block.text)) {
    complain('KEY_ENCRYPTED', 'is encrypted: there is nobody to type a passphrase')
    return null
  }
  try {
    return { text: block.text, object: createPrivateKey(block.text) }
  } catch {
    complain('CERT_INVALID', 'holds a private key that is garbage or of an unknown kind')
    return null
  }
}

/** Of a bundle one certificate in force is enough: during a change of CA the old one may be over already. */
function lintAuthorities(
  pem: Pem,
  authorities: readonly X509Certificate[],
  now: number,
  problems: Problem[],
  warnings: Warning[],
): void {
  const inForce = authorities.filter(authority => validityProblem(authority, now) === null)
  const first = authorities[0]
  const over = first && inForce.length === 0 ? validityProblem(first, now) : null
  if (over) problems.push(problem(pem, over.code, `holds a CA certificate that ${over.message}`))
  const end = Math.max(...inForce.map(authority => validity(authority).to))
  if (inForce.length > 0) warnSoon(`the CA certificate of ${pem.name}`, end, now, warnings)
}

function lintLeaf(
  pem: Pem,
  leaf: X509Certificate,
  user: string | null,
  now: number,
  problems: Problem[],
  warnings: Warning[],
): void {
  const over = validityProblem(leaf, now)
  if (over) problems.push(problem(pem, over.code, `holds a certificate that ${over.message}`))
  else warnSoon(`the client certificate of ${pem.name}`, validity(leaf).to, now, warnings)
  if (!allows(leaf, 'clientAuth')) {
    problems.push(problem(pem, 'CERT_USAGE', 'holds a certificate whose extended key usage lacks clientAuth'))
  }
  const principals = principalsOf(leaf)
  if (user !== null && !principals.includes(user)) {
    const names = principals.map(printable).join(', ') || 'nobody'
    warnings.push({
      code: 'CERT_IDENTITY',
      message: `the client certificate names ${names}, not the user ${printable(user)}`,
    })
  }
}

/** Whether a certificate is out of force now, and since or until when. */
export function validityProblem(certificate: X509Certificate, now: number): { code: Code; message: string } | null {
  const { from, to } = validity(certificate)
  if (now > to) return { code: 'CERT_EXPIRED', message: `expired on ${new Date(to).toISOString()}` }
  if (now < from) return { code: 'CERT_NOT_YET_VALID', message: `is not valid before ${new Date(from).toISOString()}` }
  return null
}

function warnSoon(what: string, end: number, now: number, warnings: Warning[]): void {
  const days = Math.floor((end - now) / DAY_MS)
  if (days >= EXPIRES_SOON_DAYS) return
  warnings.push({
    code: 'CERT_EXPIRES_SOON',
    message: `${what} expires on ${new Date(end).toISOString()}, in ${days} day${days === 1 ? '' : 's'}`,
  })
}
