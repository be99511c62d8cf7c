/**
 * A real pgbouncer between the probe and the database: whatever its pool mode, it is found out at the same check. It
 * gives clients a BackendKeyData of its own and no session of theirs, and drops the startup options that it was told to
 * ignore, or refuses them.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type Engine, findCockroach, type Throwaway } from '../../src/development/throwaway/index.ts'
import type { Report } from '../../src/report/report.ts'
import { pemOf } from '../helpers/clients.ts'
import { configOf } from '../helpers/probe.ts'
import { migrated, run, settings } from '../helpers/target.ts'
import { expectVerdict } from '../helpers/verdict.ts'
import { type PgbouncerOptions, type PoolMode, pgbouncerVersion, startPgbouncer } from './pgbouncer.ts'

const version = await pgbouncerVersion()
if (version === null) {
  const line = "pgbouncer is not tried: it is not installed (Debian's package pgbouncer)\n"
  // In CI it must run: there its absence would pass unnoticed.
  if (process.env.CI === 'true') throw new Error(line)
  process.stderr.write(line)
}

/** It knows nothing of CockroachDB, which takes it for any client. */
const ENGINES: readonly Engine[] = findCockroach() === null ? ['postgresql'] : ['postgresql', 'cockroachdb']

describe.skipIf(version === null).each(ENGINES)(`behind pgbouncer ${version}, before %s`, engine => {
  let server: Throwaway
  beforeAll(async () => {
    server = await migrated({ engine, ...(engine === 'postgresql' && { template: inject('template') }) })
  })
  afterAll(() => server?.stop())

  /** Runs the probe through it; no row is there afterwards. */
  async function probeBehind(options: PgbouncerOptions): Promise<{ report: Report; log: string }> {
    await using pooler = await startPgbouncer(server, options)
    const report = await run(configOf(settings({ port: pooler.port, pem: pemOf(server, 'gateway_writer') })))
    const [row] = await server.runAsRoot('SELECT count(*)::int4 AS n FROM connection_probe')
    expect(row?.n).toBe(0)
    return { report, log: await pooler.log() }
  }

  it.each<PoolMode>(['session', 'transaction', 'statement'])('in pool mode %s', async poolMode => {
    const { report, log } = await probeBehind({ poolMode, ignoring: ['options'] })
    expect(log).toContain('new connection to server')
    expectVerdict(report, {
      check: 'database',
      code: 'CONNECTION_REPLACED',
      hint: 'drops startup options or shares one session among clients',
      evidence: { missing: 'connection_probe.session' },
    })
  })

  it('where it was not told to ignore startup options', async () => {
    const { report } = await probeBehind({ poolMode: 'session', ignoring: [] })
    expectVerdict(report, {
      check: 'session',
      code: 'SESSION_REFUSED',
      hint: 'a pooler answers here, not the database',
    })
    expect(report.failure).toMatchObject({
      sqlstate: '08P01',
      // From 1.20 on (documented, not tried): "unsupported startup parameter in options: statement_timeout".
      message: expect.stringMatching(/unsupported startup parameter(: options| in options: )/),
    })
  })
})
