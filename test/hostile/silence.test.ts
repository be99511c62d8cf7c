/** A peer that says nothing more, a byte a second, or breaks off, anywhere on the way to a session. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Act } from '../helpers/acts.ts'
import { makeCredentials } from '../helpers/clients.ts'
import { relay } from '../helpers/relay.ts'
import { accepted, type Script, scriptedServer } from '../helpers/scripted.ts'
import { errorResponse } from '../helpers/wire.ts'
import { boundedProbe, type Credentials, expectFailure, firstFailure, noUnhandled, steadily } from './bounds.ts'

noUnhandled()
let credentials: Credentials
beforeAll(async () => {
  credentials = await makeCredentials()
})

/** A server that plays the script, made anew for each run. */
const serving = (script: Script) => () => scriptedServer({ ...script, tls: { ...credentials.server, ...script.tls } })

const refused = errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P03', M: 'the system is starting up', R: 'x' })
const slowly = (bytes: Buffer): Act => ({ send: bytes, everyMs: 1000, next: 'silent' })

describe.concurrent('on the way to TLS', () => {
  const table: [string, Script, string][] = [
    ['accepts and is silent', { onAccept: 'silent' }, 'tls TLS_TIMEOUT'],
    ['accepts and closes', { onAccept: 'close' }, 'tls TLS_CLOSED'],
    ['accepts and resets', { onAccept: 'reset' }, 'tcp TCP_RESET'],
    ['is silent after the SSLRequest', { onSslRequest: 'silent' }, 'tls TLS_TIMEOUT'],
    ['closes after the SSLRequest', { onSslRequest: 'close' }, 'tls TLS_CLOSED'],
    ['resets after the SSLRequest', { onSslRequest: 'reset' }, 'tcp TCP_RESET'],
    ['answers it with an error, a byte a second', { onSslRequest: slowly(refused) }, 'tls TLS_TIMEOUT'],
    ['stops inside that error', { onSslRequest: { send: refused.subarray(0, 9), next: 'silent' } }, 'tls TLS_TIMEOUT'],
    ['closes inside that error', { onSslRequest: { send: refused.subarray(0, 9), next: 'close' } }, 'tls TLS_CLOSED'],
    ['is silent after the ClientHello', { onClientHello: 'silent' }, 'tls TLS_TIMEOUT'],
    ['closes after the ClientHello', { onClientHello: 'close' }, 'tls TLS_CLOSED'],
    ['resets after the ClientHello', { onClientHello: 'reset' }, 'tls TLS_CLOSED'],
    [
      'is silent after the certificate, TLS 1.2',
      { tls: { maxVersion: 'TLSv1.2' }, onClientCertificate: 'silent' },
      'tls TLS_TIMEOUT',
    ],
  ]
  test.each(table)('%s', async (_name, script, expected) => {
    await expectFailure(credentials, serving(script), expected)
  })

  // The server's first flight is over a kilobyte; S is its byte 1.
  const cuts = [2, 6, 60, 130, 300, 700] as const
  test.each(cuts)('is silent after %i bytes, inside the handshake', async bytes => {
    await steadily(1000, async deadlineMs => {
      await using target = await scriptedServer({ tls: credentials.server })
      await using link = await relay({ target, onBytes: cutAfter(bytes, 'swallow') })
      expect(firstFailure(await boundedProbe(link, credentials, { deadlineMs }))).toBe('tls TLS_TIMEOUT')
    })
  })
})

/** A link that breaks once so many bytes have come down, whatever the chunks: what comes with them is lost as well. */
function cutAfter(bytes: number, how: 'swallow' | 'close' | 'reset') {
  return ({ direction, total }: { direction: string; total: number }) =>
    direction === 'down' && total >= bytes ? how : undefined
}

describe.concurrent('on the way to a session', () => {
  const messages = accepted({ server_version: '15.0', TimeZone: 'UTC' })
  const names = ['nothing', 'AuthenticationOk', 'a parameter', 'two parameters', 'the key']
  const all = Buffer.concat(messages)
  const prefixes: [string, Buffer, string][] = [
    ...names.map((name, count): [string, Buffer, string] => [
      name,
      Buffer.concat(messages.slice(0, count)),
      count === 0 ? 'session' : 'database',
    ]),
    ['three bytes of a header', all.subarray(0, 3), 'session'],
    ['a header', all.subarray(0, 5), 'session'],
    ['half a parameter', all.subarray(0, 20), 'database'],
    ['all but the last byte', all.subarray(0, -1), 'database'],
  ]
  const acts = { silent: 'SESSION_TIMEOUT', close: 'SESSION_CLOSED', reset: 'SESSION_CLOSED' } as const
  for (const [how, code] of Object.entries(acts)) {
    test.each(prefixes)(`after %s: ${how}`, async (_name, send, layer) => {
      const next = how as keyof typeof acts
      await expectFailure(credentials, serving({ onStartup: { send, next } }), `${layer} ${code}`)
    })
  }

  test('a byte a second', async () => {
    await expectFailure(credentials, serving({ onStartup: slowly(all) }), 'session SESSION_TIMEOUT')
  })

  test('silent where it would refuse the certificate, TLS 1.3', async () => {
    await expectFailure(credentials, serving({ onClientCertificate: 'silent' }), 'session SESSION_TIMEOUT')
  })

  test.each(['close', 'reset'] as const)('lets in, and then: %s', async next => {
    await expectFailure(credentials, serving({ onStartup: { send: all, next } }), 'database CONNECTION_LOST')
  })

  test('lets in with an error after it, and closes', async () => {
    const send = [all, errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'shutting down', R: 'x' })]
    await expectFailure(credentials, serving({ onStartup: { send, next: 'close' } }), 'database SERVER_DRAINING')
  })
})

describe.concurrent('a conversation of statements', () => {
  const table: [string, Act, string][] = [
    ['is silent', 'silent', 'READ_TIMEOUT'],
    ['closes', 'close', 'CONNECTION_LOST'],
    ['resets', 'reset', 'CONNECTION_LOST'],
    ['says a byte a second', slowly(Buffer.from('T\0\0\0\x20\0\x01')), 'READ_TIMEOUT'],
    ['stops inside a header', { send: Buffer.from('T\0\0'), next: 'silent' }, 'READ_TIMEOUT'],
    ['stops inside a message', { send: Buffer.from('T\0\0\0\x20\0\x01name'), next: 'silent' }, 'READ_TIMEOUT'],
  ]
  test.each(table)('%s', async (_name, act, code) => {
    await expectFailure(credentials, serving({ onStatement: () => act }), `database ${code}`)
  })
})
