/**
 * The code path for CockroachDB on a machine without one: a proxy gives PostgreSQL's sessions CockroachDB's parameters
 * as they were recorded, and answers what only CockroachDB knows. What CockroachDB itself says is in the recorded
 * conversations (attribution/startup.test.ts); this shows that its own questions are asked, and their answers decide.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate } from '../../src/database/migrate.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { loadConfig } from '../../src/settings/config.ts'
import { asCockroach, type Overrides } from '../helpers/as-cockroach.ts'
import { TAGS } from '../helpers/migrations.ts'
import { configOf } from '../helpers/probe.ts'
import { migrated, run, startServer } from '../helpers/target.ts'
import { check, expectVerdict } from '../helpers/verdict.ts'

describe('the probe on what says that it is CockroachDB', () => {
  let server: Throwaway
  beforeAll(async () => {
    server = await migrated({ engine: 'postgresql' })
  })
  afterAll(() => server.stop())

  const probe = async (overrides?: Overrides) => {
    await using proxy = await asCockroach(server, overrides)
    return await run(
      configOf({
        DATABASE_URL: `postgresql://gateway_writer@[::1]:${proxy.port}/uro`,
        COCKROACH_CERTS_DIR: server.certsDir,
      }),
    )
  }

  it('passes by its own questions, and names the engine', async () => {
    const report = await probe()
    expectVerdict(report, {})
    expect(report.target.engine).toBe('CockroachDB CCL v22.1.0-alpha.00000000-62-g7788e17e5c')
    expect(report.warnings.map(({ code }) => code)).not.toContain('ENGINE_NOT_COCKROACHDB')
    expect(check(report, 'sequential-writes').evidence.session).toMatch(/^[0-9a-f]{32}$/)
  })

  it('takes a role option that can be read for administration', async () => {
    const report = await probe({
      standIns: [[/has_role_option\('CREATELOGIN'\)/, 'SELECT true AS held']],
    })
    expectVerdict(report, { check: 'role', code: 'ADMIN_AT_RUNTIME', evidence: { attributes: ['CREATELOGIN'] } })
  })

  it('does not take an option that may not be read for one that is not held', async () => {
    // As CockroachDB from 26.1 on answers where crdb_internal is closed (42501).
    const closed = 'SELECT * FROM pg_catalog.pg_authid'
    const report = await probe({ standIns: [[/has_role_option\('CREATELOGIN'\)/, closed]] })
    expectVerdict(report, {
      check: 'role',
      code: 'CATALOGUE_FAILED',
      sqlstate: '42501',
      hint: 'every role may look this up',
    })
  })

  it('believes information_schema about privileges beyond the four verbs', async () => {
    await server.runAsRoot('GRANT TRUNCATE ON connection_probe TO gateway_writer', 'uro')
    try {
      const report = await probe()
      expectVerdict(report, { check: 'ddl-refused', code: 'GRANT_EXCESS' })
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
    let inserts = 0
    const report = await probe({
      row: sql =>
        /^insert /.test(sql) && ++inserts > 4 ? values => [...values.slice(0, -1), '0'.repeat(32)] : undefined,
    })
    expectVerdict(report, { check: 'sequential-writes', code: 'CONNECTION_REPLACED' })
  })

  it('says that startup options were dropped where it does not know our setting (42704)', async () => {
    const report = await probe({
      standIns: [[/connection_probe\.session/, `SELECT current_setting('no_such.setting')`]],
    })
    expectVerdict(report, { check: 'database', code: 'CONNECTION_REPLACED', hint: 'a pooler, a proxy' })
  })

  it.each(['XXUUU', '22023', '0A000'])(
    'takes an option that is answered with %s for one that is not known',
    async code => {
      const unknown = `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${code}', MESSAGE = 'unrecognized role option'; END $$`
      const report = await probe({ standIns: [[/has_role_option\('CREATELOGIN'\)/, unknown]] })
      expectVerdict(report, {})
      expect(check(report, 'role').evidence.unknownOptions).toEqual(['CREATELOGIN', 'VIEWCLUSTERSETTING'])
    },
  )

  it.each(['57P01', '53200'])('does not take %s for an option that is not known', async code => {
    const going = `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${code}', MESSAGE = 'no'; END $$`
    const report = await probe({ standIns: [[/has_role_option\('CREATELOGIN'\)/, going]] })
    expect(check(report, 'role').status).toBe('failed')
    expect(report.failure?.code).toBe(code === '57P01' ? 'SERVER_DRAINING' : 'CATALOGUE_FAILED')
  })

  const GRANTS = /FROM \[SHOW SYSTEM GRANTS\]/
  it('takes a system privilege for administration', async () => {
    const rows = `SELECT 'gateway_writer' AS grantee, 'MODIFYCLUSTERSETTING' AS privilege`
    const report = await probe({ standIns: [[GRANTS, rows]] })
    expectVerdict(report, {
      check: 'role',
      code: 'ADMIN_AT_RUNTIME',
      message: /MODIFYCLUSTERSETTING to gateway_writer/,
    })
  })

  it.each([
    ['none', `SELECT '' AS grantee, '' AS privilege WHERE false`, []],
    ['not to be seen (42501)', 'SELECT * FROM pg_catalog.pg_authid', 'not visible'],
    ['no such statement (42601)', 'SELECT FROM [x]', 'not visible'],
  ])('system privileges: %s', async (_what, sql, seen) => {
    const report = await probe({ standIns: [[GRANTS, sql]] })
    expectVerdict(report, {})
    expect(check(report, 'role').evidence.systemPrivileges).toEqual(seen)
  })

  it.each([
    ['on the database', /SHOW GRANTS ON DATABASE "uro"\]\s+WHERE .* NOT IN/, 'DROP on database uro to gateway_writer'],
    [
      'by default',
      /SHOW DEFAULT PRIVILEGES FOR ROLE .*gateway_admin/,
      'ALL on all tables that gateway_admin makes to public',
    ],
  ])('a privilege beyond the four verbs %s', async (_where, pattern, what) => {
    const row = `SELECT '${what}'::text AS what, NULL AS maker, 'REVOKE …'::text AS revoke, 'root'::text AS "as"`
    const report = await probe({ standIns: [[pattern, row]] })
    const evidence = { elsewhere: expect.arrayContaining([what]) }
    expectVerdict(report, {
      check: 'ddl-refused',
      code: 'DDL_ALLOWED',
      hint: 'as root, in this database: REVOKE …',
      evidence,
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
    expect(await run()).toMatchObject({ applied: TAGS, failure: null })
    expect(await run()).toMatchObject({ applied: [], failure: null })
    expect(proxy.statements.map(({ sql }) => sql)).toContain('SET autocommit_before_ddl = false')
  })
})
