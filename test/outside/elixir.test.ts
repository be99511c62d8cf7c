/**
 * The Elixir that is printed, by a real Elixir: it parses, and, evaluated with stand-ins for Ecto and the repository that
 * do what Ecto was measured to do, it has a client write the row that the witness waits for. Then the command that is
 * printed for a machine on Fly, with a stand-in for the release, in the shells that may be there.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { rowIdOf } from '../../src/checks/witness/row-id.ts'
import { elixirExpression, instructions, machineScript } from '../../src/commands/back-end.ts'
import { findCockroach, type Throwaway } from '../../src/development/throwaway/index.ts'
import { writerConfig } from '../helpers/probe.ts'
import { PSQL_OPTIONS, psqlVariables, startPsql } from '../helpers/psql.ts'
import { migrated } from '../helpers/target.ts'
import { expectVerdict } from '../helpers/verdict.ts'
import { newIds, runWitness } from '../helpers/witness.ts'

const execute = promisify(execFile)

/** Whether a program is there; where it is not, that is said, and in CI it fails. */
function isThere(name: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(name, args, { stdio: 'ignore' })
    return true
  } catch {
    const line = `${name} is not tried: it is not installed (Debian's package ${name})\n`
    if (process.env.CI === 'true') throw new Error(line)
    process.stderr.write(line)
    return false
  }
}
const hasElixir = isThere('elixir', '--version')
const SHELLS = [['sh'], ...(isThere('busybox', 'true') ? [['busybox', 'sh']] : [])]
const ENGINES = ['postgresql', 'cockroachdb'] as const
const RUNNING = ENGINES.filter(engine => engine === 'postgresql' || findCockroach() !== null)

/** What the expression needs of the back end. A statement goes to stdout, for the test to have it run. */
const STAND_INS = `
defmodule Uro.Repo do
  def checkout(fun), do: fun.()
  def exists?("connection_probe"), do: true
  def query!(sql, []), do: IO.puts(sql)
end
defmodule Ecto.Migrator do
  def with_repo(repo, fun, pool_size: 1), do: {:ok, fun.(repo), []}
end
`

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'witness-elixir-'))
  writeFileSync(join(dir, 'stand-ins.exs'), STAND_INS)
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe.skipIf(!hasElixir)('the expression', () => {
  it.each(ENGINES)('for %s parses', async engine => {
    const ids = { engine, runId: '39bfb1e7-63f8-4336-a42e-7f32e8f250e4', rowId: rowIdOf(newIds(engine).runId) }
    const parse = 'System.argv() |> hd() |> Code.string_to_quoted!() |> Macro.to_string() |> IO.puts()'
    const { stdout } = await execute('elixir', ['-e', parse, '--', elixirExpression(ids)])
    expect(stdout).toMatch(/^write =\n? +fn repo, pool ->/)
    await expect(execute('elixir', ['-e', parse, '--', `${elixirExpression(ids)})`])).rejects.toThrow('SyntaxError')
  })

  describe.each(RUNNING)('before %s', engine => {
    let server: Throwaway
    beforeAll(async () => {
      server = await migrated({ engine, ...(engine === 'postgresql' && { template: inject('template') }) })
    })
    afterAll(() => server?.stop())

    it.each([
      ['one-off', '', 'a pool made for this: the configuration, not the running pool (told by the client)'],
      ['running', 'Process.register(self(), Uro.Repo); ', "the running application's own pool (told by the client)"],
    ])('evaluated in a %s release, has its row witnessed', { timeout: 60_000 }, async (_, before, proves) => {
      const ids = newIds(engine)
      await using psql = await startPsql(server)
      const evaluate = `${before}System.argv() |> hd() |> Code.eval_string()`
      const backEnd = async () => {
        const args = ['-r', join(dir, 'stand-ins.exs'), '-e', evaluate, '--', elixirExpression(ids)]
        const child = spawn('elixir', args, { stdio: ['ignore', 'pipe', 'inherit'] })
        const ended = once(child, 'close')
        for await (const line of createInterface(child.stdout))
          if (line.startsWith('INSERT')) await psql.run(`${line};`)
        const [code] = await ended
        expect(code).toBe(0)
      }
      // It has ended, 3 s after the row was written, before the witness looks again.
      const report = await runWitness(writerConfig(server, { waitMs: 60_000, visibleWithinMs: 60_000 }), {
        ids,
        backEnd,
      })
      expectVerdict(report, {
        seen: {
          'back-end-session': { address: '::1', proves },
          'back-end-unnamed': { named: 0, after: 'an Ecto query' },
        },
      })
    })
  })
})

describe('what is printed for psql', () => {
  it('as it stands, on stdin, has its row witnessed', async () => {
    await using server = await migrated({ engine: 'postgresql', template: inject('template') })
    const ids = newIds('postgresql')
    const text = instructions(ids, { app: null, waitMs: 30_000 })
    const [lines = ''] = /^INSERT .*;\n\\! sleep \d+\n/m.exec(text) ?? []
    const { host: hostaddr, port, database } = server
    const env = psqlVariables(server, { user: 'gateway_writer', hostaddr, port, database })
    const child = spawn('psql', PSQL_OPTIONS, { env, stdio: ['pipe', 'inherit', 'inherit'] })
    const ended = once(child, 'close')
    // Not awaited: its session must be there while the row is looked for.
    const backEnd = async () => void child.stdin.end(lines)
    expectVerdict(
      await runWitness(writerConfig(server, { waitMs: 30_000, visibleWithinMs: 5_000 }), { ids, backEnd }),
      {},
    )
    expect(await ended).toEqual([0, null])
  })
})

describe.skipIf(!hasElixir)('in a machine of the back end', () => {
  const PEM = '-----BEGIN CERTIFICATE-----\nof two lines, "quoted", $HOME\n-----END CERTIFICATE-----\n'

  it.each(SHELLS.map(shell => [shell.join(' '), shell] as const))(
    'by %s, the release evaluates it with the environment of the running server',
    { timeout: 60_000 },
    async (_, [shell = 'sh', ...words]) => {
      // The binary of the image, which names the directory of its release; and what is in there.
      const write = (name: string, text: string) => {
        writeFileSync(join(dir, name), `#!/bin/sh\n${text}\n`)
        chmodSync(join(dir, name), 0o755)
      }
      execFileSync('mkdir', ['-p', join(dir, 'bin')])
      write('uro', `[ "$*" = "maintenance directory" ] && cat && echo ${dir}`)
      write('bin/uro', `printf '%s\\0' "$@" "$CRDB_CLIENT_WRITER_CRT" "$ONLY_HERE" >${dir}/said`)
      const server = spawn('elixir', ['-e', 'IO.puts("up"); Process.sleep(:infinity)'], {
        env: { PATH: process.env.PATH, HOME: dir, DATABASE_URL: 'postgresql://x', CRDB_CLIENT_WRITER_CRT: PEM },
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      const applets = join(dir, 'applets')
      if (shell === 'busybox') execFileSync('sh', ['-c', `mkdir -p ${applets} && busybox --install -s ${applets}`])
      try {
        await once(server.stdout, 'data')
        const expression = elixirExpression(newIds('cockroachdb'))
        const child = spawn(shell, words, {
          env: { PATH: `${dir}:${shell === 'busybox' ? `${applets}:` : ''}${process.env.PATH}`, ONLY_HERE: '' },
          stdio: ['pipe', 'inherit', 'inherit'],
        })
        // As `| sh` gets it: on stdin, which nothing that it runs may read.
        child.stdin.end(machineScript(expression))
        const [code] = await once(child, 'close')
        expect(code).toBe(0)
        expect(readFileSync(join(dir, 'said'), 'utf8').split('\0')).toEqual(['eval', expression, PEM, '', ''])
      } finally {
        const closed = once(server, 'close')
        server.kill('SIGKILL')
        await closed
      }
    },
  )

  it('says that no server runs, where none does', async () => {
    // A server without the variable is none of ours.
    const running = execute('sh', ['-c', machineScript('1').replaceAll('DATABASE_URL', 'NO_SUCH_VARIABLE_ANYWHERE')])
    await expect(running).rejects.toMatchObject({
      code: 1,
      stderr: 'no running beam.smp has NO_SUCH_VARIABLE_ANYWHERE\n',
    })
  })
})
