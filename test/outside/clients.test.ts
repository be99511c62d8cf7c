/** What psql and the cockroach command line really say of a fault is a line that `explain` knows, by the right code. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { findCockroach, type Throwaway } from '../../src/development/throwaway/index.ts'
import type { Code } from '../../src/failure/codes.ts'
import { recognise } from '../../src/failure/explain-line.ts'
import { pemOf } from '../helpers/clients.ts'
import { listen } from '../helpers/listen.ts'
import { CLIENT, days, makePki, type Pki, SERVER } from '../helpers/pki.ts'
import { refusal, type Script, scriptedServer } from '../helpers/scripted.ts'
import { migrated } from '../helpers/target.ts'
import { type Client, cockroachSql, psql, type Way } from './clients.ts'
import { findProgram } from './program.ts'

const program = await findProgram(['psql'], 'postgresql-client')
const cockroach = findCockroach()
const CLIENTS = [
  ...(program === null ? [] : [['psql', 'postgresql', psql(program)] as const]),
  ...(cockroach === null ? [] : [['cockroach sql', 'cockroachdb', cockroachSql(cockroach)] as const]),
]

/** The codes that `explain` names for what a client wrote, of all its lines. */
const codesOf = (said: string): readonly Code[] => recognise(said).flatMap(({ codes }) => codes)

let pki: Pki
let foreign: Pki
beforeAll(async () => {
  ;[pki, foreign] = await Promise.all([makePki(), makePki('another CA')])
})

describe.each(CLIENTS)('%s', (_, engine, client: Client) => {
  async function expectNamed(code: Code, way: Way, sql?: string) {
    const said = await client(way, sql)
    expect(codesOf(said), said).toContain(code)
  }

  it('and a closed port', async () => {
    const { port, ...closed } = await listen(() => undefined)
    await closed[Symbol.asyncDispose]()
    await expectNamed('TCP_REFUSED', { port, pem: pki.pem })
  })

  it('and a name that is none', () => expectNamed('DNS_NOT_FOUND', { host: 'nope.invalid', port: 1, pem: pki.pem }))

  const ALERTS = { certificate_required: 116, unknown_ca: 48, bad_certificate: 42, handshake_failure: 40 }
  const PEERS: readonly (readonly [what: string, code: Code, script: (tls: Pki['server']) => Script])[] = [
    ['no TLS', 'TLS_NOT_OFFERED', () => ({})],
    ['HTTP', 'TLS_NOT_POSTGRES', () => ({ onSslRequest: { send: Buffer.from('HTTP/1.1 400\r\n'), next: 'close' } })],
    ['silence', 'TLS_TIMEOUT', () => ({ onAccept: 'silent' })],
    ['a close at once', 'TLS_CLOSED', () => ({ onSslRequest: 'close' })],
    ['a close in the handshake', 'TLS_CLOSED', tls => ({ tls, onClientHello: 'close' })],
    ['a close after it', 'SESSION_CLOSED', tls => ({ tls, onStartup: 'close' })],
    ['no version in common', 'TLS_VERSION', tls => ({ tls, onClientHello: { alert: 70 } })],
    [
      'no certificate',
      'TLS_CLIENT_REQUIRED',
      tls => ({ tls, onClientCertificate: { alert: ALERTS.certificate_required } }),
    ],
    ['an unknown CA', 'TLS_CLIENT_REJECTED', tls => ({ tls, onClientCertificate: { alert: ALERTS.unknown_ca } })],
    [
      'a bad certificate',
      'TLS_CLIENT_REJECTED',
      tls => ({ tls, onClientCertificate: { alert: ALERTS.bad_certificate } }),
    ],
    ['no cipher', 'TLS_FAILED', tls => ({ tls, onClientHello: { alert: ALERTS.handshake_failure } })],
    [
      'draining before TLS',
      'SERVER_DRAINING',
      () => ({ onSslRequest: refusal('57P01', 'server is not accepting clients') }),
    ],
    [
      'draining',
      'SERVER_DRAINING',
      tls => ({ tls, onStartup: refusal('57P01', 'server is not accepting clients, try another node') }),
    ],
    [
      'starting',
      'SERVER_UNAVAILABLE',
      tls => ({ tls, onStartup: refusal('57P03', 'the database system is starting up') }),
    ],
    ['full', 'SERVER_BUSY', tls => ({ tls, onStartup: refusal('53300', 'sorry, too many clients already') })],
  ]
  it.each(PEERS)('and a server of %s: %s', async (_, code, script) => {
    await using server = await scriptedServer(script(pki.server))
    await expectNamed(code, { port: server.port, pem: pki.pem })
  })

  it.each([
    ['TLS_SERVER_EXPIRED', { notBefore: days(-3), notAfter: days(-1) }],
    ['TLS_SERVER_NOT_YET_VALID', { notBefore: days(1) }],
    ['TLS_SERVER_USAGE', { usages: ['clientAuth'] }],
    ['TLS_SERVER_NAME', { dnsNames: ['other.example'], ipAddresses: [] }],
  ] as const)("and a server's certificate: %s", async (code, wrong) => {
    const { chain: cert, key } = await pki.authority.issue({ ...SERVER, ...wrong })
    await using server = await scriptedServer({ tls: { ...pki.server, cert, key } })
    await expectNamed(code, { port: server.port, pem: pki.pem })
  })

  it('and a CA that it does not know', async () => {
    await using server = await scriptedServer({ tls: pki.server })
    await expectNamed('TLS_SERVER_UNTRUSTED', { port: server.port, pem: { ...pki.pem, ca: foreign.pem.ca } })
  })

  describe('at a real server', () => {
    let server: Throwaway
    beforeAll(async () => {
      server = await migrated({
        engine,
        users: ['ghost'],
        ...(engine === 'postgresql' && { template: inject('template') }),
      })
    })
    afterAll(() => server?.stop())

    const writer = (): Way & { readonly pem: Required<Way['pem']> } => ({
      port: server.port,
      pem: pemOf(server, 'gateway_writer'),
    })

    it('says nothing that explain takes for a cause where all is well', async () => {
      const said = await client(writer())
      expect(said).toContain('1')
      expect(codesOf(said), said).toEqual([])
    })

    const FILES: readonly (readonly [what: string, code: Code, vary: (way: ReturnType<typeof writer>) => Way])[] = [
      ['no certificate', 'AUTH_NO_CERTIFICATE', way => ({ ...way, pem: { ca: way.pem.ca } })],
      ['no key', 'CERT_UNREADABLE', way => ({ ...way, pem: { ca: way.pem.ca, cert: way.pem.cert } })],
      ["another's key", 'KEY_MISMATCH', way => ({ ...way, pem: { ...way.pem, key: pki.pem.key } })],
      ['garbage for a CA', 'CERT_INVALID', way => ({ ...way, pem: { ...way.pem, ca: 'garbage' } })],
      ['garbage for a certificate', 'CERT_INVALID', way => ({ ...way, pem: { ...way.pem, cert: 'garbage' } })],
      ['garbage for a key', 'CERT_INVALID', way => ({ ...way, pem: { ...way.pem, key: 'garbage' } })],
      [
        'a foreign certificate',
        'TLS_CLIENT_REJECTED',
        ({ port, pem: { ca } }) => ({ port, pem: { ...foreign.pem, ca } }),
      ],
      ["the admin's", 'AUTH_IDENTITY', way => ({ ...way, pem: pemOf(server, 'gateway_admin') })],
      ['a role that is none', 'AUTH_ROLE_UNKNOWN', way => ({ ...way, user: 'ghost', pem: pemOf(server, 'ghost') })],
      ['a key for everybody', 'KEY_PERMISSIONS', way => ({ ...way, keyMode: 0o666 })],
    ]
    it.each(FILES)('with %s: %s', async (_, code, vary) => expectNamed(code, vary(writer())))

    it.each([
      ['CERT_EXPIRED', { notBefore: days(-3), notAfter: days(-1) }],
      ['CERT_USAGE', { usages: ['serverAuth'] }],
    ] as const)('with a certificate that is %s', async (code, wrong) => {
      const { chain: cert, key } = await server.clientAuthority.issue({ ...CLIENT, ...wrong })
      await expectNamed(code, { port: server.port, pem: { ca: pemOf(server, 'gateway_writer').ca, cert, key } })
    })

    const STATEMENTS: readonly (readonly [code: Code, sql: string])[] = [
      ['TABLE_MISSING', 'SELECT 1 FROM nope'],
      ['TABLE_MISMATCH', 'SELECT nope FROM connection_probe'],
      ['DML_DENIED', 'TRUNCATE connection_probe'],
      ['WRITE_REFUSED', 'INSERT INTO connection_probe (run_id) VALUES (gen_random_uuid())'],
      ['WRITE_TIMEOUT', 'SET statement_timeout = 100; SELECT pg_sleep(3)'],
    ]
    it.each(STATEMENTS)('and a statement: %s', async (code, sql) => expectNamed(code, writer(), sql))

    it('and a database that is none', () =>
      expectNamed('DATABASE_MISSING', { ...writer(), database: 'nope' }, 'SELECT 1 FROM connection_probe'))
  })
})
