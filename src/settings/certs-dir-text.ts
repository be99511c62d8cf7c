/** The result of certs:check, and its text for a terminal: a pure function, nothing is read here. */

import { count } from '../failure/error.ts'
import type { CertificateFacts } from './certificate.ts'
import { printable, quotePath } from './pem.ts'

export type FileKind = 'ca' | 'node' | 'client' | 'ui' | 'key' | 'other'

/** refused: CockroachDB or the probe would not take it. note: worth knowing. */
export interface Finding {
  readonly severity: 'refused' | 'note'
  /** a failure or warning code, where one fits */
  readonly code: string | null
  readonly message: string
}

export interface CheckedFile {
  readonly file: string
  readonly kind: FileKind
  /** what the file is for, in words */
  readonly purpose: string
  readonly user: string | null
  readonly certificates: readonly CertificateFacts[]
  readonly key: { readonly file: string; readonly permissions: string; readonly matches: boolean | null } | null
  /** the CA file that the chain ends at */
  readonly signedBy: string | null
  readonly findings: readonly Finding[]
}

export interface CertsCheck {
  /** nothing is refused */
  readonly ok: boolean
  readonly dir: string
  readonly files: readonly CheckedFile[]
  /** about the directory as a whole */
  readonly findings: readonly Finding[]
  /** all of it for a terminal */
  readonly text: string
}

/** The check as text: one block per file, what is refused marked with ✗, notes with !. Pure. */
export function renderCertsCheck({ ok, dir, files, findings }: Omit<CertsCheck, 'text'>): string {
  const marked = ({ severity, code, message }: Finding) =>
    `${severity === 'refused' ? '✗' : '!'} ${code ? `${code}: ` : ''}${printable(message)}`
  const lines = files.flatMap(file =>
    [
      `${file.findings.some(({ severity }) => severity === 'refused') ? '✗' : '✓'} ${printable(file.file)}  ${file.purpose}`,
      ...file.certificates.flatMap(describe),
      ...(file.signedBy ? [`signed by  ${file.signedBy}`] : []),
      ...(file.key
        ? [`key        ${printable(file.key.file)} ${file.key.permissions}, ${match(file.key.matches)}`]
        : []),
      ...file.findings.map(marked),
    ].map((line, index) => (index === 0 ? line : `    ${line}`)),
  )
  const refused = [...findings, ...files.flatMap(file => file.findings)].filter(
    one => one.severity === 'refused',
  ).length
  const verdict = ok ? 'nothing here would be refused' : `${count(refused, 'thing')} would be refused`
  return [`${quotePath(dir)}: ${verdict}`, ...findings.map(marked), ...lines, ''].join('\n')
}

const match = (matches: boolean | null): string =>
  matches === null ? 'not compared' : matches ? 'belongs to the certificate' : 'belongs to another certificate'

function describe(facts: CertificateFacts): string[] {
  const names = [...facts.dnsNames, ...facts.ipAddresses, ...facts.otherNames]
  const usage = facts.extendedKeyUsage?.join(', ') ?? 'any (no extended key usage)'
  return [
    `subject    ${facts.subject} (issuer ${facts.issuer}; ${facts.key})`,
    ...(facts.isCa ? [] : [`usage      ${usage}`]),
    ...(names.length > 0 ? [`names      ${names.join(', ')}`] : []),
    `valid      ${facts.notBefore.slice(0, 10)} to ${facts.notAfter.slice(0, 10)}, ${count(facts.daysLeft, 'day')} left`,
  ]
}
