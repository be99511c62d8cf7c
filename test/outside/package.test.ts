/** The package, as somebody gets it who has the tarball and an empty directory. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { copyRepository } from '../helpers/copy.ts'
import { migrated } from '../helpers/target.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const execute = promisify(execFile)
const TARBALL = 'connection-probe-1.0.0.tgz'

let copy: string
let empty: string
let server: Throwaway
beforeAll(async () => {
  copy = await copyRepository('connection-probe-package-')
  empty = mkdtempSync(join(tmpdir(), 'connection-probe-empty-'))
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  const pack = execute('npm', ['pack', '--pack-destination', empty, '--loglevel=error'], { cwd: copy })
  const [started] = await Promise.all([migrated(), pack])
  server = started
}, 60_000)
afterAll(async () => {
  for (const dir of [copy, empty]) rmSync(dir, { recursive: true })
  await server?.stop()
})

/** What somebody types there: `npx ./connection-probe-1.0.0.tgz WORDS`. */
async function npx(words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { PATH } = process.env
  // A home of its own: nothing that is installed here counts, and no registry is asked.
  const own = { PATH, HOME: join(copy, 'home'), npm_config_offline: 'true', npm_config_update_notifier: 'false' }
  const run = execute('npx', ['--yes', `./${TARBALL}`, ...words], { cwd: empty, env: { ...own, ...env } })
  return run.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code: Number(code), stdout: String(stdout), stderr: String(stderr) }),
  )
}

describe('npm pack', () => {
  it('holds the single file, README, LICENSE, and nothing else', async () => {
    const { stdout } = await execute('tar', ['tf', join(empty, TARBALL)])
    const files = ['LICENSE', 'README.md', 'dist/connection-probe.mjs', 'package.json'].map(file => `package/${file}`)
    expect(stdout.trim().split('\n').sort()).toEqual(files)
  })

  it('has a command, and nothing to install or to import', async () => {
    const { stdout } = await execute('tar', ['xOf', join(empty, TARBALL), 'package/package.json'])
    const manifest = JSON.parse(stdout)
    expect(manifest).toMatchObject({ bin: { 'connection-probe': 'dist/connection-probe.mjs' }, exports: {} })
    // so that nobody publishes it by accident
    expect(manifest.private).toBe(true)
    expect(Object.keys(manifest).filter(name => /dependencies|scripts/i.test(name))).toEqual([])
  })

  it('leaves package.json as it was', () => {
    const manifest = (dir: string) => readFileSync(join(dir, 'package.json'), 'utf8')
    expect(manifest(copy)).toBe(manifest(ROOT))
    expect(readdirSync(join(copy, 'dist'))).toEqual(['connection-probe.mjs'])
  })
})

describe('npx ./connection-probe-1.0.0.tgz', () => {
  it('probes, in a directory that holds nothing else', async () => {
    const env = { DATABASE_URL: server.url('gateway_writer') }
    const { code, stdout, stderr } = await npx(['probe', '--certs-dir', server.certsDir, '--json'], env)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'pass' })
    expect(readdirSync(empty)).toEqual([TARBALL])
  })

  it('says what is missing, with the words that are typed there', async () => {
    const { code, stdout } = await npx(['probe'])
    expect(code).toBe(2)
    expect(stdout).toContain('more: connection-probe explain CONFIG_MISSING')
    expect(await npx(['certs', server.certsDir])).toMatchObject({ code: 0 })
    expect((await npx(['explain', 'CONFIG_MISSING'])).stdout).toMatch(/^CONFIG_MISSING \(layer config\)/)
  })
})
