/** A real Prometheus that scrapes what keeps proving, and what promtool says of the metrics. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { freePort } from '../../src/development/throwaway/ports.ts'
import { pemOf } from '../helpers/clients.ts'
import { migrated, settings } from '../helpers/target.ts'
import { getPage, startWatching, type Watching } from '../helpers/watching.ts'
import { findProgram, pipe } from './program.ts'

const program = await findProgram(['prometheus'], 'prometheus')

/** README's own. */
const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const [, ALERT = ''] = /^expr: (connection_probe_up .*)$/m.exec(README) ?? []

interface Prometheus extends AsyncDisposable {
  /** The value of an expression that is one number; undefined where it is nothing. */
  ask(expression: string): Promise<number | undefined>
  /** Resolves once an expression has this value. */
  until(expression: string, value: number): Promise<void>
  /** what it says of its only target: up or down, and its last error */
  target(): Promise<{ readonly health: string; readonly lastError: string }>
}

/** Starts one that scrapes this authority every second. */
async function startPrometheus(authority: string): Promise<Prometheus> {
  const directory = mkdtempSync(join(tmpdir(), 'watch-prometheus-'))
  const config = join(directory, 'prometheus.yml')
  writeFileSync(
    config,
    `global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs: [{ job_name: probe, static_configs: [{ targets: ['${authority}'] }] }]\n`,
  )
  const port = await freePort('::1')
  const child = spawn(
    program ?? '',
    [`--config.file=${config}`, `--storage.tsdb.path=${directory}/data`, `--web.listen-address=[::1]:${port}`],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const log: string[] = []
  child.stderr.setEncoding('utf8').on('data', text => log.push(text))
  const ended = once(child, 'close')
  const api = async (path: string) => JSON.parse((await getPage(`http://[::1]:${port}${path}`)).body).data
  const prometheus: Prometheus = {
    async ask(expression) {
      const { result } = await api(`/api/v1/query?query=${encodeURIComponent(expression)}`)
      return result[0] === undefined ? undefined : Number(result[0].value[1])
    },
    // It tells nobody when it has scraped.
    async until(expression, value) {
      while ((await prometheus.ask(expression)) !== value) await sleep(100)
    },
    target: async () => (await api('/api/v1/targets')).activeTargets[0],
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended
      rmSync(directory, { recursive: true })
    },
  }
  for (;;) {
    const isReady = await getPage(`http://[::1]:${port}/-/ready`).then(
      ({ status }) => status === 200,
      () => false,
    )
    if (isReady) return prometheus
    if (child.exitCode !== null) throw new Error(`prometheus ended: ${log.join('')}`)
    await sleep(50)
  }
}

describe.skipIf(program === null)('Prometheus', () => {
  let server: Throwaway
  let watching: Watching
  beforeAll(async () => {
    server = await migrated({ engine: 'postgresql' })
    const env = settings({ port: server.port, pem: pemOf(server, 'gateway_writer') })
    watching = await startWatching({ env, everyMs: 500 })
    await watching.until('pass')
  })
  afterAll(async () => {
    await watching.stop()
    await server.stop()
  })

  test('promtool finds nothing to complain of', async () => {
    const { body } = await watching.get('/metrics')
    expect(await pipe('promtool', ['check', 'metrics'], body)).toBe('')
  })

  test('answers up 1, then 0 with the code counted when a grant is revoked, then 1 again', async () => {
    await using prometheus = await startPrometheus(watching.authority)
    const denied = 'connection_probe_failures_total{layer="privilege",code="DML_DENIED"}'
    await prometheus.until('connection_probe_up', 1)
    expect(await prometheus.ask(ALERT)).toBeUndefined()
    expect(await prometheus.target()).toMatchObject({ health: 'up', lastError: '' })
    expect(await prometheus.ask(denied)).toBe(0)
    await server.runAsRoot('REVOKE UPDATE ON connection_probe FROM gateway_writer')
    await prometheus.until('connection_probe_up', 0)
    expect(await prometheus.ask(denied)).toBeGreaterThan(0)
    expect(await prometheus.ask(ALERT)).toBe(0)
    // Only one cause is counted.
    expect(await prometheus.ask('count(connection_probe_failures_total > 0)')).toBe(1)
    await server.runAsRoot('GRANT UPDATE ON connection_probe TO gateway_writer')
    await prometheus.until('connection_probe_up', 1)
    expect(await prometheus.ask('histogram_quantile(0.5, connection_probe_visible_seconds_bucket)')).toBeGreaterThan(0)
    expect(
      await prometheus.ask('connection_probe_certificate_not_after_timestamp_seconds{which="client"} - time()'),
    ).toBeGreaterThan(0)
    expect(await prometheus.ask('scrape_samples_post_metric_relabeling{job="probe"}')).toBeLessThan(600)
  })
})
