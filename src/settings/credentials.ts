/**
 * CA, client certificate and key: all three from one source, the first that is complete, never mixed.
 * Complete means that its settings are there; a file that then cannot be read is an error that names it and
 * no reason to go on to the next source.
 */
import { accessSync, constants, statSync } from 'node:fs'
import { join } from 'node:path'
import { CODES, type Warning } from '../failure/codes.ts'
import type { Facts, Problem } from '../failure/error.ts'
import { lintClient } from './lint.ts'
import { binaryOf, normalisePem, type Pem, quotePath, readPemFile } from './pem.ts'
import type { UrlFiles } from './url.ts'

/** What the client shows and trusts, as PEM. */
export interface Credentials {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

interface CredentialsResult {
  readonly credentials: Credentials | null
  /** whom the client certificate names; nobody where it cannot be read */
  readonly principals: readonly string[]
  readonly problems: readonly Problem[]
  readonly warnings: readonly Warning[]
  readonly evidence: Facts
}

export interface CredentialsInput {
  readonly role: 'writer' | 'admin'
  readonly env: NodeJS.ProcessEnv
  /** the variable that holds the URL, and the files that the URL names */
  readonly url: { readonly name: string; readonly files: UrlFiles }
  readonly certsDir: string | null
  /** null if the settings do not say */
  readonly user: string | null
  /** epoch milliseconds */
  readonly now: number
}

/** One way to give the three: its settings in the order CA, certificate, key. */
interface Source {
  readonly name: string
  readonly kind: 'directory' | 'paths' | 'text'
  /** one setting for a directory, else three */
  readonly settings: readonly Setting[]
}

interface Setting {
  readonly name: string
  /** null where it is not set, or empty */
  readonly value: string | null
  /** set to the empty text */
  readonly empty?: boolean
}

/** Finds, reads and lints the credentials. Never throws on bad settings. */
export function loadCredentials(input: CredentialsInput): CredentialsResult {
  const found = find(input)
  return input.role === 'writer'
    ? found
    : { ...found, problems: found.problems.map(problem => asAdmin(problem, input)) }
}

/** Next steps are written for the application: those of migrate name the administrator's certificates. */
function asAdmin(problem: Problem, { user }: CredentialsInput): Problem {
  const hint = problem.hint ?? CODES[problem.code].hint
  const named = hint.replaceAll('CRDB_CLIENT_WRITER_', 'CRDB_CLIENT_ADMIN_')
  return { ...problem, hint: user === null ? named.replaceAll('{user}', 'gateway_admin') : named }
}

function find(input: CredentialsInput): CredentialsResult {
  const sources = sourcesOf(input)
  const [source, ...others] = sources.filter(isComplete)
  if (!source) return nothing(sources)
  const incomplete = sources.filter(other => !isComplete(other) && other.settings.some(isSet))
  const [ca, cert, key] = read(source, input.user)
  const parts = [ca, cert, key]
  const lint = lintClient({ ca: pemOf(ca), cert: pemOf(cert), key: pemOf(key), user: input.user, now: input.now })
  return {
    credentials: lint.pem,
    principals: lint.principals,
    problems: [...parts.flatMap(part => (part !== null && 'code' in part ? [part] : [])), ...lint.problems],
    warnings: [
      ...incomplete.map(other => incompleteSource(other, source, input.role)),
      ...lint.warnings,
      ...adminCredentials(input, source),
    ],
    evidence: {
      certificateSource: source.name,
      passedOver: others.map(other => other.name),
      incomplete: incomplete.map(whatLacks),
      ...lint.facts,
    },
  }
}

/** The paths that the deployed back end's own connections read. */
const pathVariables = (role: CredentialsInput['role']): [string, string, string] => {
  const person = role === 'writer' ? 'CLIENT' : 'ADMIN'
  return ['CRDB_CA_CERT', `CRDB_${person}_CERT`, `CRDB_${person}_KEY`]
}

const isSet = ({ value }: { value: string | null }): boolean => value !== null
const isComplete = ({ settings }: Source): boolean => settings.every(isSet)
const pemOf = (part: Pem | Problem | null): Pem | null => (part !== null && 'text' in part ? part : null)

/** The sources, in the order in which they are looked for. */
function sourcesOf({ role, env, url, certsDir }: CredentialsInput): Source[] {
  const variables = (kind: Source['kind'], ...names: string[]): Source => ({
    name: names.join(', '),
    kind,
    settings: names.map(name => ({ name, value: env[name] || null, empty: env[name] === '' })),
  })
  const directory = (name: string, value: string | null): Source => ({
    name,
    kind: 'directory',
    settings: [{ name, value: value || null }],
  })
  const ofUrl = (['sslrootcert', 'sslcert', 'sslkey'] as const).map(parameter => ({
    name: `${parameter} in ${url.name}`,
    value: url.files[parameter],
  }))
  const person = role === 'writer' ? 'WRITER' : 'ADMIN'
  return [
    directory('--certs-dir', certsDir),
    { name: `sslrootcert, sslcert, sslkey in ${url.name}`, kind: 'paths', settings: ofUrl },
    variables('text', 'CRDB_CA_CRT', `CRDB_CLIENT_${person}_CRT`, `CRDB_CLIENT_${person}_KEY`),
    variables('paths', ...pathVariables(role)),
    directory('COCKROACH_CERTS_DIR', env.COCKROACH_CERTS_DIR ?? null),
    variables('paths', 'PGSSLROOTCERT', 'PGSSLCERT', 'PGSSLKEY'),
  ]
}

type Part = Pem | Problem | null

/** The three texts of a complete source; a problem where a file cannot be read, null where it cannot be named. */
function read(source: Source, user: string | null): [Part, Part, Part] {
  const [first, second, third] = source.settings.map(({ name, value }) => ({ name, value: value ?? '' }))
  if (source.kind === 'directory' && first) return readDirectory(first.name, first.value, user)
  if (!first || !second || !third) return [null, null, null]
  const one = ({ name, value }: { name: string; value: string }): Part =>
    source.kind === 'text' ? pemText(name, value) : readPemFile(name, value)
  return [one(first), one(second), one(third)]
}

function pemText(name: string, value: string): Pem {
  const text = normalisePem(value)
  return { name, text, binary: binaryOf(Buffer.from(value, 'latin1'), text), file: null }
}

/** The layout of `cockroach --certs-dir`: ca.crt, client.USER.crt, client.USER.key. */
function readDirectory(name: string, directory: string, user: string | null): [Part, Part, Part] {
  const unusable = directoryProblem(name, directory)
  if (unusable) return [unusable, null, null]
  const file = (base: string): Part => readPemFile(name, join(directory, base))
  if (user === null) return [file('ca.crt'), null, null]
  if (user.includes('/')) {
    const message = 'cannot be used with a user that has a / in its name: the files are named after it'
    const hint = 'give CA, certificate and key as three settings instead of a directory'
    return [file('ca.crt'), { name, code: 'CONFIG_INVALID', message, hint }, null]
  }
  return [file('ca.crt'), file(`client.${user}.crt`), file(`client.${user}.key`)]
}

/** What makes a directory of certificates unusable as a whole: one problem instead of three. */
function directoryProblem(name: string, directory: string): Problem | null {
  const unreadable = (why: string): Problem => ({
    name,
    code: 'CERT_UNREADABLE',
    message: `${quotePath(directory)} ${why}`,
    hint: 'give the directory that holds ca.crt, client.{user}.crt and client.{user}.key',
  })
  try {
    return statSync(directory).isDirectory() ? null : unreadable('is not a directory')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'an unknown error'
    return unreadable(code === 'ENOENT' ? 'does not exist' : `cannot be entered (${code})`)
  }
}

/** No source is complete: what the nearest one lacks, and all the ways. */
function nothing(sources: readonly Source[]): CredentialsResult {
  const count = (source: Source) => source.settings.filter(isSet).length
  const nearest = sources.reduce((best, source) => (count(source) > count(best) ? source : best))
  const ways = sources.map(source => (source.kind === 'directory' ? `${source.name} DIR` : source.name)).join(' | ')
  const [missing] = nearest.settings.filter(setting => !isSet(setting))
  const began = count(nearest) > 0
  const problem: Problem = {
    name: began && missing ? missing.name : 'certificates',
    code: 'CONFIG_MISSING',
    message: began
      ? `is not set: no source of certificates is complete, there is ${whatLacks(nearest)} (one of: ${ways})`
      : `are not configured (one of: ${ways})`,
    hint:
      began && missing
        ? `set ${missing.name}, too: CA, certificate and key all come from one source`
        : "give the directory that holds ca.crt, client.{user}.crt and client.{user}.key: COCKROACH_CERTS_DIR=DIR, or --certs-dir DIR; inside the back end's app they are secrets: fly secrets list -a multiplayer-fabric-uro",
  }
  return {
    credentials: null,
    principals: [],
    problems: [problem],
    warnings: [],
    evidence: { certificateSource: null, passedOver: [], incomplete: began ? [whatLacks(nearest)] : [] },
  }
}

/** "A without B and C (empty)": an empty variable is set for whoever else reads it. */
function whatLacks({ settings }: Source): string {
  const names = (wanted: boolean) =>
    settings.flatMap(setting =>
      isSet(setting) === wanted ? [`${setting.name}${setting.empty ? ' (empty)' : ''}`] : [],
    )
  return `${names(true).join(' and ')} without ${names(false).join(' and ')}`
}

/** A source that is begun and not used: what is proved with another one does not hold for who reads this one. */
function incompleteSource(begun: Source, used: Source, role: CredentialsInput['role']): Warning {
  const message = `${whatLacks(begun)}: ${used.name} is used instead; ${consequence(begun, role)}`
  return { code: 'CERT_SOURCE_INCOMPLETE', message }
}

/** The back end reads three paths and no other source; without the CA's it does not use TLS at all. */
function consequence({ kind, name, settings: [ca] }: Source, role: CredentialsInput['role']): string {
  const paths = pathVariables(role).join(', ')
  const plaintext = 'go without TLS, which CockroachDB refuses'
  if (kind === 'text')
    return `the back end reads the files that ${paths} name: made from these texts it would fail to connect, or ${plaintext}`
  if (name !== paths)
    return `the back end reads none of them, only ${paths}; psql takes what is missing from ~/.postgresql`
  if (ca && isSet(ca)) return 'the back end, which reads these three, would fail to connect'
  return `the back end, which reads these three, would ${ca?.empty ? 'fail to connect, or ' : ''}${plaintext}`
}

/** Keys that are or make an administrator's: the node user may do all that root may, and a CA's key signs for anybody. */
const ADMIN_KEYS = [
  ...['client.gateway_admin.key', 'client.root.key', 'client.node.key', 'node.key'],
  ...['ca.key', 'ca-client.key'],
] as const

/** The administrator's key beside the writer's: a leak of the one is then a leak of both. */
function adminCredentials({ role, env }: CredentialsInput, source: Source): Warning[] {
  if (role !== 'writer') return []
  const found: string[] = []
  if (env.CRDB_CLIENT_ADMIN_KEY) found.push('CRDB_CLIENT_ADMIN_KEY is set')
  if (env.CRDB_ADMIN_KEY && isReadable(env.CRDB_ADMIN_KEY)) found.push('CRDB_ADMIN_KEY points to a readable file')
  const directory = source.kind === 'directory' ? source.settings[0]?.value : null
  for (const name of ADMIN_KEYS) {
    if (directory && isReadable(join(directory, name))) found.push(`${name} can be read in ${source.name}`)
  }
  if (found.length === 0) return []
  const message = `the probe can reach an administrator's key, or one that makes administrators, which the running application must not: ${found.join('; ')}`
  return [{ code: 'ADMIN_CREDENTIALS_PRESENT', message }]
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
