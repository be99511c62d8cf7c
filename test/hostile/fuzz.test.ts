/** Recorded conversations with bytes changed, lost, doubled and moved, below nothing but TLS: always a report. */
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { CODES } from '../../src/failure/codes.ts'
import { renderJson } from '../../src/report/json.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import type { Report } from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'
import { makeCredentials } from '../helpers/clients.ts'
import { cockroachScenario, cockroachServer } from '../helpers/cockroach.ts'
import type { Reply } from '../helpers/statements.ts'
import { checkIds } from '../helpers/verdict.ts'
import { dataRow, message, readColumns, readyForQuery, type ServerMessage } from '../helpers/wire.ts'
import { boundedProbe, type Credentials, expectFailure, noUnhandled } from './bounds.ts'
import { type Recording, record, replay } from './recorded.ts'

noUnhandled()
let credentials: Credentials
let recording: Recording
beforeAll(async () => {
  credentials = await makeCredentials()
  recording = await record(credentials)
})

/** One thing done to a run of bytes; positions count from 0 to 1 over its length. */
type Mutation = (bytes: Buffer) => Buffer
const at = (bytes: Buffer, where: number): number => Math.floor(where * bytes.length)
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, fc.nat(255)).map(
    ([where, value]): Mutation =>
      bytes => {
        const changed = Buffer.from(bytes)
        if (changed.length > 0) changed[at(bytes, where)] = value
        return changed
      },
  ),
  place.map(
    (where): Mutation =>
      bytes =>
        bytes.subarray(0, at(bytes, where)),
  ),
  fc.tuple(place, place).map(
    ([a, b]): Mutation =>
      bytes => {
        const [from, to] = [at(bytes, Math.min(a, b)), at(bytes, Math.max(a, b))]
        return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)])
      },
  ),
  fc.tuple(place, place).map(
    ([a, b]): Mutation =>
      bytes => {
        const [from, to] = [at(bytes, Math.min(a, b)), at(bytes, Math.max(a, b))]
        return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)])
      },
  ),
  fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 12 })).map(
    ([where, extra]): Mutation =>
      bytes => {
        const here = at(bytes, where)
        return Buffer.concat([bytes.subarray(0, here), Buffer.from(extra), bytes.subarray(here)])
      },
  ),
)

/** A report that can be printed in every form, with a verdict. */
function expectReport(report: Report): void {
  expect(report.checks.map(({ id }) => id)).toEqual(checkIds())
  expect(report.verdict).toBe(report.checks.every(({ status }) => status === 'passed') ? 'pass' : 'fail')
  if (report.verdict === 'fail') expect(Object.keys(CODES)).toContain(report.failure?.code)
  JSON.parse(renderJson(report))
  expect(renderText(report, { colour: false })).toContain(report.verdict.toUpperCase())
  expect(renderMarkdown(report, {})).not.toBe('')
}

const inFours = async (runs: readonly (() => Promise<void>)[]): Promise<void> =>
  void (await Promise.all(runs.map(run => run())))
const fours = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(one, { minLength: 4, maxLength: 4 })

test('the answer to the StartupMessage', async () => {
  const startup = Buffer.concat(recording.startup.map(({ bytes }) => bytes))
  const run = (mutate: Mutation) => async () => {
    await using server = await replay(recording, credentials, { onStartup: { send: mutate(startup) } })
    expectReport(await boundedProbe(server, credentials, { deadlineMs: 800 }))
  }
  await fc.assert(
    fc.asyncProperty(fours(mutation), mutations => inFours(mutations.map(run))),
    { numRuns: 4, endOnFailure: true },
  )
})

test('the answer to any one statement', async () => {
  const statements = [...recording.answers.keys()]
  const run =
    ([which, mutate]: [number, Mutation]) =>
    async () => {
      const chosen = statements[which % statements.length] ?? ''
      const answer = Buffer.concat((recording.answers.get(chosen) ?? []).map(({ bytes }) => bytes))
      const onStatement = (sql: string): Reply | undefined => (sql === chosen ? { send: mutate(answer) } : undefined)
      await using server = await replay(recording, credentials, { onStatement })
      expectReport(await boundedProbe(server, credentials, { deadlineMs: 800 }))
    }
  await fc.assert(
    fc.asyncProperty(fours(fc.tuple(fc.nat(), mutation)), chosen => inFours(chosen.map(run))),
    { numRuns: 8, endOnFailure: true },
  )
})

test('the answer to any one statement, with messages that do not belong there', async () => {
  const statements = [...recording.answers.keys(), 'insert', 'select', 'update', 'delete']
  // Whatever the driver knows: COPY, Authentication, PortalSuspended, CloseComplete, FunctionCallResponse, and nothing.
  const foreign = fc
    .tuple(fc.constantFrom(...'RKsGHWdcv3VAtTDC12nEYx'), fc.uint8Array({ maxLength: 24 }))
    .map(([type, body]) => message(type, Buffer.from(body)))
  const run =
    ([which, messages, before]: [number, Buffer[], boolean]) =>
    async () => {
      const chosen = statements[which % statements.length] ?? ''
      const recorded = (recording.answers.get(chosen) ?? []).map(({ bytes }) => bytes)
      const send = before ? [...messages, ...recorded, readyForQuery()] : [...recorded, ...messages]
      const onStatement = (sql: string): Reply | undefined => (sql.startsWith(chosen) ? { send } : undefined)
      await using server = await replay(recording, credentials, { onStatement })
      expectReport(await boundedProbe(server, credentials, { deadlineMs: 800 }))
    }
  const one = fc.tuple(fc.nat(), fc.array(foreign, { minLength: 1, maxLength: 4 }), fc.boolean())
  await fc.assert(
    fc.asyncProperty(fours(one), chosen => inFours(chosen.map(run))),
    { numRuns: 8, endOnFailure: true },
  )
})

describe('each statement by itself: what a run asks only then is answered by this server, too (noUnhandled)', () => {
  const table: [string, Reply | ((recorded: readonly ServerMessage[]) => Reply)][] = [
    ['a row of another column', { columns: ['other'], rows: [['1']] }],
    [
      'a row of nothing but NULL',
      recorded => {
        const description = recorded.find(({ type }) => type === 'T')?.bytes
        const count = description ? readColumns(description).length : 0
        const row = dataRow(Array.from({ length: count }, () => null))
        return {
          send: [...(description ? [description] : []), row, message('C', Buffer.from('SELECT 1\0')), readyForQuery()],
        }
      },
    ],
    ['42501', { error: { C: '42501', M: 'permission denied' } }],
    ['42P01', { error: { C: '42P01', M: 'relation does not exist' } }],
    ['3D000', { error: { C: '3D000', M: 'database does not exist' } }],
    ['25006', { error: { C: '25006', M: 'read-only transaction' } }],
    ['nothing', { send: [message('C', Buffer.from('SELECT 0\0')), readyForQuery()] }],
  ]
  test.each(table)('%s', async (_name, reply) => {
    for (const chosen of [...recording.answers.keys(), 'insert', 'select', 'update', 'DELETE']) {
      const given = typeof reply === 'function' ? reply(recording.answers.get(chosen) ?? []) : reply
      const onStatement = (sql: string): Reply | undefined => (sql.startsWith(chosen) ? given : undefined)
      await using server = await replay(recording, credentials, { onStatement })
      expectReport(await boundedProbe(server, credentials, { deadlineMs: 800 }))
    }
  })
})

describe('what the driver would stumble over', () => {
  const table: [string, Buffer][] = [
    ['a column without the end of its name (an endless search)', message('T', Buffer.from([0, 1, 0x61, 0x61]))],
    ['a second Authentication, cut short (a rejection nobody holds)', message('R')],
    ['a SASL continuation (the same)', message('R', Buffer.from([0, 0, 0, 11, 0x78]))],
    ['COPY IN, then an unknown type (a stream that throws)', Buffer.concat([message('G'), message('E')])],
    ['COPY OUT and its data', Buffer.concat([message('H'), message('d', Buffer.alloc(9)), message('c')])],
    ['a suspended portal', message('s')],
    ['a function call', message('V')],
    ['a message that it would print', message('q')],
    ['an error without a SQLSTATE', message('E', Buffer.from('Mwhat\0\0'))],
  ]
  test.each(table)('%s', async (_name, send) => {
    const onStatement = (): Reply => ({ send, next: 'silent' })
    const serve = () => replay(recording, credentials, { onStatement })
    await expectFailure(credentials, serve, 'database SESSION_PROTOCOL')
  })
})

test("CockroachDB's answer to the StartupMessage", async () => {
  const startup = Buffer.concat(cockroachScenario('accepted login').startup.map(({ bytes }) => bytes))
  const run = (mutate: Mutation) => async () => {
    await using server = await cockroachServer({ tls: credentials.server, onStartup: { send: mutate(startup) } })
    expectReport(await boundedProbe(server, credentials, { deadlineMs: 800 }))
  }
  await fc.assert(
    fc.asyncProperty(fours(mutation), mutations => inFours(mutations.map(run))),
    { numRuns: 4, endOnFailure: true },
  )
})
