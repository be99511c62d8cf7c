import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Authority, createAuthority, type Issued } from '../../src/development/throwaway/authority.ts'
import { parseCertificates } from '../../src/settings/certificate.ts'
import { type CredentialsInput, loadCredentials } from '../../src/settings/credentials.ts'
import { lintClient } from '../../src/settings/lint.ts'
import { binaryOf, normalisePem, type Pem, pemBlocks, quotePath } from '../../src/settings/pem.ts'

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const DAY = 86_400_000
const USER = 'gateway_writer'
const days = (count: number) => new Date(Date.now() + count * DAY)

let ca: Authority
let other: Authority
let good: Issued
let dir: string

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'probe-credentials-'))
  ca = await createAuthority({ name: 'Test CA' })
  other = await createAuthority({ name: 'Other CA' })
  good = await ca.issue({ commonName: USER, usages: ['clientAuth'] })
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const pem = (name: string, text: string): Pem => ({ name, text, binary: binaryOf(Buffer.from(text), text), file: null })
const lint = (parts: { ca?: string; cert?: string; key?: string; user?: string; now?: number } = {}) =>
  lintClient({
    ca: pem('CA', parts.ca ?? ca.certificate),
    cert: pem('CERT', parts.cert ?? good.certificate),
    key: pem('KEY', parts.key ?? good.key),
    user: parts.user ?? USER,
    now: parts.now ?? Date.now(),
  })
const problemsOf = (parts: Parameters<typeof lint>[0]) =>
  lint(parts).problems.map(({ name, code }) => `${name} ${code}`)

describe('the lint', () => {
  test('passes a good set, with its facts', () => {
    const { problems, warnings, facts, pem } = lint()
    expect([problems, warnings]).toEqual([[], []])
    expect(pem).toEqual({ ca: ca.certificate, cert: good.certificate, key: good.key })
    expect(facts).toMatchObject({ keyMatches: true, issuedByConfiguredCa: true, caCount: 1 })
    expect(facts.certificate).toMatchObject({ commonNames: [USER], extendedKeyUsage: ['clientAuth'], isCa: false })
    expect(facts.certificate?.key).toBe('ec prime256v1')
    expect(facts.ca[0]).toMatchObject({ isCa: true, commonNames: ['Test CA'], extendedKeyUsage: null })
  })

  test('passes one without any extended key usage, one with both, and other kinds of keys', async () => {
    for (const [usages, keyAlgorithm] of [
      [null, 'ECDSA P-256'],
      [['serverAuth', 'clientAuth'], 'Ed25519'],
      [['clientAuth'], 'RSA 2048'],
    ] as const) {
      const issued = await ca.issue({ commonName: USER, usages, keyAlgorithm })
      expect(problemsOf({ cert: issued.certificate, key: issued.key })).toEqual([])
    }
  })

  test('passes lifetimes of a hundred years, beyond 2049 too', async () => {
    const old = await createAuthority({ name: 'Century CA', notAfter: days(36_525) })
    const issued = await old.issue({ commonName: USER, usages: ['clientAuth'], notAfter: days(36_500) })
    const { problems, warnings, facts } = lint({ ca: old.certificate, cert: issued.certificate, key: issued.key })
    expect([problems, warnings]).toEqual([[], []])
    expect(facts.certificate?.daysLeft).toBeGreaterThan(36_498)
    expect(
      lint({ ca: old.certificate, cert: issued.certificate, key: issued.key, now: Date.UTC(2130, 0) }).problems,
    ).toHaveLength(2)
  })

  test('passes intermediates beside the leaf, and a bundle of CAs', async () => {
    const below = await ca.issueIntermediate({ name: 'Intermediate' })
    const issued = await below.issue({ commonName: USER, usages: ['clientAuth'] })
    const found = lint({ ca: other.certificate + ca.certificate, cert: issued.chain, key: issued.key })
    expect(found.problems).toEqual([])
    expect(found.facts).toMatchObject({ issuedByConfiguredCa: true, caCount: 2 })
    expect(found.pem?.cert).toBe(issued.chain)
  })

  test('says, but does not refuse, that another CA signed it', async () => {
    const foreign = await other.issue({ commonName: USER, usages: ['clientAuth'] })
    const { problems, facts } = lint({ cert: foreign.certificate, key: foreign.key })
    expect([problems, facts.issuedByConfiguredCa]).toEqual([[], false])
  })

  test.each([' ', ''])('says that line breaks are lost, and how to set it again (%j instead of each)', instead => {
    const { broken } = parseCertificates(ca.certificate.trim().replaceAll('\n', instead))
    expect(broken).toEqual({
      message: expect.stringMatching(/whose line breaks are lost$/),
      hint: 'set it again from the file, in double quotes: "$(cat FILE)"',
      fileHint: expect.stringMatching(/^copy that file again/),
    })
  })

  test('refuses what is no whole PEM certificate', () => {
    const half = ca.certificate.slice(0, ca.certificate.length / 2)
    const garbage = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    for (const broken of [
      '',
      'garbage',
      '/etc/ca.crt',
      half,
      garbage,
      ca.certificate + half,
      ca.certificate + garbage,
    ]) {
      expect([broken, problemsOf({ ca: broken })]).toEqual([broken, ['CA CERT_INVALID']])
    }
    for (const rest of ['-----BEGIN CERTIFICATE-----', '-----BEG', '--', 'A'.repeat(64), '-----END CERTIFICATE-----'])
      expect([rest, problemsOf({ ca: ca.certificate + rest })]).toEqual([rest, ['CA CERT_INVALID']])
    expect(problemsOf({ ca: half + ca.certificate })).toEqual(['CA CERT_INVALID'])
    expect(problemsOf({ ca: `Subject: a comment\n${ca.certificate}\n\n` })).toEqual([])
    expect(problemsOf({ ca: good.key })).toEqual(['CA CERT_INVALID'])
    const der = Buffer.concat([Buffer.from(ca.certificate.replace(/-.*-/g, ''), 'base64'), Buffer.from('more')])
    const long = `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`
    expect(problemsOf({ ca: long })).toEqual(['CA CERT_INVALID'])
    expect(problemsOf({ cert: good.key, key: good.certificate })).toEqual(['CERT CERT_INVALID', 'KEY CERT_INVALID'])
    expect(problemsOf({ key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----' })).toEqual([
      'KEY CERT_INVALID',
    ])
  })

  test('passes comments, before, between and behind the blocks', () => {
    for (const comment of [
      '# the end',
      'trailing',
      'issued by ops on 2026-01-01\n',
      '\n\n-- end --\n',
      '# ----- end -----',
    ])
      expect([
        comment,
        problemsOf({ ca: ca.certificate + comment }),
        problemsOf({
          ca: `${ca.certificate}${comment}\n${other.certificate}`,
          cert: `${comment}\n${good.certificate}`,
        }),
      ]).toEqual([comment, [], []])
  })

  test.each([
    ['TRUSTED CERTIFICATE', /holds a TRUSTED CERTIFICATE, /, 'openssl x509 -in FILE -out NEWFILE'],
    ['X509 CERTIFICATE', /holds a X509 CERTIFICATE, /, 'openssl x509 -in FILE -out NEWFILE'],
    ['PKCS7', /holds a PKCS7, /, 'openssl pkcs7 -in FILE -print_certs -out NEWFILE'],
    ['CERTIFICATE REQUEST', /holds a CERTIFICATE REQUEST, which no CA has signed/, expect.stringContaining('the CA')],
    [
      'PUBLIC KEY',
      /holds a PUBLIC KEY where a certificate is expected/,
      'give the certificate here; a key has a setting of its own',
    ],
  ])('says what a block is that is no certificate, and what to do: %s', (label, message, hint) => {
    const { problems } = lint({ ca: ca.certificate.replaceAll('CERTIFICATE', label) })
    const found = { name: 'CA', code: 'CERT_INVALID', message: expect.stringMatching(message), hint }
    expect(problems).toEqual([found])
  })

  test('says that a key is in the form of OpenSSH', () => {
    const key = good.key.replaceAll('PRIVATE KEY', 'OPENSSH PRIVATE KEY')
    expect(lint({ key }).problems).toMatchObject([
      {
        code: 'CERT_INVALID',
        message: expect.stringMatching(/form of OpenSSH$/),
        hint: 'ssh-keygen -p -m PKCS8 -f FILE',
      },
    ])
  })

  test('says of base64 that the lines around it are missing', () => {
    const bare = (text: string) => text.replace(/-----.*-----/g, '')
    const { problems } = lint({ ca: bare(ca.certificate), cert: bare(good.certificate), key: bare(good.key) })
    const message = expect.stringMatching(/^holds base64 of (a certificate|a private key) without its lines -----BEGIN/)
    expect(problems).toMatchObject(
      ['CA', 'CERT', 'KEY'].map(name => ({
        name,
        code: 'CERT_INVALID',
        message,
        hint: expect.stringMatching(/^set it/),
      })),
    )
  })

  test('refuses an encrypted key, in both forms', () => {
    const key = createPrivateKey(good.key)
    const pkcs8 = key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
    const sec1 = key.export({ type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
    for (const text of [pkcs8, sec1]) expect(problemsOf({ key: text.toString() })).toEqual(['KEY KEY_ENCRYPTED'])
    const plain = key.export({ type: 'sec1', format: 'pem' }).toString()
    const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n'
    expect(problemsOf({ key: parameters + plain })).toEqual([])
  })

  test("refuses another certificate's key", async () => {
    const stranger = await ca.issue({ commonName: USER })
    expect(problemsOf({ key: stranger.key })).toEqual(['KEY KEY_MISMATCH'])
  })

  test('refuses a certificate that is only for servers', async () => {
    const server = await ca.issue({ commonName: USER, usages: ['serverAuth'] })
    expect(problemsOf({ cert: server.certificate, key: server.key })).toEqual(['CERT CERT_USAGE'])
  })

  test('refuses what is expired or not yet valid, the CA too', async () => {
    const past = { notBefore: days(-9), notAfter: days(-1) }
    const future = { notBefore: days(1), notAfter: days(9) }
    for (const [span, code] of [
      [past, 'CERT_EXPIRED'],
      [future, 'CERT_NOT_YET_VALID'],
    ] as const) {
      const issued = await ca.issue({ commonName: USER, ...span })
      expect(problemsOf({ cert: issued.certificate, key: issued.key })).toEqual([`CERT ${code}`])
      const authority = await createAuthority({ name: 'CA', ...span })
      expect(problemsOf({ ca: authority.certificate })).toEqual([`CA ${code}`])
      expect(problemsOf({ ca: authority.certificate + ca.certificate })).toEqual([])
    }
  })

  test('reports everything at once', async () => {
    const bad = await ca.issue({ commonName: 'x', usages: ['serverAuth'], notBefore: days(-9), notAfter: days(-1) })
    const { problems, warnings } = lint({ ca: 'garbage', cert: bad.certificate })
    expect(problems.map(({ code }) => code)).toEqual(['CERT_INVALID', 'CERT_EXPIRED', 'CERT_USAGE', 'KEY_MISMATCH'])
    expect(warnings.map(({ code }) => code)).toEqual(['CERT_IDENTITY'])
  })

  test('warns thirty days ahead, of the certificate and of the CA', async () => {
    const soon = await createAuthority({ name: 'Soon', notAfter: days(29) })
    const issued = await ca.issue({ commonName: USER, notAfter: days(29) })
    const later = await ca.issue({ commonName: USER, notAfter: days(31) })
    const codes = (parts: Parameters<typeof lint>[0]) => lint(parts).warnings.map(({ code }) => code)
    expect(codes({ cert: issued.certificate, key: issued.key })).toEqual(['CERT_EXPIRES_SOON'])
    expect(codes({ ca: soon.certificate })).toEqual(['CERT_EXPIRES_SOON'])
    expect(codes({ cert: later.certificate, key: later.key })).toEqual([])
  })

  test('warns when neither the CN nor a DNS SAN is the user', async () => {
    const bySan = await ca.issue({ commonName: 'somebody', dnsNames: [USER] })
    expect(lint({ cert: bySan.certificate, key: bySan.key })).toMatchObject({
      warnings: [],
      principals: ['somebody', USER],
    })
    expect(lint({ user: 'gateway_admin' }).warnings).toEqual([
      { code: 'CERT_IDENTITY', message: 'the client certificate names gateway_writer, not the user gateway_admin' },
    ])
  })

  test('refuses what OpenSSL does not work with', ({ skip }) => {
    const [key, cert] = [join(dir, 'weak.key'), join(dir, 'weak.crt')]
    const args = `req -x509 -newkey rsa:512 -nodes -keyout ${key} -out ${cert} -days 99 -subj /CN=${USER} -addext basicConstraints=CA:FALSE`
    try {
      execFileSync('openssl', args.split(' '), { stdio: 'ignore' })
    } catch {
      skip('no openssl command here, or one that no longer makes such keys')
    }
    const text = (path: string) => readFileSync(path, 'utf8')
    expect(problemsOf({ cert: text(cert), key: text(key) })).toEqual(['CERT CERT_INVALID'])
  })

  /** A certificate that the throwaway authority does not make: with these extensions, and a key of OpenSSL's. */
  function byOpenssl(issuer: Issued | null, extensions: string, key: string, skip: (note: string) => void): Issued {
    const path = join(dir, 'made')
    const run = (words: string) => execFileSync('openssl', words.split(' '), { stdio: 'ignore' })
    const write = (name: string, text: string) => writeFileSync(`${path}.${name}`, text)
    try {
      if (key.startsWith('---')) write('key', key)
      else run(`genpkey ${key} -out ${path}.key`)
      run(`req -new -key ${path}.key -subj /CN=${USER} -out ${path}.csr`)
      write('ext', extensions)
      if (issuer) {
        write('ca.crt', issuer.certificate)
        write('ca.key', issuer.key)
      }
      const signer = issuer ? `-CA ${path}.ca.crt -CAkey ${path}.ca.key -set_serial 7` : `-signkey ${path}.key`
      run(`x509 -req -in ${path}.csr ${signer} -days 99 -extfile ${path}.ext -out ${path}.crt`)
    } catch {
      skip('no openssl command here, or one that no longer makes such certificates')
    }
    const certificate = readFileSync(`${path}.crt`, 'utf8')
    return { certificate, chain: certificate, key: readFileSync(`${path}.key`, 'utf8') }
  }
  const curve = (name: string) => `-algorithm EC -pkeyopt ec_paramgen_curve:${name} -pkeyopt ec_param_enc:named_curve`

  test('refuses a client certificate that is a CA, or has the key of one', async ({ skip }) => {
    const issuer = await ca.issueIntermediate({ name: USER, usages: ['clientAuth'] })
    expect(lint({ cert: issuer.certificate, key: issuer.key }).problems).toEqual([
      {
        ...{ name: 'CERT', code: 'CERT_USAGE' },
        message: 'holds a certificate that is a CA: whoever has its key can issue certificates for any user',
        hint: 'reissue it, with a key of its own: cockroach cert create-client {user} ... --overwrite',
      },
    ])
    expect(problemsOf({ cert: ca.certificate, key: ca.key })).toEqual(['CERT CERT_USAGE'])
    const extensions = ['basicConstraints=CA:TRUE', 'keyUsage=digitalSignature,keyCertSign']
    const both = byOpenssl(ca, extensions.join('\n'), curve('P-256'), skip)
    expect(problemsOf({ cert: both.certificate, key: both.key })).toEqual(['CERT CERT_USAGE'])
    const shared = byOpenssl(ca, 'basicConstraints=CA:FALSE', ca.key, skip)
    expect(problemsOf({ cert: shared.certificate, key: shared.key })).toEqual(['KEY CERT_USAGE'])
    expect(problemsOf({ key: ca.key })).toEqual(['KEY CERT_USAGE', 'KEY KEY_MISMATCH'])
  })

  // OpenSSL and Go let none of these issue anything.
  test.for([
    'basicConstraints=CA:TRUE\nkeyUsage=digitalSignature',
    'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyCertSign',
    'keyUsage=digitalSignature,keyCertSign',
  ])('passes what OpenSSL takes for no CA: %j', (extensions, { skip }) => {
    const { certificate, key } = byOpenssl(ca, extensions, curve('P-256'), skip)
    expect(problemsOf({ cert: certificate, key })).toEqual([])
  })

  test.for(['P-224', 'secp256k1', 'brainpoolP256r1'])('refuses a key that TLS cannot use: %s', (name, { skip }) => {
    const { certificate, key } = byOpenssl(ca, 'extendedKeyUsage=clientAuth', curve(name), skip)
    expect(lint({ cert: certificate, key }).problems).toEqual([
      {
        ...{ name: 'CERT', code: 'CERT_INVALID' },
        message: expect.stringMatching(/^holds a certificate with a key that TLS cannot use \(ec \w+\)$/),
        hint: expect.stringMatching(/an EC key on P-256, .* as cockroach cert create-client \{user\} does$/),
      },
    ])
  })

  test('passes the curves that TLS can use, and DSA not', ({ skip }) => {
    for (const kind of [curve('P-384'), curve('P-521'), '-algorithm RSA-PSS', '-algorithm ED448']) {
      const { certificate, key } = byOpenssl(ca, 'extendedKeyUsage=clientAuth', kind, skip)
      expect([kind, problemsOf({ cert: certificate, key })]).toEqual([kind, []])
    }
    const { privateKey } = generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 224 })
    const dsa = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const { certificate, key } = byOpenssl(ca, 'extendedKeyUsage=clientAuth', dsa, skip)
    expect(problemsOf({ cert: certificate, key })).toEqual(['CERT CERT_INVALID'])
  })

  test('refuses a CA that is none, and passes what a chain may end at', ({ skip }) => {
    expect(lint({ ca: good.certificate }).problems).toEqual([
      {
        ...{ name: 'CA', code: 'CERT_INVALID' },
        message: `holds no CA certificate: O=connection-probe, CN=${USER} is none (basic constraints), and signs nothing`,
        hint: expect.stringMatching(/^give the ca\.crt of the database machine here/),
      },
    ])
    expect(problemsOf({ ca: good.certificate + ca.certificate })).toEqual([])
    for (const extensions of [
      'basicConstraints=CA:FALSE',
      'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature',
      'keyUsage=keyCertSign',
    ]) {
      const self = byOpenssl(null, extensions, curve('P-256'), skip)
      expect([extensions, problemsOf({ ca: self.certificate })]).toEqual([extensions, []])
    }
  })

  test('does not take a certificate beside the CA for a CA that is in force', async () => {
    const past = await createAuthority({ name: 'CA', notBefore: days(-9), notAfter: days(-1) })
    expect(problemsOf({ ca: good.certificate + past.certificate })).toEqual(['CA CERT_EXPIRED'])
  })
})

const input = (env: NodeJS.ProcessEnv, more: Partial<CredentialsInput> = {}): CredentialsInput => ({
  role: 'writer',
  env,
  url: { name: 'DATABASE_URL', files: { sslrootcert: null, sslcert: null, sslkey: null } },
  certsDir: null,
  user: USER,
  now: Date.now(),
  ...more,
})
const problems = (from: CredentialsInput) => loadCredentials(from).problems.map(({ name, code }) => `${name} ${code}`)

/** A fresh directory in the layout of --certs-dir. */
function certsDir(name: string): string {
  const path = join(dir, name)
  mkdirSync(path)
  writeFileSync(join(path, 'ca.crt'), ca.certificate)
  writeFileSync(join(path, `client.${USER}.crt`), good.certificate)
  writeFileSync(join(path, `client.${USER}.key`), good.key, { mode: 0o600 })
  return path
}

describe('the source', () => {
  test('is the first complete one, the others are named', () => {
    const path = certsDir('sources')
    const [root, cert, key] = ['ca.crt', `client.${USER}.crt`, `client.${USER}.key`].map(name => join(path, name))
    const texts = {
      CRDB_CA_CRT: ca.certificate,
      CRDB_CLIENT_WRITER_CRT: good.certificate,
      CRDB_CLIENT_WRITER_KEY: good.key,
    }
    const env: NodeJS.ProcessEnv = {
      ...texts,
      CRDB_CA_CERT: root,
      CRDB_CLIENT_CERT: cert,
      CRDB_CLIENT_KEY: key,
      COCKROACH_CERTS_DIR: path,
      PGSSLROOTCERT: root,
      PGSSLCERT: cert,
      PGSSLKEY: key,
    }
    const files = { sslrootcert: root ?? null, sslcert: cert ?? null, sslkey: key ?? null }
    let from = input(env, { certsDir: path, url: { name: 'DATABASE_URL', files } })
    const order = [
      '--certs-dir',
      'sslrootcert, sslcert, sslkey in DATABASE_URL',
      'CRDB_CA_CRT, CRDB_CLIENT_WRITER_CRT, CRDB_CLIENT_WRITER_KEY',
      'CRDB_CA_CERT, CRDB_CLIENT_CERT, CRDB_CLIENT_KEY',
      'COCKROACH_CERTS_DIR',
      'PGSSLROOTCERT, PGSSLCERT, PGSSLKEY',
    ]
    const without = (setting: string) => () => {
      env[setting] = ''
    }
    const weaken = [
      () => {
        from = { ...from, certsDir: null }
      },
      () => {
        from = { ...from, url: { name: 'DATABASE_URL', files: { ...files, sslkey: null } } }
      },
      without('CRDB_CLIENT_WRITER_KEY'),
      without('CRDB_CA_CERT'),
      without('COCKROACH_CERTS_DIR'),
      without('PGSSLCERT'),
    ]
    for (const [index, source] of order.entries()) {
      const { credentials, principals, evidence } = loadCredentials(from)
      expect(credentials).toEqual({ ca: ca.certificate, cert: good.certificate, key: good.key })
      expect(principals).toEqual([USER])
      expect(evidence).toMatchObject({ certificateSource: source, passedOver: order.slice(index + 1) })
      weaken[index]?.()
    }
    const { credentials, problems: left, evidence } = loadCredentials(from)
    expect([credentials, left.map(({ code }) => code)]).toEqual([null, ['CONFIG_MISSING']])
    expect(JSON.stringify(evidence)).not.toContain('BEGIN')
  })

  test('of the admin has its own variables', () => {
    const env = {
      CRDB_CA_CRT: ca.certificate,
      CRDB_CLIENT_ADMIN_CRT: good.certificate,
      CRDB_CLIENT_ADMIN_KEY: good.key,
    }
    const admin = loadCredentials(input(env, { role: 'admin' }))
    expect(admin.credentials).not.toBeNull()
    expect(admin.evidence).toMatchObject({ certificateSource: expect.stringContaining('CRDB_CLIENT_ADMIN_KEY') })
    expect(problems(input(env))).toEqual(['CRDB_CLIENT_WRITER_CRT CONFIG_MISSING'])
    const paths = { CRDB_CA_CERT: '/nope/a', CRDB_ADMIN_CERT: '/nope/b', CRDB_ADMIN_KEY: '/nope/c' }
    expect(problems(input(paths, { role: 'admin' }))).toEqual([
      'CRDB_CA_CERT CERT_UNREADABLE',
      'CRDB_ADMIN_CERT CERT_UNREADABLE',
      'CRDB_ADMIN_KEY CERT_UNREADABLE',
    ])
  })

  test('is never mixed: half of one and half of another is nothing, and the nearest is named', () => {
    const env = { CRDB_CA_CRT: ca.certificate, CRDB_CLIENT_WRITER_CRT: good.certificate, PGSSLKEY: '/x' }
    const [problem] = loadCredentials(input(env)).problems
    expect(problem).toMatchObject({ name: 'CRDB_CLIENT_WRITER_KEY', code: 'CONFIG_MISSING' })
    expect(problem?.message).toContain('CRDB_CA_CRT and CRDB_CLIENT_WRITER_CRT without CRDB_CLIENT_WRITER_KEY')
    expect(problems(input({}))).toEqual(['certificates CONFIG_MISSING'])
  })

  test('that is complete and unreadable is no reason to go on to the next', () => {
    const env = { COCKROACH_CERTS_DIR: certsDir('fine') }
    expect(problems(input(env, { certsDir: join(dir, 'nope') }))).toEqual(['--certs-dir CERT_UNREADABLE'])
    expect(problems(input(env, { certsDir: join(dir, 'fine', 'ca.crt') }))).toEqual(['--certs-dir CERT_UNREADABLE'])
    const { problems: missing } = loadCredentials(input(env, { user: 'nobody' }))
    expect(missing.map(({ message }) => message)).toEqual([
      `${join(dir, 'fine', 'client.nobody.crt')} does not exist`,
      `${join(dir, 'fine', 'client.nobody.key')} does not exist`,
    ])
    expect(problems(input(env, { user: '../fine' }))).toEqual(['COCKROACH_CERTS_DIR CONFIG_INVALID'])
  })

  test('may be text with literal \\n, or with CRLF', () => {
    for (const [from, to] of [
      ['\n', '\\n'],
      ['\n', '\r\n'],
      ['\n', '\\r\\n'],
    ] as const) {
      const flat = (text: string) => text.replaceAll(from, to)
      const env = {
        CRDB_CA_CRT: flat(ca.certificate),
        CRDB_CLIENT_WRITER_CRT: flat(good.certificate),
        CRDB_CLIENT_WRITER_KEY: flat(good.key),
      }
      expect(loadCredentials(input(env)).credentials).toMatchObject({ cert: good.certificate, key: good.key })
    }
  })
})

describe('a source that is begun and not complete, beside the one used', () => {
  const NAMES = {
    writer: { text: 'WRITER', paths: 'CRDB_CA_CERT, CRDB_CLIENT_CERT, CRDB_CLIENT_KEY' },
    admin: { text: 'ADMIN', paths: 'CRDB_CA_CERT, CRDB_ADMIN_CERT, CRDB_ADMIN_KEY' },
  } as const
  const used = () => ({ certsDir: join(dir, 'fine') })
  const found = (env: NodeJS.ProcessEnv, more: Partial<CredentialsInput> = {}) => {
    const { warnings, problems, credentials } = loadCredentials(input(env, { ...used(), ...more }))
    expect([problems, credentials === null]).toEqual([[], false])
    return warnings.map(({ code, message }) => `${code}: ${message}`)
  }
  const INCOMPLETE = 'CERT_SOURCE_INCOMPLETE'
  const PLAINTEXT = 'go without TLS, which CockroachDB refuses'

  test.each(['writer', 'admin'] as const)("is the back end's three paths: %s", role => {
    const [ca = '', cert = '', key = ''] = NAMES[role].paths.split(', ')
    const begun = (what: string, would: string) => [
      `${INCOMPLETE}: ${what}: --certs-dir is used instead; the back end, which reads these three, would ${would}`,
    ]
    expect(found({ [ca]: '/x' }, { role })).toEqual(begun(`${ca} without ${cert} and ${key}`, 'fail to connect'))
    expect(found({ [ca]: '/x', [cert]: '/x', [key]: '' }, { role })).toEqual(
      begun(`${ca} and ${cert} without ${key} (empty)`, 'fail to connect'),
    )
    expect(found({ [cert]: '/x' }, { role })).toEqual(begun(`${cert} without ${ca} and ${key}`, PLAINTEXT))
    expect(found({ [ca]: '', [cert]: '/x', [key]: '/x' }, { role })).toEqual(
      begun(`${cert} and ${key} without ${ca} (empty)`, `fail to connect, or ${PLAINTEXT}`),
    )
  })

  test.each(['writer', 'admin'] as const)('is the texts: %s', role => {
    const { text, paths } = NAMES[role]
    expect(found({ [`CRDB_CLIENT_${text}_CRT`]: 'x', CRDB_CA_CRT: '' }, { role })).toEqual([
      `${INCOMPLETE}: CRDB_CLIENT_${text}_CRT without CRDB_CA_CRT (empty) and CRDB_CLIENT_${text}_KEY: ` +
        `--certs-dir is used instead; the back end reads the files that ${paths} name: ` +
        `made from these texts it would fail to connect, or ${PLAINTEXT}`,
    ])
  })

  test('is one that the back end does not read', () => {
    const files = { sslrootcert: '/x', sslcert: null, sslkey: null }
    const rest =
      '--certs-dir is used instead; the back end reads none of them, only CRDB_CA_CERT, CRDB_CLIENT_CERT, ' +
      'CRDB_CLIENT_KEY; psql takes what is missing from ~/.postgresql'
    expect(found({ PGSSLCERT: '/x', PGSSLKEY: '' }, { url: { name: 'DATABASE_URL', files } })).toEqual([
      `${INCOMPLETE}: sslrootcert in DATABASE_URL without sslcert in DATABASE_URL and sslkey in DATABASE_URL: ${rest}`,
      `${INCOMPLETE}: PGSSLCERT without PGSSLROOTCERT and PGSSLKEY (empty): ${rest}`,
    ])
  })

  test('is one before the one used, too, and one after it', () => {
    const env = { CRDB_CA_CRT: 'x', CRDB_CA_CERT: '/x', PGSSLKEY: '/x', COCKROACH_CERTS_DIR: join(dir, 'fine') }
    const warnings = found(env, { certsDir: null })
    expect(warnings.map(warning => / without .*: (.*) is used instead/.exec(warning)?.[1])).toEqual(
      new Array(3).fill('COCKROACH_CERTS_DIR'),
    )
  })

  test.each<[string, NodeJS.ProcessEnv]>([
    ['all three empty', { CRDB_CA_CERT: '', CRDB_CLIENT_CERT: '', CRDB_CLIENT_KEY: '' }],
    ['one empty, the others not set', { CRDB_CA_CRT: '', PGSSLKEY: '', COCKROACH_CERTS_DIR: '' }],
    ['complete', { PGSSLROOTCERT: '/x', PGSSLCERT: '/x', PGSSLKEY: '/x' }],
  ])('is none: %s', (_, env) => expect(found(env)).toEqual([]))

  test('is an error and no warning where no other one is used', () =>
    expect(loadCredentials(input({ CRDB_CA_CERT: '/x' }))).toMatchObject({
      problems: [{ code: 'CONFIG_MISSING' }],
      warnings: [],
    }))
})

describe('a file', () => {
  const withKey = (path: string) => {
    const base = join(dir, 'fine')
    return input({ PGSSLROOTCERT: join(base, 'ca.crt'), PGSSLCERT: join(base, `client.${USER}.crt`), PGSSLKEY: path })
  }
  const key = (name: string, mode: number, uid?: number) => {
    const path = join(dir, name)
    writeFileSync(path, good.key)
    chmodSync(path, mode)
    if (uid !== undefined) chownSync(path, uid, uid)
    return path
  }

  test('that is no regular file is said to be so, at once', () => {
    const fifo = join(dir, 'fifo')
    execFileSync('mkfifo', [fifo])
    for (const path of [dir, fifo, '/dev/zero', join(dir, 'nope'), join(dir, 'fine', 'ca.crt', 'x')]) {
      const { problems: found } = loadCredentials(withKey(path))
      expect(found.map(({ name, code }) => `${name} ${code}`)).toEqual(['PGSSLKEY CERT_UNREADABLE'])
      expect(found[0]?.message).toContain(path)
    }
  })

  test('is told from a PEM text put in the place of its path', () => {
    const [problem] = loadCredentials(withKey(good.key)).problems
    expect(problem).toEqual({
      name: 'PGSSLKEY',
      code: 'CERT_UNREADABLE',
      message: 'its value (not shown) is PEM text, and this setting takes a path',
      hint: expect.stringContaining('the three texts go into CRDB_CA_CRT'),
    })
  })

  test('in DER is said to be so, and how to convert it', () => {
    const key = createPrivateKey(good.key)
    const secret = { cipher: 'aes-256-cbc', passphrase: 'x' } as const
    const certificate = new X509Certificate(good.certificate)
    const openssl = (words: string) => ({
      message: expect.stringMatching(/is DER, not PEM$/),
      hint: expect.stringContaining(`openssl ${words}`),
    })
    const elsewhere = (message: RegExp, hint: string) => ({ message: expect.stringMatching(message), hint })
    const look = 'look at what the setting really holds: openssl pkey -in FILE -noout'
    const cases = [
      [key.export({ type: 'pkcs8', format: 'der' }), 'CERT_INVALID', openssl('pkey -inform DER -in FILE')],
      [key.export({ type: 'sec1', format: 'der' }), 'CERT_INVALID', openssl('pkey -inform DER -in FILE')],
      [RSA.export({ type: 'pkcs1', format: 'der' }), 'CERT_INVALID', openssl('pkey -inform DER -in FILE')],
      [key.export({ type: 'pkcs8', format: 'der', ...secret }), 'KEY_ENCRYPTED', openssl('pkcs8 -inform DER -in FILE')],
      [
        certificate.raw,
        'CERT_INVALID',
        elsewhere(/holds a certificate in DER where a private key is/, 'give the key here: client.{user}.key'),
      ],
      [createPublicKey(key).export({ type: 'spki', format: 'der' }), 'CERT_INVALID', elsewhere(/no private/, look)],
      // SEQUENCE { INTEGER 3, SEQUENCE {} }, and SEQUENCE { OID signedData, [0] {} }
      [Buffer.of(0x30, 5, 2, 1, 3, 0x30, 0), 'CERT_INVALID', openssl('pkcs12 -in FILE -nocerts -nodes')],
    ] as const
    for (const [index, [bytes, code, said]] of cases.entries()) {
      const path = join(dir, `der-${index}.key`)
      writeFileSync(path, bytes, { mode: 0o600 })
      expect(loadCredentials(withKey(path)).problems).toMatchObject([{ name: 'PGSSLKEY', code, ...said }])
    }
  })

  test('with a certificate in DER, PKCS #12 or PKCS #7 as well', () => {
    const base = join(dir, 'fine')
    const [cert, key] = [join(base, `client.${USER}.crt`), join(base, `client.${USER}.key`)]
    const signedData = Buffer.from('300d06092a864886f70d010702a000', 'hex')
    for (const [name, bytes, words] of [
      ['x509', new X509Certificate(ca.certificate).raw, 'openssl x509 -inform DER -in FILE -out NEWFILE'],
      ['pkcs12', Buffer.of(0x30, 5, 2, 1, 3, 0x30, 0), 'openssl pkcs12 -in FILE -nokeys'],
      ['pkcs7', signedData, 'openssl pkcs7 -inform DER -in FILE -print_certs'],
    ] as const) {
      const path = join(dir, `der-${name}.crt`)
      writeFileSync(path, bytes)
      const { problems } = loadCredentials(input({ PGSSLROOTCERT: path, PGSSLCERT: cert, PGSSLKEY: key }))
      expect(problems).toMatchObject([
        { name: 'PGSSLROOTCERT', code: 'CERT_INVALID', hint: expect.stringContaining(words) },
      ])
    }
  })

  test('of a gibibyte is not read', () => {
    const path = join(dir, 'big')
    writeFileSync(path, '')
    truncateSync(path, 2 ** 30)
    expect(problems(withKey(path))).toEqual(['PGSSLKEY CERT_UNREADABLE'])
  })

  test('may be a symbolic link, but not a loop of them', () => {
    symlinkSync(key('real.key', 0o600), join(dir, 'link.key'))
    symlinkSync(join(dir, 'loop'), join(dir, 'loop'))
    expect(problems(withKey(join(dir, 'link.key')))).toEqual([])
    expect(problems(withKey(join(dir, 'loop')))).toEqual(['PGSSLKEY CERT_UNREADABLE'])
  })

  const asRoot = process.getuid?.() === 0
  const own = asRoot ? 12345 : undefined
  test.each([0o600, 0o400, 0o700])('with a key may have permissions %o', mode => {
    expect(problems(withKey(key(`own-${mode}`, mode, own)))).toEqual([])
  })
  test.each([0o640, 0o604, 0o660, 0o644, 0o777, 0o610])('with a key may not have permissions %o', mode => {
    expect(problems(withKey(key(`open-${mode}`, mode, own)))).toEqual(['PGSSLKEY KEY_PERMISSIONS'])
  })
  test.runIf(asRoot)('with a key that root owns may be read by its group', () => {
    expect(problems(withKey(key('root-640', 0o640, 0)))).toEqual([])
    for (const mode of [0o660, 0o650, 0o644, 0o641, 0o642]) {
      expect(problems(withKey(key(`root-${mode}`, mode, 0)))).toEqual(['PGSSLKEY KEY_PERMISSIONS'])
    }
  })
})

describe('the administrator in reach', () => {
  const warnings = (from: CredentialsInput) => loadCredentials(from).warnings.map(({ code }) => code)
  const env = () => ({ COCKROACH_CERTS_DIR: join(dir, 'fine') })

  test('is a warning for the writer, none for the admin', () => {
    expect(warnings(input(env()))).toEqual([])
    expect(warnings(input({ ...env(), CRDB_CLIENT_ADMIN_KEY: good.key }))).toEqual(['ADMIN_CREDENTIALS_PRESENT'])
    expect(warnings(input({ ...env(), CRDB_CLIENT_ADMIN_KEY: '' }))).toEqual([])
    expect(warnings(input({ ...env(), CRDB_ADMIN_KEY: join(dir, 'fine', 'ca.crt') }))).toEqual([
      'ADMIN_CREDENTIALS_PRESENT',
    ])
    expect(warnings(input({ ...env(), CRDB_ADMIN_KEY: join(dir, 'nope') }))).toEqual([])
    expect(warnings(input({ ...env(), CRDB_CLIENT_ADMIN_KEY: 'x' }, { role: 'admin' }))).toEqual([
      'CERT_SOURCE_INCOMPLETE',
    ])
  })

  test.each([
    ...['client.root.key', 'client.gateway_admin.key', 'node.key', 'client.node.key'],
    ...['ca.key', 'ca-client.key'],
  ])('as %s in the directory used', name => {
    const path = certsDir(`with-${name}`)
    writeFileSync(join(path, name), good.key)
    expect(warnings(input({}, { certsDir: path }))).toEqual(['ADMIN_CREDENTIALS_PRESENT'])
    expect(warnings(input({ COCKROACH_CERTS_DIR: path }, { certsDir: join(dir, 'fine') }))).toEqual([])
  })
})

test('nothing secret is in a message, wherever a key lands', () => {
  const body = good.key.split('\n').slice(1, -2).join('')
  const names = [
    'CRDB_CA_CRT',
    'CRDB_CLIENT_WRITER_CRT',
    'CRDB_CLIENT_WRITER_KEY',
    'CRDB_CA_CERT',
    'CRDB_CLIENT_CERT',
    'CRDB_CLIENT_KEY',
    'CRDB_ADMIN_KEY',
    'COCKROACH_CERTS_DIR',
    'PGSSLROOTCERT',
    'PGSSLCERT',
    'PGSSLKEY',
  ]
  const values = [
    good.key,
    good.key.replaceAll('\n', '\\n'),
    good.key.replaceAll('\n', ' '),
    body,
    `${body}==`,
    '/x',
    '',
  ]
  const env = fc.record(Object.fromEntries(names.map(name => [name, fc.constantFrom(...values)])), { requiredKeys: [] })
  const pieces = body.match(/.{20}/g) ?? []
  fc.assert(
    fc.property(env, fc.option(fc.constantFrom(...values)), (settings, certsDir) => {
      const { credentials, ...shown } = loadCredentials(input(settings, { certsDir }))
      expect(credentials).toBeNull()
      const printed = JSON.stringify(shown)
      expect(pieces.filter(piece => printed.includes(piece))).toEqual([])
    }),
    { numRuns: 500 },
  )
})

test('PEM helpers', () => {
  expect(normalisePem('a\\nb\r\nc\rd')).toBe('a\nb\nc\nd')
  expect(quotePath('/a/\u001b[31mb')).toBe('/a/?[31mb')
  fc.assert(
    fc.property(fc.string(), text => {
      const { blocks } = pemBlocks(`${ca.certificate}${text}`)
      expect(blocks[0]?.text).toBe(ca.certificate)
    }),
  )
})
