/** drizzle.config.ts as drizzle-kit loads it: with no settings at all, and with those that migrate needs. */
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { createAuthority } from '../../src/development/throwaway/authority.ts'

vi.setConfig({ testTimeout: 90_000 })

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const KIT = join(dirname(createRequire(import.meta.url).resolve('drizzle-kit/api')), 'bin.cjs')
const URL_BASE = 'postgresql://gateway_admin@db.internal:26258/uro'

interface Ended {
  readonly code: number | string | null | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs node in the repository with this environment and nothing else. */
const runNode = (env: NodeJS.ProcessEnv, ...args: string[]): Promise<Ended> =>
  new Promise(resolve => {
    execFile(process.execPath, args, { cwd: REPOSITORY, env, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr })
    })
  })

/** The arguments that run a program with `command` where drizzle-kit has it. */
const evaluate = (program: string, command: string) => [
  '--import',
  'tsx',
  '--input-type=module',
  '--eval',
  program,
  '--',
  'drizzle-kit',
  command,
]

/** The names that the tests' server certificates carry, one each. */
const NAMES = ['db.internal', '*.internal', 'd*.internal', 'crdb.example', 'localhost', 'fdaa::3'] as const

/** The configuration that a drizzle-kit command would get, with the certificates that its name check accepts. */
const READ_CONFIG = `
  const { X509Certificate } = await import('node:crypto')
  const { default: config } = await import('./drizzle.config.ts')
  const ssl = config.dbCredentials?.ssl
  const certificates = JSON.parse(process.env.CERTIFICATES)
  const accepted = name =>
    ssl?.checkServerIdentity('localhost', new X509Certificate(certificates[name]).toLegacyObject()) === undefined
  console.log(JSON.stringify({ ...config, accepts: Object.keys(certificates).filter(accepted) }))
`
const readConfig = (command: string, env: NodeJS.ProcessEnv) =>
  runNode({ ...env, CERTIFICATES: JSON.stringify(servers) }, ...evaluate(READ_CONFIG, command))

let servers: Record<string, string>
let certificates: { CRDB_CA_CRT: string; CRDB_CLIENT_ADMIN_CRT: string; CRDB_CLIENT_ADMIN_KEY: string }
beforeAll(async () => {
  const authority = await createAuthority({ name: 'CA' })
  const { certificate, key } = await authority.issue({ commonName: 'gateway_admin', usages: ['clientAuth'] })
  const server = async (name: string) => {
    const names = isIP(name) ? { ipAddresses: [name] } : { dnsNames: [name] }
    return [name, (await authority.issue({ commonName: 'node', ...names })).certificate] as const
  }
  servers = Object.fromEntries(await Promise.all(NAMES.map(server)))
  certificates = {
    CRDB_CA_CRT: authority.certificate,
    CRDB_CLIENT_ADMIN_CRT: certificate,
    CRDB_CLIENT_ADMIN_KEY: key,
  }
})

describe.concurrent('with no environment', () => {
  test('drizzle-kit generate finds no changes', async () => {
    const { code, stdout, stderr } = await runNode({}, KIT, 'generate')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('No schema changes')
  })

  test('drizzle-kit check passes, whatever the URL is', async () => {
    const { code, stdout, stderr } = await runNode({ MIGRATION_DATABASE_URL: 'nonsense' }, KIT, 'check')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain("Everything's fine")
  })

  test('drizzle-kit migrate names what is missing', async () => {
    const { code, stderr } = await runNode({}, KIT, 'migrate')
    expect(code).toBe(1)
    expect(stderr).toMatch(/MIGRATION_DATABASE_URL/)
    expect(stderr).toMatch(/CRDB_CLIENT_ADMIN_CRT/)
  })
})

describe.concurrent('for migrate', () => {
  test.each(['migrate', 'push', 'pull', 'studio'])(
    '%s gets host, port, user, database and verified TLS',
    async command => {
      const { code, stdout, stderr } = await readConfig(command, { ...certificates, MIGRATION_DATABASE_URL: URL_BASE })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      const { dbCredentials, accepts } = JSON.parse(stdout)
      const { ssl, ...rest } = dbCredentials
      expect(rest).toEqual({ host: 'db.internal', port: 26258, user: 'gateway_admin', database: 'uro' })
      expect(ssl).toMatchObject({ rejectUnauthorized: true, minVersion: 'TLSv1.2', servername: 'db.internal' })
      expect(ssl.ca).toContain('BEGIN CERTIFICATE')
      expect(ssl.cert).toContain('BEGIN CERTIFICATE')
      expect(ssl.key).toContain('PRIVATE KEY')
      expect(accepts).toEqual(['db.internal', '*.internal'])
    },
  )

  test('CRDB_SNI is the name to send and to verify', async () => {
    const env = { ...certificates, MIGRATION_DATABASE_URL: URL_BASE, CRDB_SNI: 'crdb.example' }
    const { dbCredentials, accepts } = JSON.parse((await readConfig('migrate', env)).stdout)
    expect(dbCredentials).toMatchObject({ host: 'db.internal', ssl: { servername: 'crdb.example' } })
    expect(accepts).toEqual(['crdb.example'])
  })

  test('CRDB_SNI that is an address is verified, not sent', async () => {
    const env = { ...certificates, MIGRATION_DATABASE_URL: URL_BASE, CRDB_SNI: 'fdaa::3' }
    const { dbCredentials, accepts } = JSON.parse((await readConfig('migrate', env)).stdout)
    expect(dbCredentials.ssl).not.toHaveProperty('servername')
    expect(accepts).toEqual(['fdaa::3'])
  })

  test('generate gets no credentials though all are set', async () => {
    const { stdout } = await readConfig('generate', { ...certificates, MIGRATION_DATABASE_URL: URL_BASE })
    expect(JSON.parse(stdout)).not.toHaveProperty('dbCredentials')
  })

  test.each([
    ['an IPv6 literal', 'postgresql://gateway_admin@[fdaa::3]/uro', 'an IPv6 literal as the host'],
    ['a hostaddr', `${URL_BASE}?hostaddr=fdaa::3`, 'the parameter hostaddr'],
    ['several hosts', 'postgresql://gateway_admin@one.internal,two.internal/uro', 'several hosts'],
  ])('%s is refused by name', async (_what, url, says) => {
    const { code, stderr } = await runNode({ ...certificates, MIGRATION_DATABASE_URL: url }, KIT, 'migrate')
    expect(code).toBe(1)
    expect(stderr).toContain(`MIGRATION_DATABASE_URL has ${says}`)
    expect(stderr).not.toMatch(/BEGIN|PRIVATE/)
  })

  test('names resolve to IPv6 addresses only', async () => {
    const program = `
      import net from 'node:net'
      import dns from 'node:dns'
      const asked = []
      dns.lookup = (host, options, callback) => { asked.push(options.family); callback(new Error('enough')) }
      await import('./drizzle.config.ts')
      net.connect(1, 'db.internal').on('error', () => console.log(JSON.stringify(asked)))
    `
    const env = { ...certificates, MIGRATION_DATABASE_URL: URL_BASE }
    expect((await runNode(env, ...evaluate(program, 'migrate'))).stdout.trim()).toBe('[6]')
  })

  test('whatever form the arguments of a lookup have', async () => {
    const program = `
      import dns from 'node:dns'
      import { promisify } from 'node:util'
      const asked = []
      const note = options => asked.push(options.family)
      const { lookup } = dns
      dns.lookup = Object.defineProperties((host, options, callback) => {
        note(options)
        lookup('::1', options, callback)
      }, Object.getOwnPropertyDescriptors(lookup))
      dns.promises.lookup = async (host, options) => note(options)
      await import('./drizzle.config.ts')
      const call = (...options) => new Promise(done => dns.lookup('db.internal', ...options, (error, found) => done(found)))
      const found = [await call(), await call(4), await call(0), await call({ family: 4 }), await call({ all: true })]
      const { address } = await promisify(dns.lookup)('db.internal')
      await dns.promises.lookup('db.internal')
      await dns.promises.lookup('db.internal', 4)
      console.log(JSON.stringify([asked, found, address]))
    `
    const env = { ...certificates, MIGRATION_DATABASE_URL: URL_BASE }
    const { stdout, stderr } = await runNode(env, ...evaluate(program, 'studio'))
    expect(stderr).toBe('')
    const addresses = ['::1', '::1', '::1', '::1', [{ address: '::1', family: 6 }]]
    expect(JSON.parse(stdout)).toEqual([[6, 6, 6, 6, 6, 6, 6, 6], addresses, '::1'])
  })
})
