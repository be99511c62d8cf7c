import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findCockroach, type Throwaway } from '../src/development/throwaway/index.ts'
import { cli, engineVariables, migrated, probeServer } from './helpers/target.ts'
import { checkIds, expectVerdict } from './helpers/verdict.ts'

describe('the probe on a target that is right', () => {
  let server: Throwaway
  beforeAll(async () => {
    server = await migrated()
  })
  afterAll(() => server?.stop())

  const rows = async () => (await server.runAsRoot('SELECT count(*)::int4 AS n FROM connection_probe', 'uro'))[0]?.n

  it('passes, with every check in its order, and leaves no row', async () => {
    const report = await probeServer(server)
    expectVerdict(report, {})
    expect(report.verdict).toBe('pass')
    expect(report.checks.map(({ id }) => id)).toEqual(checkIds())
    expect(report.criteria.map(({ id, status }) => `${id} ${status}`)).toEqual([
      'visible passed',
      'mtls passed',
      'privileges passed',
      'reuse passed',
    ])
    expect(await rows()).toBe(0)
  })

  it.each(['file', 'tree'] as const)(
    'is a process (%s) with exit code 0 and one JSON document on stdout',
    async form => {
      const env = { DATABASE_URL: server.url('gateway_writer') }
      const { code, stdout } = await cli(['probe', '--json', '--certs-dir', server.certsDir], env, form)
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({ schemaVersion: 1, verdict: 'pass', failure: null, attempts: 1 })
    },
  )

  it('passes with a warning where another source of certificates is begun', async () => {
    const env = { DATABASE_URL: server.url('gateway_writer'), CRDB_CA_CERT: '/nowhere/ca.crt' }
    const { code, stdout } = await cli(['probe', '--json', '--certs-dir', server.certsDir], env)
    expect(code).toBe(0)
    const { warnings } = JSON.parse(stdout)
    expect(warnings.map(({ code }: { code: string }) => code)).toContain('CERT_SOURCE_INCOMPLETE')
  })

  it('is what npm start runs on a server of its own, of the engine that there is', async () => {
    const begun = { CRDB_CA_CERT: '/nowhere/ca.crt', CRDB_CLIENT_CERT: '' }
    const { code, stdout, stderr } = await cli(['start', '--json', '--writes', '2'], begun, 'tree')
    expect(code, stderr).toBe(0)
    const engine = findCockroach({ ...process.env, ...engineVariables() }) ? 'CockroachDB' : 'PostgreSQL'
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'pass', warnings: [], target: { address: '::1' } })
    expect(JSON.parse(stdout).target.engine).toContain(engine)
    expect(stderr).toContain(`the target is a throwaway ${engine}`)
  })

  it('leaves its rows where asked to', async () => {
    await probeServer(server, { options: { keep: true, writes: 5 } })
    expect(await rows()).toBe(6)
    await server.runAsRoot('DELETE FROM connection_probe', 'uro')
  })
})
