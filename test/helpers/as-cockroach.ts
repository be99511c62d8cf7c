/**
 * A throwaway PostgreSQL that says that it is CockroachDB: a proxy gives its sessions CockroachDB's parameters as they
 * were recorded, and answers what only CockroachDB knows.
 */
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { proxyTo } from './target.ts'
import { parameterStatus, parse, query, type Value } from './wire.ts'

const VERSION =
  'CockroachDB CCL v22.1.0-alpha.00000000-62-g7788e17e5c (x86_64-linux-gnu, built 2026/11/22 12:33:48, go1.19.8)'

/** CockroachDB's name of a session, and what PostgreSQL can say instead. */
const SESSION_ID = `current_setting('session_id')`
const OWN_ID = `lpad(to_hex(pg_backend_pid()), 32, '0')`

/** What stands in for CockroachDB's own questions; the rest is the same SQL on both engines. */
const STAND_INS: readonly (readonly [RegExp, string])[] = [
  // An option that this release does not know: a syntax error (42601).
  [/^SELECT crdb_internal\.has_role_option\('VIEWCLUSTERSETTING'\) AS held$/, `SELECT no such option`],
  [/^SELECT crdb_internal\.has_role_option\('\w+'\) AS held$/, `SELECT false AS held`],
]

export interface Overrides {
  readonly standIns?: readonly (readonly [RegExp, string])[]
  readonly row?: (sql: string) => ((values: readonly Value[]) => readonly Value[] | undefined) | undefined
}

/** The server, as a CockroachDB. */
export function asCockroach(server: Throwaway, { standIns = [], row }: Overrides = {}) {
  return proxyTo(server, {
    onServerMessage: ({ type, bytes }) =>
      type === 'S' && bytes.includes('server_version\0')
        ? Buffer.concat([parameterStatus('server_version', '13.0.0'), parameterStatus('crdb_version', VERSION)])
        : undefined,
    onClientMessage: message => {
      if (message.kind === 'Parse' && message.sql.includes(SESSION_ID))
        return parse(message.name, message.sql.replaceAll(SESSION_ID, OWN_ID), message.types)
      if (message.kind !== 'Query') return undefined
      const [, replaced] = [...standIns, ...STAND_INS].find(([pattern]) => pattern.test(message.sql)) ?? []
      const sql = (replaced ?? message.sql).replaceAll(SESSION_ID, OWN_ID)
      return sql === message.sql ? undefined : query(sql)
    },
    onStatement: sql => {
      const change = row?.(sql)
      return change ? { row: change } : undefined
    },
  })
}
