/**
 * Environment variables that are no settings of ours decide nothing, whatever program knows them: libpq, postgres.js,
 * cockroach, OpenSSL and Node. (What tells Node which code to run, where its data is and what to print of itself is
 * the business of whoever starts it: NODE_OPTIONS, NODE_DEBUG, NODE_ICU_DATA, NODE_CHANNEL_FD, NODE_V8_COVERAGE.)
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAuthority } from '../../src/development/throwaway/authority.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { withoutEnvironment } from '../../src/session/without-environment.ts'
import { pemOf } from '../helpers/clients.ts'
import type { Ended } from '../helpers/process.ts'
import { cli, migrated, startServer } from '../helpers/target.ts'

/** The manual's list (libpq-envars), and what older and newer releases know besides. */
const LIBPQ = `
  PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGREQUIREAUTH PGCHANNELBINDING PGSERVICE
  PGSERVICEFILE PGOPTIONS PGAPPNAME PGSSLMODE PGREQUIRESSL PGSSLNEGOTIATION PGSSLCOMPRESSION PGSSLCERTMODE PGSSLCRL
  PGSSLCRLDIR PGSSLSNI PGREQUIREPEER PGSSLMINPROTOCOLVERSION PGSSLMAXPROTOCOLVERSION PGGSSENCMODE PGKRBSRVNAME
  PGGSSLIB PGGSSDELEGATION PGREALM PGCONNECT_TIMEOUT PGCLIENTENCODING PGTARGETSESSIONATTRS PGLOADBALANCEHOSTS
  PGMINPROTOCOLVERSION PGMAXPROTOCOLVERSION PGSSLKEYLOGFILE PGOAUTHDEBUG PGOAUTHCAFILE PGDATESTYLE PGTZ PGGEQO
  PGSYSCONFDIR PGLOCALEDIR PGDATA PGTTY`

const COCKROACH = `
  COCKROACH_HOST COCKROACH_PORT COCKROACH_USER COCKROACH_DATABASE COCKROACH_URL COCKROACH_INSECURE
  COCKROACH_SQL_CLI_HISTORY COCKROACH_CERT_PRINCIPAL_MAP COCKROACH_LISTEN_ADDR COCKROACH_ADVERTISE_ADDR
  COCKROACH_STORE COCKROACH_SKIP_KEY_PERMISSION_CHECK COCKROACH_CA_KEY COCKROACH_TLS_CIPHERS_RESTRICT
  COCKROACH_DISABLE_TLS COCKROACH_SQL_TIMEZONE`

/** What the driver reads, from its own source: a release that reads more is tested with more. */
function driverVariables(): string[] {
  const source = readFileSync(join(createRequire(import.meta.url).resolve('postgres'), '../../src/index.js'), 'utf8')
  const [, defaults = ''] = /const defaults = \{(.*?)\n {2}\}/s.exec(source) ?? []
  const options = [...defaults.matchAll(/^ {4}(\w+) *:/gm)].map(([, name = '']) => `PG${name.toUpperCase()}`)
  const named = [...source.matchAll(/\benv\.(\w+)/g)].map(([, name = '']) => name)
  return [...new Set([...options, ...named])]
}

const words = (text: string) => text.trim().split(/\s+/)
const all = (names: readonly string[], value: string) => Object.fromEntries(names.map(name => [name, value]))

let server: Throwaway
let dir: string
/** a CA that signed nothing here */
let stranger: string
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'probe-environment-'))
  const [started, authority] = await Promise.all([migrated(), createAuthority({ name: 'stranger' })])
  server = started
  stranger = join(dir, 'stranger.crt')
  writeFileSync(stranger, authority.certificate)
  writeFileSync(join(dir, 'openssl.cnf'), OPENSSL_CNF)
})
afterAll(async () => {
  rmSync(dir, { recursive: true, force: true })
  await server.stop()
})

/** Node reads `nodejs_conf`, with --openssl-shared-config `openssl_conf`. */
const OPENSSL_CNF = `
nodejs_conf = all
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = limits
[limits]
MinProtocol = TLSv1
MaxProtocol = TLSv1.1
CipherString = NULL-SHA256:@SECLEVEL=0
Ciphersuites = TLS_AES_128_CCM_8_SHA256
Groups = secp521r1
VerifyMode = None
`

/**
 * Every variable there is, with a value that would decide something if it were read.
 * @param ca the file that the whole machine is told to trust
 */
const hostile = (ca: string): NodeJS.ProcessEnv => ({
  ...all([...words(LIBPQ), ...driverVariables(), ...words(COCKROACH)], 'hostile'),
  PGHOST: '127.0.0.1',
  PGHOSTADDR: '127.0.0.1',
  PGPORT: '1',
  PGSSLMODE: 'disable',
  PGSSL: 'false',
  PGMAX: '0',
  PGMAX_LIFETIME: '0.001',
  PGIDLE_TIMEOUT: '0.001',
  PGCONNECT_TIMEOUT: '0.001',
  PGMAX_PIPELINE: '0',
  PGPREPARE: 'true',
  PGFETCH_TYPES: 'true',
  PGOPTIONS: '-c default_transaction_read_only=on -c search_path=nowhere',
  COCKROACH_URL: 'postgresql://root@127.0.0.1:1/defaultdb?sslmode=disable',
  COCKROACH_INSECURE: 'true',
  SSL_CERT_FILE: ca,
  SSL_CERT_DIR: dirname(ca),
  OPENSSL_CONF: join(dir, 'openssl.cnf'),
  NODE_EXTRA_CA_CERTS: ca,
  NODE_TLS_REJECT_UNAUTHORIZED: '0',
  NODE_USE_SYSTEM_CA: '1',
  NODE_USE_ENV_PROXY: '1',
  HTTP_PROXY: 'http://127.0.0.1:1',
  HTTPS_PROXY: 'http://127.0.0.1:1',
  NODE_PG_FORCE_NATIVE: '1',
  NODE_ENV: 'hostile',
  NODE_PATH: '/nowhere',
  NODE_PENDING_DEPRECATION: '1',
  NODE_DISABLE_COLORS: '1',
  NODE_PRESERVE_SYMLINKS: '1',
})

/** Node 22 says of NODE_USE_ENV_PROXY, before any code runs, that it is experimental. */
const NODES_OWN = /^\(node:\d+\) \[UNDICI-EHPA\].*\n\(Use `node --trace-warnings .*\n/

type Outcome = Omit<Ended, 'lingeredMs'>

async function run(...how: Parameters<typeof cli>): Promise<Outcome> {
  const { lingeredMs: _, ...result } = await cli(...how)
  return { ...result, stderr: result.stderr.replace(NODES_OWN, '') }
}
const probe = (env: NodeJS.ProcessEnv) =>
  run(['probe', '--json', '--certs-dir', server.certsDir], { DATABASE_URL: server.url('gateway_writer'), ...env })
const migrate = ({ url, certsDir }: Throwaway, env: NodeJS.ProcessEnv) =>
  run(['migrate', '--certs-dir', certsDir], { MIGRATION_DATABASE_URL: url('gateway_admin'), ...env })

/** What of a run may not depend on the environment. */
function verdict({ code, stdout, stderr }: Outcome) {
  const { verdict, failure, checks, target, warnings } = JSON.parse(stdout)
  const statuses = checks.map(({ id, status }: { id: string; status: string }) => `${id} ${status}`)
  return { code, stderr, verdict, failure, statuses, target, warnings }
}

test("the driver's variables are read from its source", () => {
  expect(driverVariables()).toEqual(
    expect.arrayContaining(['PGHOST', 'PGAPPNAME', 'PGTARGETSESSIONATTRS', 'PGTARGET_SESSION_ATTRS', 'PGMAX']),
  )
})

describe('all of them at once', () => {
  test('the probe passes as it does without', async () => {
    const [plain, found] = await Promise.all([probe({}), probe(hostile(stranger))])
    expect(verdict(plain)).toMatchObject({ code: 0, stderr: '', verdict: 'pass' })
    expect(verdict(found)).toEqual(verdict(plain))
  })

  test('a server of another CA is not trusted, though the machine trusts that one', async () => {
    const { ca, cert, key } = pemOf(server, 'gateway_writer')
    const foreign = { CRDB_CA_CRT: readFileSync(stranger, 'utf8'), CRDB_CLIENT_WRITER_CRT: cert }
    const env = { DATABASE_URL: server.url('gateway_writer'), ...foreign, CRDB_CLIENT_WRITER_KEY: key }
    const trusting = join(dir, 'trusted.crt')
    writeFileSync(trusting, ca)
    const found = await run(['probe', '--json'], { ...env, ...hostile(trusting) })
    expect(verdict(found)).toMatchObject({ code: 1, stderr: '', failure: { code: 'TLS_SERVER_UNTRUSTED' } })
    expect(verdict(found)).toEqual(verdict(await run(['probe', '--json'], env)))
  })

  test('migrate applies, and then has nothing to do, as it does without', async () => {
    await using empty = await startServer()
    const applied = await migrate(empty, hostile(stranger))
    expect(applied).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^applied /) })
    const [plain, found] = await Promise.all([migrate(server, {}), migrate(server, hostile(stranger))])
    expect(plain).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^nothing to do; /) })
    expect(found).toEqual(plain)
  })

  test('the demonstration passes', async () => {
    const { code, stderr } = await cli(['start', '--json', '--writes', '2'], hostile(stranger), 'tree')
    expect(code, stderr).toBe(0)
  })
})

test('the driver has read the variables by the time that it is made, and they are all back', () => {
  const before = { ...process.env }
  process.env.PGTARGETSESSIONATTRS = 'any'
  try {
    expect(() => postgres({ host: '::1' })).toThrow('target_session_attrs any is not supported')
    const { options } = withoutEnvironment(() => postgres({ host: '::1', user: 'none' }))
    expect(options).toMatchObject({ target_session_attrs: undefined, connection: { application_name: 'postgres.js' } })
    expect(() => withoutEnvironment(() => expect.fail('in between'))).toThrow('in between')
    expect(process.env.PGTARGETSESSIONATTRS).toBe('any')
  } finally {
    delete process.env.PGTARGETSESSIONATTRS
  }
  expect({ ...process.env }).toEqual(before)
})
