/**
 * From an error that a statement was answered with to a failure code. That the session is over comes before what was
 * asked: a server that goes away answers nothing.
 */
import type { ServerError } from './classify.ts'
import type { Code } from './codes.ts'
import { sqlName } from './hints.ts'

/** What a server that goes away says, as an error or as a warning before it closes the connection. */
const GOING_AWAY: Readonly<Record<string, Code>> = {
  '57P01': 'SERVER_DRAINING',
  '57P02': 'SERVER_UNAVAILABLE',
  '57P03': 'SERVER_UNAVAILABLE',
}

/** Whether this SQLSTATE says that the server goes away. */
export const isGoingAway = (sqlstate: string): boolean => sqlstate in GOING_AWAY

/** Whether an error of this severity (field V, in no language) ends the session (PostgreSQL manual, "Message Severity Levels"). */
export const endsSession = (severity: string | undefined): boolean => severity === 'FATAL' || severity === 'PANIC'

/**
 * Whether a question about what only some releases have was answered so: a function, a setting, an option or a statement
 * that this one does not know. 42501 is no such answer, nor is anything that says that the server or the session is the
 * matter. Of a role option CockroachDB says XXUUU, 42704 or 22023, by the release ("unrecognized role option").
 */
export const isUnknownHere = (sqlstate: string | null): boolean =>
  sqlstate !== null && sqlstate !== '42501' && /^(0A|22|42|XX)/.test(sqlstate)

/** What a statement was for; it decides the layer of what its SQLSTATE says. */
export type StatementKind = 'catalogue' | 'write' | 'read'

const STATEMENT_SQLSTATES: Readonly<Record<StatementKind, Readonly<Record<string, Code>>>> = {
  // A privilege or a name that is looked up waits for no lock of ours: the node answers, and its data does not.
  catalogue: { '57014': 'READ_TIMEOUT', '55P03': 'READ_TIMEOUT' },
  write: {
    '42501': 'DML_DENIED',
    '57014': 'WRITE_TIMEOUT',
    '55P03': 'WRITE_TIMEOUT',
    '40001': 'WRITE_CONTENDED',
    '40003': 'WRITE_AMBIGUOUS',
    '42P01': 'TABLE_MISSING',
    '42703': 'TABLE_MISMATCH',
  },
  read: {
    '42501': 'DML_DENIED',
    '57014': 'READ_TIMEOUT',
    '55P03': 'READ_TIMEOUT',
    '42P01': 'TABLE_MISSING',
    '42703': 'TABLE_MISMATCH',
  },
}

/** What means the same for every statement: the database, the session or the node is the matter, not the statement. */
const ANY_STATEMENT: Readonly<Record<string, Code>> = {
  ...GOING_AWAY,
  '3D000': 'DATABASE_MISSING',
  // The database was dropped under the session.
  '57P04': 'DATABASE_MISSING',
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
  'the node answers and its data does not: a node of the cluster is gone and its leases move (run again with --wait 120), or a lock: as root SHOW SESSIONS (CANCEL SESSION ends a transaction that was left open), and cockroach node status'

/** What to do where a role may not look something up that every role may. */
const CATALOGUE_DENIED =
  'every role may look this up unless somebody took it away: as root GRANT what the message says to be missing (SELECT, EXECUTE) on what it names TO {role}'

/** What a server's error names besides; null where it names none. */
export interface Named {
  readonly constraint?: string | null | undefined
  readonly column?: string | null | undefined
  readonly routine?: string | null | undefined
  /** the table it is about, as SQL takes it, where that is another one than the probe's */
  readonly otherTable?: string | null | undefined
  /** whether it was raised inside a function, which the statement itself does not call */
  readonly inFunction?: boolean
}

/** What to do where a SQLSTATE says more than the code that it shares with others. */
export function statementHint(sqlstate: string, kind: StatementKind, named: Named = {}): string | undefined {
  if (kind === 'catalogue' && sqlstate === '57014') return DATA_SILENT
  if (kind === 'catalogue' && sqlstate === '42501') return CATALOGUE_DENIED
  const known = ROUTINE_HINTS[named.routine ?? '']?.(named) ?? SQLSTATE_HINTS[sqlstate]?.(named)
  if (known || !named.inFunction) return known
  // A lock or a privilege has a next step of its own, wherever it is met.
  const isGeneral = classifyStatement({ sqlstate, severity: 'ERROR' }, kind, true) === GENERAL[kind]
  return isGeneral ? IN_FUNCTION : undefined
}

/** An error of PL/pgSQL code: that of a trigger, as a rule. */
const IN_FUNCTION =
  'a function that the table runs fails, a trigger as a rule: psql \\d+ connection_probe lists the triggers; fix the function, or as owner DROP TRIGGER'

/** A trigger's own words, under whatever SQLSTATE its author chose. */
const RAISED =
  'a trigger on the table raised this error: psql \\d+ connection_probe lists the triggers; as owner DROP TRIGGER (of CREATE TABLE: an event trigger, psql \\dy; as superuser DROP EVENT TRIGGER)'

/** 23514 as well, and no CHECK constraint. */
const noPartition = ({ otherTable }: Named): string =>
  otherTable
    ? `a trigger on the table writes into ${otherTable}, which is partitioned and has no partition for it: as its owner CREATE TABLE … PARTITION OF ${otherTable} DEFAULT`
    : 'the table is partitioned, and none of its partitions takes the row: psql \\d+ connection_probe lists them; as owner CREATE TABLE … PARTITION OF public.connection_probe DEFAULT, or migrate into a table that is not partitioned'

/** A rule makes another statement of it, which cannot say which row it wrote. */
const REWRITTEN =
  'a rule on the table rewrites the statement: psql \\d+ connection_probe lists the rules; as owner DROP RULE NAME ON public.connection_probe'

const ROW_SECURITY_OFF =
  'row_security is off for {user}, so that a table with policies refuses every statement: as root ALTER ROLE {role} RESET row_security'

/** A subscriber could not tell which row is meant: PostgreSQL says it of UPDATE and DELETE, not of INSERT. */
const NO_REPLICA_IDENTITY =
  'the table is published (SELECT pubname FROM pg_publication_tables) and has no replica identity: as gateway_admin ALTER TABLE public.connection_probe REPLICA IDENTITY DEFAULT, its primary key'

/** What to do where PostgreSQL's function that said it (field R) tells more than the SQLSTATE. */
const ROUTINE_HINTS: Readonly<Record<string, (named: Named) => string>> = {
  exec_stmt_raise: () => RAISED,
  ExecFindPartition: noPartition,
  ExecPartitionCheckEmitError: noPartition,
  CheckCmdReplicaIdentity: () => NO_REPLICA_IDENTITY,
  RewriteQuery: () => REWRITTEN,
  check_enable_rls: () => ROW_SECURITY_OFF,
}

/** A policy decides, and not a privilege: PostgreSQL's function that checks a new row against it. */
const ROW_SECURITY =
  "row-level security on the table refuses the row, and no GRANT changes that: as root SELECT policyname, cmd, roles FROM pg_policies WHERE tablename = 'connection_probe'; then ALTER TABLE public.connection_probe DISABLE ROW LEVEL SECURITY, or a policy for {user}"

/** Of CockroachDB, which names no routine with it; PostgreSQL's 54000 (program_limit_exceeded) is about sizes. */
const ROW_LIMIT =
  'a limit on the rows of one transaction (the message says of which): as root RESET CLUSTER SETTING sql.defaults.transaction_rows_written_err, or …_read_err; ALTER ROLE {role} RESET transaction_rows_written_err, or …_read_err (SELECT * FROM pg_catalog.pg_db_role_setting shows whether it is set for this role, the database or everybody)'

/** A constraint that refuses rows; that of the primary key is declared. */
const undeclared =
  (kind: string, remedy: (name: string, table: string) => string) =>
  ({ constraint, otherTable }: Named): string | undefined => {
    if (!constraint || (!otherTable && PRIMARY_KEYS.includes(constraint))) return undefined
    const name = sqlName(constraint)
    return otherTable
      ? `${kind} of ${otherTable} refuses it, which a trigger writes into or whose foreign key names this row: as its owner ${remedy(name, otherTable)}`
      : `${kind} that src/schema.ts does not declare refuses the row: as gateway_admin ${remedy(name, 'public.connection_probe')}`
  }

const dropConstraint = (name: string, table: string): string => `ALTER TABLE ${table} DROP CONSTRAINT ${name}`

/** As both engines name it; CockroachDB before 22.1 says "primary". */
const PRIMARY_KEYS: readonly string[] = ['connection_probe_pkey', 'primary']

const CHECKED = undeclared('a CHECK constraint', dropConstraint)

const SQLSTATE_HINTS: Readonly<Record<string, (named: Named) => string | undefined>> = {
  '42501': ({ routine, inFunction }) => (routine === 'ExecWithCheckOptions' && !inFunction ? ROW_SECURITY : undefined),
  '25P04': () =>
    'the role or the database has a transaction_timeout that this statement overran: as root ALTER ROLE {role} RESET transaction_timeout, and look for what makes the statement slow',
  '57P05': () =>
    'the server ends idle sessions after a short time: as root check idle_session_timeout (CockroachDB: idle_in_session_timeout) of the role and the database, ALTER ROLE {role} RESET it',
  '25006': () =>
    'the server or the database is read-only: is it a standby (SELECT pg_is_in_recovery()), or was the database set so (ALTER DATABASE {db} RESET default_transaction_read_only)?',
  '53100': () => 'the disk is full: fly ssh console -a {app} -C "df -h", then fly volumes extend ID --size GB -a {app}',
  '54000': ({ routine }) => (routine ? undefined : ROW_LIMIT),
  '23503': undeclared('a FOREIGN KEY', dropConstraint),
  '23P01': undeclared('an EXCLUDE constraint', dropConstraint),
  '23505': undeclared(
    'a UNIQUE constraint or index',
    (name, table) => `${dropConstraint(name, table)}, or DROP INDEX public.${name} (CockroachDB: with CASCADE)`,
  ),
  '23514': named => CHECKED({ ...named, constraint: named.constraint ?? 'NAME' }),
  '23502': ({ column, otherTable }) =>
    otherTable
      ? `a trigger on the table writes into ${otherTable}, whose column ${column ?? '(the message names it)'} takes no NULL: psql \\d+ connection_probe lists the triggers; fix the function, or as owner DROP TRIGGER`
      : `column ${column ?? '(the message names it)'} takes no NULL, and something sets it to NULL: a trigger on the table? psql \\d+ connection_probe, as root SHOW CREATE TABLE public.connection_probe`,
  '22P05': () =>
    'the database is not in UTF8 (SHOW server_encoding) and cannot hold every character: CREATE DATABASE … ENCODING UTF8 TEMPLATE template0, and move there what is in this one',
  '53200': () =>
    'the server is out of memory (CockroachDB: of what --max-sql-memory allows): as root SHOW SESSIONS and SHOW STATEMENTS, CANCEL QUERY ends what takes it, or give it more; then run again with --wait 60',
  P0001: () => RAISED,
}

/** What says that something is not there, which is not the probe's table where a function says it of what it uses. */
const ABOUT_THE_TABLE: ReadonlySet<Code> = new Set(['TABLE_MISSING', 'TABLE_MISMATCH'])

/**
 * The code of an error that a statement of this kind was answered with. That the session is over comes before what was
 * asked: by a SQLSTATE of its own, by the severity, or by class 08, connection exception, which is what a pooler says of
 * the server behind it.
 */
export function classifyStatement(
  { sqlstate, severity }: Pick<ServerError, 'sqlstate' | 'severity'>,
  kind: StatementKind,
  inFunction = false,
): Code {
  const anywhere = ANY_STATEMENT[sqlstate]
  if (anywhere) return anywhere
  if (endsSession(severity) || sqlstate.startsWith('08')) return 'CONNECTION_LOST'
  const known = STATEMENT_SQLSTATES[kind][sqlstate]
  return known && !(inFunction && ABOUT_THE_TABLE.has(known)) ? known : GENERAL[kind]
}
