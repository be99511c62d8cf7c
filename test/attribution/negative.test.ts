import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import type { Code } from '../../src/failure/codes.ts'
import type { CheckId } from '../../src/report/report.ts'
import type { ProbeConfig } from '../../src/settings/config.ts'
import type { Act, HandshakeAct } from '../helpers/acts.ts'
import { clientOf, pemOf } from '../helpers/clients.ts'
import { makePki, type Pki, presenting } from '../helpers/pki.ts'
import { configOf, writerConfig } from '../helpers/probe.ts'
import { faultyProxy } from '../helpers/proxy.ts'
import { refusal } from '../helpers/scripted.ts'
import type { Session } from '../helpers/sessions.ts'
import { cli, migrated, type Pem, run, target } from '../helpers/target.ts'
import type { ServerTls } from '../helpers/tls-side.ts'
import { check, type Expected, expectVerdict } from '../helpers/verdict.ts'
import { authenticationOk, challenge, errorResponse } from '../helpers/wire.ts'

let server: Throwaway
let pki: Pki
beforeAll(async () => {
  ;[server, pki] = await Promise.all([migrated({ engine: 'postgresql' }), makePki()])
})
afterAll(() => server?.stop())

const asWriter = (): ProbeConfig => writerConfig(server)

const ROOT = 'hostssl all root all cert'
const CERT = 'hostssl all all all cert'

/** What is said where gateway_admin is asked for a password. */
const ASKED =
  /^the server asks gateway_admin for a password, .* the rule for gateway_admin, not the one for gateway_writer,/

/** Gives the server other rules, and waits until its postmaster has them. */
async function rules(lines: readonly string[], identities: readonly string[] = []): Promise<void> {
  const file = (name: string) => join(dirname(server.certsDir), 'server', name)
  await writeFile(file('pg_hba.conf'), [ROOT, ...lines, ''].join('\n'))
  await writeFile(file('pg_ident.conf'), [...identities, ''].join('\n'))
  const loaded = async () => (await server.runAsRoot('SELECT pg_conf_load_time()::text AS at', 'postgres'))[0]?.at
  const before = await loaded()
  await server.runAsRoot('SELECT pg_reload_conf()', 'postgres')
  while ((await loaded()) === before) await new Promise(resolve => setImmediate(resolve))
}

describe('a real server that lets in whom it must not', () => {
  const required = (evidence: object, message: RegExp): Expected => ({
    code: 'CERTLESS_LOGIN_ALLOWED',
    check: 'certificate-required',
    evidence,
    message,
  })
  const bound: Expected = {
    code: 'FOREIGN_LOGIN_ALLOWED',
    check: 'certificate-bound',
    evidence: { triedAs: 'gateway_admin', outcome: 'let in' },
  }

  const open: readonly (readonly [string, readonly string[], readonly string[], Expected])[] = [
    [
      'without a certificate',
      ['hostssl all gateway_writer all trust', CERT],
      [],
      required(
        { withoutCertificate: { outcome: 'let in' }, withoutTls: { sqlstate: '28000' } },
        /without a certificate/,
      ),
    ],
    [
      'in plaintext only',
      ['hostnossl all gateway_writer all trust', CERT],
      [],
      required({ withoutCertificate: { sqlstate: '28000' }, withoutTls: { outcome: 'let in' } }, /without TLS/),
    ],
    ['as somebody else', ['hostssl all gateway_admin all trust', CERT], [], bound],
    [
      'as somebody else, by a map of names',
      ['hostssl all gateway_admin all cert map=names', CERT],
      ['names gateway_writer gateway_admin'],
      bound,
    ],
  ]
  test.each(open)('%s', async (_name, lines, identities, expected) => {
    await rules(lines, identities)
    expectVerdict(await run(asWriter()), expected)
  })

  test('as a role that our certificate names besides', async () => {
    const named = await server.clientAuthority.issue({
      commonName: 'gateway_writer',
      dnsNames: ['gateway_reader', 'nobody.here'],
      usages: ['clientAuth'],
    })
    await server.runAsRoot('ALTER ROLE gateway_reader LOGIN')
    const lines = ['hostssl all gateway_writer,gateway_reader all cert map=names', CERT]
    await rules(lines, ['names gateway_writer gateway_writer', 'names gateway_writer gateway_reader'])
    expectVerdict(await run(presenting(asWriter(), named)), {
      ...bound,
      evidence: {
        triedAs: 'gateway_reader',
        outcome: 'let in',
        others: [{ triedAs: 'gateway_admin' }, { triedAs: 'root' }],
      },
    })
  })

  test('AuthenticationOk is in, whatever follows: no connection left for gateway_admin', async () => {
    await rules(['hostssl all gateway_admin all trust', CERT])
    await server.runAsRoot('ALTER ROLE gateway_admin CONNECTION LIMIT 0')
    const report = await run(asWriter())
    await server.runAsRoot('ALTER ROLE gateway_admin CONNECTION LIMIT -1')
    expectVerdict(report, { ...bound, evidence: { triedAs: 'gateway_admin', sqlstate: '53300' } })
  })

  test('a password asked for in plaintext lets nobody in: passes, with a warning', async () => {
    await rules(['hostnossl all gateway_writer all scram-sha-256', CERT])
    const report = await run(asWriter())
    expectVerdict(report, {})
    expect(report.warnings.map(({ code }) => code)).toContain('PLAINTEXT_ACCEPTED')
    expect(check(report, 'certificate-required').evidence).toMatchObject({
      withoutTls: { challenge: 'AuthenticationSASL' },
    })
  })

  test('a password asked for on TLS: as the writer refused, as gateway_admin not the refusal asked for', async () => {
    await rules(['hostssl all gateway_admin all scram-sha-256', CERT])
    expectVerdict(await run(asWriter()), {
      code: 'AUTH_NO_CERTIFICATE',
      check: 'certificate-bound',
      hint: ASKED,
    })
  })

  test('as a process: exit code 1', async () => {
    await rules(['hostssl all gateway_writer all trust', CERT])
    const env = { DATABASE_URL: server.url('gateway_writer') }
    const { code, stdout } = await cli(['probe', '--json', '--certs-dir', server.certsDir], env)
    expect(code).toBe(1)
    expectVerdict(JSON.parse(stdout), { code: 'CERTLESS_LOGIN_ALLOWED', check: 'certificate-required' })
  })

  afterAll(() => rules([CERT]))
})

describe('who is there to try', () => {
  const triedAs = (report: Awaited<ReturnType<typeof run>>) => check(report, 'certificate-bound').evidence.triedAs

  /** SQL as root, on a connection that outlives root's right to log in. */
  const asRoot = () => clientOf(server, 'root')

  afterEach(async () => {
    const [row] = await server.runAsRoot(
      "SELECT count(*)::int AS n FROM pg_roles WHERE rolname = 'gateway_admin' AND rolcanlogin",
    )
    expect(row?.n).toBe(1)
  })

  test('gateway_admin, where it may log in', async () => {
    const report = await run(asWriter())
    expectVerdict(report, {})
    expect(check(report, 'certificate-bound').evidence).toMatchObject({ triedAs: 'gateway_admin', sqlstate: '28000' })
  })

  const away = [
    ['absent', 'ALTER ROLE gateway_admin RENAME TO away', 'ALTER ROLE away RENAME TO gateway_admin'],
    ['NOLOGIN', 'ALTER ROLE gateway_admin NOLOGIN', 'ALTER ROLE gateway_admin LOGIN'],
  ] as const
  test.each(away)('gateway_admin %s: root', async (_name, take, give) => {
    await using root = await asRoot()
    await root.unsafe(take)
    const report = await run(asWriter())
    await root.unsafe(give)
    expectVerdict(report, {})
    expect(triedAs(report)).toBe('root')
  })

  test.each(away)('gateway_admin %s, and root NOLOGIN: nobody', async (_name, take, give) => {
    await using root = await asRoot()
    await root.unsafe(`${take}; ALTER ROLE root NOLOGIN`)
    const report = await run(asWriter())
    await root.unsafe(`${give}; ALTER ROLE root LOGIN`)
    expectVerdict(report, {
      code: 'NEGATIVE_INCONCLUSIVE',
      check: 'certificate-bound',
      evidence: { roles: expect.arrayContaining(['root NOLOGIN']) },
    })
  })
})

/** The logins that must be refused, by what the server sees of them. */
const LOGINS = {
  'without a certificate': ({ peer, protocol }: Session) => protocol !== undefined && peer === undefined,
  'without TLS': ({ protocol }: Session) => protocol === undefined,
  'with a broken signature': ({ peer }: Session) => peer !== undefined && !isSigned(peer),
  'as gateway_admin': ({ startup }: Session) => startup?.user === 'gateway_admin',
} as const
type Attempt = keyof typeof LOGINS

/** Whether the certificate is signed by the CA that made it. */
const isSigned = (peer: X509Certificate): boolean =>
  peer.verify(new X509Certificate(pki.authority.certificate).publicKey)

/** The check that each of them is for. */
const CHECK_OF: Readonly<Record<Attempt, CheckId>> = {
  'without a certificate': 'certificate-required',
  'without TLS': 'certificate-required',
  'with a broken signature': 'certificate-verified',
  'as gateway_admin': 'certificate-bound',
}

/** The certificate twice: OpenSSL then sends no root along, and a server without a CA cannot see what is broken. */
const unverifiable = (pem: Pem): Pem => ({ ...pem, cert: `${pem.cert}\n${pem.cert}` })

describe('a refusal for another reason, before a real server', () => {
  /** A proxy that takes every certificate, and acts on one of the logins. */
  const proxy = (attempt: Attempt, act: { startup?: Act; certificate?: HandshakeAct }, more: Partial<ServerTls> = {}) =>
    faultyProxy({
      upstream: server,
      tls: { cert: pki.server.cert, key: pki.server.key, ...more },
      credentials: ({ protocol, peerName }) => {
        if (protocol === undefined) return undefined
        return peerName ? pemOf(server, peerName) : { ca: server.authority.certificate }
      },
      ...(act.startup && { onStartup: session => (LOGINS[attempt](session) ? act.startup : undefined) }),
      ...(act.certificate && {
        onClientCertificate: session => {
          const isIt = attempt === 'without a certificate' ? session.peer === undefined : LOGINS[attempt](session)
          return isIt ? act.certificate : undefined
        },
      }),
    })

  const fatal = (C: string, M: string) => errorResponse({ S: 'FATAL', V: 'FATAL', C, M, R: 'x' })
  const reasons: readonly (readonly [string, Act, Code])[] = [
    ['busy', refusal('53300', 'sorry, too many clients already'), 'SERVER_BUSY'],
    ['read-only', refusal('25006', 'cannot execute in a read-only transaction'), 'SESSION_REFUSED'],
    ['draining', refusal('57P01', 'server is not accepting clients, try another node'), 'SERVER_DRAINING'],
    ['starting up', refusal('57P03', 'the database system is starting up'), 'SERVER_UNAVAILABLE'],
    ['closed', 'close', 'SESSION_CLOSED'],
    ['reset', 'reset', 'SESSION_CLOSED'],
    ['silent', 'silent', 'SESSION_TIMEOUT'],
    ['garbage', { send: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') }, 'SESSION_PROTOCOL'],
  ]
  const attempts = Object.keys(LOGINS) as Attempt[]
  const table = attempts.flatMap(attempt => reasons.map(([name, act, code]) => [attempt, name, act, code] as const))

  test.each(table)('the login %s: %s', async (attempt, _name, startup, code) => {
    await using between = await proxy(attempt, { startup })
    const pem = attempt === 'with a broken signature' ? unverifiable(pki.pem) : pki.pem
    const report = await run(target(between, pem, { deadlineMs: 4_000 }))
    const failed = CHECK_OF[attempt]
    // That nothing comes back where a session was opened a moment ago has a hint of its own.
    const hint = code === 'SESSION_TIMEOUT' && { hint: /the address answered when the run began/ }
    // "After TLS" is said of no login that had none; and it is the login that is closed, not the server that crashes.
    const closed =
      attempt === 'without TLS' ? /^the server closes a login without TLS/ : /^the server closes this login/
    const closedHint = code === 'SESSION_CLOSED' && { hint: closed }
    expectVerdict(report, { code, check: failed, message: /was not refused, but ended with/, ...hint, ...closedHint })
    expect(between.maxOpen).toBeLessThanOrEqual(4)
  })

  test.each(attempts)('the login %s: let in, and then an error', async attempt => {
    await using between = await proxy(attempt, {
      startup: { send: [authenticationOk(), fatal('53300', 'too many connections')], next: 'close' },
    })
    const pem = attempt === 'with a broken signature' ? unverifiable(pki.pem) : pki.pem
    const code = {
      'certificate-required': 'CERTLESS_LOGIN_ALLOWED',
      'certificate-verified': 'FORGED_LOGIN_ALLOWED',
      'certificate-bound': 'FOREIGN_LOGIN_ALLOWED',
    } as const
    const failed = CHECK_OF[attempt] as keyof typeof code
    expectVerdict(await run(target(between, pem)), { code: code[failed], check: failed })
  })

  const refused: readonly (readonly [Attempt, string, { startup?: Act; certificate?: HandshakeAct }])[] = [
    ['without a certificate', 'an alert', { certificate: { alert: 116 } }],
    ['without a certificate', 'the alert of an older server', { certificate: { alert: 42 } }],
    ['without a certificate', 'a challenge', { startup: { send: challenge(10) } }],
    ['without a certificate', '28P01', { startup: refusal('28P01', 'password authentication failed') }],
    ['without TLS', '08P01', { startup: refusal('08P01', 'node is running secure mode, SSL connection required') }],
    ['as gateway_admin', '28000', { startup: refusal('28000', 'requested user is gateway_admin', 'func1') }],
    ['with a broken signature', 'bad_certificate', { certificate: { alert: 42 } }],
    ['with a broken signature', 'unknown_ca, the connection left open', { certificate: { alert: 48, next: 'silent' } }],
    ['with a broken signature', 'decrypt_error', { certificate: { alert: 51 } }],
    ['with a broken signature', 'a close', { certificate: 'close' }],
    ['with a broken signature', 'a reset', { certificate: 'reset' }],
    ['with a broken signature', '28000', { startup: refusal('28000', 'certificate authentication failed') }],
  ]
  const versions: readonly Partial<ServerTls>[] = [{}, { maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' }]
  const everyVersion = refused.flatMap(
    ([attempt, name, act]): (readonly [Attempt, string, typeof act, Partial<ServerTls>])[] =>
      attempt === 'with a broken signature'
        ? versions.map(tls => [attempt, `${name}, ${JSON.stringify(tls)}`, act, tls] as const)
        : [[attempt, name, act, {}] as const],
  )
  test.each(everyVersion)('the login %s is refused by %s: passes', async (attempt, _name, act, tls) => {
    await using between = await proxy(attempt, act, tls)
    const pem = attempt === 'with a broken signature' ? unverifiable(pki.pem) : pki.pem
    expectVerdict(await run(target(between, pem)), {})
  })

  test('a server that verifies no client certificate: FORGED_LOGIN_ALLOWED, and why that matters', async () => {
    await using between = await proxy('with a broken signature', {})
    expectVerdict(await run(target(between, unverifiable(pki.pem))), {
      code: 'FORGED_LOGIN_ALLOWED',
      check: 'certificate-verified',
      message: /^gateway_writer logged in with a certificate whose signature is broken$/,
      evidence: { outcome: 'let in' },
    })
  })

  // CockroachDB says so with 28000 where the range with its users cannot be read.
  const LOOKUP_FAILED = refusal('28000', 'internal error while retrieving user account', 'func1')
  const not: readonly (readonly [Attempt, string, { startup?: Act; certificate?: HandshakeAct }, Code])[] = [
    ['without a certificate', 'another alert', { certificate: { alert: 80 } }, 'TLS_FAILED'],
    ['without a certificate', '08P01', { startup: refusal('08P01', 'protocol violation') }, 'SESSION_REFUSED'],
    ['as gateway_admin', '08P01', { startup: refusal('08P01', 'protocol violation') }, 'SESSION_REFUSED'],
    ['as gateway_admin', 'a challenge', { startup: { send: challenge(10) } }, 'AUTH_NO_CERTIFICATE'],
    ['with a broken signature', 'another alert', { certificate: { alert: 80 } }, 'TLS_FAILED'],
    ['with a broken signature', 'a challenge', { startup: { send: challenge(10) } }, 'AUTH_NO_CERTIFICATE'],
    ['with a broken signature', '08P01', { startup: refusal('08P01', 'protocol violation') }, 'SESSION_REFUSED'],
    ...(['without a certificate', 'as gateway_admin'] as const).map(
      attempt => [attempt, 'a look at the user that failed', { startup: LOOKUP_FAILED }, 'SERVER_UNAVAILABLE'] as const,
    ),
  ]
  test.each(not)('the login %s is not refused by %s', async (attempt, _name, act, code) => {
    await using between = await proxy(attempt, act)
    const pem = attempt === 'with a broken signature' ? unverifiable(pki.pem) : pki.pem
    const hint = attempt === 'as gateway_admin' && code === 'AUTH_NO_CERTIFICATE' && { hint: ASKED }
    expectVerdict(await run(target(between, pem)), { code, check: CHECK_OF[attempt], ...hint })
  })
})

test('an alert about a certificate before one could come is no refusal of the login without', async () => {
  let hellos = 0
  await using between = await faultyProxy({
    upstream: server,
    tls: pki.server,
    credentials: ({ peerName }) => (peerName ? pemOf(server, peerName) : undefined),
    // The first two are the sessions'.
    onClientHello: () => (++hellos === 3 ? { alert: 42 } : undefined),
  })
  expectVerdict(await run(target(between, pki.pem)), {
    code: 'TLS_FAILED',
    check: 'certificate-required',
    message: /was not refused, but ended with/,
  })
})

test('as an administrator there is nobody else to be: blocked by role', async () => {
  const config = configOf({ DATABASE_URL: server.url('gateway_admin') }, { options: { certsDir: server.certsDir } })
  const report = await run(config)
  expect(check(report, 'certificate-bound')).toMatchObject({ status: 'blocked', blockedBy: 'role' })
  expect(report.failure?.code).toBe('ADMIN_AT_RUNTIME')
  // By its name, whatever it holds and owns besides.
  expect(report.failure?.message).toContain('gateway_admin is an administrator')
})
