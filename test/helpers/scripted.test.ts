import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { makeCredentials, postgresClient, tlsOutcome } from './clients.ts'
import { refusal, type Script, scriptedServer } from './scripted.ts'
import type { SessionServer } from './sessions.ts'
import { errorResponse, noticeResponse, query, serverDecoder, sslRequest, startupMessage } from './wire.ts'

// a reset that comes while bytes are still unread is a close without an error to a TLSSocket on a socket of one's own
const CUT_OFF = /^(ECONNRESET|CONNECTION_CLOSED)$/

let credentials: Awaited<ReturnType<typeof makeCredentials>>
beforeAll(async () => {
  credentials = await makeCredentials()
})

const client = (server: { port: number }) => postgresClient(server.port, credentials.client('gateway_writer'))

/** Connects, asks for TLS, and returns everything the server sends until it ends the connection. */
async function conversation(server: SessionServer, ...say: Buffer[]): Promise<{ heard: Buffer; reset: boolean }> {
  const socket = net.connect({ host: '::1', port: server.port, family: 6 })
  const heard: Buffer[] = []
  let reset = false
  socket.on('error', (error: NodeJS.ErrnoException) => {
    reset = error.code === 'ECONNRESET'
  })
  socket.on('data', chunk => heard.push(chunk))
  for (const bytes of say) socket.write(bytes)
  await once(socket, 'close').catch(() => once(socket, 'close'))
  return { heard: Buffer.concat(heard), reset }
}

describe('a well-behaved server', () => {
  test('speaks both protocols to postgres.js over mutual TLS and records what it said', async () => {
    await using server = await scriptedServer({
      tls: credentials.server,
      onStatement: (sql, params) =>
        sql.startsWith('select')
          ? { columns: [{ name: 'n', type: 23 }, 'who'], rows: [['7', params[0] ?? null]] }
          : undefined,
    })
    await using sql = client(server)
    expect([...(await sql.unsafe('select n, who from t where who = $1', ['me']))]).toEqual([{ n: 7, who: 'me' }])
    expect([...(await sql.unsafe('select n, who from t'))]).toEqual([{ n: 7, who: null }])
    expect((await sql`insert into t values (${1}, ${null})`).count).toBe(1)
    expect((await sql.unsafe('begin; insert into t values (1); commit').simple()).length).toBe(0)
    await sql.end()
    await server.until(s => s.open === 0)
    const [session] = server.sessions
    expect(session?.peerName).toBe('gateway_writer')
    expect(session?.protocol).toBe('TLSv1.3')
    expect(session?.startup).toMatchObject({ user: 'gateway_writer', database: 'uro' })
    expect(server.statements.map(({ params }) => params)).toEqual([['me'], [], ['1', null], [], [], []])
    expect([server.connections, server.maxOpen]).toEqual([1, 1])
  })

  test('without TLS answers N and goes on in the clear', async () => {
    await using server = await scriptedServer()
    expect(
      (
        await conversation(server, sslRequest(), startupMessage({ user: 'u' }), Buffer.from('X\0\0\0\x04'))
      ).heard.toString('latin1'),
    ).toMatch(/^NR/)
  })
})

describe('at each moment', () => {
  const moments = ['onAccept', 'onSslRequest', 'onClientHello', 'onClientCertificate', 'onStartup'] as const
  for (const moment of moments) {
    for (const act of ['close', 'reset'] as const) {
      test(`${moment}: ${act}`, async () => {
        await using server = await scriptedServer({ tls: credentials.server, [moment]: act })
        const outcome = await Promise.race([
          conversationUpTo(server),
          new Promise(resolve => setTimeout(resolve, 4000, 'hung')),
        ])
        expect(outcome).toBe(act === 'reset' ? 'ECONNRESET' : 'closed')
        await server.until(s => s.open === 0)
      })
    }
    test(`${moment}: silent, and notices that the client goes`, async () => {
      await using server = await scriptedServer({ tls: credentials.server, [moment]: 'silent' })
      const socket = net.connect({ host: '::1', port: server.port })
      socket.on('error', () => {})
      socket.write(sslRequest())
      const seen = { onAccept: 0, onSslRequest: 0, onClientHello: 1, onClientCertificate: 1, onStartup: 1 }[moment]
      if (seen === 1) {
        await once(socket, 'data')
        const stream = tls.connect({ socket, ...credentials.client('gateway_writer') })
        stream.on('error', () => {})
        stream.write(startupMessage({ user: 'u' }))
      }
      const reached = {
        onAccept: 'id',
        onSslRequest: 'sslRequested',
        onClientHello: 'clientHello',
        onClientCertificate: 'peerName',
        onStartup: 'startup',
      } as const
      await server.until(s => Boolean(s.sessions[0]?.[reached[moment]]))
      expect(server.open).toBe(1)
      socket.destroy()
      await server.until(s => s.sessions[0]?.closed === true)
    })
  }

  /** How the connection of a client that would go all the way ends. */
  async function conversationUpTo(server: SessionServer): Promise<string> {
    const socket = net.connect({ host: '::1', port: server.port })
    return new Promise(resolve => {
      let end = 'closed'
      const failed = (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNRESET' && !/disconnected before secure/.test(error.message)) end = 'ECONNRESET'
      }
      socket.on('error', failed)
      socket.on('close', () => resolve(end))
      socket.write(sslRequest())
      socket.once('data', () => {
        const stream = tls.connect({ socket, ...credentials.client('gateway_writer') })
        stream.on('error', failed)
        stream.on('data', () => {})
        stream.on('close', () => {
          socket.destroy()
          resolve(end)
        })
        stream.write(startupMessage({ user: 'gateway_writer' }))
      })
    })
  }

  const spoken: [string, Script, RegExp][] = [
    ['an SSH banner', { onAccept: { send: Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'), next: 'close' } }, /^SSH-/],
    [
      'one byte at a time',
      { onSslRequest: { send: Buffer.from('HTTP/1.1 400'), everyMs: 2, next: 'close' } },
      /^HTTP\/1.1 400$/,
    ],
    [
      'E and an error',
      { onSslRequest: { send: errorResponse({ C: '57P01', M: 'draining' }), next: 'close' } },
      /^E.*57P01/s,
    ],
    ['S and more', { onSslRequest: { send: Buffer.from('Sand more'), next: 'close' } }, /^Sand more$/],
  ]
  test.each(spoken)('%s', async (_name, script, expected) => {
    await using server = await scriptedServer(script)
    expect((await conversation(server, sslRequest())).heard.toString('latin1')).toMatch(expected)
  })

  test('a flood goes on until the client leaves', async () => {
    await using server = await scriptedServer({ onStartup: { flood: noticeResponse({ S: 'NOTICE', M: 'again' }) } })
    const socket = net.connect({ host: '::1', port: server.port })
    socket.on('error', () => {})
    socket.write(startupMessage({ user: 'u' }))
    let bytes = 0
    for await (const chunk of socket) {
      bytes += (chunk as Buffer).length
      if (bytes > 2_000_000) break
    }
    await server.until(s => s.sessions[0]?.closed === true)
  })
})

describe('alerts about the client certificate', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const table = [
      [42, 'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE'],
      [45, 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED'],
      [48, 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'],
    ] as const
    for (const [alert, code] of table) {
      for (const next of ['close', 'reset', 'silent'] as const) {
        test(`${maxVersion}: ${alert}, then ${next}`, async () => {
          await using server = await scriptedServer({
            tls: credentials.server,
            onClientCertificate: session => (session.peerName === 'gateway_writer' ? { alert, next } : 'go on'),
          })
          const outcome = await tlsOutcome(server.port, { ...credentials.client('gateway_writer'), maxVersion })
          expect(outcome).toEqual({ secured: maxVersion === 'TLSv1.3', code })
          const other = await tlsOutcome(server.port, { ...credentials.client('gateway_admin'), maxVersion })
          expect(other).toEqual({ secured: true, code: undefined })
        })
      }
    }
  }
})

describe('logins and statements', () => {
  test('a refusal reaches the driver with its fields', async () => {
    await using server = await scriptedServer({ tls: credentials.server, onStartup: refusal('28000', 'no', 'func1') })
    await using sql = client(server)
    await expect(sql`select 1`).rejects.toMatchObject({ code: '28000', routine: 'func1' })
  })

  const error = { S: 'ERROR', V: 'ERROR', C: '40001', M: 'again', R: 'x' }
  const replies: [string, Script['onStatement'], object][] = [
    ['an error after rows', () => ({ columns: ['a'], rows: [['1']], error }), { code: '40001' }],
    ['a reset', () => 'reset', { code: expect.stringMatching(CUT_OFF) }],
    ['a close', () => 'close', { code: 'CONNECTION_CLOSED' }],
  ]
  for (const [name, onStatement, expected] of replies) {
    test.each(['simple', 'bound'])(`${name}: %s`, async how => {
      await using server = await scriptedServer({ tls: credentials.server, ...(onStatement && { onStatement }) })
      await using sql = client(server)
      await expect(how === 'simple' ? sql.unsafe('select a') : sql`select ${1}`).rejects.toMatchObject(expected)
      expect(server.statements).toHaveLength(1)
    })
  }

  test('an error at Parse, a late answer, none at all', async () => {
    let answer: () => void = () => {}
    const late = new Promise<void>(resolve => {
      answer = resolve
    })
    await using server = await scriptedServer({
      tls: credentials.server,
      onParse: sql => (sql.includes('nowhere') ? { S: 'ERROR', C: '42P01', M: 'no' } : undefined),
      onStatement: async sql => {
        if (sql.includes('never')) return 'silent'
        await late
        return { tag: 'INSERT 0 5' }
      },
    })
    await using sql = client(server)
    await expect(sql`insert into nowhere values (${1})`).rejects.toMatchObject({ code: '42P01' })
    const insert = sql`insert into t values (${1})`.execute()
    await server.until(s => s.statements.length === 1)
    answer()
    expect((await insert).count).toBe(5)
    const never = sql`select never`.catch((thrown: { code: string }) => thrown.code)
    await server.until(s => s.statements.length === 2)
    expect(server.open).toBe(1)
    server.cut()
    expect(await never).toMatch(CUT_OFF)
  })

  test('a failed transaction is a failed transaction', async () => {
    await using server = await scriptedServer({
      tls: credentials.server,
      onStatement: sql => (sql.startsWith('insert') ? { error } : undefined),
    })
    const stream = await rawSession(server)
    for (const sql of ['begin', 'insert into t', 'rollback', 'begin; insert into t; commit', ' ;'])
      stream.write(query(sql))
    const decode = serverDecoder()
    let said = ''
    while ((said.match(/Z/g) ?? []).length < 6) {
      const [chunk] = (await once(stream, 'data')) as [Buffer]
      for (const { type, bytes } of decode(chunk)) said += type === 'Z' ? `Z${bytes.toString('latin1', 5)} ` : type
    }
    expect(said.replace(/^.*KZI /, '')).toBe('CZT EZE CZI CEZE IZE ')
    stream.destroy()
  })
})

/** A TLS connection with the writer's certificate that has sent its StartupMessage. */
async function rawSession(server: SessionServer): Promise<tls.TLSSocket> {
  const socket = net.connect({ host: '::1', port: server.port })
  socket.write(sslRequest())
  await once(socket, 'data')
  const stream = tls.connect({ socket, ...credentials.client('gateway_writer') })
  stream.write(startupMessage({ user: 'gateway_writer' }))
  return stream
}

describe('alerts of OpenSSL itself, and at the ClientHello', () => {
  const table: [string, () => Script, tls.ConnectionOptions, string][] = [
    [
      'none given, TLS 1.3',
      () => ({ tls: { ...credentials.server, rejectUnauthorized: true } }),
      {},
      'TLSV13_ALERT_CERTIFICATE_REQUIRED',
    ],
    [
      'none given, TLS 1.2',
      () => ({ tls: { ...credentials.server, rejectUnauthorized: true } }),
      { maxVersion: 'TLSv1.2' },
      'SSLV3_ALERT_HANDSHAKE_FAILURE',
    ],
    [
      'TLS 1.1 only',
      () => ({
        tls: { ...credentials.server, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' },
      }),
      {},
      'TLSV1_ALERT_PROTOCOL_VERSION',
    ],
    [
      '40 at the ClientHello',
      () => ({ tls: credentials.server, onClientHello: { alert: 40 } }),
      {},
      'SSLV3_ALERT_HANDSHAKE_FAILURE',
    ],
    [
      '116 under ChaCha20',
      () => ({
        tls: { ...credentials.server, ciphers: 'TLS_CHACHA20_POLY1305_SHA256' },
        onClientCertificate: { alert: 116 },
      }),
      {},
      'TLSV13_ALERT_CERTIFICATE_REQUIRED',
    ],
    [
      '116 after a HelloRetryRequest',
      () => ({ tls: { ...credentials.server, ecdhCurve: 'prime256v1' }, onClientCertificate: { alert: 116 } }),
      { ecdhCurve: 'X25519:prime256v1' },
      'TLSV13_ALERT_CERTIFICATE_REQUIRED',
    ],
  ]
  test.each(table)('%s', async (_name, script, options, code) => {
    await using server = await scriptedServer(script())
    expect((await tlsOutcome(server.port, { ...credentials.client(), ...options })).code).toBe(`ERR_SSL_${code}`)
  })
})
