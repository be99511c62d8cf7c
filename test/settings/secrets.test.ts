/**
 * Secrets in the wrong setting: what came from the environment is in no field of any report, and in no line of the
 * program, if it is key material (PEM, its base64 lines) or follows `password`.
 */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { redact } from '../../src/failure/error.ts'
import { quotePath } from '../../src/settings/pem.ts'
import { printedOfRefused } from '../helpers/refused.ts'
import { cli } from '../helpers/target.ts'

const PASSWORD = 'hunter2secret'
const KEYS = {
  'EC, PKCS#8': generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
  'EC, SEC 1': generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'sec1', format: 'pem' }),
  Ed25519: generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
  RSA: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs1', format: 'pem' }),
}
const linesOf = (key: string | Buffer) => String(key).trim().split('\n').slice(1, -1)

const both = (text: string) => ({ DATABASE_URL: text, MIGRATION_DATABASE_URL: text })
const paths = (value: string) => ({
  ...{ CRDB_CA_CERT: value, CRDB_CLIENT_CERT: value, CRDB_CLIENT_KEY: value },
  ...{ CRDB_ADMIN_CERT: value, CRDB_ADMIN_KEY: value },
})

/** Where a value may land. */
const PLACES: Readonly<Record<string, (value: string) => string>> = {
  'a path': value => printedOfRefused(paths(value)),
  COCKROACH_CERTS_DIR: value => printedOfRefused({ COCKROACH_CERTS_DIR: value }),
  '--certs-dir': value => printedOfRefused({}, value),
  CRDB_SNI: value => printedOfRefused({ CRDB_SNI: value }),
  FLY_REGION: value => printedOfRefused({ FLY_REGION: value }),
  FLY_APP_NAME: value => printedOfRefused({ FLY_APP_NAME: value }),
  FLY_MACHINE_ID: value => printedOfRefused({ FLY_MACHINE_ID: value }),
  FLY_PRIVATE_IP: value => printedOfRefused({ FLY_PRIVATE_IP: value }),
  'the URL': value => printedOfRefused(both(value)),
  'the user': value => printedOfRefused(both(`postgresql://${encodeURIComponent(value)}@h/uro`)),
  'the host': value => printedOfRefused(both(`postgresql://u@${encodeURIComponent(value)}/uro`)),
  'the database': value => printedOfRefused(both(`postgresql://u@h/${encodeURIComponent(value)}`)),
  sslkey: value =>
    printedOfRefused(both(`postgresql://u@h/uro?sslrootcert=/x&sslcert=/x&sslkey=${encodeURIComponent(value)}`)),
  "a parameter's name": value => printedOfRefused(both(`postgresql://u@h/uro?${encodeURIComponent(value)}=1`)),
}

describe.each(Object.entries(PLACES))('in %s', (_place, say) => {
  test.each(Object.entries(KEYS))('no line of a key is printed: %s', (_kind, key) => {
    // The last line may be a few letters.
    const lines = linesOf(key).filter(line => line.length >= 24)
    for (const line of [lines[0], lines[1], lines.at(-1)].filter(line => line !== undefined))
      expect(say(line)).not.toContain(line.slice(2, 18))
  })

  test('nothing that follows password is printed', () => {
    for (const value of [`password=${PASSWORD}`, `password = ${PASSWORD}`, `PGPASSWORD=${PASSWORD}`, `pwd:${PASSWORD}`])
      expect(say(value)).not.toContain(PASSWORD)
  })
})

test.each([
  `?password=x&${PASSWORD}=1`,
  `?password=x&${PASSWORD}`,
  `?sslmode=verify-full&password=x&${PASSWORD}=y&ssl=1`,
  `?passwd=x&${PASSWORD}=1`,
  `?sslpassword=x&y&${PASSWORD}=1`,
])('a password with an unescaped & is not quoted: %s', query => {
  expect(printedOfRefused(both(`postgresql://u@h/uro${query}`))).not.toContain(PASSWORD)
})

test('as a process: a line of a key for a path, and a password as the region', async () => {
  const [, line = ''] = linesOf(KEYS.RSA)
  const env = { ...paths(line), ...both('postgresql://u@[::1]/uro'), FLY_REGION: `password ${PASSWORD}` }
  for (const words of [
    ['probe'],
    ['probe', '--json'],
    ['migrate'],
    ['probe', '--writes', line],
    ['certs:check', line],
  ]) {
    const { code, stdout, stderr } = await cli(words, env)
    expect([1, 2]).toContain(code)
    expect(stdout + stderr).not.toContain(line.slice(2, 18))
    expect(stdout + stderr).not.toContain(PASSWORD)
  }
  const { stderr } = await cli(['probe'], { ...env, npm_config_certs_dir: line.slice(0, 48) })
  expect(stderr).not.toContain(line.slice(2, 18))
})

/** The first bytes of ten thousand digests, in base64: what the lines of keys look like. */
const randomLines = (bytes: number) =>
  Array.from({ length: 10_000 }, (_, index) =>
    createHash('sha384').update(`${index}`).digest().subarray(0, bytes).toString('base64'),
  )
const shown = (bytes: number) => randomLines(bytes).filter(line => redact(line) !== '[not shown]')

test('of ten thousand random lines every one is found', () => expect(shown(48)).toEqual([]))

test.each([19, 25, 34, 46])('and of last lines with two signs of padding: %i bytes', bytes =>
  expect(shown(bytes)).toEqual([]),
)

test.each([20, 26, 35, 47])('of last lines with one nearly all: %i bytes', bytes =>
  expect(shown(bytes).length).toBeLessThan(25),
)

test.each([27, 30, 36, 39, 42, 45])('and of those with none: %i bytes', bytes =>
  expect(shown(bytes).length).toBeLessThan(150),
)

test.each([
  '/etc/ssl/private/Gateway2Writer/ClientKey.pem',
  '/home/Bob/Projects2024/connection-probe/certs/client.gateway_writer.key',
  '/home/Bob/C++/ProjectsTwo/certs',
  '/Users/Jane/Documents/Fly+Cockroach/certs',
  '/root/VSekai/MultiplayerFabric2/HostedCrdb/CertsDir',
  '/Users/JohnSmith/Library/Mobile/Documents/Fly2024/Certs/ca.crt',
  'CN=GlobalSignRootCA2048SHA256G2',
  'connectionProbeApplicationName=multiplayer',
  'connectionProbeAppNames="x"',
  'maximumSessionsAllowed1= 5',
  'AnApplicationOfTwoWords2024=x',
  '/tmp/probe-credentials-kL9xQz/fine/client.gateway_writer.crt',
  'multiplayer-fabric-crdb.internal',
  '9185957f411683',
  'fdaa:0:1::3',
  'NewErrPasswordUserAuthFailed at InitializeSessionUserId',
  'TLS_AES_256_GCM_SHA384, ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE',
  '0a1b2c3d4e5f60718293a4b5c6d7e8f9 and 7D3F0A2B4C6E8091A2B3C4D5E6F708192A3B4C5D',
])('what is no secret is shown: %s', text => {
  expect([redact(text), quotePath(text)]).toEqual([text, text])
})

test.each([
  'holds a password: the role has none, the client certificate is the login',
  'password authentication failed for user gateway_writer',
])('nor is a sentence: %s', text => expect(redact(text)).toBe(text))
