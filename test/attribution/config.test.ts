/**
 * Layer config: settings with one fault each. Found by loadConfig, and by the command line as a process: exit code 2,
 * every check in the report, and not one connection to the target, which is there and listens.
 */
import { createPrivateKey } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAuthority, type IssueOptions } from '../../src/development/throwaway/authority.ts'
import { CODES, type Code } from '../../src/failure/codes.ts'
import { fillIn } from '../../src/failure/hints.ts'
import { withValues } from '../../src/report/evidence.ts'
import { loadConfig } from '../../src/settings/config.ts'
import { type Listener, listen } from '../helpers/listen.ts'
import { CLIENT, days, makePki, type Pki } from '../helpers/pki.ts'
import { cli, settings } from '../helpers/target.ts'
import { expectSaid, expectVerdict } from '../helpers/verdict.ts'

let pki: Pki
let dir: string
let listener: Listener
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'probe-attribution-'))
  ;[pki, listener] = await Promise.all([makePki(), listen(() => undefined)])
})
afterAll(async () => {
  rmSync(dir, { recursive: true, force: true })
  await listener[Symbol.asyncDispose]()
})

type Settings = Readonly<Record<string, string>>
const base = (): Settings => settings({ port: listener.port, pem: pki.pem })
const url = (text: string) => async (): Promise<Settings> => ({
  ...base(),
  DATABASE_URL: text.replace('PORT', String(listener.port)),
})

/** The base with a certificate that varies in one property. */
const issued = (options: Partial<IssueOptions>) => async (): Promise<Settings> => {
  const { chain, key } = await pki.authority.issue({ ...CLIENT, ...options })
  return { ...base(), CRDB_CLIENT_WRITER_CRT: chain, CRDB_CLIENT_WRITER_KEY: key }
}

/** The base with files instead of texts. */
const files = (key: { text?: string; mode?: number; missing?: boolean } = {}) => {
  const path = (name: string, text: string, mode: number) => {
    const file = join(dir, name)
    writeFileSync(file, text)
    chmodSync(file, mode)
    return file
  }
  const { DATABASE_URL = '' } = base()
  return {
    DATABASE_URL,
    CRDB_CA_CERT: path('ca.crt', pki.pem.ca, 0o644),
    CRDB_CLIENT_CERT: path('client.crt', pki.pem.cert, 0o644),
    CRDB_CLIENT_KEY: key.missing ? join(dir, 'nowhere.key') : path('client.key', pki.pem.key, key.mode ?? 0o600),
  }
}

/** Name of the case → its settings, the code, the setting that the problem names, and a next step other than the code's. */
const faults: Readonly<Record<string, readonly [() => Promise<Settings>, Code, string, hint?: RegExp]>> = {
  'no URL': [async () => ({ ...base(), DATABASE_URL: '' }), 'CONFIG_MISSING', 'DATABASE_URL', /^set DATABASE_URL; /],
  'no certificates': [
    async () => settings({ port: listener.port }),
    'CONFIG_MISSING',
    'certificates',
    /--certs-dir DIR/,
  ],
  'no user': [
    url('postgresql://[::1]:PORT/uro'),
    'CONFIG_MISSING',
    'DATABASE_URL',
    /^write the user before the host: postgresql:\/\/USER@HOST/,
  ],
  'another scheme': [
    url('mysql://gateway_writer@[::1]:PORT/uro'),
    'CONFIG_INVALID',
    'DATABASE_URL',
    /^write it in this form: postgresql:/,
  ],
  'an unknown parameter': [
    url('postgresql://gateway_writer@[::1]:PORT/uro?ssl=1'),
    'CONFIG_INVALID',
    'DATABASE_URL',
    /^take that parameter out/,
  ],
  'a weaker sslmode': [
    url('postgresql://gateway_writer@[::1]:PORT/uro?sslmode=require'),
    'CONFIG_INSECURE',
    'DATABASE_URL',
    /^write sslmode=verify-full/,
  ],
  'a password': [
    url('postgresql://gateway_writer:hunter2@[::1]:PORT/uro'),
    'CONFIG_INSECURE',
    'DATABASE_URL',
    /^take the password out/,
  ],
  'an IPv4 literal': [url('postgresql://gateway_writer@127.0.0.1:PORT/uro'), 'CONFIG_NOT_IPV6', 'DATABASE_URL'],
  'a literal that wraps IPv4': [
    url('postgresql://gateway_writer@[::ffff:127.0.0.1]:PORT/uro'),
    'CONFIG_NOT_IPV6',
    'DATABASE_URL',
  ],
  'a hostaddr that wraps IPv4': [
    url('postgresql://gateway_writer@localhost:PORT/uro?hostaddr=64:ff9b::7f00:1'),
    'CONFIG_NOT_IPV6',
    'DATABASE_URL',
    /leave hostaddr out/,
  ],
  'a link-local host without a zone': [
    url('postgresql://gateway_writer@[fe80::1]:PORT/uro'),
    'CONFIG_INVALID',
    'DATABASE_URL',
    /^add the interface/,
  ],
  'a link-local hostaddr without a zone': [
    url('postgresql://gateway_writer@localhost:PORT/uro?hostaddr=fe80::1'),
    'CONFIG_INVALID',
    'DATABASE_URL',
    /^add the interface/,
  ],
  'a key that is not there': [async () => files({ missing: true }), 'CERT_UNREADABLE', 'CRDB_CLIENT_KEY'],
  'a garbage CA': [
    async () => ({ ...base(), CRDB_CA_CRT: pki.pem.ca.replace(/^M/m, 'Q') }),
    'CERT_INVALID',
    'CRDB_CA_CRT',
  ],
  'a key where the certificate belongs': [
    async () => ({ ...base(), CRDB_CLIENT_WRITER_CRT: pki.pem.key }),
    'CERT_INVALID',
    'CRDB_CLIENT_WRITER_CRT',
    /^give the certificate here/,
  ],
  'a key that others may read': [async () => files({ mode: 0o644 }), 'KEY_PERMISSIONS', 'CRDB_CLIENT_KEY'],
  'an encrypted key': [
    async () => {
      const encrypted = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' } as const
      return { ...base(), CRDB_CLIENT_WRITER_KEY: String(createPrivateKey(pki.pem.key).export(encrypted)) }
    },
    'KEY_ENCRYPTED',
    'CRDB_CLIENT_WRITER_KEY',
  ],
  "another certificate's key": [
    async () => ({ ...base(), CRDB_CLIENT_WRITER_KEY: (await pki.authority.issue(CLIENT)).key }),
    'KEY_MISMATCH',
    'CRDB_CLIENT_WRITER_KEY',
  ],
  'an expired certificate': [
    issued({ notBefore: days(-2), notAfter: days(-1) }),
    'CERT_EXPIRED',
    'CRDB_CLIENT_WRITER_CRT',
  ],
  'an expired CA': [
    async () => {
      const over = await createAuthority({ name: 'over', notBefore: days(-2), notAfter: days(-1) })
      return { ...base(), CRDB_CA_CRT: over.certificate }
    },
    'CERT_EXPIRED',
    'CRDB_CA_CRT',
    /^set the CA certificate that is in force now/,
  ],
  'a certificate of tomorrow': [
    issued({ notBefore: days(1), notAfter: days(2) }),
    'CERT_NOT_YET_VALID',
    'CRDB_CLIENT_WRITER_CRT',
  ],
  'a certificate that is a CA': [
    async () => {
      const { chain, key } = await pki.authority.issueIntermediate({ name: 'gateway_writer', usages: ['clientAuth'] })
      return { ...base(), CRDB_CLIENT_WRITER_CRT: chain, CRDB_CLIENT_WRITER_KEY: key }
    },
    'CERT_USAGE',
    'CRDB_CLIENT_WRITER_CRT',
    /^reissue it, with a key of its own: cockroach cert create-client gateway_writer/,
  ],
  'a certificate for the CA': [
    async () => ({ ...base(), CRDB_CA_CRT: pki.pem.cert }),
    'CERT_INVALID',
    'CRDB_CA_CRT',
    /^give the ca\.crt of the database machine here/,
  ],
  'a certificate for servers': [issued({ usages: ['serverAuth'] }), 'CERT_USAGE', 'CRDB_CLIENT_WRITER_CRT'],
}

/** URLs with several faults, and the codes of all of them. */
const severalFaults: readonly (readonly [string, string, readonly Code[]])[] = [
  [
    'a line end and a weaker sslmode',
    'postgresql://u@[::1]/uro?sslmode=require\n',
    ['CONFIG_INVALID', 'CONFIG_INSECURE'],
  ],
  ['a line end and an IPv4 literal', ' postgresql://u@127.0.0.1/uro\n', ['CONFIG_INVALID', 'CONFIG_NOT_IPV6']],
  ['white space inside and no user', 'postgresql://[::1] /uro', ['CONFIG_INVALID', 'CONFIG_MISSING']],
  ['another scheme and a password', 'mysql://u:hunter2@[::1]/uro', ['CONFIG_INVALID', 'CONFIG_INSECURE']],
  ['another scheme and no database', 'cockroachdb://u@[::1]', ['CONFIG_INVALID', 'CONFIG_MISSING']],
  ['quotes and a weaker sslmode', '"postgresql://u@[::1]/uro?sslmode=prefer"', ['CONFIG_INVALID', 'CONFIG_INSECURE']],
  ['no scheme and a weaker sslmode', 'u@[::1]:26257/uro?sslmode=disable', ['CONFIG_INVALID', 'CONFIG_INSECURE']],
  [
    'another scheme, a line end, a password, an IPv4 literal and a weaker sslmode',
    'jdbc:postgresql://u:hunter2@10.0.0.1/uro?sslmode=allow\r\n',
    ['CONFIG_INVALID', 'CONFIG_INVALID', 'CONFIG_INSECURE', 'CONFIG_NOT_IPV6', 'CONFIG_INSECURE'],
  ],
  ['a second / and a weaker sslmode', 'postgresql://u@[::1]/a/b?sslmode=prefer', ['CONFIG_INVALID', 'CONFIG_INSECURE']],
  [
    'a raw @ in the password and an unknown parameter',
    'postgresql://u:hunter@2@[::1]/uro?ssl=1',
    ['CONFIG_INSECURE', 'CONFIG_INVALID', 'CONFIG_INVALID'],
  ],
]

test.each(severalFaults)('several faults in one URL, every one is told: %s', async (_name, text, codes) => {
  const loaded = load({ ...base(), DATABASE_URL: text })
  if (loaded.ok) throw new Error('these settings were taken')
  expect(loaded.error.problems?.map(({ code }) => code)).toEqual(codes)
  expect(loaded.error.problems?.every(({ name }) => name === 'DATABASE_URL')).toBe(true)
  expect(loaded.error.message).not.toContain('hunter')
})

const load = (env: NodeJS.ProcessEnv) => loadConfig({ role: 'writer', env })

test('the base is right, from texts and from files', () => {
  expect([load(base()).ok, load(files()).ok]).toEqual([true, true])
})

describe('one fault', () => {
  test.each(Object.entries(faults))('%s', async (_name, [env, code, setting, hint]) => {
    const loaded = load(await env())
    if (loaded.ok) throw new Error('these settings were taken')
    expect(loaded.error).toMatchObject({ code, layer: 'config' })
    expect(loaded.error.problems?.map(({ name, code: found }) => [name, found])).toEqual([[setting, code]])
    const next = withValues(loaded.error.toFailure(), loaded.target).hint
    expect(next).toEqual(hint ? expect.stringMatching(hint) : fillIn(CODES[code].hint, loaded.target))
  })
})

describe('as a process: exit code 2, and nothing is sent', () => {
  // one case for each code
  const codes = new Map(Object.entries(faults).map(([name, [, code]]) => [code, name]))

  test('there is one for every code of the layer', () => {
    const all: readonly Code[] = [
      'CONFIG_MISSING',
      'CONFIG_INVALID',
      'CONFIG_INSECURE',
      'CONFIG_NOT_IPV6',
      'CERT_UNREADABLE',
      'CERT_INVALID',
      'KEY_PERMISSIONS',
      'KEY_ENCRYPTED',
      'KEY_MISMATCH',
      'CERT_EXPIRED',
      'CERT_NOT_YET_VALID',
      'CERT_USAGE',
    ]
    expect(new Set(codes.keys())).toEqual(new Set(all))
  })

  test.each([...codes])('%s: %s', async (code, name) => {
    const fault = faults[name]
    if (!fault) throw new Error(name)
    const result = await cli(['probe', '--json'], await fault[0]())
    expect([result.code, result.stderr]).toEqual([2, ''])
    const report = JSON.parse(result.stdout)
    expectVerdict(report, { code, check: 'config', ...(fault[3] && { hint: fault[3] }) })
    expect(report.attempts).toBe(0)
    const [, secret = ''] = pki.pem.key.split('\n')
    expect(result.stdout).not.toContain(secret)
    expect(listener.connections).toBe(0)
  })

  test('several at once: the first names the code, all are in the report, each with what to do', async () => {
    const expired = await issued({ notBefore: days(-2), notAfter: days(-1), usages: ['serverAuth'] })()
    const env = {
      ...expired,
      DATABASE_URL: `postgresql://gateway_writer:hunter2@127.0.0.1:${listener.port}/uro?sslmode=prefer`,
      CRDB_CLIENT_WRITER_KEY: pki.pem.key,
      CRDB_SNI: 'no name',
    }
    const { code, stdout } = await cli(['probe'], env)
    expect(code).toBe(2)
    const found = [...stdout.matchAll(/problem: (\S+): ([A-Z0-9_]+):/g)].map(([, name, what]) => `${name} ${what}`)
    expect(found.sort()).toEqual([
      'CRDB_CLIENT_WRITER_CRT CERT_EXPIRED',
      'CRDB_CLIENT_WRITER_CRT CERT_USAGE',
      'CRDB_CLIENT_WRITER_KEY KEY_MISMATCH',
      'CRDB_SNI CONFIG_INVALID',
      'DATABASE_URL CONFIG_INSECURE',
      'DATABASE_URL CONFIG_INSECURE',
      'DATABASE_URL CONFIG_NOT_IPV6',
    ])
    expectSaid(stdout, 'CONFIG_INSECURE', 'sslmode=verify-full')
    expect(stdout).not.toContain('hunter2')
    expect(listener.connections).toBe(0)
  })
})
