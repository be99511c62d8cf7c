/** What a deployment installs (`npm ci --omit=dev`): how little that is, and that it is enough. */
import { execFile } from 'node:child_process'
import { readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMANDS, loadCommands } from '../src/commands/index.ts'
import type { Throwaway } from '../src/development/throwaway/index.ts'
import { copyRepository } from './helpers/copy.ts'
import { TAGS } from './helpers/migrations.ts'
import { startServer } from './helpers/target.ts'

const ROOT = resolve(import.meta.dirname, '..')
const execute = promisify(execFile)

interface Lock {
  readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>
}
const readJson = <T>(...path: string[]): T => JSON.parse(readFileSync(join(...path), 'utf8'))

describe('a production install', () => {
  let copy: string
  let server: Throwaway
  beforeAll(async () => {
    copy = await copyRepository('production-')
    const install = execute('npm', ['ci', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: copy })
    const [started] = await Promise.all([startServer(), install])
    server = started
  }, 60_000)
  afterAll(async () => {
    rmSync(copy, { recursive: true })
    await server.stop()
  })

  /** Runs what an npm script there runs, with nothing in its environment but what is given. */
  async function script(name: string, words: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
    const { PATH, HOME } = process.env
    const run = execute(process.execPath, ['--import', 'tsx', 'src/cli.ts', name, ...words], {
      cwd: copy,
      env: { PATH, HOME, ...env },
    })
    return run.then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }) => ({ code: Number(code), stdout: String(stdout), stderr: String(stderr) }),
    )
  }

  it('holds drizzle-orm, postgres, tsx and its esbuild, and nothing else', () => {
    const { packages } = readJson<Lock>(copy, 'node_modules/.package-lock.json')
    // the workspace's own test/postgres is listed as well: a link whose place stays empty
    const names = Object.keys(packages).flatMap(path => path.split(/^node_modules\//).slice(1))
    const needed = ['drizzle-orm', 'esbuild', 'postgres', 'tsx']
    const platform = [
      `@esbuild/${process.platform}-${process.arch}`,
      ...(process.platform === 'darwin' ? ['fsevents'] : []),
    ]
    expect(names.sort()).toEqual([...platform, ...needed].sort())
    expect(() => createRequire(join(copy, 'src/')).resolve('pg')).toThrow(/Cannot find module/)
  })

  it('migrates and probes', async () => {
    const env = {
      DATABASE_URL: server.url('gateway_writer'),
      MIGRATION_DATABASE_URL: server.url('gateway_admin'),
      COCKROACH_CERTS_DIR: server.certsDir,
    }
    const migrate = await script('migrate', [], env)
    expect(migrate).toMatchObject({ code: 0, stderr: '' })
    expect(migrate.stdout).toContain(`applied ${TAGS.join(', ')}; `)
    const probe = await script('probe', ['--json'], env)
    expect(probe).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(probe.stdout)).toMatchObject({ verdict: 'pass' })
    const witness = await script('witness', ['--json', '--wait', '0'], env)
    expect(witness.code).toBe(1)
    expect(JSON.parse(witness.stdout)).toMatchObject({ command: 'witness', failure: { code: 'WITNESS_NO_ROW' } })
  })

  it('says that drizzle/ is incomplete, where it was left out of the copy', async () => {
    const away = join(copy, 'drizzle/0001_grants.away')
    renameSync(join(copy, 'drizzle/0001_grants.sql'), away)
    try {
      const env = { MIGRATION_DATABASE_URL: server.url('gateway_admin'), COCKROACH_CERTS_DIR: server.certsDir }
      const { code, stdout, stderr } = await script('migrate', [], env)
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      expect(stderr).toMatch(
        /^connection-probe 1\.0\.0: the migrations in drizzle\/ cannot be read: .*0001_grants.*\n$/,
      )
    } finally {
      renameSync(away, join(copy, 'drizzle/0001_grants.sql'))
    }
  })

  it('explains codes, prints the bootstrap and looks at certificates', async () => {
    const [explain, bootstrap, certs] = await Promise.all([
      script('explain', ['DDL_ALLOWED']),
      script('bootstrap', ['--engine', 'cockroach']),
      script('certs:check', [server.certsDir]),
    ])
    expect(explain).toMatchObject({ code: 0, stdout: expect.stringMatching(/^DDL_ALLOWED \(layer privilege\)\n/) })
    expect(bootstrap.stdout).toBe(readFileSync(join(ROOT, 'src/database/bootstrap/cockroachdb.sql'), 'utf8'))
    expect(certs).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing here would be refused') })
  })

  it('says of every other command in one line what it needs', async () => {
    const names = (await loadCommands()).flatMap(([name, { development }]) => (development ? [name] : []))
    expect(names).toEqual(expect.arrayContaining(['start', 'generate', 'schema:check', 'test']))
    await Promise.all(
      names.map(async name =>
        expect(await script(name)).toEqual({
          code: 2,
          stdout: '',
          stderr: `connection-probe 1.0.0: ${name} needs the development install (npm ci without --omit=dev)\n`,
        }),
      ),
    )
  })

  it('says so of npm test as well, before any of its tools is missed', async () => {
    const { PATH, HOME } = process.env
    const env = { PATH, HOME, npm_config_update_notifier: 'false' }
    await expect(execute('npm', ['-s', 'test'], { cwd: copy, env })).rejects.toMatchObject({
      code: 2,
      stdout: '',
      stderr: 'connection-probe 1.0.0: schema:check needs the development install (npm ci without --omit=dev)\n',
    })
  })
})

describe('package.json', () => {
  const { allowScripts, scripts } = readJson<Record<'allowScripts' | 'scripts', Record<string, unknown>>>(
    ROOT,
    'package.json',
  )

  it('allows the install scripts of every package that has one, and no others', () => {
    const { packages } = readJson<Lock>(ROOT, 'package-lock.json')
    const withScripts = Object.entries(packages).flatMap(([path, { hasInstallScript }]) =>
      hasInstallScript ? [path.replace(/^.*node_modules\//, '')] : [],
    )
    expect(Object.keys(allowScripts).sort()).toEqual([...new Set(withScripts)].sort())
  })

  it('has a script for every command, which becomes the process that signals reach', () => {
    for (const command of Object.keys(COMMANDS).filter(name => name !== 'test'))
      expect(scripts[command]).toBe(`exec node --import ./src/loader.mjs src/cli.ts ${command}`)
    // The tools one after the other; words for it are words for the last.
    expect(scripts.test).toMatch(
      /^node --import \.\/src\/loader\.mjs src\/cli\.ts schema:check && .* && exec vitest run --config \S+$/,
    )
  })
})
