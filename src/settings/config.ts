/**
 * Settings → one frozen ProbeConfig. Every problem is found and reported at once, and everything
 * after this file takes the type and never looks at the environment again.
 *
 * host       the name or literal that is verified
 * hostaddr   the address that is dialled instead of looking the host up
 * tlsName    what the server's certificate must name: the host, or CRDB_SNI
 */
import { hostname } from 'node:os'
import type { Warning } from '../failure/codes.ts'
import { type Evidence, evidence, type Facts, ProbeError, type Problem, redact } from '../failure/error.ts'
import { isHostName, isIPv4Notation, isIPv6Literal, withoutZone } from './address.ts'
import { type Credentials, loadCredentials } from './credentials.ts'
import { type NameService, SYSTEM_NAMES } from './names.ts'
import { parseUrl, unreadUrl } from './url.ts'
import { SHAPE } from './url-parts.ts'

export { type NameService, SYSTEM_NAMES } from './names.ts'

export interface Options {
  /** sequential writes on one connection, at least 2 */
  readonly writes: number
  readonly visibleWithinMs: number
  /** of one attempt */
  readonly deadlineMs: number
  /** attempts are repeated for so long; 0: one attempt */
  readonly waitMs: number
  readonly allAddresses: boolean
  /** leave the rows */
  readonly keep: boolean
  /** remove old rows that earlier runs left */
  readonly sweep: boolean
  readonly certsDir: string | null
}

export const DEFAULT_OPTIONS: Options = Object.freeze({
  writes: 20,
  visibleWithinMs: 1000,
  deadlineMs: 30_000,
  waitMs: 0,
  allAddresses: false,
  keep: false,
  sweep: true,
  certsDir: null,
})

export interface Host {
  readonly host: string
  readonly port: number
  /** IPv6 literal to dial instead of a lookup */
  readonly hostaddr: string | null
  /** name to verify, and to send as SNI when it is no IP literal */
  readonly tlsName: string
}

/** What is dialled: an address of a host. Several hosts may share one. */
export interface Endpoint {
  readonly host: Host
  readonly address: string
}

/** One text for an endpoint's address and port. */
export const endpointKey = ({ host, address }: Endpoint): string => `[${address}]:${host.port}`

/** These endpoints but one, in their order. */
export const otherThan = (one: Endpoint, endpoints: readonly Endpoint[]): readonly Endpoint[] =>
  endpoints.filter(endpoint => endpointKey(endpoint) !== endpointKey(one))

export interface ProbeConfig {
  readonly role: 'writer' | 'admin'
  readonly hosts: readonly [Host, ...Host[]]
  readonly user: string
  readonly database: string
  readonly credentials: Credentials
  /** whom the client certificate names: its CN and DNS SANs */
  readonly principals: readonly string[]
  /** whether the user is one of them */
  readonly identityMatches: boolean
  readonly names: NameService
  readonly options: Options
  readonly origin: Origin
  readonly warnings: readonly Warning[]
  /** facts for the check `config` */
  readonly evidence: Evidence
}

/** What the report calls the target, as far as it is known. */
export interface Target {
  readonly host: string | null
  readonly port: number | null
  readonly database: string | null
  readonly user: string | null
  /** the name that the server's certificate is held against, and that is sent as SNI when it is no IP literal */
  readonly tlsName: string | null
  /** the IPv6 address that was connected to */
  readonly address: string | null
  /** engine and version as the server named itself at startup, e.g. "CockroachDB v22.1.0" */
  readonly engine: string | null
}

/** Where the probe ran: FLY_* variables, null where absent. */
export interface Origin {
  readonly hostname: string
  readonly app: string | null
  readonly region: string | null
  readonly machine: string | null
  readonly privateIp: string | null
}

export type Loaded =
  | { ok: true; config: ProbeConfig }
  | { ok: false; error: ProbeError; target: Target; warnings: Warning[]; origin: Origin }

export interface ConfigInput {
  /** whose settings: the application's, or the migrations' */
  readonly role: 'writer' | 'admin'
  readonly env: NodeJS.ProcessEnv
  readonly options?: Partial<Options>
  readonly names?: NameService
}

/** The variable that holds the URL of a role. */
export const URL_VARIABLES = { writer: 'DATABASE_URL', admin: 'MIGRATION_DATABASE_URL' } as const

/**
 * Reads the settings. A setting that is wrong is a value, not an exception; an empty variable counts as unset.
 * @returns the configuration, or an error with all problems (its code is the first one's) and what is known of the target
 */
export function loadConfig({ role, env, options, names = SYSTEM_NAMES }: ConfigInput): Loaded {
  const name = URL_VARIABLES[role]
  const allOptions: Options = { ...DEFAULT_OPTIONS, ...options }
  const parsed = env[name] ? parseUrl(env[name], name) : unreadUrl([missing(name)])
  const sni = readSni(env)
  const loaded = loadCredentials({
    role,
    env,
    url: { name, files: parsed.files },
    certsDir: allOptions.certsDir,
    user: parsed.seen.user,
    now: Date.now(),
  })
  const problems = [...parsed.problems, ...sni.problems, ...optionProblems(allOptions), ...loaded.problems]
  const origin = readOrigin(env)
  const tlsNameOf = (host: string) => sni.name ?? withoutZone(host).replace(/\.$/, '')
  const { url } = parsed
  const { credentials } = loaded

  if (!url || !credentials || problems.length > 0) {
    const { host, port, database, user } = parsed.seen
    const tlsName = sni.name ?? (host === null ? null : tlsNameOf(host))
    return {
      ok: false,
      error: configError(problems, loaded.evidence),
      target: { host, port, database, user, tlsName, address: null, engine: null },
      warnings: loaded.warnings.map(printableWarning),
      origin,
    }
  }
  const [first, ...others] = url.endpoints
  const withName = (endpoint: typeof first): Host => ({ ...endpoint, tlsName: tlsNameOf(endpoint.host) })
  const hosts = [withName(first), ...others.map(withName)] as const
  const facts = { role, url: name, sslmode: 'verify-full', hosts, sni: sni.name, ...loaded.evidence }
  const { user, database } = url
  const { principals } = loaded
  const warnings = loaded.warnings.map(printableWarning)
  const identity = { principals, identityMatches: principals.includes(user) }
  const given = { role, hosts, user, database, options: allOptions, origin }
  const config = { ...given, credentials, ...identity, warnings, evidence: evidence(deepFreeze(facts)) }
  return { ok: true, config: Object.freeze({ ...deepFreeze(config), names }) }
}

/** What a warning quotes of the settings was not looked at yet. */
const printableWarning = ({ code, message }: Warning): Warning => ({ code, message: redact(message, 4000) })

const missing = (name: string): Problem => ({
  ...{ name, code: 'CONFIG_MISSING', message: `is not set (the form is ${SHAPE})` },
  hint: `set ${name}${name === URL_VARIABLES.writer ? '' : ', for gateway_admin'}; inside the back end's app it is there already: fly secrets list -a multiplayer-fabric-uro`,
})

/** One error for all problems: each with the name of its setting. */
function configError(problems: readonly Problem[], evidence: Facts): ProbeError {
  const [first] = problems
  if (!first) throw new Error('a configuration was refused without a problem')
  const message = problems.map(problem => `${problem.name} ${problem.message}`).join('; ')
  return new ProbeError(first.code, message, { problems, evidence, hint: first.hint })
}

/** CRDB_SNI: a host name or an IP literal (of either kind: it is verified, not dialled). */
function readSni(env: NodeJS.ProcessEnv): { name: string | null; problems: Problem[] } {
  const value = env.CRDB_SNI
  if (!value) return { name: null, problems: [] }
  const isAddress = isIPv6Literal(value) || (isIPv4Notation(value) && value.split('.').length === 4)
  if (isAddress || isHostName(value)) return { name: withoutZone(value).replace(/\.$/, ''), problems: [] }
  const message = 'is neither a host name nor an IP address (without brackets and port)'
  const hint = "set it to a name in the server's certificate, or unset it: then the host of the URL is verified"
  return { name: null, problems: [{ name: 'CRDB_SNI', code: 'CONFIG_INVALID', message, hint }] }
}

/** The command line has checked what it was given; this holds for callers in the program, too. */
function optionProblems(options: Options): Problem[] {
  const least = { writes: 2, visibleWithinMs: 1, deadlineMs: 1, waitMs: 0 } as const
  return (Object.keys(least) as (keyof typeof least)[])
    .filter(name => !Number.isSafeInteger(options[name]) || options[name] < least[name])
    .map(name => {
      const number = `a whole number of at least ${least[name]}`
      return { name, code: 'CONFIG_INVALID', message: `is not ${number}`, hint: `give ${number}` }
    })
}

function readOrigin(env: NodeJS.ProcessEnv): Origin {
  return Object.freeze({
    hostname: hostname(),
    app: env.FLY_APP_NAME || null,
    region: env.FLY_REGION || null,
    machine: env.FLY_MACHINE_ID || null,
    privateIp: env.FLY_PRIVATE_IP || null,
  })
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object' && inner !== null && !Object.isFrozen(inner)) deepFreeze(inner)
  }
  return Object.freeze(value)
}
