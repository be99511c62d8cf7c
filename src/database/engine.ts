/**
 * What differs between CockroachDB and PostgreSQL, in one place; what each is asked about privileges is in privileges.ts.
 * Everything else is one code path.
 *
 * README.md beside this file has the facts; "docs" marks what was read and not run.
 */
import type { Startup } from '../session/startup.ts'
import { literal } from './sql.ts'

export interface Engine {
  readonly id: 'cockroachdb' | 'postgresql'
  /** SQL, rows { name }: the databases that a session in a missing one can list; null: there is no such session */
  readonly databases: string | null
  /** an expression, text: the server's own name of the session that evaluates it */
  readonly sessionName: string
  /** whether that is the process ID of BackendKeyData, too */
  readonly sessionNameIsProcessId: boolean
  /** SQL, true for a schema in which something can be made or granted to last: not a session's temporary ones (pg_temp_N,
   * pg_toast_temp_N), and not those that exist in name only */
  readonly ownSchema: (column: string) => string
  /** whether an index takes its name from the tables of its schema, so that a bare name finds it */
  readonly indexesHideTables: boolean
  /** role options beyond LOGIN that pg_roles does not show, rows { held }; asked one by one: a release may not know it */
  readonly roleOptions: readonly { readonly option: string; readonly sql: string }[]
  /** the privileges on the whole cluster of a user and of PUBLIC, rows { grantee, privilege }; null: there are none */
  readonly systemGrants: ((user: string) => string) | null
  /** what must be set before those questions, where the release knows it */
  readonly roleOptionSettings: readonly string[]
  /** the grants on tables of schema public, rows { table, grantee, privilege, grantable, column }; PUBLIC is 'public' */
  readonly tableGrants: (tables: readonly string[]) => string
  /** what this engine makes of a type of schema.ts, as format_type() prints it, where that is another one; else null */
  readonly typeMadeOf: (type: string) => string | null
  /** whether format_type() prints the 3 of timestamp(3) */
  readonly printsTimePrecision: boolean
  /**
   * What a migration's session sets first: its statements name no schema, and it is public's tables that are verified. A
   * setting that the release does not know is passed over.
   */
  readonly migrationSettings: readonly string[]
  /** taken first in the migrations' transaction; null where transactions are serializable */
  readonly migrationLock: string | null
}

const IN_PUBLIC = 'SET search_path = public'

/** PostgreSQL: tables c in schemas n, and every entry x of their ACLs, by table and by column (x.col). */
export const TABLE_ACLS = `
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
      SELECT NULL::text AS col, e.* FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) e
      UNION ALL
      SELECT a.attname::text, e.* FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) e
      WHERE a.attrelid = c.oid AND NOT a.attisdropped
    ) x`

/** Not by LIKE: in a pattern the _ of pg_temp_ stands for any character. */
export const isTemporary = (column: string): string =>
  `(left(${column}::text, 8) = 'pg_temp_' OR left(${column}::text, 14) = 'pg_toast_temp_')`

const postgresql: Engine = {
  id: 'postgresql',
  databases: null,
  sessionName: 'pg_backend_pid()::text',
  sessionNameIsProcessId: true,
  ownSchema: column => `NOT ${isTemporary(column)}`,
  indexesHideTables: true,
  roleOptions: [],
  roleOptionSettings: [],
  systemGrants: null,
  tableGrants: tables => `
    SELECT c.relname::text AS "table",
           CASE WHEN x.grantee = 0 THEN 'public' ELSE coalesce(r.rolname::text, x.grantee::text) END AS grantee,
           x.privilege_type AS privilege, x.is_grantable AS grantable, x.col AS "column"
    ${TABLE_ACLS}
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
    WHERE n.nspname = 'public' AND c.relname IN (${tables.map(literal).join(', ')}) AND c.relkind IN ('r','p')
    ORDER BY 1, 2, 5, 3`,
  typeMadeOf: () => null,
  printsTimePrecision: true,
  migrationSettings: [IN_PUBLIC],
  // Released with the transaction; the number stands for this program.
  migrationLock: 'SELECT pg_advisory_xact_lock(727365831)',
}

export const VIRTUAL_SCHEMAS = `'pg_catalog','information_schema','crdb_internal','pg_extension'`

const cockroachdb: Engine = {
  id: 'cockroachdb',
  databases: 'SELECT database_name AS name FROM [SHOW DATABASES]',
  // pg_backend_pid() is -1 up to 22.1.2; the setting is unique per session on all versions.
  sessionName: "current_setting('session_id')",
  sessionNameIsProcessId: false,
  // Virtual schemas: nothing can be made in them.
  ownSchema: column => `${column} NOT IN (${VIRTUAL_SCHEMAS}) AND NOT ${isTemporary(column)}`,
  indexesHideTables: false,
  // CREATELOGIN with CREATEROLE makes passwords; the rest is administration (docs: role options).
  roleOptions: [
    'CREATELOGIN',
    'CONTROLJOB',
    'CONTROLCHANGEFEED',
    'CANCELQUERY',
    'MODIFYCLUSTERSETTING',
    'VIEWACTIVITY',
    'VIEWACTIVITYREDACTED',
    'VIEWCLUSTERSETTING',
  ].map(option => ({ option, sql: `SELECT crdb_internal.has_role_option('${option}') AS held` })),
  // From 26.1 crdb_internal is refused (42501) without it; the setting came with 25.4 and needs no privilege (docs).
  roleOptionSettings: ['SET allow_unsafe_internals = true'],
  // From 22.2 on (docs); before, a syntax error. Who may not see it gets 42501.
  systemGrants: user =>
    `SELECT grantee, privilege_type AS privilege FROM [SHOW SYSTEM GRANTS]
     WHERE grantee IN (${literal(user)}, 'public') ORDER BY 1, 2`,
  tableGrants: tables => `
    SELECT table_name AS "table", grantee, privilege_type AS privilege, is_grantable = 'YES' AS grantable,
           NULL AS "column"
    FROM information_schema.table_privileges
    WHERE table_schema = 'public' AND table_name IN (${tables.map(literal).join(', ')})
    ORDER BY 1, 2, 3`,
  // INTEGER is INT8 there, and so is every SERIAL (measured; default_int_size, serial_normalization).
  typeMadeOf: type => {
    const [, array] = /^(?:int|int4|integer|serial|smallserial)((?:\[\])*)$/.exec(type) ?? []
    return array === undefined ? null : `bigint${array}`
  },
  // measured on 22.1
  printsTimePrecision: false,
  // On by default from 25.1 (docs): DDL would commit at once, and a failed migration leave the journal behind it.
  migrationSettings: [IN_PUBLIC, 'SET autocommit_before_ddl = false'],
  migrationLock: null,
}

/** The engine that answered a startup: only CockroachDB sends the parameter crdb_version. */
export const engineOf = (startup: Startup): Engine =>
  startup.parameters.crdb_version === undefined ? postgresql : cockroachdb

/** Engine and version as the server named itself, e.g. "CockroachDB CCL v22.1.0 (…)" or "PostgreSQL 18.4"; null before. */
export function engineName(startup: Startup | null): string | null {
  const { crdb_version: cockroach, server_version: version } = startup?.parameters ?? {}
  if (cockroach) return cockroach.replace(/ \(.*/, '')
  return version ? `PostgreSQL ${version.replace(/ \(.*/, '')}` : null
}
