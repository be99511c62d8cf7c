/** `npm run build`: one file that plain Node runs in an empty directory, and does there what the tree does. */
import { execFile } from 'node:child_process'
import { readFileSync, rmSync, symlinkSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { build } from '../src/development/build.ts'
import type { Throwaway } from '../src/development/throwaway/index.ts'
import { copyRepository } from './helpers/copy.ts'
import { TAGS } from './helpers/migrations.ts'
import { check, startServer } from './helpers/target.ts'

const execute = promisify(execFile)
const ROOT = resolve(import.meta.dirname, '..')
const COMMIT = '0123456789abcdef0123456789abcdef01234567'

let dir: string
let server: Throwaway
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'connection-probe-bundle-'))
  await build(join(dir, 'connection-probe.mjs'))
  server = await startServer()
})
afterAll(async () => {
  await server.stop()
  await rm(dir, { recursive: true })
})

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Plain Node, in a directory that holds nothing but the file. */
const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}, node: readonly string[] = []) =>
  new Promise<Result>(resolve => {
    const options = { cwd: dir, env: { PATH: process.env.PATH, ...env } }
    const child = execFile(process.execPath, [...node, 'connection-probe.mjs', ...args], options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })

describe('the single file', () => {
  it('is one file', async () => {
    expect(await readdir(dir)).toEqual(['connection-probe.mjs'])
  })

  it('migrates with what it brings along, then probes', async () => {
    const env = { COCKROACH_CERTS_DIR: server.certsDir }
    const admin = { ...env, MIGRATION_DATABASE_URL: server.url('gateway_admin') }
    expect(await run(['migrate'], admin)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`applied ${TAGS.join(', ')};`),
    })
    expect(await run(['migrate'], admin)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^nothing to do;/) })
    const { code, stdout } = await run(['probe', '--certs-dir', server.certsDir, '--json'], {
      DATABASE_URL: server.url('gateway_writer'),
    })
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'pass', failure: null })
    expect(code).toBe(0)
  })

  it('fails with the same codes and exit codes', async () => {
    const { code, stdout } = await run(['probe', '--json'], {
      COCKROACH_CERTS_DIR: server.certsDir,
      DATABASE_URL: server.url('gateway_writer', 'nope'),
    })
    expect(code).toBe(1)
    expect(check(JSON.parse(stdout), 'database').failure?.code).toBe('DATABASE_MISSING')
    expect(await run(['probe'])).toMatchObject({ code: 2, stdout: expect.stringContaining('CONFIG_MISSING') })
    expect(await run(['probe', '--nope'])).toMatchObject({ code: 2, stdout: '' })
  })

  it('explains, prints the bootstrap, and says what needs the development install', async () => {
    expect((await run(['explain', 'DDL_ALLOWED'])).stdout).toContain(
      'REVOKE CREATE ON SCHEMA public FROM gateway_writer, public',
    )
    expect((await run(['bootstrap', '--engine', 'cockroach'])).stdout).toContain('gateway_writer')
    for (const command of ['start', 'generate', 'schema:check', 'test', 'build', 'bench'])
      expect(await run([command])).toMatchObject({ code: 2, stderr: expect.stringContaining('development install') })
  })

  it('has the licence of every package inside', () => {
    const text = readFileSync(join(dir, 'connection-probe.mjs'), 'utf8')
    for (const name of ['drizzle-orm', 'postgres']) {
      const { version, license } = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'))
      expect(text).toContain(`\n${name} ${version} (${license})`)
    }
    expect(text).toContain(readFileSync(join(ROOT, 'LICENSE'), 'utf8'))
    expect(text).toContain('TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION')
    expect(text).toContain('This is free and unencumbered software released into the public domain.')
  })

  it('has everything inside that a command imports when it runs', () => {
    const text = readFileSync(join(dir, 'connection-probe.mjs'), 'utf8').replace(/^\/\/# .*/m, '')
    const outside = [...text.matchAll(/\bimport\(\s*["'`]([^"'`]*)/g)].map(([, path = '']) => path)
    expect(outside.length).toBeGreaterThan(5)
    expect(outside.filter(path => !/^node:|\/development\/|\/test\//.test(path))).toEqual([])
  })

  it('is the same bytes wherever the repository lies and the file is written', async () => {
    const copy = await copyRepository('connection-probe-build-')
    try {
      symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
      const env = { ...process.env, CONNECTION_PROBE_COMMIT: COMMIT }
      const command = ['--import', 'tsx', 'src/cli.ts', 'build']
      await execute(process.execPath, command, { cwd: copy, env })
      const built = join(copy, 'dist/connection-probe.mjs')
      vi.stubEnv('CONNECTION_PROBE_COMMIT', COMMIT)
      const again = await build(join(copy, 'deep/er/again.mjs'))
      expect(readFileSync(built).equals(readFileSync(again))).toBe(true)
      const { stdout } = await execute(built, ['--version'])
      expect(stdout).toBe(`connection-probe 1.0.0 (commit ${COMMIT})\n`)
    } finally {
      vi.unstubAllEnvs()
      rmSync(copy, { recursive: true })
    }
  })

  it('prints a bug, with the lines of the source where that is asked for', async () => {
    const broken = `data:text/javascript,${encodeURIComponent(
      "import crypto from 'node:crypto'; import { syncBuiltinESMExports } from 'node:module'; crypto.randomUUID = () => { throw new TypeError('broken on purpose') }; syncBuiltinESMExports()",
    )}`
    const { code, stderr } = await run(['probe'], {}, ['--import', broken])
    expect(code).toBe(70)
    expect(stderr).toMatch(/broken on purpose\n {4}at .*NODE_OPTIONS=--enable-source-maps/s)
    const mapped = await run(['probe'], {}, ['--enable-source-maps', '--import', broken])
    expect(mapped.stderr).toMatch(/src\/cli\.ts:\d+:\d+/)
    expect(mapped.stderr).not.toContain('NODE_OPTIONS')
  })
})
