import { describe, expect, it } from 'vitest'
import { bootstrapSql, bootstrapSteps } from '../../../src/database/bootstrap/index.ts'
import { startThrowaway, type Throwaway } from '../../../src/development/throwaway/index.ts'
import { runSteps } from '../../../src/development/throwaway/root.ts'

describe('the bootstrap', () => {
  it('is one statement a line, each once, in the database it is for', () => {
    for (const engine of ['postgresql', 'cockroachdb'] as const) {
      const text = bootstrapSql(engine, 'other')
      expect(text).not.toContain('uro')
      const statements = text.split('\n').filter(line => /^[A-Z]/.test(line) && !line.startsWith('USE'))
      const steps = bootstrapSteps(engine, 'other')
      expect(steps).toHaveLength(statements.length)
      expect(steps.filter(step => step.sql.includes('SCHEMA')).every(step => step.database === 'other')).toBe(true)
      expect(steps.filter(step => step.sql.includes('ROLE')).every(step => step.database === 'postgres')).toBe(true)
    }
    expect(() => bootstrapSql('postgresql', 'a"b')).toThrow(RangeError)
  })

  it('closes an open schema, keeps what exists, and can be run again', async () => {
    await using server = await startThrowaway({ engine: 'postgresql', bootstrap: false })
    // a cluster that somebody began by hand: one role, the database, a table, and schema public open to everybody
    await server.runAsRoot('CREATE ROLE gateway_admin LOGIN', 'postgres')
    await server.runAsRoot('CREATE DATABASE uro', 'postgres')
    await server.runAsRoot('GRANT CREATE ON SCHEMA public TO PUBLIC')
    await server.runAsRoot('SET ROLE gateway_admin; CREATE TABLE public.connection_probe (id int)')
    await bootstrap(server)
    const first = await privileges(server)
    expect(first).toEqual([
      { rolname: 'gateway_admin', rolcanlogin: true, creates_tables: true, creates_schemas: true },
      { rolname: 'gateway_reader', rolcanlogin: true, creates_tables: false, creates_schemas: false },
      { rolname: 'gateway_writer', rolcanlogin: true, creates_tables: false, creates_schemas: false },
    ])
    await bootstrap(server)
    expect(await privileges(server)).toEqual(first)
    expect(
      await server.runAsRoot('SELECT count(*)::int AS tables FROM pg_tables WHERE tableowner = $$gateway_admin$$'),
    ).toEqual([{ tables: 1 }])
  })

  it('runs through a command prefix as well', async () => {
    await using server = await startThrowaway({ engine: 'postgresql', commandPrefix: ['env'] })
    expect(await privileges(server)).toHaveLength(3)
    await expect(server.runAsRoot('SELEC 1')).rejects.toThrow('syntax error')
  })
})

const bootstrap = (server: Throwaway): Promise<unknown> =>
  runSteps({ ...server, verifyServer: true, commandPrefix: [] }, bootstrapSteps('postgresql'))

const privileges = (server: Throwaway): Promise<unknown[]> =>
  server.runAsRoot(`
    SELECT rolname, rolcanlogin,
      has_schema_privilege(rolname, 'public', 'CREATE') AS creates_tables,
      has_database_privilege(rolname, 'uro', 'CREATE') AS creates_schemas
    FROM pg_roles WHERE rolname LIKE 'gateway%' ORDER BY rolname`)
