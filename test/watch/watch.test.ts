/** What keeps proving, before a real server: its verdicts, its pages, and that nothing is left of it. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { CODES } from '../../src/failure/codes.ts'
import { pemOf } from '../helpers/clients.ts'
import { type Relay, relay } from '../helpers/relay.ts'
import { migrated, settings } from '../helpers/target.ts'
import { checkIds } from '../helpers/verdict.ts'
import { metric, startWatching, type Watching } from '../helpers/watching.ts'

let server: Throwaway
let link: Relay
beforeAll(async () => {
  server = await migrated({ engine: 'postgresql' })
})
afterAll(() => server.stop())
beforeEach(async () => {
  link = await relay({ target: { port: server.port } })
})
afterEach(async () => {
  await link[Symbol.asyncDispose]()
  // A test that fails leaves it revoked.
  await server.runAsRoot('GRANT DELETE ON connection_probe TO gateway_writer')
  expect(await rows()).toBe(0)
})

const rows = async () => Number((await server.runAsRoot('SELECT count(*) AS n FROM connection_probe'))[0]?.n)
const env = () => settings({ port: link.port, pem: pemOf(server, 'gateway_writer') })
const start = (options = {}, everyMs = 50): Promise<Watching> => startWatching({ env: env(), everyMs, options })

describe('what keeps proving', () => {
  test('says pass, fail and pass again, on every page', async () => {
    await using watching = await start()
    await watching.until('pass')
    expect(await watching.get('/health')).toMatchObject({ status: 200, body: 'pass\n' })
    await server.runAsRoot('REVOKE DELETE ON connection_probe FROM gateway_writer')
    await watching.until('fail')
    expect(await watching.get('/health')).toMatchObject({ status: 503, body: 'fail DML_DENIED\n' })
    // It may have been revoked in the middle of that run: another one is denied from its beginning.
    const failed = async () =>
      metric((await watching.get('/metrics')).body, 'connection_probe_runs_total{verdict="fail"}')
    await expect.poll(failed).toBeGreaterThan(1)
    expect(await watching.get('/live')).toMatchObject({ status: 200 })
    const { body } = await watching.get('/metrics')
    expect(metric(body, 'connection_probe_up')).toBe(0)
    expect(metric(body, 'connection_probe_failures_total{layer="privilege",code="DML_DENIED"}')).toBeGreaterThan(0)
    expect(metric(body, 'connection_probe_check_status{check="dml"}')).toBe(0)
    expect(metric(body, 'connection_probe_check_status{check="row-visible"}')).toBeUndefined()
    expect((await watching.get('/')).body).toContain('DML_DENIED')
    expect(JSON.parse((await watching.get('/report.json')).body)).toMatchObject({ failure: { code: 'DML_DENIED' } })
    await server.runAsRoot('GRANT DELETE ON connection_probe TO gateway_writer')
    await watching.until('pass')
    expect(metric((await watching.get('/metrics')).body, 'connection_probe_up')).toBe(1)
    await watching.stop()
    expect(watching.changes.map(({ from, to, code }) => [from, to, code])).toEqual([
      [null, 'started', null],
      ['started', 'pass', null],
      ['pass', 'fail', 'DML_DENIED'],
      ['fail', 'pass', null],
      ['pass', 'ended', null],
    ])
  })

  test('has every metric from the start, and values once a run has ended', async () => {
    link.hold()
    await using watching = await start({ deadlineMs: 8_000 })
    const before = (await watching.get('/metrics')).body
    expect(await watching.get('/health')).toMatchObject({ status: 503 })
    expect(await watching.get('/report.json')).toMatchObject({ status: 503 })
    expect(await watching.get('/')).toMatchObject({ status: 200, body: expect.stringContaining('no verdict') })
    const codes = Object.entries(CODES).filter(([, { layer }]) => layer !== 'witness')
    for (const [code, { layer }] of codes)
      expect(metric(before, `connection_probe_failures_total{layer="${layer}",code="${code}"}`), code).toBe(0)
    for (const verdict of ['pass', 'fail'])
      expect(metric(before, `connection_probe_runs_total{verdict="${verdict}"}`)).toBe(0)
    expect(metric(before, 'connection_probe_up')).toBeUndefined()
    link.resume()
    await watching.until('pass')
    const { body, type } = await watching.get('/metrics')
    expect(type).toBe('text/plain; version=0.0.4; charset=utf-8')
    for (const id of checkIds()) {
      expect(metric(body, `connection_probe_check_status{check="${id}"}`), id).toBe(1)
      expect(metric(body, `connection_probe_check_duration_seconds_count{check="${id}"}`), id).toBeGreaterThan(0)
    }
    expect(metric(body, 'connection_probe_visible_seconds_count')).toBeGreaterThan(0)
    const now = Date.now() / 1000
    for (const which of ['client', 'server', 'ca'])
      expect(
        metric(body, `connection_probe_certificate_not_after_timestamp_seconds{which="${which}"}`),
      ).toBeGreaterThan(now)
    expect(metric(body, 'connection_probe_last_run_timestamp_seconds')).toBeGreaterThan(now - 60)
    // Nothing in the names or the labels comes and goes with what happens, but for what was blocked or not seen.
    const series = (text: string) => text.split('\n').map(line => line.replace(/ \S+$/, ''))
    const extra = series(body).filter(line => !series(before).includes(line) && !line.startsWith('#'))
    expect(extra.filter(line => !/_up$|check_status|not_after|last_run/.test(line))).toEqual([])
  })

  test('never runs twice at once, though a run takes longer than the period', async () => {
    await using watching = await start({}, 5)
    await watching.runs(5)
    const began = watching.reports.map(({ startedAt, durationMs }) => [Date.parse(startedAt), durationMs] as const)
    for (const [at, [startedAt]] of began.entries()) {
      const [before, took] = began[at - 1] ?? [0, 0]
      expect(startedAt + 1).toBeGreaterThanOrEqual(before + took)
    }
  })

  test.each(['between two runs', 'in a run that hangs'])('ends within a second %s', async when => {
    const watching = await start({}, when === 'between two runs' ? 600_000 : 50)
    await watching.until('pass')
    if (when !== 'between two runs') {
      link.hold()
      while (link.open === 0) await new Promise(setImmediate)
    }
    expect(await watching.stop()).toBeLessThan(1100)
    link.cut()
    expect(watching.changes.at(-1)).toMatchObject({ to: 'ended' })
    await expect(watching.get('/live')).rejects.toThrow()
  })

  test('shows no secret on any path', async () => {
    const pem = pemOf(server, 'gateway_writer')
    const secrets = [pem.key, pem.cert, pem.ca].flatMap(text =>
      text.split('\n').filter(line => /^[A-Za-z0-9+/=]{30,}$/.test(line)),
    )
    expect(secrets.length).toBeGreaterThan(10)
    const wrong = { FLY_REGION: `password=hunter2secret`, FLY_APP_NAME: secrets[1] }
    await using watching = await startWatching({ env: { ...env(), ...wrong } })
    await watching.until('pass')
    for (const path of ['/', '/report.json', '/metrics', '/health', '/live', '/nothing']) {
      const { body } = await watching.get(`${path}?hunter2secret`)
      expect(body).not.toContain('hunter2secret')
      for (const secret of secrets) expect(body).not.toContain(secret.slice(2, 30))
    }
  })
})
