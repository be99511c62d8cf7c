/** The result of certs:check for a terminal: a pure function, nothing is read here. */

import { printable } from '../pem.ts'
import type { CertificateFacts } from './certificate.ts'
import type { CertsCheck, Finding } from './check.ts'

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
  const count = [...findings, ...files.flatMap(file => file.findings)].filter(one => one.severity === 'refused').length
  const verdict = ok ? 'nothing here would be refused' : `${count} thing${count === 1 ? '' : 's'} would be refused`
  return [`${printable(dir)}: ${verdict}`, ...findings.map(marked), ...lines, ''].join('\n')
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
    `valid      ${facts.notBefore.slice(0, 10)} to ${facts.notAfter.slice(0, 10)}, ${facts.daysLeft} days left`,
  ]
}
