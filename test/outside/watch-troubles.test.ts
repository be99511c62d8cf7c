/** Minutes of what keeps proving: it stays up whatever the target does and the clock says, and leaves nothing. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { migrated } from '../helpers/target.ts'
import { troubledTarget } from '../helpers/troubles.ts'
import { startWatchProcess } from '../helpers/watch-process.ts'
import { getPage, metric } from '../helpers/watching.ts'

let server: Throwaway
beforeAll(async () => {
  server = await migrated({ engine: 'postgresql' })
})
afterAll(() => server.stop())

/** Waits are a second at most. */
const WORDS = ['--every', '5', '--deadline', '4']

test('stays up while the target is gone, stalled, draining, its certificates over and renewed, closed, and killed', async () => {
  await using target = await troubledTarget(server)
  await using watching = await startWatchProcess([inject('bundle')], WORDS, target.env)
  await watching.until('pass')
  const descriptors = watching.descriptors()
  for (const { name, code, begin, end } of target.troubles) {
    await begin()
    const failed = await watching.until('fail')
    if (code) expect([name, failed.code]).toEqual([name, code])
    expect(await getPage(`${watching.url}/health`)).toEqual({
      ...{ status: 503, type: 'text/plain; charset=utf-8' },
      body: `fail ${failed.code}\n`,
    })
    expect((await getPage(`${watching.url}/live`)).status).toBe(200)
    await end()
    await watching.until('pass')
    expect((await getPage(`${watching.url}/health`)).status, name).toBe(200)
    expect(target.maxOpen).toBeLessThanOrEqual(5)
  }
  // Between two runs nothing is open that was not before.
  const passes = (body: string) => metric(body, 'connection_probe_runs_total{verdict="pass"}') ?? 0
  const before = passes((await getPage(`${watching.url}/metrics`)).body)
  await watching.untilMetrics(body => passes(body) > before)
  expect(watching.descriptors()).toBeLessThanOrEqual(descriptors + 1)
  expect(watching.residentMb()).toBeLessThan(130)
  expect(await target.rows()).toBe(0)
  const { code, tookMs } = await watching.stop()
  expect(code).toBe(0)
  expect(watching.stderr()).toMatch(/^(still failing, now with .*\n)*$/)
  expect(tookMs).toBeLessThan(1500)
  expect(await target.rows()).toBe(0)
}, 300_000)

/** Debian's place of the library, whatever the architecture. */
const library = () =>
  readdirSync('/usr/lib')
    .map(name => `/usr/lib/${name}/faketime/libfaketime.so.1`)
    .find(existsSync)

describe('a clock that jumps', () => {
  const preload = library()
  if (preload === undefined) {
    const line = "a clock that jumps is not tried: there is no libfaketime (Debian's package libfaketime)\n"
    if (process.env.CI === 'true') throw new Error(line)
    process.stderr.write(line)
  }

  test.skipIf(preload === undefined)(
    'does not stop it: each run judges by the time that it is then',
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'watch-clock-'))
      const file = join(directory, 'now')
      const clock = (offset: string) => writeFileSync(file, `${offset}\n`)
      clock('+0')
      await using target = await troubledTarget(server)
      const env = {
        ...target.env,
        LD_PRELOAD: preload,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: '1',
        // The kernel's monotonic clock does not jump, whatever somebody does to the other one.
        DONT_FAKE_MONOTONIC: '1',
      }
      {
        await using watching = await startWatchProcess([inject('bundle')], WORDS, env)
        await watching.until('pass')
        // A leaf lasts a year, and is valid from an hour ago.
        for (const [offset, code] of [
          ['+500d', 'CERT_EXPIRED'],
          ['-2h', 'CERT_NOT_YET_VALID'],
        ] as const) {
          clock(offset)
          expect(await watching.until('fail')).toMatchObject({ code })
          clock('+0')
          await watching.until('pass')
          expect((await getPage(`${watching.url}/health`)).status).toBe(200)
        }
        expect(watching.stderr()).toBe('')
      }
      rmSync(directory, { recursive: true })
    },
    120_000,
  )
})
