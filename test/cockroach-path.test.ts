/**
 * The code path for CockroachDB on a machine without one: a proxy gives PostgreSQL's sessions CockroachDB's parameters
 * as they were recorded, and answers what only CockroachDB knows. What CockroachDB itself says is in the recorded
 * conversations (attribution/startup.test.ts); this shows that its own questions are asked, and their answers decide.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { migrate } from '../src/database/migrate.ts'
import type { Throwaway } from '../src/throwaway/index.ts'
import { check, migrated, probeWith, proxyTo, startServer, verdictOf } from './helpers/target.ts'
import { parameterStatus, query, type Value } from './helpers/wire.ts'

const VERSION =
  'CockroachDB CCL v22.1.0-alpha.00000000-62-g7788e17e5c (x86_64-linux-gnu, built 2026/11/22 12:33:48, go1.19.8)'

/** What stands in for CockroachDB's own questions; the rest is the same SQL on both engines. */
const STAND_INS: readonly (readonly [RegExp, string])[] = [
  [/^SHOW session_id$/, `SELECT lpad(to_hex(pg_backend_pid()), 32, '0') AS session_id`],
  // An option that this release does not know: a syntax error (42601).
  [/^SELECT crdb_internal\.has_role_option\('VIEWCLUSTERSETTING'\) AS held$/, `SELECT no such option`],
  [/^SELECT crdb_internal\.has_role_option\('\w+'\) AS held$/, `SELECT false AS held`],
]

interface Overrides {
  readonly standIns?: readonly (readonly [RegExp, string])[]
  readonly row?: (sql: string) => ((values: readonly Value[]) => readonly Value[] | undefined) | undefined
}

/** The server, as a CockroachDB. */
function asCockroach(server: Throwaway, { standIns = [], row }: Overrides = {}) {
  return proxyTo(server, {
    onServerMessage: ({ type, bytes }) =>
      type === 'S' && bytes.includes('server_version\0')
        ? Buffer.concat([parameterStatus('server_version', '13.0.0'), parameterStatus('crdb_version', VERSION)])
        : undefined,
    onClientMessage: message => {
      if (message.kind !== 'Query') return undefined
      const replaced = [...standIns, ...STAND_INS].find(([pattern]) => pattern.test(message.sql))
      return replaced ? query(replaced[1]) : undefined
    },
    onStatement: sql => {
      const change = row?.(sql)
      return change ? { row: change } : undefined
    },
  })
}

describe('the probe on what says that it is CockroachDB', () => {
  let server: Throwaway
  beforeAll(async () => {
    server = await migrated({ engine: 'postgresql' })
  })
  afterAll(() => server.stop())

  const probe = async (overrides?: Overrides) => {
    await using proxy = await asCockroach(server, overrides)
    return await probeWith({
      DATABASE_URL: `postgresql://gateway_writer@[::1]:${proxy.port}/uro`,
      COCKROACH_CERTS_DIR: server.certsDir,
    })
  }

  it('passes by its own questions, and names the engine', async () => {
    const report = await probe()
    expect(verdictOf(report)).toEqual({ failure: null, failed: {}, blocked: [] })
    expect(report.target.engine).toBe('CockroachDB CCL v22.1.0-alpha.00000000-62-g7788e17e5c')
    expect(report.warnings.map(({ code }) => code)).not.toContain('ENGINE_NOT_COCKROACHDB')
    expect(check(report, 'sequential-writes').evidence.session).toMatch(/^[0-9a-f]{32}$/)
  })

  it('takes a role option that can be read for administration', async () => {
    const report = await probe({
      standIns: [[/has_role_option\('CREATELOGIN'\)/, 'SELECT true AS held']],
    })
    expect(verdictOf(report)).toMatchObject({ failure: 'privilege ADMIN_AT_RUNTIME' })
    expect(check(report, 'role').evidence.attributes).toEqual(['CREATELOGIN'])
  })

  it('does not take an option that may not be read for one that is not held', async () => {
    // As CockroachDB from 26.1 on answers where crdb_internal is closed (42501).
    const closed = 'SELECT * FROM pg_catalog.pg_authid'
    const report = await probe({ standIns: [[/has_role_option\('CREATELOGIN'\)/, closed]] })
    expect(verdictOf(report)).toMatchObject({ failed: { role: 'CATALOGUE_FAILED' } })
    expect(report.failure?.sqlstate).toBe('42501')
  })

  it('believes information_schema about privileges beyond the four verbs', async () => {
    await server.runAsRoot('GRANT TRUNCATE ON connection_probe TO gateway_writer', 'uro')
    try {
      const report = await probe()
      expect(verdictOf(report)).toMatchObject({ failed: { 'ddl-refused': 'GRANT_EXCESS' } })
    } finally {
      await server.runAsRoot('REVOKE TRUNCATE ON connection_probe FROM gateway_writer', 'uro')
    }
  })

  it('names a database that is not there, although the login to it works', async () => {
    const report = await probe({
      standIns: [[/^SELECT 1 FROM connection_probe LIMIT 0$/, 'SELECT 1 FROM missing.missing']],
      row: sql => (sql.includes('pg_database') ? ([name]) => [name ?? null, '0'] : undefined),
    })
    expect(report.failure).toMatchObject({ layer: 'database', code: 'DATABASE_MISSING' })
  })

  it('notices that the session behind the connection was replaced', async () => {
    let asked = 0
    const report = await probe({
      row: sql => (sql === 'SHOW session_id' ? () => [`${++asked}`.padStart(32, '0')] : undefined),
    })
    expect(verdictOf(report)).toMatchObject({
      failure: 'reuse CONNECTION_REPLACED',
      failed: { 'sequential-writes': 'CONNECTION_REPLACED' },
      blocked: ['statements-unnamed'],
    })
  })
})

describe('migrate on what says that it is CockroachDB', () => {
  it('passes over a setting that the release does not know, and verifies by information_schema', async () => {
    await using server = await startServer({ engine: 'postgresql' })
    await using proxy = await asCockroach(server)
    const run = () => {
      const loaded = loadConfig({
        role: 'admin',
        env: {
          MIGRATION_DATABASE_URL: `postgresql://gateway_admin@[::1]:${proxy.port}/uro`,
          COCKROACH_CERTS_DIR: server.certsDir,
        },
      })
      if (!loaded.ok) throw loaded.error
      return migrate(loaded.config, new AbortController().signal)
    }
    expect(await run()).toMatchObject({ applied: ['0000_connection_probe', '0001_grants'], failure: null })
    expect(await run()).toMatchObject({ applied: [], failure: null })
    expect(proxy.statements.map(({ sql }) => sql)).toContain('SET autocommit_before_ddl = false')
  })
})
