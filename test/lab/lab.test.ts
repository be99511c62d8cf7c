import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { build } from '../../src/development/build.ts'
import type { Report } from '../../src/report/report.ts'
import { check, expectVerdict } from '../helpers/verdict.ts'
import { DEADLINE, FAULTS, type Fault } from './faults.ts'
import { findWay } from './host.ts'
import { buildLab, type Lab, machineVariables, PATHS_TO_NOWHERE } from './lab.ts'
import { loseTheLinkAtCommit } from './lost-link.ts'
import { type App, hostOf, records } from './names.ts'
import { addressOf, NOWHERE } from './network.ts'

const found = await findWay()
const obstacle = 'obstacle' in found ? found.obstacle : null
if (obstacle !== null) {
  const line = `the lab is not built: ${obstacle}\n`
  // In CI as root it must run: there its absence would pass unnoticed.
  if (process.env.CI === 'true' && process.getuid?.() === 0) throw new Error(line)
  process.stderr.write(line)
}

describe.skipIf(obstacle !== null)('on the private network', () => {
  let lab: Lab
  let broken = false
  let directory: string
  /** The probe as one file (src/development/build.ts), which starts in a third of the time: for the many runs. */
  let bundle: string

  beforeAll(async () => {
    if ('obstacle' in found) return
    directory = await mkdtemp(join(tmpdir(), 'lab-'))
    bundle = await build(join(directory, 'connection-probe.mjs'))
    lab = await buildLab({ way: found.way, engine: inject('engine'), template: inject('template') })
  }, 60_000)
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  })
  afterEach(async () => {
    if (!broken) return
    broken = false
    const { network, resolver } = lab
    await Promise.all([
      ...(['app', 'db1', 'db2', 'db3'] as const).map(machine => network.mend(machine)),
      resolver.serve(records()),
    ])
  })

  const SOURCE = ['--import', 'tsx', 'src/cli.ts']
  const cli = (words: readonly string[], env: Readonly<Record<string, string>>, program = SOURCE) =>
    lab.start(['node', ...program, ...words], env).result

  /** The probe as the deployed application's machine runs it, with the PEM secrets and nothing in files. */
  async function probe(
    app?: App,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    program = [bundle],
  ) {
    const environment = { ...lab.environment(app), ...env }
    const { code, stdout, stderr, lingeredMs } = await cli(['probe', '--json', ...args], environment, program)
    expect(stdout, stderr).toMatch(/^\{/)
    const report = JSON.parse(stdout) as Report
    expect(code).toBe(report.verdict === 'pass' ? 0 : 1)
    // The process ends when the report is there, also when a lookup that it began does not: 10 s without our limit.
    expect(lingeredMs).toBeLessThan(4000)
    return report
  }

  const rowsOn = async (name: 'db1' | 'db2') =>
    (await lab.servers[name].runAsRoot('SELECT count(*)::int4 AS n FROM connection_probe'))[0]?.n

  describe('as it should be', () => {
    it('has no IPv4 on the application host', async () => {
      expect(await lab.network.app.run('ip -4 addr; ip -4 route')).toBe('')
    })

    it('migrates by name, with path variables that point nowhere, by either tool', async () => {
      const env = { ...lab.environment(), ...PATHS_TO_NOWHERE }
      const first = await cli(['migrate'], env)
      expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('applied 0000_connection_probe') })
      expect(first.stdout).toContain(addressOf('db1'))
      const kit = ['node', 'node_modules/drizzle-kit/bin.cjs', 'migrate']
      const second = await lab.start(kit, { ...lab.environment('small-certificate'), ...PATHS_TO_NOWHERE }).result
      expect(second, second.stderr).toMatchObject({ code: 0 })
      expect(await cli(['migrate'], lab.environment('small-certificate'))).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^nothing to do; /),
      })
    }, 60_000)

    it('passes by name and says from where to where', async () => {
      await lab.resolver.serve(records())
      const report = await probe(undefined, [], PATHS_TO_NOWHERE, SOURCE)
      expectVerdict(report, {})
      expect(report.target).toMatchObject({
        host: hostOf('multiplayer-fabric-crdb'),
        port: 26257,
        tlsName: hostOf('multiplayer-fabric-crdb'),
        address: addressOf('db1'),
      })
      expect(report.origin).toEqual({
        hostname: 'app',
        app: machineVariables.FLY_APP_NAME,
        region: machineVariables.FLY_REGION,
        machine: machineVariables.FLY_MACHINE_ID,
        privateIp: machineVariables.FLY_PRIVATE_IP,
      })
      expect(check(report, 'row-visible').evidence).toMatchObject({
        writtenBy: 'gateway_writer',
        origin: `${machineVariables.FLY_MACHINE_ID}@${machineVariables.FLY_REGION}`,
      })
      expect(report.warnings.map(({ code }) => code)).not.toContain('ADDRESS_NOT_6PN')
      expect(await rowsOn('db1')).toBe(0)
      // As far as it went no A record was asked for.
      expect(lab.resolver.questions.length).toBeGreaterThan(0)
      expect(lab.resolver.questions.filter(({ type }) => type !== 'AAAA')).toEqual([])
    })

    it('passes with a resolver that is slow, and with one that answers just in time', async () => {
      broken = true
      for (const lateMs of [200, 1800]) {
        await lab.resolver.serve(records(), { lateMs })
        const report = await probe(undefined, DEADLINE)
        expect(report.verdict).toBe('pass')
        expect(check(report, 'dns').durationMs).toBeGreaterThan(lateMs - 10)
      }
    })
  })

  describe('broken in one thing', () => {
    const attributed = async ({ app, args = [], ...expected }: Fault) =>
      expectVerdict(await probe(app, [...DEADLINE, ...args]), expected)

    // These break nothing; one after another, since five processes at once left a lookup no time on a busy machine.
    it.each(FAULTS.filter(({ given }) => !given))('$fault: $failure', attributed)

    it.each(FAULTS.filter(({ given }) => given))('$fault: $failure', async fault => {
      broken = true
      await fault.given?.(lab)
      await attributed(fault)
    })

    it('goes on to the next of three machines when the first is down, and shows it', async () => {
      broken = true
      await lab.network.unplug('db3')
      const report = await probe('three-machines', DEADLINE)
      expect(report.verdict).toBe('pass')
      expect(report.target.address).toBe(addressOf('db2'))
      expect(check(report, 'tcp').evidence.tried).toMatchObject([
        { address: addressOf('db3'), outcome: 'TCP_TIMEOUT' },
        { address: addressOf('db2'), outcome: 'connected' },
      ])
    })

    it('finds a machine that has moved as soon as the resolver does, when it is told to wait', async () => {
      broken = true
      await lab.resolver.serve([records({ 'moving-machine': [NOWHERE] }), records()])
      const report = await probe('moving-machine', [...DEADLINE, '--wait', '10'])
      expect(report).toMatchObject({ verdict: 'pass', attempts: 2, target: { address: addressOf('db2') } })
    })
  })

  // The commit is held up by a trigger, which CockroachDB 22.1 does not have.
  describe.skipIf(inject('engine') !== 'postgresql')('the link is lost between write and commit', () => {
    beforeAll(() => loseTheLinkAtCommit.prepare(lab.servers.db2))
    const lost = (args: readonly string[]) => {
      broken = true
      const report = probe('small-certificate', [...loseTheLinkAtCommit.args, ...args], loseTheLinkAtCommit.environment)
      return { report, ...loseTheLinkAtCommit.watch(lab) }
    }

    it('and is back before the write is given up: nothing but the latency shows it', async () => {
      const { report, cut, mend } = lost(['--deadline', '40'])
      await cut()
      await mend()
      const { verdict, checks } = await report
      expect(verdict).toBe('pass')
      const evidence = checks.find(({ id }) => id === 'sequential-writes')?.evidence as { latencyMs: { max: number } }
      expect(evidence.latencyMs.max).toBeGreaterThan(loseTheLinkAtCommit.commitMs)
    })

    it('and is back within the deadline: the outcome is known, and no row is left', async () => {
      const { report, cut, redialled, mend } = lost(['--deadline', '16'])
      await cut()
      await redialled()
      await mend()
      const { failure, checks, warnings } = await report
      expect(failure).toMatchObject({ code: 'WRITE_TIMEOUT', layer: 'write' })
      const evidence = checks.find(({ id }) => id === 'sequential-writes')?.evidence
      expect(evidence).toMatchObject({ outcome: 'the row had been written' })
      expect(warnings.map(({ code }) => code)).not.toContain('ROWS_LEFT')
      expect(await rowsOn('db2')).toBe(0)
    })

    it('and does not come back: the rows that are left, and the statement that removes them', async () => {
      const { report, cut, mend } = lost(['--deadline', '12'])
      await cut()
      const { failure, warnings } = await report
      expect(failure).toMatchObject({ code: 'WRITE_AMBIGUOUS', layer: 'write' })
      expect(failure?.message).toMatch(/\(WRITE_TIMEOUT\), and could not be settled \(TCP_TIMEOUT: \[fdaa:/)
      await mend()
      expect(await rowsOn('db2')).not.toBe(0)
      const statement = /DELETE FROM .*;/.exec(warnings.find(({ code }) => code === 'ROWS_LEFT')?.message ?? '')?.[0]
      await lab.servers.db2.runAsRoot(statement ?? 'no statement')
      expect(await rowsOn('db2')).toBe(0)
    })
  })

  it('has sent and received not one IPv4 packet from the application host', async () => {
    const [names = [], counts = []] = (await readFile(`/proc/${lab.network.app.pid}/net/snmp`, 'utf8'))
      .split('\n')
      .filter(line => line.startsWith('Ip:'))
      .map(line => line.split(' '))
    const of = (name: string) => counts[names.indexOf(name)]
    expect({ out: of('OutRequests'), received: of('InReceives') }).toEqual({ out: '0', received: '0' })
    expect(await lab.network.app.run('ip -4 addr; ip -4 route')).toBe('')
  })
})
