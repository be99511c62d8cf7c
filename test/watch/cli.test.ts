/** `npm run watch` as a process: what it takes, what it prints, and how it ends. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { readArguments } from '../../src/commands/arguments.ts'
import { UsageError } from '../../src/commands/usage.ts'
import { watchArguments } from '../../src/commands/watch-options.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { freePort } from '../../src/development/throwaway/ports.ts'
import type { Change } from '../../src/watch/change.ts'
import { cli, migrated, startCli } from '../helpers/target.ts'
import { getPage } from '../helpers/watching.ts'

const read = async (...words: string[]) => {
  try {
    return watchArguments((await readArguments(['watch', ...words])).flags)
  } catch (error) {
    if (error instanceof UsageError) return error.message
    throw error
  }
}

describe('the options', () => {
  const listen = { address: '::1', port: 9464, hosts: [] }
  test.each([
    [[], { everyMs: 60_000, listen }],
    [['--every', '5'], { everyMs: 5_000, listen }],
    [['--every=7.5'], { everyMs: 7_500, listen }],
    [['--listen', ':0'], { everyMs: 60_000, listen: { ...listen, port: 0 } }],
    [['--listen', '[::]:9464'], { everyMs: 60_000, listen: { ...listen, address: '::' } }],
    [['--listen', '[fdaa:0:1::3]:80'], { everyMs: 60_000, listen: { ...listen, address: 'fdaa:0:1::3', port: 80 } }],
    [
      ['--host', 'a.internal', '--host', '[fdaa::3]'],
      { everyMs: 60_000, listen: { ...listen, hosts: ['a.internal', '[fdaa::3]'] } },
    ],
  ])('%j', async (words, understood) => {
    expect(await read(...words)).toEqual(understood)
  })

  test.each([
    ...['4', '4.999', '0', '-5', '60s', '', '2147484'].map(value => [`--every=${value}`, 'from 5 to 2147483']),
    ...[
      '9464',
      '::1:9464',
      '127.0.0.1:9464',
      '[127.0.0.1]:9464',
      '[::1]',
      '[::1]:',
      '[::1]:65536',
      'localhost:1',
      '[]:1',
      '',
    ].map(value => [`--listen=${value}`, '--listen wants [ADDRESS]:PORT']),
    ...['', 'a b', 'a:80', '[::1]:80', 'http://a', '*'].map(value => [`--host=${value}`, '--host wants']),
  ])('%s is refused', async (word = '', why) => {
    expect(await read(word)).toContain(why)
  })
})

test('what Fly runs is understood, serves by its own name, and is scraped and checked where it listens', async () => {
  const file = readFileSync(new URL('../../.fly/fly.toml', import.meta.url), 'utf8')
  const [, app, command = ''] = /^app = "([^"]*)"$.*^ {2}watch = "watch ([^"]*)"$/ms.exec(file) ?? []
  const understood = { everyMs: 60_000, listen: { address: '::', port: 9464, hosts: [`${app}.internal`] } }
  expect(await read(...command.split(' '))).toEqual(understood)
  expect(file.match(/^ {2}port = (\d+)$/gm)).toEqual(Array(2).fill('  port = 9464'))
  expect(file.match(/^ {2}path = "(.*)"$/gm)).toEqual(['  path = "/metrics"', '  path = "/live"'])
})

let server: Throwaway
beforeAll(async () => {
  server = await migrated({ engine: 'postgresql' })
})
afterAll(() => server.stop())

/** How many rows were ever written. */
const ROWS_WRITTEN = "SELECT n_tup_ins AS n FROM pg_stat_user_tables WHERE relname = 'connection_probe'"

const settings = () => ({ DATABASE_URL: server.url('gateway_writer'), COCKROACH_CERTS_DIR: server.certsDir })

/** Starts it; its lines come one by one. */
function start(words: readonly string[], env: NodeJS.ProcessEnv = settings()) {
  const { child, result } = startCli(['watch', '--every', '5', '--listen', ':0', ...words], env)
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const line = async () => String((await lines.next()).value)
  return {
    child,
    result,
    line,
    change: async (): Promise<Change> => JSON.parse(await line()),
    /** Sends the signal; resolves with how it ended, and how long that took, ms. */
    async end(signal: NodeJS.Signals) {
      const from = performance.now()
      child.kill(signal)
      return { ...(await result), tookMs: performance.now() - from }
    },
  }
}

/** Starts it with this file as stdout. */
function startWith(stdout: number, words: readonly string[]) {
  const child = spawn(process.execPath, [inject('bundle'), 'watch', ...words], {
    env: { PATH: process.env.PATH, ...settings() },
    stdio: ['ignore', stdout, 'pipe'],
  })
  const { stderr } = child
  if (!stderr) throw new Error('it has no stderr')
  const ended = Promise.all([text(stderr), once(child, 'close')]).then(([stderr, [code]]) => ({ code, stderr }))
  return { child, ended }
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const urlIn = (text: string) => /http:\/\/\S+:\d+/.exec(text)?.[0] ?? ''

describe('the process', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'prints a line of JSON for each change, and ends with 0 by %s',
    async signal => {
      const watching = start(['--format', 'json'])
      const started = await watching.change()
      expect(started).toMatchObject({ time: expect.stringMatching(TIME), from: null, to: 'started', code: null })
      expect(await watching.change()).toMatchObject({
        from: 'started',
        to: 'pass',
        code: null,
        message: 'all 16 checks',
      })
      expect(await getPage(`${urlIn(started.message)}/health`)).toMatchObject({ status: 200 })
      const { code, stdout, stderr, tookMs } = await watching.end(signal)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(tookMs).toBeLessThan(1500) // a second, and the end of the process
      expect(
        stdout
          .trim()
          .split('\n')
          .map(line => JSON.parse(line).to),
      ).toEqual(['started', 'pass', 'ended'])
    },
  )

  test('ends within a second with 0 while it writes, and removes its rows', async () => {
    const watching = start(['--writes', '100000000'])
    await watching.line()
    const rows = async () => Number((await server.runAsRoot('SELECT count(*) AS n FROM connection_probe'))[0]?.n)
    while ((await rows()) < 10);
    const { code, stdout, stderr, tookMs } = await watching.end('SIGTERM')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await rows()).toBe(0)
    expect(tookMs).toBeLessThan(1500)
    expect(
      stdout
        .trim()
        .split('\n')
        .map(line => line.replace(/^\S+ /, '')),
    ).toEqual([
      expect.stringMatching(/^started: connection-probe 1\.0\.0 on http:\/\/\[::1\]:\d+\/, a run every 5 s$/),
      'started -> ended: interrupted by SIGTERM',
    ])
  })

  test('stays up where a file is wrong: it may be renewed', async () => {
    const watching = start(['--format', 'json', '--certs-dir', '/nowhere'])
    await watching.change()
    expect(await watching.change()).toMatchObject({ to: 'fail', code: 'CERT_UNREADABLE' })
    expect(await watching.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
  })

  test('ends with 2, and says so on stderr, where only a start with other settings can cure it', async () => {
    const { code, stdout, stderr } = await cli(['watch'], {})
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('FAIL at config, CONFIG_MISSING')
    expect(stderr).toContain('DATABASE_URL')
  })

  test.each([['--format', 'html'], ['--markdown']])('prints no report: %s is refused', async (...words) => {
    expect(await cli(['watch', ...words], settings())).toMatchObject({
      ...{ code: 2, stdout: '' },
      stderr: 'connection-probe 1.0.0: watch prints lines: --format text or json\n',
    })
  })

  test('goes on where nobody reads what it prints', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'watch-unread-'))
    const fifo = join(directory, 'stdout')
    execFileSync('mkfifo', [fifo])
    const full = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK)
    expect(() => {
      for (;;) writeSync(full, 'x'.repeat(4096))
    }).toThrow('EAGAIN')
    const port = await freePort('::1')
    const { child, ended } = startWith(full, ['--listen', `[::1]:${port}`])
    const status = () =>
      getPage(`http://[::1]:${port}/health`).then(
        ({ status }) => status,
        () => null,
      )
    while ((await status()) !== 200);
    const from = performance.now()
    child.kill('SIGTERM')
    expect(await ended).toEqual({ code: 0, stderr: '' })
    expect(performance.now() - from).toBeLessThan(1500)
    closeSync(full)
    rmSync(directory, { recursive: true })
  })

  test('says so where what it prints cannot be written, and ends with 74 then', async () => {
    const full = openSync('/dev/full', 'w')
    const { child, ended } = startWith(full, ['--listen', ':0'])
    closeSync(full)
    const left = async () => Number((await server.runAsRoot(ROWS_WRITTEN))[0]?.n)
    const before = await left()
    while ((await left()) === before);
    child.kill('SIGTERM')
    expect(await ended).toEqual({ code: 74, stderr: expect.stringContaining('(ENOSPC): exit 74') })
  })

  test('ends with 2 where somebody listens already', async () => {
    await using other = createServer().listen(0, '::1')
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' ? address?.port : 0
    const { code, stdout, stderr } = await cli(['watch', '--listen', `[::1]:${port}`], settings())
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toBe(
      `connection-probe 1.0.0: cannot listen there: listen EADDRINUSE: address already in use ::1:${port}\n`,
    )
  })
})
