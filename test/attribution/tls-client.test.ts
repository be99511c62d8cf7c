/**
 * Layer tls, the client's certificate: what the server says of it is blamed on `tls` with a TLS_CLIENT code, whether it
 * comes inside the handshake (TLS 1.2) or after it (TLS 1.3), from the scriptable server and from a real PostgreSQL.
 */
import { webcrypto, X509Certificate } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Extension } from '@peculiar/x509'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startBudget } from '../../src/budget.ts'
import {
  type Authority,
  createAuthority,
  type Issued,
  type IssueOptions,
} from '../../src/development/throwaway/authority.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { loadX509, makeKeys, pemOfKey } from '../../src/development/throwaway/keys.ts'
import { open } from '../../src/session/open.ts'
import type { ProbeConfig } from '../../src/settings/config.ts'
import type { HandshakeAct } from '../helpers/acts.ts'
import { cockroachServer } from '../helpers/cockroach.ts'
import { CLIENT, days, makePki, type Pki, presenting, SERVER } from '../helpers/pki.ts'
import { writerConfig } from '../helpers/probe.ts'
import { refusal, scriptedServer } from '../helpers/scripted.ts'
import { cli, run, settings, startServer, target } from '../helpers/target.ts'
import { check, type Expected, expectVerdict } from '../helpers/verdict.ts'
import { challenge } from '../helpers/wire.ts'

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const

let pki: Pki
beforeAll(async () => {
  pki = await makePki()
})

type Verdict = Omit<Expected, 'check'>
/** What to do by the alert, where that is not the code's own next step. */
const NEXT: Readonly<Record<string, RegExp>> = {
  bad_certificate: /^did the CA that the server runs with .*; if so, is it valid by the server's clock\? date -u there/,
  unsupported_certificate: /^the server wants keyUsage digitalSignature and clientAuth: .*client\.gateway_writer\.crt/,
  certificate_revoked: /^the server's revocation list has the client certificate: .* -serial .*SHOW ssl_crl_file/,
  certificate_expired: /^by this clock the client certificate is valid: .* -nextupdate\)$/,
  certificate_unknown: /an unknown critical extension\? openssl x509 -in client\.gateway_writer\.crt -noout -text/,
  unknown_ca: /^did the CA that the server runs with .*; if so, .* its revocation list is another CA's/,
}
const rejected = (alert: string): Verdict => ({
  ...{ code: 'TLS_CLIENT_REJECTED', evidence: { alert } },
  ...(NEXT[alert] && { hint: NEXT[alert] }),
})
const required = (alert: string): Verdict => ({ code: 'TLS_CLIENT_REQUIRED', evidence: { alert } })

describe.each(VERSIONS)('an alert about the client certificate, %s', maxVersion => {
  const alerts: readonly (readonly [number, Verdict])[] = [
    [42, rejected('bad_certificate')],
    [43, rejected('unsupported_certificate')],
    [44, rejected('certificate_revoked')],
    [45, rejected('certificate_expired')],
    [46, rejected('certificate_unknown')],
    [48, rejected('unknown_ca')],
    [49, rejected('access_denied')],
    [51, rejected('decrypt_error')],
    [116, required('certificate_required')],
    [40, required('handshake_failure')],
    [80, { code: 'TLS_FAILED', evidence: { alert: 'internal_error' } }],
  ]
  test.each(alerts)('%i', async (alert, verdict) => {
    // a node leaves the connection open after its alert, PostgreSQL closes it, and a close may come as a reset
    const next = alert % 2 === 0 ? 'silent' : 'reset'
    await using server = await scriptedServer({
      tls: { ...pki.server, maxVersion },
      onClientCertificate: { alert, next },
    })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { check: 'tls', ...verdict })
    expect(server.connections).toBeLessThanOrEqual(2)
    await server.until(({ open: sockets }) => sockets === 0)
  })
})

describe.each(VERSIONS)('an algorithm that the server does not take, %s', maxVersion => {
  // OpenSSL then shows no certificate at all (RFC 8446, 4.4.2.3), and the server says that it got none.
  test.each([
    ['and it demands one', { onClientCertificate: { alert: maxVersion === 'TLSv1.3' ? 116 : 40 } }, 'tls'],
    ['and it takes a password, too', { onStartup: { send: challenge(10) } }, 'session'],
  ] as const)('%s', async (_name, script, failed) => {
    const { chain, key } = await pki.authority.issue({ ...SERVER, keyAlgorithm: 'RSA 2048' })
    const tls = { cert: chain, key, ca: pki.server.ca, maxVersion, sigalgs: 'rsa_pss_rsae_sha256' }
    await using server = await scriptedServer({ tls, ...script })
    const report = await run(target(server, pki.pem))
    const code = failed === 'tls' ? 'TLS_CLIENT_REQUIRED' : 'AUTH_NO_CERTIFICATE'
    expectVerdict(report, { code, check: failed })
    expect(server.sessions.map(({ peerName }) => peerName).filter(Boolean)).toEqual([])
  })
})

describe('a key that the server does not take', () => {
  // Nothing tells the one from the other.
  const BOTH = /: it takes no key of this kind \((ec secp\d+r1|ed25519); .*, or something in between ends TLS/
  const client = async (keyAlgorithm: IssueOptions['keyAlgorithm']) =>
    pki.authority.issue({ ...CLIENT, ...(keyAlgorithm && { keyAlgorithm }) })

  // RFC 8422, 5.1.1: on TLS 1.2 the groups that a server takes are the curves of the certificates that it takes.
  test.each(['ECDSA P-384', 'ECDSA P-521'] as const)('%s, TLS 1.2, and the server takes P-256', async algorithm => {
    const tls = { ...pki.server, maxVersion: 'TLSv1.2', ecdhCurve: 'prime256v1' } as const
    await using server = await scriptedServer({ tls })
    const report = await run(presenting(target(server, pki.pem), await client(algorithm)))
    expectVerdict(report, {
      check: 'tls',
      ...rejected('illegal_parameter'),
      hint: /^the server does not take the curve/,
    })
  })

  test.each(['ECDSA P-384', 'ECDSA P-521', 'Ed25519'] as const)(
    '%s, TLS 1.3, and the server signs with P-256 only',
    async algorithm => {
      const tls = { ...pki.server, sigalgs: 'ecdsa_secp256r1_sha256' }
      await using server = await scriptedServer({ tls, onClientCertificate: { alert: 116 } })
      const report = await run(presenting(target(server, pki.pem), await client(algorithm)))
      expectVerdict(report, { check: 'tls', ...required('certificate_required'), hint: BOTH })
      expect(server.sessions.map(({ peerName }) => peerName).filter(Boolean)).toEqual([])
    },
  )
})

describe('when the alert is lost on the way, TLS 1.2 decides', () => {
  test.each(['close', 'reset'] as const)('%s after the handshake, an alert on TLS 1.2', async lost => {
    await using server = await scriptedServer({
      tls: pki.server,
      onClientCertificate: ({ id }) => (id <= 2 ? lost : { alert: 48 }),
    })
    await expectRedialled(server, rejected('unknown_ca'))
  })

  test.each(['close', 'reset'] as const)('%s after the handshake, and where TLS 1.2 verifies', async lost => {
    await using server = await scriptedServer({ tls: pki.server, onClientCertificate: lost })
    await expectRedialled(server, { code: 'TLS_CLIENT_REJECTED', message: /closed the connection where it verifies/ })
  })

  test.each(['close', 'reset'] as const)('%s at the StartupMessage on both: the session', async lost => {
    await using server = await scriptedServer({ tls: pki.server, onStartup: lost })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, {
      code: 'SESSION_CLOSED',
      check: 'session',
      evidence: { redialledWith: 'TLSv1.2', outcome: 'SESSION_CLOSED' },
    })
    expect(server.connections).toBeLessThanOrEqual(4)
  })

  // A server that goes away says nothing about a certificate that it has not seen the second time.
  const going = ['onAccept', 'onSslRequest', 'onClientHello'] as const
  test.each(going)('a close at the StartupMessage, then one at %s: the session', async moment => {
    await using server = await scriptedServer({
      tls: pki.server,
      onStartup: 'close',
      [moment]: ({ id }: { id: number }) => (id <= 2 ? 'go on' : 'close'),
    })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { code: 'SESSION_CLOSED', check: 'session', evidence: { outcome: 'TLS_CLOSED' } })
  })

  test('a close at the StartupMessage, and then a refusal with words: the session was closed', async () => {
    await using server = await scriptedServer({
      tls: pki.server,
      onStartup: ({ id }) => (id <= 2 ? 'close' : refusal('53300', 'sorry, too many clients already')),
    })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { code: 'SESSION_CLOSED', check: 'session', evidence: { outcome: 'SERVER_BUSY' } })
  })

  describe('and a server of TLS 1.3 only is listened to before anything is said to it', () => {
    const only = () => ({ ...pki.server, minVersion: 'TLSv1.3' }) as const
    const lost: readonly (readonly [string, HandshakeAct, Verdict])[] = [
      ['an alert', { alert: 48 }, rejected('unknown_ca')],
      ['a close', 'close', { code: 'TLS_CLIENT_REJECTED', message: /closed the connection where it verifies/ }],
      ['a reset', 'reset', { code: 'TLS_CLIENT_REJECTED', message: /closed the connection where it verifies/ }],
    ]
    test.each(lost)('%s then', async (_name, act, verdict) => {
      await using server = await scriptedServer({
        tls: only(),
        onClientCertificate: ({ id }) => (id <= 2 ? 'close' : act),
      })
      const report = await run(target(server, pki.pem))
      expectVerdict(report, { check: 'tls', ...verdict })
      expect(check(report, 'tls').evidence).toMatchObject({ redialledWith: 'TLSv1.3' })
    })

    test.each(['close', 'reset'] as const)('%s at the StartupMessage only: the session', async onStartup => {
      await using server = await scriptedServer({ tls: only(), onStartup })
      const evidence = { redialledWith: 'TLSv1.3', outcome: 'SESSION_CLOSED' }
      expectVerdict(await run(target(server, pki.pem)), { code: 'SESSION_CLOSED', check: 'session', evidence })
    })
  })

  async function expectRedialled(server: Parameters<typeof target>[0] & { connections: number }, verdict: Verdict) {
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { check: 'tls', ...verdict })
    expect(check(report, 'tls').evidence).toMatchObject({ protocol: 'TLSv1.3', redialledWith: 'TLSv1.2' })
    expect(server.connections).toBeLessThanOrEqual(4)
  }
})

/** The clients' certificates that a server must turn down: each is the writer's, and varies in one property. */
const unacceptable: readonly (readonly [
  string,
  () => Promise<Issued>,
  Readonly<Record<'node' | 'postgres', string>>,
])[] = [
  [
    'other CA',
    async () => (await createAuthority({ name: 'other' })).issue(CLIENT),
    { node: 'unknown_ca', postgres: 'unknown_ca' },
  ],
  [
    'other CA of the same name',
    async () => (await createAuthority({ name: 'clients' })).issue(CLIENT),
    { node: 'unknown_ca', postgres: 'unknown_ca' },
  ],
  [
    'expired',
    () => clients.issue({ ...CLIENT, notBefore: days(-2), notAfter: days(-1) }),
    { node: 'certificate_expired', postgres: 'certificate_expired' },
  ],
  [
    'not yet valid',
    () => clients.issue({ ...CLIENT, notBefore: days(1), notAfter: days(2) }),
    { node: 'certificate_expired', postgres: 'bad_certificate' },
  ],
  ['no clientAuth', () => clients.issue(SERVER_ONLY), { node: 'bad_certificate', postgres: 'unsupported_certificate' }],
]
const SERVER_ONLY: IssueOptions = { ...CLIENT, usages: ['serverAuth'] }

let clients: Authority
beforeAll(async () => {
  clients = await createAuthority({ name: 'clients' })
})

describe.each(VERSIONS)('a CockroachDB turns the certificate down, %s', maxVersion => {
  test.each(unacceptable)('%s', async (_name, issue, { node }) => {
    const tls = { ...pki.server, ca: clients.certificate, maxVersion }
    const certificate = await issue()
    for (const [release, alert] of [
      ['22.1', 'bad_certificate'],
      ['current', node],
    ] as const) {
      await using server = await cockroachServer({ tls, release })
      const report = await run(presenting(target(server, pki.pem), certificate))
      expectVerdict(report, { check: 'tls', ...rejected(alert) })
    }
  })
})

describe('a real PostgreSQL turns down a certificate that looks right here', () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'probe-crl-'))
    chmodSync(directory, 0o755) // the server is another user where this is root
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  /** Signs, with the clients' CA, a list of what is revoked. */
  async function revocations(of: Authority, { serials = [] as string[], nextUpdate = days(9) } = {}): Promise<string> {
    const x509 = await loadX509()
    const list = await x509.X509CrlGenerator.create({
      issuer: new x509.X509Certificate(of.certificate).subject,
      ...{ thisUpdate: days(-9), nextUpdate },
      entries: serials.map(serialNumber => ({ serialNumber })),
      signingAlgorithm: ECDSA,
      signingKey: await signingKey(of),
    })
    const file = join(directory, `${nextUpdate.getTime()}-${of.name}.crl`)
    writeFileSync(file, list.toString('pem').replaceAll(/(BEGIN|END) CRL/g, '$1 X509 CRL'))
    return file
  }
  const ECDSA = { name: 'ECDSA', hash: 'SHA-256' } as const
  const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const
  const signingKey = ({ key }: Issued) =>
    webcrypto.subtle.importKey('pkcs8', Buffer.from(key.replace(/-.*-/g, ''), 'base64'), P256, false, ['sign'])

  /** The writer's certificate with another extension. */
  async function withExtension(make: (x509: Awaited<ReturnType<typeof loadX509>>) => Extension): Promise<Issued> {
    const x509 = await loadX509()
    const keys = await makeKeys()
    const certificate = await x509.X509CertificateGenerator.create({
      subject: 'CN=gateway_writer',
      issuer: new x509.X509Certificate(clients.certificate).subject,
      ...{ notBefore: days(-1), notAfter: days(9), publicKey: keys.publicKey, extensions: [make(x509)] },
      ...{ signingKey: await signingKey(clients), signingAlgorithm: ECDSA },
    })
    const pem = `${certificate.toString('pem')}\n`
    return { certificate: pem, chain: pem, key: await pemOfKey(keys.privateKey) }
  }

  const lists: readonly (readonly [string, (serial: string) => Promise<string>, string])[] = [
    ['it is revoked', serial => revocations(clients, { serials: [serial] }), 'certificate_revoked'],
    ['the list is over', () => revocations(clients, { nextUpdate: days(-1) }), 'certificate_expired'],
    ['the list is of another CA', async () => revocations(await createAuthority({ name: 'other' })), 'unknown_ca'],
  ]
  test.each(lists)('%s', async (_name, list, alert) => {
    const issued = await clients.issue(CLIENT)
    const { serialNumber } = new X509Certificate(issued.certificate)
    const file = await list(serialNumber)
    await using server = await startServer({ engine: 'postgresql', clientAuthority: clients })
    // Afterwards: the list may keep root out, too.
    await server.runAsRoot(`ALTER SYSTEM SET ssl_crl_file = '${file}'`)
    await server.runAsRoot('SELECT pg_reload_conf()')
    let report = await run(presenting(writerConfig(server), issued))
    while (report.failure?.code === 'TABLE_MISSING') report = await run(presenting(writerConfig(server), issued))
    expectVerdict(report, { check: 'tls', ...rejected(alert) })
  })

  test('its key is for no signature, or it has an extension that nobody knows', async () => {
    await using server = await startServer({ engine: 'postgresql', clientAuthority: clients })
    const unsigned = await withExtension(x509 => new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyEncipherment, true))
    const unknown = await withExtension(x509 => new x509.Extension('1.2.3.4', true, new Uint8Array([5, 0])))
    for (const [issued, alert] of [
      [unsigned, 'unsupported_certificate'],
      [unknown, 'certificate_unknown'],
    ] as const)
      expectVerdict(await run(presenting(writerConfig(server), issued)), { check: 'tls', ...rejected(alert) })
  })
})

/**
 * How many handshakes against real servers, half of each version, none of which may be blamed on anything else: a
 * thousand where a change is decided on (CI), and enough to notice where somebody waits for it.
 */
const HANDSHAKES = process.env.CI ? 1_000 : 200

describe.each(VERSIONS)('a real PostgreSQL turns the certificate down, %s', maxVersion => {
  let server: Throwaway
  let config: ProbeConfig
  beforeAll(async () => {
    server = await startServer({
      engine: 'postgresql',
      clientAuthority: clients,
      settings: { ssl_max_protocol_version: maxVersion },
    })
    config = writerConfig(server)
  })
  afterAll(() => server?.stop())

  test.each(unacceptable)('%s', async (_name, issue, { postgres }) => {
    expectVerdict(await run(presenting(config, await issue())), { check: 'tls', ...rejected(postgres) })
  })

  test('as a process: exit code 1', async () => {
    const { chain, key } = await (await createAuthority({ name: 'stale' })).issue(CLIENT)
    const pem = { ca: server.authority.certificate, cert: chain, key }
    const { code, stdout } = await cli(['probe', '--json'], settings({ port: server.port, pem }))
    expect(code).toBe(1)
    expectVerdict(JSON.parse(stdout), { check: 'tls', ...rejected('unknown_ca') })
  })

  test(`${HANDSHAKES / 2} times without one misattribution`, { timeout: 10_000 + HANDSHAKES * 200 }, async () => {
    const foreign = presenting(config, await (await createAuthority({ name: 'stale' })).issue(CLIENT))
    const signal = new AbortController().signal
    const [host] = foreign.hosts
    const outcomes = new Map<string, number>()
    let left = HANDSHAKES / 2
    const worker = async () => {
      while (left-- > 0) {
        const context = { config: foreign, budget: startBudget(30_000, signal) }
        const { error, stages } = await open(context, { host, address: '::1' }, LOGIN)
        const outcome = `${error?.layer} ${error?.code}, ${Object.keys(stages)}`
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      }
    }
    await Promise.all([worker(), worker(), worker(), worker()])
    expect(Object.fromEntries(outcomes)).toEqual({ 'tls TLS_CLIENT_REJECTED, tcp,tls': HANDSHAKES / 2 })
  })
})

const LOGIN = { user: 'gateway_writer', certificate: 'own', tls: true } as const
