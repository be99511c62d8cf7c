import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAuthority } from '../../src/development/throwaway/authority.ts'
import { CODES } from '../../src/failure/codes.ts'
import { type ConfigInput, DEFAULT_OPTIONS, type Loaded, loadConfig, SYSTEM_NAMES } from '../../src/settings/config.ts'

const URL = 'postgresql://gateway_writer@db.internal:26258/uro?sslmode=verify-full'
let env: NodeJS.ProcessEnv
let dir: string

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'probe-config-'))
  const ca = await createAuthority({ name: 'CA' })
  const { certificate, key } = await ca.issue({ commonName: 'gateway_writer', usages: ['clientAuth'] })
  const admin = await ca.issue({ commonName: 'gateway_admin', usages: ['clientAuth'] })
  writeFileSync(join(dir, 'ca.crt'), ca.certificate)
  writeFileSync(join(dir, 'client.gateway_writer.crt'), certificate)
  writeFileSync(join(dir, 'client.gateway_writer.key'), key, { mode: 0o600 })
  mkdirSync(join(dir, 'empty'))
  env = {
    DATABASE_URL: URL,
    MIGRATION_DATABASE_URL: 'postgresql://gateway_admin@db.internal:26258/uro',
    CRDB_CA_CRT: ca.certificate,
    CRDB_CLIENT_WRITER_CRT: certificate,
    CRDB_CLIENT_WRITER_KEY: key,
    CRDB_CLIENT_ADMIN_CRT: admin.certificate,
    CRDB_CLIENT_ADMIN_KEY: admin.key,
  }
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const load = (changes: NodeJS.ProcessEnv = {}, more: Partial<ConfigInput> = {}): Loaded =>
  loadConfig({ role: 'writer', env: { ...env, ...changes }, ...more })

function config(loaded: Loaded) {
  if (!loaded.ok) throw loaded.error
  return loaded.config
}
function refused(loaded: Loaded) {
  if (loaded.ok) throw new Error('was taken')
  return loaded
}
const problems = (loaded: Loaded) => refused(loaded).error.problems?.map(({ name, code }) => `${name} ${code}`)

describe('good settings', () => {
  test('become one frozen value', () => {
    const loaded = config(load())
    expect(loaded).toMatchObject({
      role: 'writer',
      hosts: [{ host: 'db.internal', port: 26258, hostaddr: null, tlsName: 'db.internal' }],
      user: 'gateway_writer',
      database: 'uro',
      options: DEFAULT_OPTIONS,
      names: SYSTEM_NAMES,
      principals: ['gateway_writer'],
      identityMatches: true,
      evidence: { passedOver: [] },
    })
    expect(loaded.warnings.map(({ code }) => code)).toEqual(['ADMIN_CREDENTIALS_PRESENT'])
    const thawed = (value: unknown): boolean =>
      typeof value === 'object' && value !== null && (!Object.isFrozen(value) || Object.values(value).some(thawed))
    expect(thawed(loaded)).toBe(false)
  })

  test('have evidence without anything secret', () => {
    const { evidence } = config(load())
    expect(evidence).toMatchObject({
      sslmode: 'verify-full',
      certificateSource: 'CRDB_CA_CRT, CRDB_CLIENT_WRITER_CRT, CRDB_CLIENT_WRITER_KEY',
      keyMatches: true,
    })
    expect(JSON.stringify(evidence)).not.toMatch(/BEGIN|PRIVATE/)
  })

  test('of the admin are others', () => {
    expect(config(load({}, { role: 'admin' }))).toMatchObject({ role: 'admin', user: 'gateway_admin', warnings: [] })
    expect(problems(load({ MIGRATION_DATABASE_URL: '' }, { role: 'admin' }))).toEqual([
      'MIGRATION_DATABASE_URL CONFIG_MISSING',
    ])
  })

  test('take options over the defaults', () => {
    const options = { writes: 5, keep: true, certsDir: dir }
    const loaded = config(load({}, { options }))
    expect(loaded.options).toEqual({ ...DEFAULT_OPTIONS, ...options })
    expect(loaded.evidence).toMatchObject({
      certificateSource: '--certs-dir',
      passedOver: ['CRDB_CA_CRT, CRDB_CLIENT_WRITER_CRT, CRDB_CLIENT_WRITER_KEY'],
    })
  })

  test('say what is verified: the host, or CRDB_SNI', () => {
    const names = (host: string, sni?: string) =>
      config(load({ DATABASE_URL: `postgresql://u@${host}/d`, CRDB_SNI: sni })).hosts.map(({ tlsName }) => tlsName)
    expect(names('a.internal.,[fe80::1%25eth0]')).toEqual(['a.internal', 'fe80::1'])
    expect(names('a,b', 'c.internal')).toEqual(['c.internal', 'c.internal'])
    expect(names('a', '127.0.0.1')).toEqual(['127.0.0.1'])
    expect(names('a', 'fdaa::3')).toEqual(['fdaa::3'])
    expect(names('a', '')).toEqual(['a'])
  })

  test('say whom the client certificate names, and whether the user is one of them', () => {
    const loaded = config(load({ DATABASE_URL: 'postgresql://somebody@h/d' }))
    expect([loaded.principals, loaded.identityMatches]).toEqual([['gateway_writer'], false])
  })

  test('name their origin', () => {
    const fly = { FLY_APP_NAME: 'uro', FLY_REGION: 'ams', FLY_MACHINE_ID: '', FLY_PRIVATE_IP: 'fdaa::9' }
    expect(config(load(fly)).origin).toEqual({
      hostname: hostname(),
      app: 'uro',
      region: 'ams',
      machine: null,
      privateIp: 'fdaa::9',
    })
  })
})

describe('settings with one fault', () => {
  test.each<[string, NodeJS.ProcessEnv, string]>([
    ['no URL', { DATABASE_URL: undefined }, 'DATABASE_URL CONFIG_MISSING'],
    ['an empty URL', { DATABASE_URL: '' }, 'DATABASE_URL CONFIG_MISSING'],
    ['a weaker sslmode', { DATABASE_URL: 'postgresql://u@h/d?sslmode=require' }, 'DATABASE_URL CONFIG_INSECURE'],
    ['an IPv4 host', { DATABASE_URL: 'postgresql://u@10.0.0.1/d' }, 'DATABASE_URL CONFIG_NOT_IPV6'],
    ['a SNI that is no name', { CRDB_SNI: 'a b' }, 'CRDB_SNI CONFIG_INVALID'],
    ['a SNI in brackets', { CRDB_SNI: '[::1]' }, 'CRDB_SNI CONFIG_INVALID'],
    ['a SNI with a port', { CRDB_SNI: 'a:1' }, 'CRDB_SNI CONFIG_INVALID'],
    ['a SNI in a notation nobody verifies', { CRDB_SNI: '127.1' }, 'CRDB_SNI CONFIG_INVALID'],
    ['a garbage CA', { CRDB_CA_CRT: 'garbage' }, 'CRDB_CA_CRT CERT_INVALID'],
    ['no key', { CRDB_CLIENT_WRITER_KEY: '' }, 'CRDB_CLIENT_WRITER_KEY CONFIG_MISSING'],
  ])('%s', (_, changes, problem) => {
    expect(problems(load(changes))).toEqual([problem])
  })

  test.each([
    ['writes', 1],
    ['writes', 2.5],
    ['writes', Number.NaN],
    ['visibleWithinMs', 0],
    ['deadlineMs', Number.POSITIVE_INFINITY],
    ['waitMs', -1],
  ])('the option %s = %s', (name, value) => {
    expect(problems(load({}, { options: { [name]: value } }))).toEqual([`${name} CONFIG_INVALID`])
  })

  test('an empty --certs-dir', () => {
    expect(problems(load({}, { options: { certsDir: join(dir, 'empty') } }))).toEqual([
      '--certs-dir CERT_UNREADABLE',
      '--certs-dir CERT_UNREADABLE',
      '--certs-dir CERT_UNREADABLE',
    ])
  })
})

test('all faults at once: one error, the code of the first, every setting named', () => {
  const loaded = refused(
    load({
      DATABASE_URL: 'postgresql://gateway_writer:S3cr3t@db.internal:5/uro?sslmode=prefer&foo=1',
      CRDB_SNI: '!',
      CRDB_CA_CRT: 'garbage',
      CRDB_CLIENT_WRITER_KEY: env.CRDB_CLIENT_ADMIN_KEY,
    }),
  )
  expect(problems(loaded)).toEqual([
    'DATABASE_URL CONFIG_INSECURE',
    'DATABASE_URL CONFIG_INVALID',
    'DATABASE_URL CONFIG_INSECURE',
    'CRDB_SNI CONFIG_INVALID',
    'CRDB_CA_CRT CERT_INVALID',
    'CRDB_CLIENT_WRITER_KEY KEY_MISMATCH',
  ])
  const failure = loaded.error.toFailure()
  expect(failure).toMatchObject({ code: 'CONFIG_INSECURE', layer: 'config', sqlstate: null })
  expect(failure.causes).toHaveLength(6)
  for (const { name, message } of failure.causes) expect(failure.message).toContain(`${name} ${message}`)
  expect(JSON.stringify([failure, loaded.target, loaded.error.evidence, loaded.error.stack])).not.toMatch(
    /S3cr3t|BEGIN/,
  )
  expect(loaded.target).toEqual({
    host: 'db.internal',
    port: 5,
    database: 'uro',
    user: 'gateway_writer',
    tlsName: 'db.internal',
    address: null,
    engine: null,
  })
})

test('any settings give a configuration or a config failure, and never throw', () => {
  const value = fc.oneof(fc.string(), fc.constantFrom('', URL, '/x', dir, 'a'.repeat(5000), '\0'))
  const names = ['DATABASE_URL', 'CRDB_SNI', 'CRDB_CA_CRT', 'CRDB_CLIENT_WRITER_CRT', 'CRDB_CLIENT_WRITER_KEY']
  const more = [
    'CRDB_CA_CERT',
    'CRDB_CLIENT_CERT',
    'CRDB_CLIENT_KEY',
    'COCKROACH_CERTS_DIR',
    'PGSSLKEY',
    'CRDB_ADMIN_KEY',
  ]
  const settings = fc.record(Object.fromEntries([...names, ...more].map(name => [name, value])), { requiredKeys: [] })
  fc.assert(
    fc.property(settings, fc.option(value), (changes, certsDir) => {
      const loaded = load(changes, { options: { certsDir } })
      if (!loaded.ok) expect(CODES[loaded.error.code].layer).toBe('config')
    }),
    { numRuns: 500 },
  )
})

test("the system's name service is getaddrinfo, one family at a time", async () => {
  expect(await SYSTEM_NAMES.lookup('::1', 6)).toEqual(['::1'])
  expect(await SYSTEM_NAMES.lookup('127.0.0.1', 4)).toEqual(['127.0.0.1'])
  expect(SYSTEM_NAMES.servers).toBeNull()
})
