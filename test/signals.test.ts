/** Interrupted runs: what they report, how soon they end, and that nothing is left of them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Throwaway, ThrowawayOptions } from '../src/development/throwaway/index.ts'
import { alive, vanished } from './development/throwaway/processes.ts'
import { clientOf } from './helpers/clients.ts'
import { engineVariables, migrated } from './helpers/target.ts'

const ROOT = resolve(import.meta.dirname, '..')
const ENDLESS = ['--writes', '100000000']
const NODE = [process.execPath, '--import', 'tsx', 'src/cli.ts']
const NPM = ['npm', 'run', '-s']

/** A command line in a process group of its own, as a shell would start it; kept until it has ended. */
function start(command: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const [file = '', ...args] = command
  const { PATH, HOME } = process.env
  const child: ChildProcess = spawn(file, args, {
    cwd: ROOT,
    detached: true,
    env: { PATH, HOME, ...engineVariables(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream]?.setEncoding('utf8').on('data', text => {
      said[stream] += text
    })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...said }))
  return {
    child,
    ended,
    /** Sends the signal, to its group as a terminal does or to it alone; resolves when it has ended, with the time, ms. */
    async interrupt(signal: NodeJS.Signals, whom: 'group' | 'process' = 'process') {
      const from = performance.now()
      if (whom === 'group' && child.pid !== undefined) process.kill(-child.pid, signal)
      else child.kill(signal)
      return { ...(await ended), tookMs: performance.now() - from }
    },
    /** Resolves once stderr has said this, or the process has ended. */
    async says(words: string) {
      while (!said.stderr.includes(words) && child.exitCode === null)
        await Promise.race([once(child.stderr ?? child, 'data'), ended])
    },
  }
}

/** What a run waits for, and what is asked of a server while it runs. */
const WRITING = `(SELECT count(*) FROM connection_probe) > 10`

/** A migrated server with an empty table for each test, of the run's engine or of the one given. */
function useTarget(options: ThrowawayOptions = {}) {
  let server: Throwaway
  let root: ReturnType<typeof clientOf>
  beforeAll(async () => {
    server = await migrated(options)
    root = clientOf(server, 'root')
  })
  afterAll(async () => {
    await root?.end({ timeout: 1 })
    await server?.stop()
  })
  beforeEach(async () => {
    await server.runAsRoot('TRUNCATE connection_probe')
  })
  const ask = async (sql: string) => (await root.unsafe(sql))[0]?.answer
  return {
    get server() {
      return server
    },
    rows: async () => Number(await ask('SELECT count(*) AS answer FROM connection_probe')),
    /** Asks until the answer is yes; a run that has ended answers no more. */
    async until(condition: string, run?: ReturnType<typeof start>) {
      for (; (await ask(`SELECT (${condition}) AS answer`)) !== true; await sleep(10))
        if (run && run.child.exitCode !== null) throw new Error(`ended too early: ${JSON.stringify(await run.ended)}`)
    },
    /** Starts a probe that writes without end. */
    run: (command: readonly string[], ...words: string[]) =>
      start([...command, 'probe', ...(command === NPM ? ['--'] : []), ...ENDLESS, ...words], {
        DATABASE_URL: server.url('gateway_writer'),
        COCKROACH_CERTS_DIR: server.certsDir,
      }),
  }
}

describe('a probe that is interrupted while it writes', () => {
  const target = useTarget()

  it.each([
    ['SIGINT', 'node', NODE],
    ['SIGTERM', 'node', NODE],
    ['SIGINT', 'npm', NPM],
    ['SIGTERM', 'npm', NPM],
  ] as const)(
    'by %s to %s removes its rows within a second, reports, and exits with 130',
    async (signal, _, command) => {
      const probe = target.run(command, '--json')
      await target.until(WRITING, probe)
      const { code, stdout, stderr, tookMs } = await probe.interrupt(signal)
      expect(code).toBe(130)
      expect(await target.rows()).toBe(0)
      expect(tookMs).toBeLessThan(1500) // a second, and the end of the process
      const report = JSON.parse(stdout)
      expect(report).toMatchObject({
        verdict: 'fail',
        failure: { code: 'INTERRUPTED', message: `interrupted by ${signal}` },
      })
      expect(report.warnings.map(({ code }: { code: string }) => code)).not.toContain('ROWS_LEFT')
      expect(stderr).toBe('')
    },
  )

  it('by Ctrl-C in a terminal, which npm passes on a second time, ends as in order as by one signal', async () => {
    const probe = target.run(NPM, '--json')
    await target.until(WRITING, probe)
    const { code, stdout, tookMs } = await probe.interrupt('SIGINT', 'group')
    expect(code).toBe(130)
    expect(await target.rows()).toBe(0)
    expect(tookMs).toBeLessThan(1500)
    expect(JSON.parse(stdout)).toMatchObject({ failure: { code: 'INTERRUPTED' } })
  })

  it('by SIGHUP says so in the text, too', async () => {
    const probe = target.run(NODE)
    await target.until(WRITING, probe)
    const { code, stdout } = await probe.interrupt('SIGHUP')
    expect(code).toBe(130)
    expect(stdout).toMatch(/^connection-probe 1\.0\.0: FAIL at run, INTERRUPTED: interrupted by SIGHUP\nnext: /)
    expect(stdout).toMatch(/^× sequential-writes /m)
  })
})

describe('a probe that is interrupted while the table is locked', () => {
  const target = useTarget({ engine: 'postgresql' })
  const waitsFor = (part: string) =>
    `EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%${part}%')`
  const NOBODY = `NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'gateway_writer')`

  /** Runs `work` while nobody else can touch the table. */
  async function locked(work: () => Promise<void>) {
    const held = target.server
      .runAsRoot(`BEGIN; LOCK TABLE connection_probe; SELECT pg_sleep(60), 'the lock of this test'; COMMIT`)
      .catch(() => undefined)
    try {
      await work()
    } finally {
      await target.server.runAsRoot(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE query LIKE '%the lock of this test%' AND pid <> pg_backend_pid()`,
      )
      await held
    }
  }

  it('gives up after a second where rows cannot be removed, and says which they are', async () => {
    const probe = target.run(NODE, '--json')
    await target.until(WRITING, probe)
    let remedy = ''
    await locked(async () => {
      await target.until(waitsFor('insert'), probe)
      const { code, stdout, tookMs } = await probe.interrupt('SIGTERM')
      expect(code).toBe(130)
      expect(tookMs).toBeLessThan(4000)
      const left = JSON.parse(stdout).warnings.find(({ code }: { code: string }) => code === 'ROWS_LEFT')
      remedy = /DELETE FROM .*;/.exec(left.message)?.[0] ?? ''
    })
    await target.until(NOBODY)
    await target.server.runAsRoot(remedy)
    expect(await target.rows()).toBe(0)
  })

  it('ends at once at a second signal', async () => {
    const probe = target.run(NODE)
    await target.until(WRITING, probe)
    await locked(async () => {
      await target.until(waitsFor('insert'), probe)
      probe.child.kill('SIGINT')
      await target.until(waitsFor('on conflict'), probe)
      // Not the same signal come twice, but one more: as often as somebody presses the keys.
      const from = performance.now()
      const pressing = setInterval(() => probe.child.kill('SIGINT'), 50)
      const { code, stdout } = await probe.ended
      clearInterval(pressing)
      expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
      expect(performance.now() - from).toBeLessThan(700)
    })
    await target.until(NOBODY)
  })
})

describe('npm start that is interrupted', () => {
  let scratch: string
  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'interrupted-'))
    chmodSync(scratch, 0o1777) // the server's account must be able to write there
    return () => rmSync(scratch, { recursive: true })
  })

  const throwaways = () => readdirSync(scratch).filter(name => name.startsWith('connection-probe-'))
  const gone = () => Promise.all(throwaways().map(name => vanished(join(scratch, name))))

  it.each(['SIGINT', 'SIGTERM'] as const)('by %s while the server starts leaves nothing', async signal => {
    const watcher = watch(scratch)
    const run = start([...NPM, 'start'], { TMPDIR: scratch })
    while (throwaways().length === 0 && run.child.exitCode === null)
      await Promise.race([once(watcher, 'change'), run.ended])
    watcher.close()
    const { code, stderr, tookMs } = await run.interrupt(signal)
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' })
    expect(tookMs).toBeLessThan(1500)
    await gone()
  })

  it('while the probe writes reports, stops the server and removes it before it ends', async () => {
    const run = start([...NPM, 'start', '--', ...ENDLESS], { TMPDIR: scratch })
    await run.says('migrated as gateway_admin')
    const [directory = ''] = throwaways()
    const pidFile = ['data/postmaster.pid', 'pid-file'].map(name => join(scratch, directory, name)).find(existsSync)
    const pid = Number.parseInt(readFileSync(pidFile ?? '', 'utf8'), 10)
    expect(alive(pid)).toBe(true)
    const { code, stdout } = await run.interrupt('SIGINT')
    expect(code).toBe(130)
    expect(stdout).toContain('FAIL at run, INTERRUPTED')
    expect(existsSync(join(scratch, directory))).toBe(false)
    expect(alive(pid)).toBe(false)
  })
})
