/**
 * certs:check: a `--certs-dir` that somebody else made, file by file, and what CockroachDB or the probe would refuse.
 *
 *   ca.crt             the CA: signs the servers' certificates, and the clients' unless there is ca-client.crt
 *   ca-client.crt      the CA of the clients' certificates    ca-ui.crt    the CA of ui.crt
 *   node.crt           the server's certificate; also its client certificate unless there is client.node.crt
 *   client.USER.crt    a client's certificate                 ui.crt       the certificate of the DB Console
 *   NAME.key           the key of NAME.crt
 *
 * The rules are those of CockroachDB's own loader (pkg/security/certificate_loader.go, certificate_manager.go,
 * permission_check.go), of Go's crypto/x509, and of lint.ts, which the probe's settings go through.
 */
import type { X509Certificate } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Problem } from '../failure/error.ts'
import { fillIn } from '../failure/hints.ts'
import {
  describeCertificate,
  isAnchor,
  namesOf,
  parseCertificates,
  principalsOf,
  type Usage,
  validity,
} from './certificate.ts'
import { type CertsCheck, type CheckedFile, type FileKind, type Finding, renderCertsCheck } from './certs-dir-text.ts'
import { findIssuer, lintAuthorities, lintPair } from './lint.ts'
import { type Pem, printable, quotePath, readPemFile } from './pem.ts'

/** More files than this are not a set of certificates. */
const MAX_FILES = 1000

/**
 * Reads a directory of certificates; nothing is changed, and no key is quoted. A wrong directory is a finding.
 * @param options.now the time to judge by (default: the clock)
 */
export function checkCertsDir(dir: string, { now = new Date() }: { now?: Date } = {}): CertsCheck {
  const names = list(dir)
  if (typeof names === 'string') return finish(dir, [], [refused('CERT_UNREADABLE', names)])
  const context: Context = { dir, names: new Set(names), now: now.getTime(), authorities: readAuthorities(dir, names) }
  const files = names.flatMap(name => checkFile(context, name))
  const findings: Finding[] = []
  if (!context.names.has('ca.crt')) findings.push(refused('CERT_UNREADABLE', 'there is no ca.crt'))
  if (!files.some(({ kind }) => kind === 'node' || kind === 'client')) {
    findings.push(refused('CERT_UNREADABLE', 'there is neither a node.crt nor a client.USER.crt'))
  }
  return finish(dir, files, findings)
}

function finish(dir: string, files: readonly CheckedFile[], findings: readonly Finding[]): CertsCheck {
  const all = [...findings, ...files.flatMap(file => file.findings)]
  const result = { ok: all.every(({ severity }) => severity !== 'refused'), dir, files, findings }
  return { ...result, text: renderCertsCheck(result) }
}

interface Context {
  readonly dir: string
  readonly names: ReadonlySet<string>
  readonly now: number
  /** CA certificates by file */
  readonly authorities: ReadonlyMap<string, readonly X509Certificate[]>
}

const refused = (code: string | null, message: string): Finding => ({ severity: 'refused', code, message })
const note = (code: string | null, message: string): Finding => ({ severity: 'note', code, message })
/** @param user whose file it is; null where it is nobody's */
const fromProblem = ({ code, message, hint }: Problem, user: string | null = null): Finding =>
  refused(code, hint === undefined ? message : `${message}: ${fillIn(hint, { user: user ?? 'USER' })}`)

function list(dir: string): string[] | string {
  try {
    const names = readdirSync(dir).sort()
    return names.length > MAX_FILES ? `${quotePath(dir)} holds ${names.length} files: no set of certificates` : names
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'an unknown error'
    return `${quotePath(dir)} cannot be read as a directory (${code})`
  }
}

const CA_FILES: readonly string[] = ['ca.crt', 'ca-client.crt', 'ca-ui.crt', 'ca-client-tenant.crt']

function readAuthorities(dir: string, names: readonly string[]): Map<string, readonly X509Certificate[]> {
  return new Map(
    CA_FILES.filter(name => names.includes(name)).map(name => {
      const pem = readPemFile(name, join(dir, name))
      return [name, 'text' in pem ? parseCertificates(pem.text).certificates : []]
    }),
  )
}

function checkFile(context: Context, name: string): CheckedFile[] {
  const base = name.replace(/\.(crt|key)$/, '')
  if (name.endsWith('.crt')) {
    const role = roleOf(context, base)
    if (role === 'ca') return [checkAuthority(context, name)]
    return [role ? checkPair(context, name, base, role) : other(name, 'CockroachDB ignores it: not a name it knows')]
  }
  if (!name.endsWith('.key')) return [other(name, 'neither .crt nor .key: ignored')]
  if (CA_FILES.includes(`${base}.crt`) || base === 'ca') return [checkCaKey(context, name)]
  if (!context.names.has(`${base}.crt`)) return [other(name, `there is no ${printable(base)}.crt for this key`, 'key')]
  return []
}

const plain = (name: string, kind: FileKind, purpose: string, findings: readonly Finding[]): CheckedFile => ({
  file: name,
  kind,
  purpose,
  user: null,
  certificates: [],
  key: null,
  signedBy: null,
  findings,
})

const other = (name: string, message: string, kind: FileKind = 'other'): CheckedFile =>
  plain(name, kind, 'of no use', [note(null, message)])

function checkCaKey({ dir }: Context, name: string): CheckedFile {
  const findings = [
    note(
      null,
      'anyone holding this key can log in as any user: no server and no client needs it, keep it off the machines',
    ),
  ]
  const stats = statSync(join(dir, name), { throwIfNoEntry: false })
  if (stats && (stats.mode & 0o077) !== 0) {
    findings.push(refused('KEY_PERMISSIONS', `has permissions ${octal(stats.mode)}: a CA's key is for its owner only`))
  }
  return plain(name, 'key', "the CA's key", findings)
}

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0')

/** What a certificate file is for, by its name (CertInfoFromFilename). */
interface Role {
  readonly kind: FileKind
  readonly purpose: string
  readonly user: string | null
  readonly usages: readonly Usage[]
  /** the CA files, one of which must have signed it; the first that exists counts */
  readonly signers: readonly string[]
}

function roleOf({ names }: Context, base: string): Role | 'ca' | null {
  if (CA_FILES.includes(`${base}.crt`)) return 'ca'
  if (base === 'node') {
    const alone = !names.has('client.node.crt')
    return {
      kind: 'node',
      purpose: alone ? "the server's certificate, also its client certificate" : "the server's certificate",
      user: alone ? 'node' : null,
      usages: alone ? ['serverAuth', 'clientAuth'] : ['serverAuth'],
      signers: ['ca.crt'],
    }
  }
  if (base === 'ui') {
    const usages = ['serverAuth'] as const
    return { kind: 'ui', purpose: 'the DB Console', user: null, usages, signers: ['ca-ui.crt', 'ca.crt'] }
  }
  const user = /^client\.(.+)$/s.exec(base)?.[1]
  if (user === undefined) return null
  const purpose = `client certificate of ${printable(user)}`
  return { kind: 'client', purpose, user, usages: ['clientAuth'], signers: ['ca-client.crt', 'ca.crt'] }
}

function checkAuthority({ dir, now }: Context, name: string): CheckedFile {
  const pem = readPemFile(name, join(dir, name))
  if (!('text' in pem)) return plain(name, 'ca', 'CA certificate', [fromProblem(pem)])
  const { certificates, problems, warnings } = lintAuthorities(named(pem), now)
  const findings = [
    ...problems.map(one => fromProblem(one)),
    ...warnings.map(({ code, message }) => note(code, message)),
  ]
  for (const certificate of problems.length === 0 ? certificates.filter(one => !isAnchor(one)) : []) {
    const subject = describeCertificate(certificate, now).subject
    findings.push(note(null, `${subject} is no CA certificate (basic constraints): it signs nothing`))
  }
  return {
    ...plain(name, 'ca', 'CA certificate', findings),
    certificates: certificates.map(one => describeCertificate(one, now)),
  }
}

/** Messages then name the file, not its path. */
const named = (pem: Pem): Pem => ({ ...pem, file: pem.file && { ...pem.file, path: pem.name } })

function checkPair(context: Context, name: string, base: string, role: Role): CheckedFile {
  const { dir, now } = context
  const keyName = `${base}.key`
  const cert = readPemFile(name, join(dir, name))
  const key = readPemFile(keyName, join(dir, keyName))
  const certPem = 'text' in cert ? named(cert) : null
  const keyPem = 'text' in key ? named(key) : null
  const authorities = [...context.authorities.values()].flat()
  const pair = lintPair({ cert: certPem, key: keyPem, usages: role.usages, authorities, now })
  const [leaf] = pair.certificates
  const chain = leaf ? signature(context, leaf, pair.certificates, role) : { signedBy: null, findings: [] }
  return {
    file: name,
    kind: role.kind,
    purpose: role.purpose,
    user: role.user,
    certificates: pair.certificates.map(one => describeCertificate(one, now)),
    key: keyPem?.file ? { file: keyName, permissions: octal(keyPem.file.mode), matches: pair.keyMatches } : null,
    signedBy: chain.signedBy,
    findings: [
      ...[cert, key].flatMap(part => ('text' in part ? [] : [fromProblem(part, role.user)])),
      ...pair.problems.map(one => fromProblem(one, role.user)),
      ...(leaf ? identity(leaf, role) : []),
      ...chain.findings,
      ...pair.warnings.map(({ code, message }) => note(code, message)),
    ],
  }
}

/** The user in the file's name must be a principal; a server's certificate must name hosts in SANs, not in its CN. */
function identity(leaf: X509Certificate, { user, usages }: Role): Finding[] {
  const findings: Finding[] = []
  const principals = principalsOf(leaf)
  if (user !== null && !principals.includes(user)) {
    const names = principals.map(printable).join(', ') || 'nobody'
    findings.push(refused('CERT_IDENTITY', `names ${names}, but must name ${printable(user)} (CN or DNS SAN)`))
  }
  const { dns, ip } = namesOf(leaf)
  if (usages.includes('serverAuth') && dns.length + ip.length === 0) {
    findings.push(refused('TLS_SERVER_NAME', 'names no host in its SANs: no client can verify it'))
  }
  return findings
}

/** Who signed it, whether that is the CA that CockroachDB asks, and whether it ends before that CA does. */
function signature(
  { authorities, names, now }: Context,
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  { kind, signers }: Role,
): { signedBy: string | null; findings: Finding[] } {
  const wanted = signers.find(name => names.has(name))
  const by = (name: string) => findIssuer(leaf, chain, authorities.get(name) ?? [])
  const signedBy = [...(wanted ? [wanted] : []), ...authorities.keys()].find(name => by(name) !== null) ?? null
  if (signedBy === null || signedBy !== wanted) {
    if (wanted === undefined) return { signedBy, findings: [] }
    const instead = signedBy === null ? 'by no CA of this directory' : `by ${signedBy}`
    const message = `is signed ${instead}, not by ${wanted}`
    if (kind !== 'client') return { signedBy, findings: [refused('TLS_SERVER_UNTRUSTED', message)] }
    // a client's own directory need not hold the CA that the server checks clients by
    const knowsServer = names.has('node.crt') || names.has('ca-client.crt')
    const finding = knowsServer ? refused('TLS_CLIENT_REJECTED', message) : note(null, message)
    return { signedBy, findings: [finding] }
  }
  const authority = by(signedBy)
  if (!authority || validity(leaf).to <= validity(authority).to) return { signedBy, findings: [] }
  const end = describeCertificate(authority, now).notAfter
  const message = `outlives its CA (${end}): it is of no use after that, and cockroach cert refuses to create such a certificate`
  return { signedBy, findings: [note(null, message)] }
}
