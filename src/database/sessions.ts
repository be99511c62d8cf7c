/**
 * The sessions that a server lists, and the row that one of them wrote: the questions of the witness, on both engines.
 *
 * An ordinary user sees the statements of its own sessions only (README.md beside this file). Only whether a statement
 * holds what it is searched for comes back, never its text, which may hold anything.
 */
import type { Engine } from './engine.ts'
import { literal, TABLE_NAME } from './sql.ts'

/** A session whose statement holds the id of the row. */
export interface ListedSession {
  /** the server's own name of it, as `engine.sessionName` gives it */
  readonly session: string
  readonly user: string
  /** CockroachDB: address and port; PostgreSQL: the address. Empty or null: no network address */
  readonly client: string | null
  readonly application: string | null
  /** times are texts in UTC */
  readonly startedAt: string
  /** when its last statement began; null on CockroachDB */
  readonly statementAt: string | null
  /** whether the statement that holds the id is an INSERT into the table */
  readonly inserts: boolean
  /** the version of TLS, null for none, and the certificate's subject; on CockroachDB both are null */
  readonly tls: string | null
  readonly certificate: string | null
}

/** An INSERT into the table, after comments such as tracers put there; the same text is a pattern on both engines. */
const INSERTS = `^(\\s|/\\*[^*]*\\*/)*insert\\s+into\\s+("?public"?\\s*[.]\\s*)?"?${TABLE_NAME}"?[\\s(]`

/** Whether a column holds the text, and whether it is such an INSERT. */
const holds = (column: string, id: string): string => `position(${literal(id)} IN ${column}) > 0`
const inserts = (column: string, id: string): string => `(${holds(column, id)} AND ${column} ~* ${literal(INSERTS)})`

const postgresql = (id: string): string => `
  SELECT a.pid::text AS session, a.usename::text AS "user", host(a.client_addr) AS client,
         a.application_name AS application, a.backend_start::text AS "startedAt", a.query_start::text AS "statementAt",
         ${inserts('a.query', id)} AS inserts, s.version AS tls, s.client_dn AS certificate
  FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_stat_ssl s ON s.pid = a.pid
  WHERE a.datname = current_database() AND ${holds('a.query', id)}
  ORDER BY a.backend_start LIMIT 100`

// A statement that is just ending may still stand among the active ones.
const cockroachdb = (id: string): string => `
  SELECT session_id AS session, user_name AS "user", client_address AS client, application_name AS application,
         session_start::text AS "startedAt", NULL AS "statementAt",
         ${inserts('last_active_query', id)} OR ${inserts('active_queries', id)} AS inserts,
         NULL AS tls, NULL AS certificate
  FROM [SHOW SESSIONS] WHERE ${holds('last_active_query', id)} OR ${holds('active_queries', id)}
  ORDER BY session_start LIMIT 100`

/** SQL, rows ListedSession: the sessions whose current or last statement holds this id. */
export const sessionsHolding = ({ id }: Engine, rowId: string): string =>
  (id === 'cockroachdb' ? cockroachdb : postgresql)(rowId)

/** What is asked of the row. Its payload may hold anything, of any size, so that it is not read whole. */
export interface SeenRow {
  /** times are texts in UTC, by the server's clock: when it says it was written, and when this was asked */
  readonly writtenAt: string
  readonly seenAt: string
  readonly writtenBy: string
  readonly origin: string
  /** what the client says of its session */
  readonly claimed: string | null
  readonly named: string | null
  readonly expression: string | null
  readonly pool: string | null
  /** the server's name of the session that answers */
  readonly session: string
}

const claim = (name: string): string => `left(payload->>${literal(name)}, 100)`

/** SQL, rows SeenRow, one at most: the row of a run. */
export const witnessedRow = ({ sessionName }: Engine, rowId: string, runId: string): string => `
  SELECT written_at::text AS "writtenAt", clock_timestamp()::text AS "seenAt", left(written_by, 100) AS "writtenBy",
         left(origin, 100) AS origin, ${claim('session')} AS claimed, ${claim('named')} AS named,
         ${claim('expression')} AS expression, ${claim('pool')} AS pool, ${sessionName} AS session
  FROM public.${TABLE_NAME} WHERE id = ${literal(rowId)} AND run_id = ${literal(runId)}`

/**
 * SQL, rows { micros }: when the row was written by the server's own record, in µs since 1970; null where it keeps none
 * of rows. Every table of CockroachDB has the column, in nanoseconds and a logical part after the point.
 */
export const writtenOnRecord = ({ id }: Engine, rowId: string): string | null =>
  id === 'cockroachdb'
    ? `SELECT floor(crdb_internal_mvcc_timestamp / 1000)::int8::text AS micros
       FROM public.${TABLE_NAME} WHERE id = ${literal(rowId)}`
    : null

/** SQL, rows { other }: rows that carry one of the two ids and not the other. Scans the table: to be asked once. */
export const strayRows = (rowId: string, runId: string): string => `
  SELECT (CASE WHEN id = ${literal(rowId)} THEN 'another run' ELSE 'another id' END) AS other
  FROM public.${TABLE_NAME} WHERE (id = ${literal(rowId)}) <> (run_id = ${literal(runId)}) LIMIT 2`

/** SQL: removes the row, if it is the run's. */
export const removalOf = (rowId: string, runId: string): string =>
  `DELETE FROM public.${TABLE_NAME} WHERE id = ${literal(rowId)} AND run_id = ${literal(runId)}`
