/** `npm run witness` as a process: what it prints where, and its exit codes. */
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { rowIdOf } from '../../src/checks/witness/row-id.ts'
import { readArguments } from '../../src/commands/arguments.ts'
import type { Program } from '../../src/commands/command.ts'
import { UsageError } from '../../src/commands/usage.ts'
import { witness } from '../../src/commands/witness.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import type { Report } from '../../src/report/report.ts'
import { type Psql, startPsql } from '../helpers/psql.ts'
import { cli, migrated, startCli } from '../helpers/target.ts'
import { expectVerdict } from '../helpers/verdict.ts'
import { newIds } from '../helpers/witness.ts'

const engine = inject('engine')
let server: Throwaway
let psql: Psql
let env: NodeJS.ProcessEnv
beforeAll(async () => {
  server = await migrated()
  psql = await startPsql(server)
  env = { DATABASE_URL: server.url('gateway_writer'), COCKROACH_CERTS_DIR: server.certsDir }
})
afterAll(async () => {
  await psql?.end()
  await server?.stop()
})

/** A process around a command that is run in this one. */
const programOf = (more: Partial<Program> = {}): Program => ({
  name: 'connection-probe test',
  print: async () => undefined,
  unwritten: () => undefined,
  note: () => undefined,
  commands: async () => [],
  colour: false,
  columns: null,
  draw: null,
  interruption: () => new AbortController().signal,
  ...more,
})

const RUN_ID = '39bfb1e7-63f8-4336-a42e-7f32e8f250e4'

describe('npm run witness', () => {
  it('says on stderr what to run, waits for its row, and prints a report and nothing else on stdout', async () => {
    const { child, result } = startCli(['witness', '--json', '--wait', '60'], env)
    let said = ''
    child.stderr.setEncoding('utf8').on('data', text => {
      said += text
    })
    const statement = () => /^INSERT INTO .*;$/m.exec(said)?.[0]
    while (statement() === undefined && child.exitCode === null) await once(child.stderr, 'data')
    await psql.run(statement() ?? '')
    const { code, stdout, stderr } = await result
    const report: Report = JSON.parse(stdout)
    expectVerdict(report, {})
    expect({ code, command: report.command, schemaVersion: report.schemaVersion }).toEqual({
      code: 0,
      command: 'witness',
      schemaVersion: 1,
    })
    expect(stderr).toMatch(/^waiting 60 s for a row that the back end writes /)
    expect(stderr).toContain(report.runId)
    // Every way of it, and whether it was tried.
    for (const way of [
      'fly ssh console -a multiplayer-fabric-uro -C "sh -c ',
      'bin/uro rpc "$E" ',
      'mix run --no-start -e "$E" ',
    ])
      expect(stderr).toContain(`\n${way}`)
    expect(stderr.match(/\(measured\)|\(not measured\)|\(not run on Fly\)/g)).toHaveLength(6)
    // No terminal: no line that rewrites itself.
    expect(stderr).not.toContain('\r')
  })

  it('fails with exit code 1, the code and the next step, where no row comes', async () => {
    const { code, stdout } = await cli(['witness', '--wait', '0.2', '--run-id', RUN_ID.toUpperCase()], env)
    expect(code).toBe(1)
    const [first, second] = stdout.split('\n')
    expect(first).toBe(
      `connection-probe 1.0.0 witness: FAIL at witness, WITNESS_NO_ROW: the row of run ${RUN_ID} did not come within 0.2 s`,
    )
    expect(second).toMatch(/^next: /)
  })

  it('ends at Ctrl-C within a second, with a report and exit code 130', async () => {
    const { child, result } = startCli(['witness', '--json'], env)
    await once(child.stderr, 'data')
    const from = performance.now()
    child.kill('SIGINT')
    const { code, stdout } = await result
    expect(performance.now() - from).toBeLessThan(1500)
    expect(code).toBe(130)
    expect(JSON.parse(stdout)).toMatchObject({ command: 'witness', failure: { code: 'INTERRUPTED' } })
  })

  it('has a report of its own checks where the settings are wrong, and exit code 2', async () => {
    const { code, stdout, stderr } = await cli(['witness', '--json', '--app', 'uro', '--run-id', RUN_ID])
    const report: Report = JSON.parse(stdout)
    expect({ code, stderr, runId: report.runId }).toEqual({ code: 2, stderr: '', runId: RUN_ID })
    expectVerdict(report, { check: 'config', code: 'CONFIG_MISSING', hint: /./ })
    expect(report.checks.find(({ id }) => id === 'back-end-session')?.title).toMatch(/from a machine of uro$/)
  })

  it.each([
    [['--run-id', 'x'], '--run-id wants a UUID, not "x"'],
    [['--app', 'uro.internal'], '--app wants the name of an app, without .internal, not "uro.internal"'],
    [['--app', ''], '--app wants the name of an app, without .internal, not ""'],
    [['--print', 'ruby'], '--print wants elixir or sql, not "ruby"'],
    [['--print', 'sql', '--output', 'a.txt'], '--print waits for no row and makes no report: leave out --output'],
    [['--print', 'sql', '--json'], '--print waits for no row and makes no report: leave out --json'],
    [['--print', 'elixir', '--app', 'uro'], '--print waits for no row and makes no report: leave out --app'],
    [['--wait', 'x'], '--wait wants a number from 0 to 2147483, not "x"'],
    [['--writes', '3'], 'witness has no option --writes'],
    [['--runid', RUN_ID], "Unknown option '--runid'; did you mean --run-id?"],
    [['x'], '"x" is one word too many for witness'],
  ])('%j is bad usage', async (words, line) => {
    const usage = async () => witness.run(await readArguments(['witness', ...words]), programOf())
    await expect(usage()).rejects.toThrow(line)
    await expect(usage()).rejects.toBeInstanceOf(UsageError)
  })
})

describe('--print', () => {
  it('sql is a statement for the engine that answers, which its run then waits for', async () => {
    const ids = newIds(engine)
    const printed = await cli(['witness', '--print', 'sql', '--run-id', ids.runId], env)
    expect(printed).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^INSERT INTO public\.connection_probe [^\n]*;\n$/),
      stderr: `its session must stay open for some seconds afterwards, in psql: \\! sleep 3\nits row is awaited by: connection-probe witness --run-id ${ids.runId}\n`,
    })
    await psql.run(printed.stdout)
    const { stdout } = await cli(['witness', '--json', '--run-id', ids.runId], env)
    // By now it may be late; but it is this row, and this session.
    const { checks } = JSON.parse(stdout) as Report
    expect(checks.filter(({ layer }) => layer === 'witness').map(({ status }) => status)).toEqual(['passed', 'passed'])
  })

  it('elixir is an expression with the same ids, in one line', async () => {
    const { code, stdout } = await cli(['witness', '--print', 'elixir', '--run-id', RUN_ID], env)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^write = fn [^\n']*\n$/)
    expect(stdout).toContain(`$$${RUN_ID}$$`)
    expect(stdout).toContain(`$$${rowIdOf(RUN_ID)}$$`)
  })

  it('is for CockroachDB where no database answers, and says so', async () => {
    const { code, stdout, stderr } = await cli(['witness', '--print', 'sql'])
    expect({ code, sql: stdout.includes('[SHOW SESSIONS]') }).toEqual({ code: 0, sql: true })
    expect(stderr).toMatch(
      /^no database was asked what it is \(CONFIG_MISSING\): this is for CockroachDB\nits session must stay open [^\n]*\nits row is awaited by: /,
    )
    const url = 'postgresql://gateway_writer@[::1]:9/uro?sslmode=verify-full'
    const refused = await cli(['witness', '--print', 'sql'], { ...env, DATABASE_URL: url })
    expect(refused).toMatchObject({ code: 0, stderr: expect.stringContaining('(TCP_REFUSED)') })
  })
})

it('on a terminal says on one line what is awaited and how long still, and takes it away again', async () => {
  const drawn: string[] = []
  const printed: string[] = []
  const before = { ...process.env }
  Object.assign(process.env, env)
  try {
    const program = {
      print: async (text: string) => void printed.push(text),
      draw: (text: string) => void drawn.push(text),
    }
    const code = await witness.run({ flags: { wait: '1.2' }, words: [] }, programOf(program))
    expect(code).toBe(1)
  } finally {
    for (const name of Object.keys(process.env)) if (!Object.hasOwn(before, name)) delete process.env[name]
    Object.assign(process.env, before)
  }
  const line = (left: number) => `\r\u001b[Kwaiting for the row of the back end, ${left} s left`
  expect(drawn).toEqual([line(2), line(1), '\r\u001b[K'])
  expect(printed).toHaveLength(1)
})
