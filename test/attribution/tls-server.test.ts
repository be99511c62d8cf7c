/**
 * Layer tls, the server's side: real certificates that vary in one property each, and bytes that are not what a
 * server of ours would send.
 */
import { createSecureContext } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Authority, createAuthority, type IssueOptions } from '../../src/development/throwaway/authority.ts'
import { days, makePki, type Pki, SERVER } from '../helpers/pki.ts'
import { type Script, scriptedServer } from '../helpers/scripted.ts'
import { cli, namesOf, run, settings, target } from '../helpers/target.ts'
import { plainAlert, type ServerTls } from '../helpers/tls-side.ts'
import { check, type Expected, expectSaid, expectVerdict } from '../helpers/verdict.ts'
import { challenge, errorResponse } from '../helpers/wire.ts'

let pki: Pki
beforeAll(async () => {
  pki = await makePki()
})

type Verdict = Omit<Expected, 'check'>

/** The path opens a second connection once TCP stands; nothing is dialled again for a fault of the server's. */
const CONNECTIONS = 2

describe('the server certificate', () => {
  const issued = (options: Partial<IssueOptions>) => async (): Promise<ServerTls> => {
    const { chain, key } = await pki.authority.issue({ ...SERVER, ...options })
    return { cert: chain, key }
  }
  const foreign = async (name: string): Promise<ServerTls> => {
    const { chain, key } = await (await createAuthority({ name })).issue(SERVER)
    return { cert: chain, key }
  }

  /** So many intermediates below a CA, one below the other. */
  const below = async (count: number, authority = pki.authority): Promise<Authority> =>
    count === 0 ? authority : below(count - 1, await authority.issueIntermediate({ name: `below ${count}` }))

  const faults: readonly (readonly [string, () => Promise<ServerTls>, Verdict])[] = [
    [
      'unknown CA',
      () => foreign('another CA'),
      { code: 'TLS_SERVER_UNTRUSTED', evidence: { verification: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' } },
    ],
    ['another CA of the same name', () => foreign('attribution CA'), { code: 'TLS_SERVER_UNTRUSTED' }],
    [
      'self-signed',
      async () => {
        const { certificate, key } = await createAuthority({ name: 'node' })
        return { cert: certificate, key }
      },
      { code: 'TLS_SERVER_UNTRUSTED' },
    ],
    [
      'missing intermediate',
      async () => {
        const below = await pki.authority.issueIntermediate({ name: 'below' })
        const { certificate, key } = await below.issue(SERVER)
        return { cert: certificate, key }
      },
      { code: 'TLS_SERVER_UNTRUSTED', evidence: { verification: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' } },
    ],
    [
      'unknown CA, and expired: trust comes first',
      async () => {
        const { chain, key } = await (await createAuthority({ name: 'x' })).issue({ ...SERVER, notAfter: days(-0.01) })
        return { cert: chain, key }
      },
      { code: 'TLS_SERVER_UNTRUSTED' },
    ],
    [
      'expired',
      issued({ notBefore: days(-10), notAfter: days(-1) }),
      { code: 'TLS_SERVER_EXPIRED', evidence: { verification: 'CERT_HAS_EXPIRED' } },
    ],
    [
      'expired intermediate',
      async () => {
        const below = await pki.authority.issueIntermediate({ name: 'b', notBefore: days(-9), notAfter: days(-1) })
        const { chain, key } = await below.issue(SERVER)
        return { cert: chain, key }
      },
      {
        code: 'TLS_SERVER_EXPIRED',
        message: /certificate is valid now, but its CA's has expired/,
        hint: /the CA certificate above it is not/,
        evidence: { outOfForce: { subject: expect.stringContaining('CN=b') } },
      },
    ],
    [
      'expired, nine intermediates below the CA',
      async () => {
        const { chain, key } = await (await below(9)).issue({ ...SERVER, notAfter: days(-0.01) })
        return { cert: chain, key }
      },
      { code: 'TLS_SERVER_EXPIRED', evidence: { verification: 'CERT_HAS_EXPIRED' } },
    ],
    [
      'the tenth intermediate from the leaf has expired',
      async () => {
        const over = await pki.authority.issueIntermediate({ name: 'b', notBefore: days(-9), notAfter: days(-1) })
        const { chain, key } = await (await below(9, over)).issue(SERVER)
        return { cert: chain, key }
      },
      {
        code: 'TLS_SERVER_EXPIRED',
        hint: /the CA certificate above it is not/,
        evidence: { outOfForce: { subject: expect.stringContaining('CN=b') } },
      },
    ],
    [
      'without any name',
      issued({ commonName: '', dnsNames: [], ipAddresses: [] }),
      {
        code: 'TLS_SERVER_NAME',
        message: /^the server's certificate is not for ::1: it names no host in its SANs \(its subject is empty\)$/,
      },
    ],
    [
      'a mail address for a name',
      issued({ commonName: 'two\nlines', dnsNames: [], ipAddresses: [], emails: ['root@db.internal'] }),
      { code: 'TLS_SERVER_NAME', message: /^the server's certificate is not for ::1 but for email:root@db.internal$/ },
    ],
    [
      'signed by the right CA with a digest that OpenSSL does not take',
      // Nor would a server of Node's, at its usual level.
      async () => ({ ...(await issued({ hash: 'SHA-1' })()), ciphers: 'DEFAULT@SECLEVEL=0' }),
      {
        code: 'TLS_SERVER_UNTRUSTED',
        message: /is issued by the configured CA, and the chain is not accepted \(.*too weak/,
        hint: /the chain breaks a rule/,
        evidence: { openssl: expect.stringContaining('too weak') },
      },
    ],
    [
      'not yet valid',
      issued({ notBefore: days(1), notAfter: days(10) }),
      { code: 'TLS_SERVER_NOT_YET_VALID', evidence: { verification: 'CERT_NOT_YET_VALID' } },
    ],
    ['no serverAuth', issued({ usages: ['clientAuth'] }), { code: 'TLS_SERVER_USAGE' }],
    [
      'no serverAuth, but what OpenSSL takes for it',
      issued({ usages: ['stepUp', 'clientAuth'] }),
      { code: 'TLS_SERVER_USAGE', evidence: { usages: expect.not.arrayContaining(['serverAuth']) } },
    ],
    [
      'for servers, below a CA that is for clients only',
      async () => {
        const below = await pki.authority.issueIntermediate({ name: 'below', usages: ['clientAuth'] })
        const { chain, key } = await below.issue(SERVER)
        return { cert: chain, key }
      },
      {
        code: 'TLS_SERVER_UNTRUSTED',
        message: /is issued by the configured CA, and the chain is not accepted/,
        hint: /the chain breaks a rule/,
        evidence: { verification: 'INVALID_PURPOSE' },
      },
    ],
    [
      'IP literal not in SAN',
      issued({ ipAddresses: ['::2'] }),
      { code: 'TLS_SERVER_NAME', evidence: { wanted: '::1' }, message: /not for ::1 but for DNS:localhost, IP/ },
    ],
    [
      'IP literal as a DNS name',
      issued({ ipAddresses: [], dnsNames: ['::1'] }),
      { code: 'TLS_SERVER_NAME', evidence: { wanted: '::1' } },
    ],
    [
      'CN only',
      issued({ commonName: '::1', ipAddresses: [], dnsNames: [] }),
      {
        code: 'TLS_SERVER_NAME',
        message: /^.*not for ::1: it names no host in its SANs \(its subject is O=connection-probe, CN=::1\)$/,
        evidence: { wanted: '::1', names: null },
      },
    ],
  ]
  test.each(faults)('%s', async (_name, present, verdict) => {
    await using server = await scriptedServer({ tls: await present() })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { check: 'tls', ...verdict })
    expect(check(report, 'tls').evidence).toMatchObject({
      protocol: 'TLSv1.3',
      serverCertificate: { subject: expect.any(String), notAfter: expect.any(String) },
    })
    expect(report.failure?.message).not.toMatch(/[\r\n]|undefined/)
    expect(server.connections).toBeLessThanOrEqual(CONNECTIONS)
    // nothing is said to a server that is not the one wanted
    expect(server.sessions.every(({ startup }) => startup === undefined)).toBe(true)
  })

  const NO_ROOT = /^the CA file holds an intermediate and not the root above it/
  const roots: readonly (readonly [string, () => Promise<{ tls: ServerTls; ca: string }>, string | RegExp | null])[] = [
    ['an intermediate and no root', async () => intermediateAlone({}), NO_ROOT],
    [
      'an intermediate and no root, and the leaf has expired: trust comes first',
      async () => intermediateAlone({ notAfter: days(-0.01) }),
      NO_ROOT,
    ],
    [
      'an intermediate and no root, which the server sends',
      async () => {
        const { tls, ca } = await intermediateAlone({})
        return { tls: { ...tls, cert: `${tls.cert}${pki.pem.ca}` }, ca }
      },
      NO_ROOT,
    ],
    [
      "an intermediate and another CA's root",
      async () => {
        const { tls, ca } = await intermediateAlone({})
        return { tls, ca: ca + (await createAuthority({ name: 'another CA' })).certificate }
      },
      NO_ROOT,
    ],
    [
      // OpenSSL looks for what is above a configured certificate among the configured ones only.
      'an intermediate and the root, and not what lies between',
      async () => {
        const { tls, ca } = await intermediateAlone({})
        return { tls, ca: ca + pki.pem.ca }
      },
      NO_ROOT,
    ],
    [
      'all of the chain',
      async () => {
        const { chain, issue } = await below(2)
        const { certificate, key } = await issue(SERVER)
        return { tls: { cert: certificate, key }, ca: chain + pki.pem.ca }
      },
      null,
    ],
  ]
  const intermediateAlone = async (options: Partial<IssueOptions>) => {
    const authority = await below(2)
    const { chain, key } = await authority.issue({ ...SERVER, ...options })
    return { tls: { cert: chain, key }, ca: authority.certificate }
  }
  test.each(roots)('the CA file holds %s', async (_name, make, hint) => {
    const { tls, ca } = await make()
    await using server = await scriptedServer({ tls })
    const report = await run(target(server, { ...pki.pem, ca }))
    if (hint === null) expect(check(report, 'tls').status).toBe('passed')
    else expectVerdict(report, { code: 'TLS_SERVER_UNTRUSTED', check: 'tls', hint })
  })

  test('nine intermediates between the leaf and the CA: passes', async () => {
    const { chain, key } = await (await below(9)).issue(SERVER)
    await using server = await scriptedServer({ tls: { cert: chain, key } })
    expect(check(await run(target(server, pki.pem)), 'tls').status).toBe('passed')
  })

  // what passes says which name of the certificate it was
  const names: readonly (readonly [string, Partial<IssueOptions>, Record<string, string>, Verdict | string])[] = [
    [
      'wrong name',
      { dnsNames: ['other.app.internal'] },
      {},
      { code: 'TLS_SERVER_NAME', evidence: { wanted: 'db.app.internal' } },
    ],
    [
      'the name in the CN only',
      { commonName: 'db.app.internal', dnsNames: ['x.internal'] },
      {},
      { code: 'TLS_SERVER_NAME' },
    ],
    ['a name below the one it has', { dnsNames: ['app.internal'] }, {}, { code: 'TLS_SERVER_NAME' }],
    [
      'CRDB_SNI that it does not carry',
      { dnsNames: ['db.app.internal'] },
      { CRDB_SNI: 'a.b' },
      { code: 'TLS_SERVER_NAME' },
    ],
    [
      'the name in the CN, and no SAN',
      { commonName: 'db.app.internal', dnsNames: [], ipAddresses: [] },
      {},
      { code: 'TLS_SERVER_NAME', evidence: { names: null } },
    ],
    [
      'a wildcard for a part of the label',
      { dnsNames: ['d*.app.internal'] },
      {},
      { code: 'TLS_SERVER_NAME', message: /not for db\.app\.internal but for DNS:d\*\.app\.internal/ },
    ],
    ['a wildcard for two labels', { dnsNames: ['*.internal'] }, {}, { code: 'TLS_SERVER_NAME' }],
    ['a wildcard alone', { dnsNames: ['*'] }, {}, { code: 'TLS_SERVER_NAME' }],
    ['the right name', { dnsNames: ['db.app.internal'] }, {}, 'DNS name db.app.internal'],
    ['a wildcard for it', { dnsNames: ['*.app.internal'] }, {}, 'wildcard *.app.internal'],
    ['a wildcard below the top', { dnsNames: ['*.internal'] }, { CRDB_SNI: 'db.internal' }, 'wildcard *.internal'],
    ['CRDB_SNI that it carries', { dnsNames: ['x.flycast'] }, { CRDB_SNI: 'x.flycast' }, 'DNS name x.flycast'],
    ['CRDB_SNI that is an address', { ipAddresses: ['fdaa::3'] }, { CRDB_SNI: 'fdaa::3' }, 'IP address fdaa::3'],
  ]
  test.each(names)('dialled by name: %s', async (_name, options, env, verdict) => {
    await using server = await scriptedServer({ tls: await issued(options)() })
    const names = namesOf({ 'db.app.internal': ['::1'] })
    const config = target(server, pki.pem, { host: 'db.app.internal', names, env })
    const report = await run(config)
    if (typeof verdict !== 'string') return expectVerdict(report, { check: 'tls', ...verdict })
    expect(check(report, 'tls')).toMatchObject({ status: 'passed', evidence: { nameRule: verdict } })
  })

  // A server or a router in between may choose a certificate by it (RFC 6066, 3); an address is none.
  test.each([
    ['the host', {}, 'db.app.internal'],
    ['CRDB_SNI', { CRDB_SNI: 'x.flycast' }, 'x.flycast'],
    ['no address', { CRDB_SNI: 'fdaa::3' }, undefined],
  ])('the name that the server is asked for: %s', async (_name, env, serverName) => {
    const all = { dnsNames: ['db.app.internal', 'x.flycast'], ipAddresses: ['fdaa::3'] }
    await using server = await scriptedServer({ tls: await issued(all)() })
    await run(target(server, pki.pem, { host: 'db.app.internal', names: namesOf({ 'db.app.internal': ['::1'] }), env }))
    const logins = server.sessions.filter(({ startup, protocol }) => startup && protocol)
    expect(new Set(logins.map(session => session.serverName))).toEqual(new Set([serverName]))
  })

  test('an IP literal that it names, and no name: passes', async () => {
    await using server = await scriptedServer({ tls: await issued({ dnsNames: [] })() })
    const tls = check(await run(target(server, pki.pem)), 'tls')
    expect(tls).toMatchObject({ status: 'passed', evidence: { nameRule: 'IP address ::1' } })
  })

  test('with its intermediate: passes', async () => {
    const below = await pki.authority.issueIntermediate({ name: 'below' })
    const { chain, key } = await below.issue(SERVER)
    await using server = await scriptedServer({ tls: { cert: chain, key } })
    expect(check(await run(target(server, pki.pem)), 'tls').status).toBe('passed')
  })

  test('without any extended key usage: passes, as OpenSSL has it', async () => {
    await using server = await scriptedServer({ tls: await issued({ usages: null })() })
    expect(check(await run(target(server, pki.pem)), 'tls').status).toBe('passed')
  })

  const warned: readonly (readonly [string, Partial<IssueOptions>, object[]])[] = [
    ['nothing to warn of', {}, []],
    ['31 days left', { notAfter: days(31) }, []],
    [
      'ten days left',
      { notAfter: days(10.5) },
      [{ code: 'CERT_EXPIRES_SOON', message: expect.stringMatching(/^the server's certificate .* in 10 days$/) }],
    ],
    [
      'for servers only, as no node can use it among its like',
      { usages: ['serverAuth'] },
      [{ code: 'NODE_CERT_USAGE', message: expect.stringContaining("the server's certificate lacks clientAuth") }],
    ],
  ]
  test.each(warned)('passes, and warns of what is not wrong yet: %s', async (_name, options, warnings) => {
    await using server = await scriptedServer({ tls: await issued(options)() })
    const report = await run(target(server, pki.pem))
    expect(check(report, 'tls').status).toBe('passed')
    const ofTls = report.warnings.filter(({ code }) => code === 'CERT_EXPIRES_SOON' || code === 'NODE_CERT_USAGE')
    expect(ofTls).toEqual(warnings)
  })

  test('TLS 1.1 only', async () => {
    const old: ServerTls = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
    await using server = await scriptedServer({ tls: { ...pki.server, ...old } })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { code: 'TLS_VERSION', check: 'tls', evidence: { alert: 'protocol_version' } })
    expect(server.connections).toBeLessThanOrEqual(CONNECTIONS)
  })

  test('as a process: exit code 1, and the same verdict as JSON', async () => {
    await using server = await scriptedServer({ tls: await foreign('another CA') })
    const env = settings({ port: server.port, pem: pki.pem })
    const [text, json] = [await cli(['probe'], env), await cli(['probe', '--json'], env)]
    expect([text.code, json.code]).toEqual([1, 1])
    const { failure } = JSON.parse(json.stdout)
    expect(failure).toMatchObject({ code: 'TLS_SERVER_UNTRUSTED', layer: 'tls' })
    expectSaid(text.stdout, 'TLS_SERVER_UNTRUSTED', failure.hint)
  })
})

const error = (sqlstate: string, message: string) => errorResponse({ S: 'FATAL', V: 'FATAL', C: sqlstate, M: message })
const raw = (text: string) => Buffer.from(text, 'latin1')

/** What some servers answer when they are spoken to in PostgreSQL's protocol. */
const HTTP =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request'
const SSH = 'SSH-2.0-OpenSSH_9.6p1 Debian-1\r\n'
const MYSQL = 'J\0\0\0\n8.0.36\0\x08\0\0\0abcdefgh\0'

describe('bytes instead of TLS', () => {
  const answers: readonly (readonly [string, Script, Verdict])[] = [
    ['N', {}, { code: 'TLS_NOT_OFFERED', evidence: { answer: 'N' } }],
    // One byte answers the SSLRequest; what else came with it is the next thing that the server says.
    [
      'N and an error in one segment',
      { onSslRequest: { send: Buffer.concat([raw('N'), error('08P01', 'TLS only by another port')]), next: 'close' } },
      { code: 'TLS_NOT_OFFERED', evidence: { answer: 'N', followedBy: { sqlstate: '08P01' } } },
    ],
    [
      'N and the beginning of an error',
      { onSslRequest: { send: Buffer.concat([raw('N'), error('57P01', 'gone').subarray(0, 12)]), next: 'silent' } },
      { code: 'TLS_NOT_OFFERED', evidence: { answer: 'N' } },
    ],
    [
      'N twice',
      { onSslRequest: { send: raw('NN'), next: 'silent' } },
      { code: 'TLS_NOT_OFFERED', evidence: { answer: 'N' } },
    ],
    [
      'N and a challenge in one segment',
      { onSslRequest: { send: Buffer.concat([raw('N'), challenge(10)]), next: 'silent' } },
      { code: 'TLS_NOT_OFFERED', evidence: { answer: 'N' } },
    ],
    [
      'an IRC server, which begins with N',
      { onAccept: { send: raw('NOTICE AUTH :*** Looking up your hostname\r\n'), next: 'silent' } },
      { code: 'TLS_NOT_POSTGRES' },
    ],
    [
      'E: draining',
      { onSslRequest: { send: error('57P01', 'server is not accepting clients, try another node'), next: 'close' } },
      { code: 'SERVER_DRAINING', sqlstate: '57P01' },
    ],
    [
      'E: too many clients',
      { onSslRequest: { send: error('53300', 'sorry, too many clients already'), next: 'close' } },
      { code: 'SERVER_BUSY', sqlstate: '53300' },
    ],
    [
      'E: starting up',
      { onSslRequest: { send: error('57P03', 'the database system is starting up'), next: 'close' } },
      { code: 'SERVER_UNAVAILABLE', sqlstate: '57P03' },
    ],
    [
      'E: unknown request',
      { onSslRequest: { send: error('0A000', 'unsupported frontend protocol 1234.5679'), next: 'close' } },
      { code: 'TLS_NOT_OFFERED', sqlstate: '0A000' },
    ],
    [
      'E: an error of another kind',
      { onSslRequest: { send: error('XX000', 'internal error'), next: 'close' } },
      { code: 'SESSION_REFUSED', sqlstate: 'XX000' },
    ],
    [
      'E and garbage',
      { onSslRequest: { send: raw('EHLO who is there\r\n'), next: 'close' } },
      { code: 'TLS_NOT_POSTGRES' },
    ],
    [
      'E without a SQLSTATE',
      { onSslRequest: { send: errorResponse({ S: 'FATAL', M: 'no' }), next: 'close' } },
      { code: 'TLS_NOT_POSTGRES' },
    ],
    [
      'an HTTP server',
      { onSslRequest: { send: raw(HTTP), next: 'close' } },
      { code: 'TLS_NOT_POSTGRES', evidence: { answer: HTTP.slice(0, 32) } },
    ],
    [
      'a PostgreSQL without a process left, in the form of protocol 2',
      {
        onSslRequest: {
          send: raw('Ecould not fork new process for connection: Resource temporarily unavailable\n\0'),
          next: 'close',
        },
      },
      { code: 'SERVER_UNAVAILABLE', message: /Resource temporarily unavailable/ },
    ],
    ['a memcached', { onSslRequest: { send: raw('ERROR\r\n'), next: 'silent' } }, { code: 'TLS_NOT_POSTGRES' }],
    ['an SSH banner at once', { onAccept: { send: raw(SSH), next: 'silent' } }, { code: 'TLS_NOT_POSTGRES' }],
    [
      'an SSH banner, byte by byte',
      { onAccept: { send: raw(SSH), everyMs: 1, next: 'silent' } },
      { code: 'TLS_NOT_POSTGRES' },
    ],
    ['a MySQL greeting at once', { onAccept: { send: raw(MYSQL), next: 'silent' } }, { code: 'TLS_NOT_POSTGRES' }],
    [
      'a banner that begins with N',
      { onAccept: { send: raw('NNTP ready\r\n'), next: 'silent' } },
      { code: 'TLS_NOT_POSTGRES' },
    ],
    ['S and extra bytes', { onSslRequest: { send: raw('Sx'), next: 'silent' } }, { code: 'TLS_NOT_POSTGRES' }],
    [
      'S, and then another protocol',
      { onClientHello: { send: raw(HTTP), next: 'close' } },
      { code: 'TLS_NOT_POSTGRES', message: /is not TLS/ },
    ],
    [
      'S, and then an error in plaintext',
      { onClientHello: { send: error('57P01', 'gone'), next: 'close' } },
      { code: 'TLS_NOT_POSTGRES' },
    ],
  ]
  test.each(answers)('%s', async (name, script, verdict) => {
    await using server = await scriptedServer({ ...(name !== 'N' && { tls: pki.server }), ...script })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { check: 'tls', ...verdict })
    expect(server.connections).toBeLessThanOrEqual(CONNECTIONS)
    expect(server.sessions.every(({ startup }) => startup === undefined)).toBe(true)
  })

  test('as a process: a draining node, exit code 1', async () => {
    await using server = await scriptedServer({ onSslRequest: { send: error('57P01', 'draining'), next: 'close' } })
    const { code, stdout } = await cli(['probe', '--json'], settings({ port: server.port, pem: pki.pem }))
    expect(code).toBe(1)
    expect(JSON.parse(stdout).failure).toMatchObject({ code: 'SERVER_DRAINING', layer: 'session', sqlstate: '57P01' })
  })
})

describe('silence, close and reset on the way to TLS', () => {
  const deadlineMs = 1_600 // one wait is a quarter of it

  // Nothing at all, and nothing once packets get large, are mended differently.
  const DUMB = /^the server accepts connections and says nothing/
  const STALLED = /^small packets pass, the certificates do not/
  const silences: readonly (readonly [string, Script, RegExp])[] = [
    ['at accept', { onAccept: 'silent' }, DUMB],
    ['after the SSLRequest', { onSslRequest: 'silent' }, DUMB],
    ['after half an ErrorResponse', { onSslRequest: { send: raw('E\0\0'), next: 'silent' } }, DUMB],
    ['after the ClientHello', { onClientHello: 'silent' }, STALLED],
    ['after half a record', { onClientHello: { send: Buffer.of(22, 3, 3, 1, 0, 2), next: 'silent' } }, STALLED],
  ]
  test.each(silences)('silence %s', async (_name, script, hint) => {
    await using server = await scriptedServer({ tls: pki.server, ...script })
    const report = await run(target(server, pki.pem, { deadlineMs }))
    expectVerdict(report, { code: 'TLS_TIMEOUT', check: 'tls', message: /within 400 ms$/, hint })
    expect(report.durationMs).toBeLessThan(deadlineMs)
    expect(server.connections).toBeLessThanOrEqual(CONNECTIONS)
    await server.until(({ open }) => open === 0)
  })

  test('silence after the client certificate, TLS 1.2', async () => {
    await using server = await scriptedServer({
      tls: { ...pki.server, maxVersion: 'TLSv1.2' },
      onClientCertificate: 'silent',
    })
    const report = await run(target(server, pki.pem, { deadlineMs }))
    const message = /the TLS handshake did not end within/
    expectVerdict(report, { code: 'TLS_TIMEOUT', check: 'tls', message, hint: STALLED })
  })

  const ends: readonly (readonly [string, Script, Verdict & { check?: 'tcp' }])[] = [
    ['close at accept', { onAccept: 'close' }, { code: 'TLS_CLOSED' }],
    ['close after the SSLRequest', { onSslRequest: 'close' }, { code: 'TLS_CLOSED' }],
    ['close inside an ErrorResponse', { onSslRequest: { send: raw('E\0\0'), next: 'close' } }, { code: 'TLS_CLOSED' }],
    ['close after the S', { onSslRequest: { send: raw('S'), next: 'close' } }, { code: 'TLS_CLOSED' }],
    ['close after the ClientHello', { onClientHello: 'close' }, { code: 'TLS_CLOSED' }],
    [
      'close inside a record',
      { onClientHello: { send: Buffer.of(22, 3, 3, 1), next: 'close' } },
      { code: 'TLS_CLOSED' },
    ],
    ['reset after the SSLRequest', { onSslRequest: 'reset' }, { code: 'TCP_RESET', check: 'tcp' }],
    ['reset after the S', { onSslRequest: { send: raw('S'), next: 'reset' } }, { code: 'TLS_CLOSED' }],
    ['reset after the ClientHello', { onClientHello: 'reset' }, { code: 'TLS_CLOSED' }],
  ]
  test.each(ends)('%s', async (_name, script, verdict) => {
    await using server = await scriptedServer({ tls: pki.server, ...script })
    const report = await run(target(server, pki.pem, { deadlineMs: 4_000 }))
    expectVerdict(report, { check: 'tls', ...verdict })
    expect(server.connections).toBeLessThanOrEqual(CONNECTIONS)
  })
})

test('words in the clear after the handshake: whoever shook hands speaks TLS', async () => {
  await using server = await scriptedServer({
    tls: pki.server,
    onClientCertificate: { send: raw('and now for something completely different'), next: 'silent' },
  })
  const report = await run(target(server, pki.pem))
  expectVerdict(report, { code: 'TLS_FAILED', check: 'tls', evidence: { keysExchanged: true } })
})

/** A TLS 1.2 ServerHello that takes ECDHE-RSA-AES128-GCM-SHA256 (RFC 5246, 7.4.1.3), as one record. */
function serverHello(): Buffer {
  const extensions = Buffer.of(0xff, 0x01, 0, 1, 0)
  const body = Buffer.concat([
    Buffer.of(3, 3),
    Buffer.alloc(32, 7),
    Buffer.of(0, 0xc0, 0x2f, 0, 0, extensions.length),
    extensions,
  ])
  const message = Buffer.concat([Buffer.of(2, 0, 0, body.length), body])
  return Buffer.concat([Buffer.of(22, 3, 3, 0, message.length), message])
}

/** The groups that OpenSSL takes when nobody chooses, 3.0 and 3.5; those of before first. */
describe('a server that takes one group only', () => {
  const groups = ['prime256v1', 'X25519', 'secp384r1', 'secp521r1', 'X448', 'ffdhe2048', 'ffdhe3072', 'ffdhe8192']
  const hybrids = ['X25519MLKEM768', 'SecP256r1MLKEM768']
  const isKnown = (group: string) => {
    try {
      createSecureContext({ ca: [], ecdhCurve: group })
      return true
    } catch {
      return false
    }
  }
  test.each([...groups, ...hybrids.filter(isKnown)])('%s', async ecdhCurve => {
    await using server = await scriptedServer({ tls: { ...pki.server, ecdhCurve } })
    expect(check(await run(target(server, pki.pem)), 'tls')).toMatchObject({
      status: 'passed',
      evidence: { protocol: 'TLSv1.3' },
    })
  })

  test('brainpoolP256r1, which OpenSSL does not take unasked', async () => {
    await using server = await scriptedServer({ tls: { ...pki.server, ecdhCurve: 'brainpoolP256r1' } })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { code: 'TLS_FAILED', check: 'tls', evidence: { alert: 'handshake_failure' } })
  })
})

describe('an alert inside the handshake that is about no certificate of ours', () => {
  const alerts: readonly (readonly [number, string, Verdict])[] = [
    [40, 'handshake_failure', { code: 'TLS_FAILED' }],
    [70, 'protocol_version', { code: 'TLS_VERSION' }],
    [80, 'internal_error', { code: 'TLS_FAILED' }],
    [112, 'unrecognized_name', { code: 'TLS_FAILED' }],
    // these are about a client's certificate, and whoever sends them has not seen ours
    [42, 'bad_certificate', { code: 'TLS_FAILED' }],
    [48, 'unknown_ca', { code: 'TLS_FAILED' }],
    [49, 'access_denied', { code: 'TLS_FAILED' }],
    [51, 'decrypt_error', { code: 'TLS_FAILED' }],
    [116, 'certificate_required', { code: 'TLS_FAILED' }],
  ]
  test.each(alerts)('%i %s', async (alert, name, verdict) => {
    await using server = await scriptedServer({ tls: pki.server, onClientHello: { alert } })
    const report = await run(target(server, pki.pem))
    const message = new RegExp(`TLS alert ${name}, before we sent a certificate$`)
    expectVerdict(report, { check: 'tls', evidence: { alert: name, keysExchanged: false }, message, ...verdict })
  })

  // TLS 1.2: what the server says is cut off behind its ServerHello.
  test('an alert behind the ServerHello', async () => {
    await using server = await scriptedServer({
      tls: { ...pki.server, maxVersion: 'TLSv1.2' },
      onClientHello: { send: Buffer.concat([serverHello(), plainAlert(49)]), next: 'close' },
    })
    const report = await run(target(server, pki.pem))
    const evidence = { alert: 'access_denied', keysExchanged: false }
    expectVerdict(report, { code: 'TLS_FAILED', check: 'tls', evidence })
  })

  test('no cipher in common', async () => {
    const tls = { ...pki.server, maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' } as const
    await using server = await scriptedServer({ tls })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { code: 'TLS_FAILED', check: 'tls', evidence: { alert: 'handshake_failure' } })
  })
})
