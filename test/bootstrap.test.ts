/** A database whose schema public was never closed fails the gate, and what root runs once mends it. */
import { expect, it } from 'vitest'
import { bootstrapSteps } from '../src/database/bootstrap/index.ts'
import type { Throwaway } from '../src/development/throwaway/index.ts'
import { check, migrated, probeServer, verdictOf } from './helpers/target.ts'

/** What `npm run bootstrap` prints, run by root statement by statement. */
async function bootstrap(server: Throwaway): Promise<void> {
  for (const { sql, database, generates } of bootstrapSteps(server.engine, server.database)) {
    const rows = await server.runAsRoot(sql, database)
    if (generates) for (const row of rows) await server.runAsRoot(String(Object.values(row)[0]), database)
  }
}

it('fails with DDL_ALLOWED while schema public is open, and passes after the bootstrap', async () => {
  await using server = await migrated()
  // What a CockroachDB database is like before anybody closes it.
  await server.runAsRoot('GRANT CREATE ON SCHEMA public TO public', server.database)
  const open = await probeServer(server)
  expect(verdictOf(open)).toEqual({
    failure: 'privilege DDL_ALLOWED',
    failed: { 'ddl-refused': 'DDL_ALLOWED' },
    blocked: [],
  })
  expect(check(open, 'ddl-refused').evidence).toMatchObject({ createTable: '42P07', creatable: ['schema public'] })
  expect(open.failure?.hint).toContain('REVOKE CREATE ON SCHEMA public FROM gateway_writer, public')
  await bootstrap(server)
  expect(verdictOf(await probeServer(server))).toEqual({ failure: null, failed: {}, blocked: [] })
})

it('mends what was there before: roles without LOGIN, a table of root, CREATE to the writer', async () => {
  await using server = await migrated()
  for (const sql of [
    'ALTER ROLE gateway_writer WITH NOLOGIN',
    'ALTER ROLE gateway_admin WITH NOLOGIN',
    'GRANT CREATE ON SCHEMA public TO gateway_writer',
    `GRANT CREATE ON DATABASE ${server.database} TO gateway_writer`,
    'ALTER TABLE public.connection_probe OWNER TO root',
  ])
    await server.runAsRoot(sql, server.database)
  expect((await probeServer(server)).failure?.code).toBe('AUTH_LOGIN_DENIED')
  for (let times = 0; times < 2; times++) await bootstrap(server)
  const report = await probeServer(server)
  expect(verdictOf(report)).toEqual({ failure: null, failed: {}, blocked: [] })
  expect(check(report, 'certificate-bound').evidence).toMatchObject({ triedAs: 'gateway_admin' })
  const [owner] = await server.runAsRoot(`SELECT tableowner AS name FROM pg_catalog.pg_tables
    WHERE schemaname = 'public' AND tablename = 'connection_probe'`)
  expect(owner).toEqual({ name: 'gateway_admin' })
})
