/** A database whose schema public was never closed fails the gate, and what root runs once mends it. */
import { expect, it } from 'vitest'
import { bootstrapSteps } from '../src/bootstrap/index.ts'
import type { Throwaway } from '../src/throwaway/index.ts'
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
  expect(open.failure?.hint).toContain('REVOKE CREATE ON SCHEMA public FROM public')
  await bootstrap(server)
  expect(verdictOf(await probeServer(server))).toEqual({ failure: null, failed: {}, blocked: [] })
})
