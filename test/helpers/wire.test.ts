import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type ClientMessage,
  clientDecoder,
  message,
  query,
  serverDecoder,
  sslRequest,
  startupMessage,
  sync,
  terminate,
} from './wire.ts'

const parse = message('P', Buffer.from('s\0select $1\0'), Buffer.of(0, 1), Buffer.of(0, 0, 0, 25))
const bind = message(
  'B',
  Buffer.from('\0s\0'),
  Buffer.of(0, 0),
  Buffer.of(0, 2),
  Buffer.of(0, 0, 0, 2),
  Buffer.from('é'),
  Buffer.of(255, 255, 255, 255),
  Buffer.of(0, 0),
)
const stream = Buffer.concat([
  sslRequest(),
  startupMessage({ user: 'me', database: 'uro' }),
  query('select 1'),
  parse,
  bind,
  message('D', Buffer.from('Ss\0')),
  message('E', Buffer.from('\0'), Buffer.of(0, 0, 0, 0)),
  sync(),
  terminate(),
])
const expected = [
  { kind: 'SSLRequest' },
  { kind: 'StartupMessage', protocol: 196608, parameters: { user: 'me', database: 'uro' } },
  { kind: 'Query', sql: 'select 1' },
  { kind: 'Parse', name: 's', sql: 'select $1', types: [25] },
  { kind: 'Bind', portal: '', name: 's', params: ['é', null] },
  { kind: 'Describe', what: 'S', name: 's' },
  { kind: 'Execute', portal: '', limit: 0 },
  { kind: 'Sync' },
  { kind: 'Terminate' },
]

test('a client is understood however its bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length)), cuts => {
      const decode = clientDecoder()
      const messages: ClientMessage[] = []
      let at = 0
      for (const cut of [...cuts.sort((a, b) => a - b), stream.length]) {
        messages.push(...decode(stream.subarray(at, cut)))
        at = cut
      }
      expect(messages.map(({ bytes, ...rest }) => rest)).toEqual(expected)
      expect(Buffer.concat(messages.map(({ bytes }) => bytes))).toEqual(stream)
    }),
  )
})

test('bytes that are no protocol throw a RangeError or wait for more, and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
      for (const decode of [clientDecoder(), serverDecoder()]) {
        try {
          decode(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }
    }),
    { numRuns: 1000 },
  )
})
