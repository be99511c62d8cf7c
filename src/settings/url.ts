/**
 * The connection URL, read as libpq's conninfo_uri_parse reads it (fe-connect.c; manual 34.1.1.2):
 *
 *   postgresql://USER[:PASSWORD]@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?NAME=VALUE[&NAME=VALUE…]]
 *
 * Stricter than libpq where that hides a mistake: a name twice, a parameter we do not know, a raw `@` or `/` inside a
 * part, white space. All problems are returned, none is thrown, and no message quotes anything that could be a
 * password in the wrong place: only hosts, known values and the names of parameters are quoted.
 */

import { CODES } from '../failure/codes.ts'
import { count, type Problem } from '../failure/error.ts'
import { isHostName, isIPv4Notation, isIPv6Literal, isWrappedIPv4, needsZone } from './address.ts'
import { type Complain, ENCODE, NO_PASSWORD, type Parts, SHAPE, split } from './url-parts.ts'

/** CockroachDB's SQL port. */
const DEFAULT_PORT = 26257

/** One server of the URL: what is verified (`host`), and what is dialled instead of a lookup (`hostaddr`). */
interface Endpoint {
  readonly host: string
  readonly port: number
  readonly hostaddr: string | null
}

interface ConnectionUrl {
  readonly user: string
  readonly database: string
  readonly endpoints: readonly [Endpoint, ...Endpoint[]]
}

/** The certificate files that the URL names. */
export interface UrlFiles {
  readonly sslrootcert: string | null
  readonly sslcert: string | null
  readonly sslkey: string | null
}

interface UrlResult {
  /** null if there is any problem */
  readonly url: ConnectionUrl | null
  /** what could be read all the same, for the report of the failure */
  readonly seen: {
    readonly user: string | null
    readonly database: string | null
    readonly host: string | null
    readonly port: number | null
  }
  readonly files: UrlFiles
  readonly problems: readonly Problem[]
}

const PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'hostaddr'] as const
const SECRET_PARAMETERS: readonly string[] = ['password', 'sslpassword']

/** What other clients take, and so stands in URLs. No other name is quoted: it may be the rest of a password. */
const FOREIGN_PARAMETERS: readonly string[] = [
  'ssl sslMode ssl_min_protocol_version sslcrl sslcrldir sslsni sslnegotiation sslcertmode sslinline sslaccept',
  'sslidentity requiressl gssencmode channel_binding require_auth krbsrvname application_name prepare service passfile',
  'fallback_application_name client_encoding options cluster host port user dbname database schema search_path timezone',
  'currentSchema replication connect_timeout statement_timeout lock_timeout pool_timeout socket_timeout pgbouncer',
  'tcp_user_timeout keepalives keepalives_idle keepalives_interval keepalives_count target_session_attrs pool_size',
  'load_balance_hosts connection_limit pool_max_conns',
].flatMap(names => names.split(' '))
const WEAKER_MODES: readonly string[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca']

/** Without it the kernel refuses the address, or libuv (Node 24 and 26) picks an interface. */
const NEEDS_ZONE = 'which needs a zone, the interface that leads to it: %eth0 (in a URL %25eth0)'

const FIND_ZONE = 'add the interface behind the address: ip -6 route shows which one leads there'
const OR_NO_HOSTADDR = 'or leave hostaddr out: then the host is looked up'

type Parameter = (typeof PARAMETERS)[number]

/**
 * Reads a connection URL.
 * @param text the URL
 * @param name the setting it came from, for the problems
 */
export function parseUrl(text: string, name: string): UrlResult {
  const problems: Problem[] = []
  const complain: Complain = (code, message, hint) => void problems.push({ name, code, message, hint })
  const cut = split(text, complain)
  if (!cut) return unreadUrl(problems)

  const { user, database, servers } = cut.parts ? readParts(cut.parts, complain) : NO_PARTS
  const parameters = parseQuery(cut.query, complain)
  checkMode(parameters.get('sslmode'), complain)
  const addresses = cut.parts ? parseHostaddr(parameters.get('hostaddr') ?? '', servers.length, complain) : []

  const [first, ...others] = servers.map((server, index) => ({ ...server, hostaddr: addresses[index] ?? null }))
  const complete = problems.length === 0 && user !== null && database !== null && first !== undefined
  return {
    url: complete ? { user, database, endpoints: [endpoint(first), ...others.map(endpoint)] } : null,
    seen: cut.isVerbatim ? { user, database, host: first?.host ?? null, port: first?.port ?? null } : NOTHING_SEEN,
    files: {
      sslrootcert: parameters.get('sslrootcert') || null,
      sslcert: parameters.get('sslcert') || null,
      sslkey: parameters.get('sslkey') || null,
    },
    problems,
  }
}

const NO_PARTS = { user: null, database: null, servers: [] } as const
const NOTHING_SEEN = { user: null, database: null, host: null, port: null } as const

/** Login, servers and database, each null where it is not what it must be. */
function readParts(parts: Parts, complain: Complain) {
  const user = parts.user === '' ? null : decode(parts.user, 'the user', complain)
  if (parts.user === '')
    complain('CONFIG_MISSING', `names no user: ${SHAPE}`, `write the user before the host: ${SHAPE}`)
  if (parts.hasPassword)
    complain('CONFIG_INSECURE', 'holds a password: the role has none, the client certificate is the login', NO_PASSWORD)
  const servers = parts.servers.split(',').map((server, index, all) => {
    return parseServer(server, all.length > 1 ? `host ${index + 1}` : 'the host', complain)
  })
  const database = parts.database ? decode(parts.database, 'the database', complain) : null
  if (parts.database === '')
    complain('CONFIG_MISSING', `names no database: ${SHAPE}`, `write the database behind the host: ${SHAPE}`)
  return { user, database, servers }
}

/** The result for a URL of which nothing is known but what is wrong with it. */
export const unreadUrl = (problems: readonly Problem[]): UrlResult => ({
  url: null,
  seen: NOTHING_SEEN,
  files: { sslrootcert: null, sslcert: null, sslkey: null },
  problems,
})

interface Server {
  readonly host: string | null
  readonly port: number | null
}

/** A server without a problem; the defaults are never taken, for a problem leaves no URL. */
const endpoint = ({ host, port, hostaddr }: Server & { hostaddr: string | null }): Endpoint => ({
  host: host ?? '',
  port: port ?? DEFAULT_PORT,
  hostaddr,
})

/** Decodes %XX; null (and a problem) for a malformed one, %00, bytes that are no UTF-8, and control characters. */
function decode(text: string, what: string, complain: Complain): string | null {
  try {
    const decoded = decodeURIComponent(text)
    if (!/[\p{Cc}\u2028\u2029]/u.test(decoded)) return decoded
    complain('CONFIG_INVALID', `has a control character in ${what}`, `write ${what} without it`)
  } catch {
    complain('CONFIG_INVALID', `has a malformed percent-encoding in ${what}`, ENCODE)
  }
  return null
}

/** HOST[:PORT] or [IPV6][:PORT]. */
function parseServer(text: string, what: string, complain: Complain): Server {
  const [, literal, rest = ''] = /^\[([^\]]*)\](.*)$/s.exec(text) ?? []
  const [, name = '', end = ''] = /^([^:]*)(.*)$/s.exec(text) ?? []
  if (literal === undefined && (text.startsWith('[') || end.indexOf(':', 1) > 0)) {
    const message = `has an IPv6 address as ${what} that is not in brackets: [fdaa::3]:26257`
    complain('CONFIG_INVALID', message, 'put the address in brackets, and the port behind them')
    return { host: null, port: null }
  }
  const host = decode(literal ?? name, what, complain)
  const port = literal === undefined ? end : rest
  return {
    host: host === null ? null : checkHost(host, literal !== undefined, what, complain),
    port: parsePort(port, what, complain),
  }
}

function checkHost(host: string, bracketed: boolean, what: string, complain: Complain): string | null {
  if (host === '') {
    const message = bracketed ? `has empty brackets as ${what}` : `names nothing as ${what}: ${SHAPE}`
    complain('CONFIG_MISSING', message, `write the host between @ and /: ${SHAPE}`)
  } else if (isIPv4Notation(host)) {
    complain('CONFIG_NOT_IPV6', `has an IPv4 address as ${what}: ${host}`)
  } else if (isWrappedIPv4(host)) {
    complain('CONFIG_NOT_IPV6', `has an address that only wraps an IPv4 one as ${what}: ${host}`)
  } else if (needsZone(host)) {
    complain('CONFIG_INVALID', `has a link-local address as ${what}: ${host}, ${NEEDS_ZONE}`, FIND_ZONE)
  } else if (isIPv6Literal(host) || (!bracketed && isHostName(host))) {
    return host
  } else {
    const wanted = bracketed ? 'in brackets no IPv6 address' : 'neither a DNS name nor an IPv6 address in brackets'
    const message = `has ${wanted} as ${what}${host.startsWith('/') ? ' (sockets are not dialled)' : ''}`
    complain('CONFIG_INVALID', message, CODES.CONFIG_NOT_IPV6.hint)
  }
  return null
}

/** `` or `:` (the default) or `:1` to `:65535`. The text is not quoted: it is where a password lands by mistake. */
function parsePort(text: string, what: string, complain: Complain): number | null {
  if (text === '' || text === ':') return DEFAULT_PORT
  const port = /^:[0-9]{1,5}$/.test(text) ? Number(text.slice(1)) : 0
  if (port >= 1 && port <= 65535) return port
  const message = `has a port of ${what} that is not a number from 1 to 65535`
  complain('CONFIG_INVALID', message, 'write the port as a number, or leave it out: 26257 is taken then')
  return null
}

function parseQuery(text: string, complain: Complain): Map<Parameter, string> {
  const values = new Map<Parameter, string>()
  // A password with an unescaped & goes on in the next name.
  let isAfterSecret = false
  for (const item of text.replace(/&$/, '').split('&')) {
    if (text === '') break
    const [rawName = '', rawValue, ...more] = item.split('=')
    if (rawValue === undefined || more.length > 0) {
      const message = 'has a query parameter that is not NAME=VALUE (write = inside a value as %3D)'
      complain('CONFIG_INVALID', message, `write behind the ? no more than it needs: ${SHAPE}`)
      continue
    }
    const name = decode(rawName, "a query parameter's name", complain)
    if (name === null) continue
    isAfterSecret ||= /pass|pwd/i.test(name)
    const known = PARAMETERS.find(parameter => parameter === name)
    const value = known && decode(rawValue, `the query parameter ${known}`, complain)
    if (SECRET_PARAMETERS.includes(name)) {
      complain('CONFIG_INSECURE', `has the query parameter ${name}: the client certificate is the login`, NO_PASSWORD)
    } else if (known === undefined) {
      const quoted = !isAfterSecret && FOREIGN_PARAMETERS.includes(name) ? ` ${name}` : ''
      const message = `has an unknown query parameter${quoted} (known are ${PARAMETERS.join(', ')})`
      complain('CONFIG_INVALID', message, `take that parameter out of the URL: ${SHAPE}`)
    } else if (values.has(known)) {
      complain('CONFIG_INVALID', `has the query parameter ${known} more than once`, `write ${known} once`)
    } else if (value !== null && value !== undefined) {
      values.set(known, value)
    }
  }
  return values
}

function checkMode(mode: string | undefined, complain: Complain): void {
  if (mode === undefined || mode === 'verify-full') return
  const quoted = WEAKER_MODES.includes(mode) ? `sslmode=${mode}` : 'an sslmode that does not exist'
  complain('CONFIG_INSECURE', `has ${quoted}: only verify-full proves who answers`, 'write sslmode=verify-full instead')
}

/** The addresses to dial, one per host; an empty one means: look the host up (libpq manual, hostaddr). */
function parseHostaddr(text: string, hosts: number, complain: Complain): (string | null)[] {
  if (text === '') return []
  const addresses = text.split(',')
  if (addresses.length !== hosts) {
    const message = `has ${count(addresses.length, 'address', 'addresses')} in hostaddr for ${count(hosts, 'host')}`
    complain('CONFIG_INVALID', message, `give one address for each host, ${OR_NO_HOSTADDR}`)
  }
  return addresses.map(address => {
    if (address === '') return null
    if (isIPv4Notation(address) || isWrappedIPv4(address)) {
      const message = `has in hostaddr an address that is, or only wraps, an IPv4 one: ${address}`
      complain('CONFIG_NOT_IPV6', message, `write an IPv6 address, ${OR_NO_HOSTADDR}`)
    } else if (needsZone(address)) {
      complain('CONFIG_INVALID', `has in hostaddr a link-local address: ${address}, ${NEEDS_ZONE}`, FIND_ZONE)
    } else if (!isIPv6Literal(address)) {
      const message = 'has in hostaddr something that is no IPv6 address (without brackets)'
      complain('CONFIG_INVALID', message, `write an IPv6 address, ${OR_NO_HOSTADDR}`)
    } else {
      return address
    }
    return null
  })
}
