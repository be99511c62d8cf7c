/** Who may ask for what, and what whoever may not comes to. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Paths, type Served, type ServeOptions, serve, words } from '../../src/watch/server.ts'
import { getPage } from '../helpers/watching.ts'

const BIG = 64 * 1024 * 1024
const PATHS: Paths = {
  '/': () => ({ status: 200, type: 'text/html; charset=utf-8', body: '<p>page', headers: { 'X-Own': 'yes' } }),
  '/metrics': () => words(200, 'up 1'),
  '/big': () => words(200, 'x'.repeat(BIG)),
}

let served: Served
let port: number
const start = async (more: Partial<ServeOptions> = {}) => {
  served = await serve(PATHS, { address: '::1', port: 0, hosts: [], ...more })
  port = Number(served.authority.split(':').at(-1))
}
beforeEach(() => start())
afterEach(() => served.close())

const open: net.Socket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})

/** A client that sends these bytes; it has no manners. */
async function client(bytes = '', options: net.TcpNetConnectOpts | object = {}): Promise<net.Socket> {
  const socket = net.connect({ host: '::1', port, ...options })
  open.push(socket)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  if (bytes !== '') socket.write(bytes)
  return socket
}

/** Once it is closed, by whomever and however. */
const isClosed = (socket: net.Socket) => new Promise(resolve => socket.resume().once('close', resolve))

/** What comes back until the connection is closed. */
const said = async (bytes: string): Promise<string> => text(await client(bytes)).catch(() => '(reset)')

const head = (line: string, more = '') => `${line}\r\nHost: [::1]:${port}\r\n${more}\r\n`
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])

/** A request with any method and path, answered. */
async function ask(options: http.RequestOptions, body?: string) {
  const request = http.request({ host: '::1', port, agent: false, ...options })
  request.end(body)
  const [response]: [http.IncomingMessage] = (await once(request, 'response')) as [http.IncomingMessage]
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

describe('the server', () => {
  test('answers GET, and HEAD with the same head and no body', async () => {
    const got = await ask({ path: '/metrics' })
    expect(got).toMatchObject({ status: 200, body: 'up 1\n' })
    const asked = await ask({ path: '/metrics', method: 'HEAD' })
    expect(asked).toMatchObject({ status: 200, body: '', headers: { 'content-length': '5' } })
    expect(await ask({ path: '/metrics?debug=1' })).toMatchObject({ status: 200, body: 'up 1\n' })
  })

  test('has security headers on every answer, of which a path may set its own', async () => {
    for (const path of ['/', '/nothing'])
      expect((await ask({ path })).headers).toMatchObject({
        'cache-control': 'no-store',
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
      })
    const { headers } = await ask({ path: '/' })
    expect(headers['x-own']).toBe('yes')
    expect(headers).not.toHaveProperty('x-powered-by')
    expect(headers).not.toHaveProperty('access-control-allow-origin')
  })

  test.each(['/metrics/', '/METRICS', '/%6detrics', '//metrics', '/../metrics', '/constructor', '/?', '/__proto__'])(
    '%s is there or 404, and is not repeated',
    async path => {
      const { status, body } = await ask({ path: `${path}?secret=hunter2` })
      expect(status).toBe(path === '/?' ? 200 : 404)
      expect(body).not.toMatch(/hunter2|METRICS|%6d|constructor|__proto__/)
    },
  )

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'PURGE'])('%s is 405', async method => {
    expect(await ask({ path: '/metrics', method })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
  })

  test.each([
    'Content-Length: 5\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Expect: 100-continue\r\nContent-Length: 9\r\n',
  ])('a request with a body ends the connection: %j', async more => {
    expect(statusOf(await said(head('GET /metrics HTTP/1.1', more)))).toBe(400)
  })

  test.each([
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['no Host, as HTTP/1.0 allows', 'GET / HTTP/1.0\r\n\r\n', 421],
    ['two of them', 'GET / HTTP/1.1\r\nHost: [::1]\r\nHost: evil.example\r\n\r\n', 421],
    ['another name', 'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n', 421],
    ['localhost', 'GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n', 421],
    ['the tunnel of a proxy', 'CONNECT [::1]:22 HTTP/1.1\r\nHost: [::1]\r\n\r\n', Number.NaN],
    ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['TLS', '\u0016\u0003\u0001\u0002\u0000\u0001', 400],
    ['a header line as long as a book', `GET / HTTP/1.1\r\nHost: [::1]\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    [
      'a smuggled length',
      'GET / HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
  ])('%s', async (_what, bytes, status) => {
    const answer = await said(bytes)
    expect(statusOf(answer)).toBe(status)
    expect(answer).not.toContain('evil')
  })

  test('serves the names that it was given', async () => {
    await served.close()
    await start({ hosts: ['Probe.Internal'] })
    for (const [host, status] of [
      ['probe.internal:9464', 200],
      ['PROBE.internal', 200],
      ['other.internal', 421],
      ['localhost', 421],
    ] as const)
      expect((await getPage(`http://${served.authority}/`, { host })).status).toBe(status)
  })

  test('answers many requests that come at once on one connection, in their order', async () => {
    const last = head('GET /nothing HTTP/1.1')
    const answer = await said(head('GET /metrics HTTP/1.1').repeat(50) + last)
    expect(answer.match(/^HTTP\/1\.1 200/gm)).toHaveLength(50)
    expect(answer.match(/^HTTP\/1\.1 404/gm)).toHaveLength(1)
  })

  test('rejects where it cannot listen', async () => {
    await expect(serve(PATHS, { address: '::1', port, hosts: [] })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await expect(serve(PATHS, { address: '2001:db8::1', port: 0, hosts: [] })).rejects.toMatchObject({
      syscall: 'listen',
    })
  })

  test('closes every connection when it closes', async () => {
    const idle = await client()
    const asking = await client('GET /metr')
    const closed = Promise.all([idle, asking].map(isClosed))
    await served.close()
    await closed
    await start()
  })
})

describe('a slow client', () => {
  const limits = { headersTimeout: 200, requestTimeout: 200, keepAliveTimeout: 200, answerMs: 400 }
  beforeEach(async () => {
    await served.close()
    await start({ limits })
  })

  test.each([
    ['says nothing', ''],
    ['sends half a head', 'GET /metrics HTTP/1.1\r\nHo'],
    ['has asked once', 'GET /metrics HTTP/1.1\r\nHost: [::1]\r\n\r\n'],
  ])('that %s is cut', async (_what, bytes) => {
    const socket = await client(bytes)
    await isClosed(socket)
  })

  test('that sends a letter now and then is cut', async () => {
    const socket = await client('GET / HTTP/1.1\r\nX: ')
    const dripping = setInterval(() => socket.write('x'), 20)
    await isClosed(socket)
    clearInterval(dripping)
  })

  test('that takes the answer bit by bit is cut', async () => {
    const socket = await client(head('GET /big HTTP/1.1'))
    let bytes = 0
    for await (const chunk of socket) {
      bytes += chunk.length
      await sleep(5)
    }
    expect(bytes).toBeLessThan(BIG)
  })
})

describe('many clients', () => {
  test('a hundred that are idle do not delay a scrape', async () => {
    await Promise.all(Array.from({ length: 100 }, (_, at) => client(at % 2 ? 'GET /metrics HTTP/1.1\r\n' : '')))
    const from = performance.now()
    expect(await ask({ path: '/metrics' })).toMatchObject({ status: 200 })
    expect(performance.now() - from).toBeLessThan(1000)
    expect(open.filter(({ destroyed }) => destroyed)).toEqual([])
  })

  test('one too many ends the one that has been quiet longest', async () => {
    await served.close()
    // Nobody is cut for being slow.
    const patient = { headersTimeout: 60_000, requestTimeout: 60_000, keepAliveTimeout: 60_000 }
    await start({ limits: { connections: 3, ...patient } })
    const [asks, quiet, other] = [await client(), await client(), await client()]
    asks.write(head('GET /metrics HTTP/1.1'))
    await once(asks, 'data')
    const closed = isClosed(quiet)
    const last = await client(head('GET /metrics HTTP/1.1'))
    await Promise.all([closed, once(last, 'data')])
    expect([asks, other, last].map(({ destroyed }) => destroyed)).toEqual([false, false, false])
  })
})
