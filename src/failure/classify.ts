/**
 * From what the network, TLS or the server said to a failure code. Tables by code; by text only where two causes
 * share SQLSTATE and routine: one cause has one code.
 *
 * errno      system error of connect() and friends
 * alert      a TLS alert the peer sent (RFC 8446, section 6), as OpenSSL and Node name it
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

/** The alerts by which a server turns a client's certificate down (RFC 8446, 6.2). */
const CLIENT_CERTIFICATE_ALERTS: ReadonlySet<string> = new Set([
  'bad_certificate',
  'unsupported_certificate',
  'certificate_revoked',
  'certificate_expired',
  'certificate_unknown',
  'unknown_ca',
  'access_denied',
  'decrypt_error',
])

/**
 * An alert as Node names it, by OpenSSL's text: "sslv3 alert …" up to 3.4, "ssl/tls alert …" since; those of TLS
 * extensions (RFC 6066) have no ALERT in it: ERR_SSL_TLSV1_UNRECOGNIZED_NAME.
 */
const ALERT = /^ERR_SSL_(?:SSLV3_ALERT|SSL\/TLS_ALERT|TLSV1_ALERT|TLSV13_ALERT|TLSV1)_(.+)$/

/** No common protocol version: the peer's choice of one that we refuse. */
const VERSION_ERRORS: ReadonlySet<string> = new Set([
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
  'ERR_SSL_VERSION_TOO_LOW',
  'ERR_SSL_NO_PROTOCOLS_AVAILABLE',
])

/** What OpenSSL says of bytes that are no TLS record at all. */
const NOT_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
  'ERR_SSL_RECORD_TOO_SMALL',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
])

/** A TLS error's verdict, and the alert's name where an alert was it. */
export interface TlsVerdict {
  readonly code: Code
  readonly alert: string | null
}

/**
 * The code of an error that OpenSSL or the socket reported during or right after the handshake.
 * `keysExchanged`: the key exchange had taken place. Our certificate leaves together with our half of it (TLS 1.2) or
 * after it (TLS 1.3): an alert of before is about no certificate of ours, whatever its name. Of after, handshake_failure
 * no longer means that there is no common cipher, but that the server got no certificate (RFC 5246, 7.4.6).
 */
export function classifyTls(errorCode: string | undefined, keysExchanged: boolean): TlsVerdict {
  const code = errorCode ?? ''
  const alert = ALERT.exec(code)?.[1]?.toLowerCase() ?? null
  if (alert !== null) return { code: classifyAlert(alert, keysExchanged), alert }
  if (VERSION_ERRORS.has(code)) return { code: 'TLS_VERSION', alert }
  if (NOT_TLS.has(code)) return { code: 'TLS_NOT_POSTGRES', alert }
  const closed = code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED'
  return { code: closed ? 'TLS_CLOSED' : 'TLS_FAILED', alert }
}

function classifyAlert(alert: string, keysExchanged: boolean): Code {
  if (alert === 'protocol_version') return 'TLS_VERSION'
  if (!keysExchanged) return 'TLS_FAILED'
  if (CLIENT_CERTIFICATE_ALERTS.has(alert)) return 'TLS_CLIENT_REJECTED'
  return alert === 'certificate_required' || alert === 'handshake_failure' ? 'TLS_CLIENT_REQUIRED' : 'TLS_FAILED'
}

/** What chain verification said of the server's certificate (X509_V_ERR_*, as Node names it). */
const VERIFY_ERRORS: Readonly<Record<string, Code>> = {
  CERT_HAS_EXPIRED: 'TLS_SERVER_EXPIRED',
  CERT_NOT_YET_VALID: 'TLS_SERVER_NOT_YET_VALID',
  INVALID_PURPOSE: 'TLS_SERVER_USAGE',
  ERR_TLS_CERT_ALTNAME_INVALID: 'TLS_SERVER_NAME',
  ERR_TLS_CERT_ALTNAME_FORMAT: 'TLS_SERVER_NAME',
  HOSTNAME_MISMATCH: 'TLS_SERVER_NAME',
  IP_ADDRESS_MISMATCH: 'TLS_SERVER_NAME',
}

/** The code of a failed chain verification: anything that is not about time, use or name is a matter of trust. */
export const classifyVerify = (error: string): Code => VERIFY_ERRORS[error] ?? 'TLS_SERVER_UNTRUSTED'

/** SQLSTATEs that mean one thing wherever they come. */
const STARTUP_SQLSTATES: Readonly<Record<string, Code>> = {
  '28P01': 'AUTH_ROLE_UNKNOWN',
  '53300': 'SERVER_BUSY',
  '57P03': 'SERVER_UNAVAILABLE',
  '57P02': 'SERVER_UNAVAILABLE',
  '57P01': 'SERVER_DRAINING',
  '3D000': 'DATABASE_MISSING',
  '42501': 'DATABASE_DENIED',
}

/**
 * 28000 at startup, by engine: the routine names the cause, or where it is shared the text does; a text of null
 * stands for any. Held by test/attribution/startup.test.ts against what both engines said (database/README.md).
 */
const REFUSALS: readonly { engine: string; routine: string | null; text: RegExp | null; code: Code }[] = [
  // PostgreSQL: the routine does not depend on the server's language, the text does.
  { engine: 'postgresql', routine: 'auth_failed', text: null, code: 'AUTH_IDENTITY' },
  {
    engine: 'postgresql',
    routine: 'ClientAuthentication',
    text: /requires a valid client certificate/,
    code: 'AUTH_NO_CERTIFICATE',
  },
  { engine: 'postgresql', routine: 'ClientAuthentication', text: null, code: 'AUTH_LOGIN_DENIED' },
  { engine: 'postgresql', routine: 'InitializeSessionUserId', text: /does not exist/, code: 'AUTH_ROLE_UNKNOWN' },
  {
    engine: 'postgresql',
    routine: 'InitializeSessionUserId',
    text: /not permitted to log in/,
    code: 'AUTH_LOGIN_DENIED',
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

/**
 * Whether a question about what only some releases have was answered so: a function, a setting, an option or a statement
 * that this one does not know. 42501 is no such answer, nor is anything that says that the server or the session is the
 * matter. Of a role option CockroachDB says XXUUU, 42704 or 22023, by the release ("unrecognized role option").
 */
export const isUnknownHere = (sqlstate: string | null): boolean =>
  sqlstate !== null && sqlstate !== '42501' && /^(0A|22|42|XX)/.test(sqlstate)

/**
 * The code of an ErrorResponse at startup, when no challenge came before it (a challenge is AUTH_NO_CERTIFICATE).
 * `namesUser`: whether CN or a DNS SAN of our certificate is the user, which decides what nothing else does.
 */
export function classifyStartup(error: ServerError, namesUser: boolean): Code {
  const direct = STARTUP_SQLSTATES[error.sqlstate]
  if (direct) return direct
  if (!error.sqlstate.startsWith('28')) return 'SESSION_REFUSED'
  const refusal = REFUSALS.find(
    ({ routine, text }) =>
      (routine === null || routine === error.routine) && (text === null || text.test(error.message)),
  )
  return refusal?.code ?? (namesUser ? 'AUTH_LOGIN_DENIED' : 'AUTH_IDENTITY')
}

/** What to do where a refusal at startup says more than its code. */
const STARTUP_HINTS: readonly { readonly sqlstate: string; readonly text: RegExp; readonly hint: string }[] = [
  {
    // pgbouncer, of every parameter that it neither tracks nor was told to ignore
    sqlstate: '08P01',
    text: /unsupported startup parameter/,
    hint: 'a pooler answers here, not the database (no server refuses startup options): connect to the .internal name and the port of the database itself',
  },
  {
    sqlstate: '28000',
    text: /not permitted to log in|does not have login privilege/,
    hint: 'as root: ALTER ROLE {user} WITH LOGIN',
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
    hint: 'the role itself has a connection limit: as root ALTER ROLE {user} CONNECTION LIMIT -1, or close its idle sessions',
  },
]

/** The hint of an ErrorResponse at startup; undefined where its code's own says all. */
export const startupHint = ({ sqlstate, message }: Pick<ServerError, 'sqlstate' | 'message'>): string | undefined =>
  STARTUP_HINTS.find(one => one.sqlstate === sqlstate && one.text.test(message))?.hint

/** What a statement was for; it decides the layer of what its SQLSTATE says. */
export type StatementKind = 'catalogue' | 'write' | 'read'

const STATEMENT_SQLSTATES: Readonly<Record<StatementKind, Readonly<Record<string, Code>>>> = {
  // A privilege or a name that is looked up waits for no lock of ours: the node answers, and its data does not.
  catalogue: { '57014': 'READ_TIMEOUT', '55P03': 'READ_TIMEOUT' },
  write: {
    '57014': 'WRITE_TIMEOUT',
    '55P03': 'WRITE_TIMEOUT',
    '40001': 'WRITE_CONTENDED',
    '40003': 'WRITE_AMBIGUOUS',
    '42P01': 'TABLE_MISSING',
    '42703': 'TABLE_MISMATCH',
  },
  read: { '57014': 'READ_TIMEOUT', '55P03': 'READ_TIMEOUT', '42P01': 'TABLE_MISSING', '42703': 'TABLE_MISMATCH' },
}

/** What means the same for every statement: the database, the role or the node is the matter, not the statement. */
const ANY_STATEMENT: Readonly<Record<string, Code>> = {
  '42501': 'DML_DENIED',
  '3D000': 'DATABASE_MISSING',
  '57P01': 'SERVER_DRAINING',
  '57P02': 'SERVER_UNAVAILABLE',
  '57P03': 'SERVER_UNAVAILABLE',
  '57P05': 'CONNECTION_LOST',
  '53300': 'SERVER_BUSY',
  // No such prepared statement: ours is parsed and bound at once, so that another session got one of the two.
  '26000': 'CONNECTION_REPLACED',
}

const GENERAL: Readonly<Record<StatementKind, Code>> = {
  catalogue: 'CATALOGUE_FAILED',
  write: 'WRITE_REFUSED',
  read: 'READ_FAILED',
}

/** What a statement of this kind that overran its budget is called. */
export const TIMEOUTS: Readonly<Record<StatementKind, Code>> = {
  catalogue: 'READ_TIMEOUT',
  write: 'WRITE_TIMEOUT',
  read: 'READ_TIMEOUT',
}

/** What to do where the catalogue was asked, and the server itself gave up waiting for it. */
const DATA_SILENT =
  'the node answers and its data does not: a node of the cluster is gone and its leases move (run again with --wait 120), or a lock; as root SHOW STATEMENTS, and cockroach node status'

/** What a server's error names besides; null where it names none. */
export interface Named {
  readonly constraint?: string | null | undefined
  readonly column?: string | null | undefined
}

/** What to do where a SQLSTATE says more than the code that it shares with others. */
export const statementHint = (sqlstate: string, kind: StatementKind, named: Named = {}): string | undefined =>
  kind === 'catalogue' && sqlstate === '57014' ? DATA_SILENT : SQLSTATE_HINTS[sqlstate]?.(named)

const SQLSTATE_HINTS: Readonly<Record<string, (named: Named) => string>> = {
  '57P05': () =>
    'the server ends idle sessions after a short time: as root check idle_session_timeout (CockroachDB: idle_in_session_timeout) of the role and the database, ALTER ROLE {user} RESET it',
  '25006': () =>
    'the server or the database is read-only: is it a standby (SELECT pg_is_in_recovery()), or was the database set so (ALTER DATABASE {database} RESET default_transaction_read_only)?',
  '53100': () => 'the disk is full: fly ssh console -a {app} -C "df -h", then fly volumes extend ID --size GB -a {app}',
  '23514': ({ constraint }) =>
    `a CHECK constraint that src/schema.ts does not declare refuses the row: as gateway_admin ALTER TABLE public.connection_probe DROP CONSTRAINT ${constraint ?? 'NAME (the message has it)'}`,
  '23502': ({ column }) =>
    `column ${column ?? '(the message names it)'} takes no NULL, and something sets it to NULL: a trigger on the table? psql \\d+ connection_probe, as root SHOW CREATE TABLE public.connection_probe`,
  P0001: () =>
    'a trigger on the table raised this error: psql \\d+ connection_probe lists the triggers; as owner DROP TRIGGER',
}

/** The code of a SQLSTATE that a statement of this kind was answered with. */
export const classifyStatement = (sqlstate: string, kind: StatementKind): Code =>
  STATEMENT_SQLSTATES[kind][sqlstate] ??
  (kind === 'catalogue' && sqlstate === '42501' ? 'CATALOGUE_FAILED' : ANY_STATEMENT[sqlstate]) ??
  // Class 08, connection exception: what a pooler says of the server behind it.
  (sqlstate.startsWith('08') ? 'CONNECTION_LOST' : GENERAL[kind])
