import { beforeAll, describe, expect, test } from 'vitest'
import { createAuthority } from '../../src/development/throwaway/authority.ts'
import { makeCredentials, postgresClient, tlsOutcome } from './clients.ts'
import {
  type CockroachOptions,
  cockroachReplay,
  cockroachScenario,
  cockroachScenarios,
  cockroachServer,
  resultOf,
} from './cockroach.ts'
import { scriptedServer } from './scripted.ts'
import {
  authenticationOk,
  challenge,
  commandComplete,
  dataRow,
  errorResponse,
  parameterStatus,
  readColumns,
  readFields,
  readRow,
  readText,
  readyForQuery,
  rowDescription,
  type Status,
} from './wire.ts'

let credentials: Awaited<ReturnType<typeof makeCredentials>>
beforeAll(async () => {
  credentials = await makeCredentials(['gateway_writer', 'gateway_admin', 'gateway_reader', 'nobody_here'])
})

test('every recorded message, decoded and encoded again, is the same bytes', () => {
  const encode: Record<string, (bytes: Buffer) => Buffer> = {
    R: bytes => (bytes.readInt32BE(5) === 0 ? authenticationOk() : challenge(10)),
    S: bytes => {
      const [name = '', value = ''] = bytes.toString('utf8', 5).split('\0')
      return parameterStatus(name, value)
    },
    Z: bytes => readyForQuery(bytes.toString('latin1', 5, 6) as Status),
    E: bytes => errorResponse(readFields(bytes)),
    D: bytes => dataRow(readRow(bytes)),
    C: bytes => commandComplete(readText(bytes)),
    T: bytes => rowDescription(readColumns(bytes)),
  }
  let compared = 0
  for (const name of cockroachScenarios) {
    const { startup, statements } = cockroachScenario(name)
    for (const { type, bytes } of [...startup, ...statements.flatMap(({ messages }) => messages)]) {
      if (type === 'K') continue
      expect(encode[type]?.(bytes).toString('hex'), `${name} ${type}`).toBe(bytes.toString('hex'))
      compared += 1
    }
  }
  expect(compared).toBeGreaterThan(250)
  expect(cockroachScenarios.length).toBeGreaterThanOrEqual(22)
  expect(new Set(cockroachScenarios).size).toBe(cockroachScenarios.length)
})

describe('a replay', () => {
  test('answers the recorded statements in both protocols, each with its own SQLSTATE', async () => {
    const { statements } = cockroachScenario('statements refused to gateway_writer')
    await using server = await scriptedServer(
      cockroachReplay('statements refused to gateway_writer', credentials.server),
    )
    await using sql = postgresClient(server.port, credentials.client('gateway_writer'))
    const codes: string[] = []
    for (const { sql: text } of statements) {
      const query = codes.length % 2 === 0 ? sql.unsafe(text) : sql.unsafe(text, [], { prepare: false })
      codes.push(
        await query.then(
          () => 'fine',
          (error: { code: string }) => error.code,
        ),
      )
    }
    expect(codes).toEqual(statements.map(({ result }) => result.error?.C))
    expect(new Set(codes)).toEqual(new Set(['42501', '01007', '01006', '42704']))
  })

  test('returns recorded rows', async () => {
    await using server = await scriptedServer(cockroachReplay('accepted login', credentials.server))
    await using sql = postgresClient(server.port, credentials.client('gateway_writer'))
    expect([...(await sql.unsafe('select pg_backend_pid()'))]).toEqual([{ pg_backend_pid: '-1' }])
    expect((await sql.unsafe('SHOW session_id'))[0]?.session_id).toMatch(/^[0-9a-f]{32}$/)
  })

  test('sends the recorded alert on both TLS versions, and the draining answer before TLS', async () => {
    for (const [maxVersion, version] of [
      ['TLSv1.2', 'TLS 1.2'],
      ['TLSv1.3', 'TLS 1.3'],
    ] as const) {
      const name = `client certificate of another CA, ${version}`
      await using server = await scriptedServer(cockroachReplay(name, credentials.server))
      const outcome = await tlsOutcome(server.port, { ...credentials.client('gateway_writer'), maxVersion })
      expect(outcome.code).toBe('ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE')
    }
    const { sslAnswer } = cockroachScenario('draining node')
    expect(readFields(sslAnswer ?? Buffer.alloc(0))).toMatchObject({ C: '57P01', R: 'newAdminShutdownErr' })
    expect(resultOf(cockroachScenario('read-only transaction').statements[1]?.messages ?? [])).toMatchObject({
      error: { C: '25006' },
      status: 'E',
    })
  })
})

describe('a played node', () => {
  const logins: [string, string | undefined, string, object, Partial<CockroachOptions>][] = [
    ['no certificate, a challenge first', undefined, 'gateway_writer', { code: '28000' }, {}],
    ['unknown role', 'gateway_writer', 'ghost', { code: '28000', routine: 'NewErrPasswordUserAuthFailed' }, {}],
    ['unknown role, current', 'gateway_writer', 'ghost', { code: '28P01' }, { release: 'current' }],
    ['no LOGIN', 'gateway_reader', 'gateway_reader', { code: '28000', routine: 'handleAuthentication' }, {}],
    [
      'foreign certificate',
      'gateway_writer',
      'gateway_admin',
      { code: '28000', message: 'requested user is gateway_admin, but certificate is for [gateway_writer]' },
      {},
    ],
  ]
  test.each(logins)('refuses: %s', async (_name, certificate, user, expected, more) => {
    await using server = await cockroachServer({ tls: credentials.server, ...more })
    await using sql = postgresClient(server.port, credentials.client(certificate), { user, password: 'x' })
    await expect(sql`select 1`).rejects.toMatchObject(expected)
    expect(server.sessions[0]?.passwords).toBe(certificate === undefined ? 1 : 0)
  })

  test('refuses a login without TLS', async () => {
    await using server = await cockroachServer({ tls: credentials.server })
    await using sql = postgresClient(server.port, false)
    await expect(sql`select 1`).rejects.toMatchObject({ code: '08P01', routine: 'maybeUpgradeToSecureConn' })
  })

  test('accepts the certificate of the user and leaves statements to the caller', async () => {
    await using server = await cockroachServer({
      tls: credentials.server,
      onStatement: () => ({ columns: [{ name: 'n', type: 20 }], rows: [['1']] }),
    })
    const said: Record<string, string> = {}
    const onparameter = (name: string, value: string) => {
      said[name] = value
    }
    await using sql = postgresClient(server.port, credentials.client('gateway_writer'), { onparameter })
    expect([...(await sql`select 1 as n`)]).toEqual([{ n: '1' }])
    expect(said).toMatchObject({ session_authorization: 'gateway_writer', server_version: '13.0.0' })
    expect(said.crdb_version).toMatch(/^CockroachDB CCL v22\.1/)
  })

  test('rejects other certificates with the alerts of its release', async () => {
    const stranger = await createAuthority({ name: 'another CA' })
    const foreign = await stranger.issue({ commonName: 'gateway_writer' })
    const expired = await credentials.authority.issue({
      commonName: 'gateway_writer',
      notBefore: new Date(Date.now() - 2e8),
      notAfter: new Date(Date.now() - 1e8),
    })
    for (const [release, codes] of [
      ['22.1', ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE']],
      ['current', ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED']],
    ] as const) {
      await using server = await cockroachServer({ tls: credentials.server, release })
      const seen: (string | undefined)[] = []
      for (const { certificate, key } of [foreign, expired]) {
        seen.push((await tlsOutcome(server.port, { ...credentials.client(), cert: certificate, key })).code)
      }
      expect(seen).toEqual(codes)
    }
  })
})
