/**
 * What differs between CockroachDB and PostgreSQL, in one place. Everything else is one code path.
 *
 * Facts: shared/facts/cockroachdb.md and postgresql.md; "source" and "docs" mark what was read and not run.
 */
import type { Startup } from '../session/startup.ts'

export interface Engine {
  readonly id: 'cockroachdb' | 'postgresql'
  /** what identifies the server's side of a session, one row { identity } */
  readonly sessionIdentity: string
  /** whether that is the process ID of BackendKeyData, too */
  readonly identityIsProcessId: boolean
  /**
   * SQL, true for a schema in which something can be made or granted to last: not a session's temporary ones
   * (pg_temp_N, pg_toast_temp_N), and not those that exist in name only
   */
  readonly ownSchema: (column: string) => string
  /** role options beyond LOGIN that pg_roles does not show, rows { held }; each is asked alone, since a release may not
   * know it */
  readonly roleOptions: readonly { readonly option: string; readonly sql: string }[]
  /** what must be set before those questions, where the release knows it */
  readonly roleOptionSettings: readonly string[]
  /**
   * Privileges on tables of this database that the user or PUBLIC holds and that are beyond the four verbs or come
   * with a grant option: rows { schema, table, column, grantee, privilege, grantable }
   */
  readonly excessPrivileges: string
  /** every grant on public.connection_probe, rows { grantee, privilege, grantable, column }; PUBLIC is 'public' */
  readonly tableGrants: string
  /** what a migration's session sets first; a setting that the release does not know is passed over */
  readonly migrationSettings: readonly string[]
  /** taken first in the migrations' transaction; null where transactions are serializable */
  readonly migrationLock: string | null
}

const FOUR_VERBS = `('SELECT','INSERT','UPDATE','DELETE')`

/** PostgreSQL: tables c in schemas n, and every entry x of their ACLs, by table and by column (x.col). */
const TABLE_ACLS = `
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
      SELECT NULL::text AS col, e.* FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) e
      UNION ALL
      SELECT a.attname::text, e.* FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) e
      WHERE a.attrelid = c.oid AND NOT a.attisdropped
    ) x`

/** Not by LIKE: in a pattern the _ of pg_temp_ stands for any character. */
const isTemporary = (column: string): string =>
  `(left(${column}::text, 8) = 'pg_temp_' OR left(${column}::text, 14) = 'pg_toast_temp_')`

const postgresql: Engine = {
  id: 'postgresql',
  sessionIdentity: 'SELECT pg_backend_pid()::text AS identity',
  identityIsProcessId: true,
  ownSchema: column => `NOT ${isTemporary(column)}`,
  roleOptions: [],
  roleOptionSettings: [],
  // aclexplode sees what information_schema does not: MAINTAIN, and grants by column.
  excessPrivileges: `
    SELECT n.nspname AS schema, c.relname AS "table", x.col AS "column",
           CASE WHEN x.grantee = 0 THEN 'public' ELSE current_user::text END AS grantee,
           x.privilege_type AS privilege, x.is_grantable AS grantable
    ${TABLE_ACLS}
    WHERE c.relkind IN ('r','p','v','m','f') AND c.relpersistence <> 't'
      AND x.grantee IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user))
      AND (x.privilege_type NOT IN ${FOUR_VERBS} OR (x.is_grantable AND c.relname = 'connection_probe'))
    ORDER BY 1, 2, 3, 5 LIMIT 100`,
  tableGrants: `
    SELECT CASE WHEN x.grantee = 0 THEN 'public' ELSE coalesce(r.rolname::text, x.grantee::text) END AS grantee,
           x.privilege_type AS privilege, x.is_grantable AS grantable, x.col AS "column"
    ${TABLE_ACLS}
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
    WHERE n.nspname = 'public' AND c.relname = 'connection_probe' AND c.relkind IN ('r','p')
    ORDER BY 1, 4, 2`,
  migrationSettings: [],
  // Released with the transaction; the number stands for this program.
  migrationLock: 'SELECT pg_advisory_xact_lock(727365831)',
}

const VIRTUAL_SCHEMAS = `'pg_catalog','information_schema','crdb_internal','pg_extension'`

const cockroachdb: Engine = {
  id: 'cockroachdb',
  // pg_backend_pid() is -1 up to 22.1.2; SHOW session_id is unique per session on all versions.
  sessionIdentity: 'SHOW session_id',
  identityIsProcessId: false,
  // Virtual schemas: nothing can be made in them.
  ownSchema: column => `${column} NOT IN (${VIRTUAL_SCHEMAS}) AND NOT ${isTemporary(column)}`,
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
  // has_table_privilege says true for TRUNCATE and REFERENCES to everybody there; information_schema is right.
  excessPrivileges: `
    SELECT table_schema AS schema, table_name AS "table", NULL AS "column", grantee,
           privilege_type AS privilege, is_grantable = 'YES' AS grantable
    FROM information_schema.table_privileges
    WHERE grantee IN (current_user, 'public')
      AND table_schema NOT IN (${VIRTUAL_SCHEMAS}) AND NOT ${isTemporary('table_schema')}
      AND (privilege_type NOT IN ${FOUR_VERBS} OR (is_grantable = 'YES' AND table_name = 'connection_probe'))
    ORDER BY 1, 2, 5 LIMIT 100`,
  tableGrants: `
    SELECT grantee, privilege_type AS privilege, is_grantable = 'YES' AS grantable, NULL AS "column"
    FROM information_schema.table_privileges
    WHERE table_schema = 'public' AND table_name = 'connection_probe'
    ORDER BY 1, 2`,
  // On by default from 25.1 (docs): DDL would commit at once, and a failed migration leave the journal behind it.
  migrationSettings: ['SET autocommit_before_ddl = false'],
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
