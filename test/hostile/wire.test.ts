/** The reader of the server's messages and the startup, on bytes of any kind, cut anywhere. */
import { once } from 'node:events'
import net from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startBudget } from '../../src/budget.ts'
import { MessageReader, serverError } from '../../src/dial/wire.ts'
import { CODES } from '../../src/failure/codes.ts'
import { redact } from '../../src/failure/error.ts'
import { type Startup, startup } from '../../src/session/startup.ts'
import { type Listener, listen } from '../helpers/listen.ts'
import { accepted } from '../helpers/scripted.ts'
import { challenge, errorResponse, message, negotiateProtocolVersion, noticeResponse } from '../helpers/wire.ts'
import { noUnhandled } from './bounds.ts'

noUnhandled()

const anyMessage = fc
  .tuple(fc.constantFrom(...'RSKZENTDC12ntvAX'), fc.uint8Array({ maxLength: 40 }))
  .map(([type, body]) => message(type, Buffer.from(body)))
const fields = fc.dictionary(fc.constantFrom(...'SVCMRFHDW'), fc.string({ maxLength: 12 }))
const properMessage = fc.oneof(
  fc.constantFrom(...accepted({ server_version: '15.0', TimeZone: 'UTC' })),
  fc.constantFrom(challenge(3), challenge(5), challenge(10), negotiateProtocolVersion(0, ['_pq_.x'])),
  fields.map(each => errorResponse({ C: '28000', ...each })),
  fields.map(noticeResponse),
)
const stream = fc
  .array(fc.oneof({ weight: 5, arbitrary: properMessage }, anyMessage, fc.uint8Array({ maxLength: 20 })), {
    maxLength: 12,
  })
  .map(parts => Buffer.concat(parts.map(part => Buffer.from(part))))

/** Bytes and where they are cut. */
const cutStream = fc.tuple(stream, fc.array(fc.nat({ max: 400 }), { maxLength: 8 })).map(([bytes, cuts]) => {
  const at = [...new Set(cuts.filter(cut => cut < bytes.length))].sort((a, b) => a - b)
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length))
})

const readAll = (chunks: readonly Buffer[]) => {
  const reader = new MessageReader()
  const messages = chunks.flatMap(chunk => [...reader.push(chunk)].map(({ type, body }) => type + body.toString('hex')))
  return { messages, error: reader.error }
}

describe('the reader', () => {
  test('gives the same messages and the same error however the bytes are cut, and never throws', () => {
    fc.assert(
      fc.property(cutStream, chunks => {
        expect(readAll(chunks)).toEqual(readAll([Buffer.concat(chunks)]))
      }),
      { numRuns: 1000 },
    )
  })

  test('gives back every byte of what it understands', () => {
    fc.assert(
      fc.property(fc.array(anyMessage), messages => {
        const reader = new MessageReader()
        const read = [...reader.push(Buffer.concat(messages))]
        expect(reader.error).toBeNull()
        expect(read.map(({ bytes }) => bytes)).toEqual(messages)
        expect(reader.rest).toHaveLength(0)
      }),
    )
  })

  test('keeps what follows the message at which its caller stops', () => {
    const reader = new MessageReader()
    const bytes = Buffer.concat(accepted())
    for (const { type } of reader.push(Buffer.concat([bytes, bytes]))) if (type === 'Z') break
    expect(reader.rest).toEqual(bytes)
  })

  test('never holds more than its limit and a chunk', () => {
    const reader = new MessageReader(1000)
    const announced = message('D', Buffer.alloc(995))
    expect([...reader.push(announced.subarray(0, 900))]).toEqual([])
    expect([...reader.push(announced.subarray(900))]).toHaveLength(1)
    expect([...reader.push(message('D', Buffer.alloc(997)).subarray(0, 5))]).toEqual([])
    expect(reader.error).toBe('a message of type D announces 1001 bytes')
  })

  test("takes no server's error apart wrongly, whatever is in it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        const error = serverError(Buffer.from(bytes))
        if (error) expect(error.sqlstate).toMatch(/^[0-9A-Z]{5}$/)
      }),
    )
  })
})

test.each(['a.', 'a:/', 'a://b:', '-----BEGIN ', '-----BEGIN A-----', 'a://:'])(
  'a megabyte of "%s" is made safe to print within a moment',
  text => {
    const from = performance.now()
    expect(redact(text.repeat(1_000_000 / text.length)).length).toBeLessThanOrEqual(1000)
    expect(performance.now() - from).toBeLessThan(500)
  },
)

describe('the startup', () => {
  let server: Listener
  let play: (socket: net.Socket) => void
  beforeAll(async () => {
    server = await listen(socket => play(socket))
  })
  afterAll(() => server[Symbol.asyncDispose]())

  /** What the startup makes of these chunks, with the end of the connection after them. */
  async function outcome(chunks: readonly Buffer[]): Promise<Startup & { after: Buffer }> {
    play = socket => {
      // The StartupMessage is read before anything is said, so that the end is no reset.
      socket.once('data', async () => {
        for (const chunk of chunks) {
          socket.write(chunk)
          await new Promise(setImmediate)
        }
        socket.end()
      })
    }
    const socket = net.connect({ host: '::1', port: server.port, family: 6 })
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    const budget = startBudget(20_000, new AbortController().signal)
    const said = await startup(
      socket,
      { user: 'u' },
      { identityMatches: true, principals: ['u'], findStoredPassword: false },
      budget,
    )
    const rest: Buffer[] = []
    if (!socket.destroyed) for await (const chunk of socket) rest.push(chunk)
    return { ...said, after: Buffer.concat(rest) }
  }

  test('never throws, always has an outcome, and the same however the bytes are cut', async () => {
    const essence = ({ error: failure, after, serverError: _, ...said }: Startup & { after: Buffer }) => ({
      ...said,
      after: after.toString('hex'),
      code: failure?.code,
      message: failure?.message,
    })
    await fc.assert(
      fc.asyncProperty(cutStream, async chunks => {
        const whole = await outcome([Buffer.concat(chunks)])
        expect(essence(await outcome(chunks))).toEqual(essence(whole))
        if (whole.error) expect(['session', 'database']).toContain(CODES[whole.error.code].layer)
        else expect(whole.authenticated).toBe(true)
      }),
      { numRuns: 150 },
    )
  })

  test('leaves what follows ReadyForQuery to whoever comes next', async () => {
    const notice = noticeResponse({ S: 'NOTICE', M: 'later' })
    const { error: failure, after } = await outcome([Buffer.concat([...accepted(), notice])])
    expect(failure).toBeNull()
    expect(after).toEqual(notice)
  })
})
