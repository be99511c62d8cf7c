/**
 * From what the network or the server said to a failure code (of TLS: classify-tls.ts). Tables by code; by text only
 * where two causes share SQLSTATE and routine: one cause has one code.
 *
 * errno      system error of connect() and friends
 * SQLSTATE   field C of an ErrorResponse; routine is its field R, the server's source function
 */
import type { Code } from './codes.ts'

/** An ErrorResponse or NoticeResponse, without the fields that quote values (D, W, q). */
export interface ServerError {
  readonly severity: string
  readonly sqlstate: string
  readonly message: string
  readonly routine: string | null
  readonly file: string | null
  readonly hint: string | null
}

/** connect(2)'s errors. */
const ERRNO: Readonly<Record<string, Code>> = {
  ECONNREFUSED: 'TCP_REFUSED',
  ETIMEDOUT: 'TCP_TIMEOUT',
  ENETUNREACH: 'TCP_UNREACHABLE',
  EHOSTUNREACH: 'TCP_UNREACHABLE',
  EADDRNOTAVAIL: 'TCP_UNREACHABLE',
  EAFNOSUPPORT: 'TCP_UNREACHABLE',
  EACCES: 'TCP_UNREACHABLE',
  EPERM: 'TCP_UNREACHABLE',
  EINVAL: 'TCP_UNREACHABLE',
  ENETDOWN: 'TCP_UNREACHABLE',
  EHOSTDOWN: 'TCP_UNREACHABLE',
  ECONNRESET: 'TCP_RESET',
  EPIPE: 'TCP_RESET',
}

/** The code of a failed connect(). */
export const classifyConnect = (errno: string | undefined): Code => ERRNO[errno ?? ''] ?? 'TCP_FAILED'

/** SQLSTATEs that mean one thing at startup. */
const STARTUP_SQLSTATES: Readonly<Record<string, Code>> = {
  '28P01': 'AUTH_ROLE_UNKNOWN',
  '53300': 'SERVER_BUSY',
  '57P03': 'SERVER_UNAVAILABLE',
  '57P02': 'SERVER_UNAVAILABLE',
  '57P01': 'SERVER_DRAINING',
  '3D000': 'DATABASE_MISSING',
}

/** SQLSTATEs that are about the database only where these routines of PostgreSQL say them. */
const DATABASE_REFUSALS: Readonly<Record<string, readonly string[]>> = {
  '42501': ['CheckMyDatabase'],
  // ALLOW_CONNECTIONS false; a DROP DATABASE that was cut off
  '55000': ['CheckMyDatabase', 'InitPostgres'],
}

interface Refusal {
  readonly engine: 'postgresql' | 'cockroachdb'
  readonly routine: string | null
  readonly text: RegExp | null
  readonly code: Code
  /** where nothing tells two causes apart: both, and what to do */
  readonly doubt?: Doubt
}

/** Two causes that look the same. */
export interface Doubt {
  readonly causes: string
  readonly hint: string
}

/**
 * 28000 at startup, by engine: the routine names the cause, or where it is shared the text does; a text of null
 * stands for any. Held by test/attribution/startup.test.ts against what both engines said (database/README.md).
 */
const REFUSALS: readonly Refusal[] = [
  // PostgreSQL: the routine does not depend on the server's language (lc_messages), the text does.
  { engine: 'postgresql', routine: 'auth_failed', text: null, code: 'AUTH_IDENTITY' },
  // No language translates the name of the file, and what ClientAuthentication says besides with 28000 has no such name:
  // "connection requires a valid client certificate" (held against the eleven catalogues of 15.18).
  { engine: 'postgresql', routine: 'ClientAuthentication', text: /pg_hba\.conf/, code: 'AUTH_LOGIN_DENIED' },
  { engine: 'postgresql', routine: 'ClientAuthentication', text: null, code: 'AUTH_NO_CERTIFICATE' },
  { engine: 'postgresql', routine: 'InitializeSessionUserId', text: /does not exist/, code: 'AUTH_ROLE_UNKNOWN' },
  {
    engine: 'postgresql',
    routine: 'InitializeSessionUserId',
    text: /not permitted to log in/,
    code: 'AUTH_LOGIN_DENIED',
  },
  // In another language only the line of the source tells the two apart, and that changes from release to release.
  {
    engine: 'postgresql',
    routine: 'InitializeSessionUserId',
    text: null,
    code: 'AUTH_LOGIN_DENIED',
    doubt: {
      causes: 'the role does not exist, or it may not log in',
      hint: "two causes look the same in the server's language; as root SELECT rolname, rolcanlogin FROM pg_roles: where the role is missing CREATE ROLE … LOGIN, where it may not log in ALTER ROLE … LOGIN",
    },
  },
  // CockroachDB: one routine serves several causes, and names change between releases.
  {
    engine: 'cockroachdb',
    routine: null,
    text: /^internal error while retrieving user account/,
    code: 'SERVER_UNAVAILABLE',
  },
  {
    engine: 'cockroachdb',
    routine: null,
    text: /did not map to a database role|does not correspond to any mapping|using tenant client certificate|does not have a distinguished name set/,
    code: 'AUTH_IDENTITY',
  },
  { engine: 'cockroachdb', routine: 'NewErrPasswordUserAuthFailed', text: null, code: 'AUTH_ROLE_UNKNOWN' },
  {
    engine: 'cockroachdb',
    routine: null,
    text: /^password authentication failed for user /,
    code: 'AUTH_ROLE_UNKNOWN',
  },
  { engine: 'cockroachdb', routine: null, text: /does not have login privilege/, code: 'AUTH_LOGIN_DENIED' },
  {
    engine: 'cockroachdb',
    routine: null,
    text: /no TLS peer certificates|must use certificate authentication/,
    code: 'AUTH_NO_CERTIFICATE',
  },
  {
    engine: 'cockroachdb',
    routine: null,
    text: /no server\.host_based_authentication\.configuration entry|authentication rejected by configuration/,
    code: 'AUTH_LOGIN_DENIED',
  },
  {
    engine: 'cockroachdb',
    routine: null,
    text: /^requested user is .*, but certificate is for |^certificate authentication failed for user /,
    code: 'AUTH_IDENTITY',
  },
]

const refusalOf = (error: ServerError): Refusal | undefined =>
  REFUSALS.find(
    ({ routine, text }) =>
      (routine === null || routine === error.routine) && (text === null || text.test(error.message)),
  )

/**
 * The code of an ErrorResponse at startup, when no challenge came before it (a challenge is AUTH_NO_CERTIFICATE).
 * `namesUser`: whether CN or a DNS SAN of our certificate is the user, which decides what nothing else does.
 */
export function classifyStartup(error: ServerError, namesUser: boolean): Code {
  const direct = STARTUP_SQLSTATES[error.sqlstate]
  if (direct) return direct
  if (DATABASE_REFUSALS[error.sqlstate]?.includes(error.routine ?? '')) return 'DATABASE_DENIED'
  if (!error.sqlstate.startsWith('28')) return 'SESSION_REFUSED'
  return refusalOf(error)?.code ?? (namesUser ? 'AUTH_LOGIN_DENIED' : 'AUTH_IDENTITY')
}

/** The causes that an ErrorResponse at startup leaves open; null where its code is the only one. */
export const startupDoubt = (error: ServerError): Doubt | null =>
  error.sqlstate === '28000' ? (refusalOf(error)?.doubt ?? null) : null

/** By text; by routine where it alone says it, in every language. */
type StartupHint = { readonly sqlstate: string; readonly hint: string } & (
  | { readonly text: RegExp }
  | { readonly routine: string }
)

/** What to do where a refusal at startup says more than its code. */
const STARTUP_HINTS: readonly StartupHint[] = [
  {
    sqlstate: '55000',
    routine: 'CheckMyDatabase',
    hint: 'the database is closed: as superuser, in another database: ALTER DATABASE {db} ALLOW_CONNECTIONS true',
  },
  {
    sqlstate: '55000',
    routine: 'InitPostgres',
    hint: 'a DROP DATABASE was cut off, and nothing can be read from it: as superuser, in another database: DROP DATABASE {db}; then restore it from a backup',
  },
  {
    // pgbouncer, of every parameter that it neither tracks nor was told to ignore
    sqlstate: '08P01',
    text: /unsupported startup parameter/,
    hint: 'a pooler answers here, not the database (no server refuses startup options): connect to the .internal name and the port of the database itself',
  },
  {
    sqlstate: '28000',
    text: /not permitted to log in/,
    hint: 'as root: ALTER ROLE {role} WITH LOGIN',
  },
  {
    // NOLOGIN and NOSQLLOGIN, in the same words
    sqlstate: '28000',
    text: /does not have login privilege/,
    hint: 'as root: ALTER ROLE {role} WITH LOGIN; if it has LOGIN: ALTER ROLE {role} WITH SQLLOGIN',
  },
  {
    sqlstate: '28000',
    text: /did not map to a database role|does not correspond to any mapping/,
    hint: 'the map of the rule in server.host_based_authentication.configuration has no such user: as root SHOW CLUSTER SETTING server.identity_map.configuration',
  },
  {
    sqlstate: '28000',
    text: /pg_hba\.conf/,
    hint: 'pg_hba.conf has no rule for this login, or one that rejects it: as superuser SELECT * FROM pg_hba_file_rules',
  },
  {
    sqlstate: '28000',
    text: /host_based_authentication|rejected by configuration/,
    hint: 'no rule admits this login: as root SHOW CLUSTER SETTING server.host_based_authentication.configuration',
  },
  {
    sqlstate: '53300',
    text: /too many connections for role/,
    hint: 'the role itself has a connection limit: as root ALTER ROLE {role} CONNECTION LIMIT -1, or close its idle sessions',
  },
  {
    sqlstate: '53300',
    text: /too many connections for database/,
    hint: 'the database itself has a connection limit: as root ALTER DATABASE {db} CONNECTION LIMIT -1, or close its idle sessions',
  },
]

/** What to do where an event trigger on login refuses (PostgreSQL 17 and later), with whatever SQLSTATE it likes. */
export const LOGIN_TRIGGER =
  "an event trigger on login refuses it: psql -c '\\dy' lists them; as superuser, with PGOPTIONS='-c event_triggers=off': ALTER EVENT TRIGGER NAME DISABLE, or GRANT to {role} what its function uses"

/** The hint of an ErrorResponse at startup; undefined where its code's own says all. */
export const startupHint = ({
  sqlstate,
  message,
  routine = null,
}: Pick<ServerError, 'sqlstate' | 'message'> & Partial<Pick<ServerError, 'routine'>>): string | undefined =>
  STARTUP_HINTS.find(
    one => one.sqlstate === sqlstate && ('text' in one ? one.text.test(message) : one.routine === routine),
  )?.hint
