/** A session that is gone: what was under way on it, and what comes after, ends with the reason why it is gone. */
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { startBudget } from '../../src/budget.ts'
import { diallerOf } from '../../src/session/path.ts'
import { openSession, type Session } from '../../src/session/postgres.ts'
import { makeCredentials } from '../helpers/clients.ts'
import { relay } from '../helpers/relay.ts'
import { scriptedServer } from '../helpers/scripted.ts'
import type { SessionServer } from '../helpers/sessions.ts'
import { once } from '../helpers/statement-faults.ts'
import type { Reply } from '../helpers/statements.ts'
import {
  commandComplete,
  dataRow,
  errorResponse,
  noticeResponse,
  readyForQuery,
  rowDescription,
} from '../helpers/wire.ts'
import { type Credentials, noUnhandled, targetOf } from '../hostile/bounds.ts'

noUnhandled()
let credentials: Credentials
beforeAll(async () => {
  credentials = await makeCredentials()
})

const silentServer = (reply: Reply = 'silent') => scriptedServer({ tls: credentials.server, onStatement: () => reply })

async function sessionOn(server: Pick<SessionServer, 'port'>): Promise<Session> {
  const config = targetOf(server, credentials)
  const budget = startBudget(20_000, new AbortController().signal)
  const dialler = diallerOf({ config, budget })
  const [endpoint] = (await dialler.lookUp()).endpoints
  if (!endpoint) throw new Error('no address')
  return openSession(await dialler.open(endpoint), budget)
}

const codeOf = (statement: Promise<unknown>): Promise<unknown> =>
  statement.then(
    () => 'answered',
    (error: { code?: string }) => error.code,
  )

test('a statement that overran takes the others with it, and they say so', async () => {
  await using server = await silentServer()
  const session = await sessionOn(server)
  const other = codeOf(session.ask('the other question', 'SELECT 1'))
  const hasty = session.withBudget({ ...session.budget, waitMs: 100 })
  const read = codeOf(hasty.run('read', 'the select', db => db.execute('SELECT 2')))
  expect([await read, await other, session.isLost()]).toEqual(['READ_TIMEOUT', 'READ_TIMEOUT', true])
  expect(await codeOf(session.ask('a later question', 'SELECT 3'))).toBe('READ_TIMEOUT')
  // The connection's own end, which comes later, is another reason, and not the one that counts.
  await server[Symbol.asyncDispose]()
  await new Promise(setImmediate)
  expect(await codeOf(session.ask('a question after the end', 'SELECT 3'))).toBe('READ_TIMEOUT')
  expect(server.statements.some(({ sql }) => sql === 'SELECT 3')).toBe(false)
})

test('the time of a statement runs from its turn on, not from when it was sent', async () => {
  const late = () => sleep(200, { columns: ['a'], rows: [['1']] })
  await using server = await scriptedServer({ tls: credentials.server, onStatement: late })
  const session = await sessionOn(server)
  const hasty = session.withBudget({ ...session.budget, waitMs: 400 })
  const asked = ['a', 'b', 'c'].map(name => codeOf(hasty.ask(`question ${name}`, 'SELECT 1 AS a')))
  expect(await Promise.all(asked)).toEqual(['answered', 'answered', 'answered'])
})

test('an answer that is not understood ends the session', async () => {
  await using server = await silentServer({ send: Buffer.from('D\0\0\0\x06\0\0Z\0\0\0\x05I'), next: 'go on' })
  const session = await sessionOn(server)
  expect(await codeOf(session.ask('a question', 'SELECT 1'))).toBe('SESSION_PROTOCOL')
  expect(session.isLost()).toBe(true)
})

const ROW = [rowDescription(['a']), dataRow(['1'])]
const ERROR = errorResponse({ S: 'ERROR', V: 'ERROR', C: '23505', M: 'duplicate key value' })
const NOTICE = noticeResponse({ S: 'NOTICE', C: '00000', M: 'by the way' })

test.each([
  ['an error', [...ROW, ERROR]],
  ['a notice and an error', [...ROW, NOTICE, ERROR]],
  ['an error, in an answer of several statements', [...ROW, commandComplete('SELECT 1'), ...ROW, ERROR]],
])('%s after rows leaves none of them in the next answer', async (_name, messages) => {
  const send = Buffer.concat([...messages, readyForQuery()])
  const isFirst = once(sql => sql === 'SELECT 1', { send, next: 'go on' } as const)
  const answer = { columns: ['a'], rows: [['2']] }
  await using server = await scriptedServer({
    tls: credentials.server,
    onStatement: sql => isFirst(sql) ?? answer,
  })
  const session = await sessionOn(server)
  expect(await codeOf(session.ask('a question', 'SELECT 1'))).toBe('CATALOGUE_FAILED')
  expect(await session.ask('the next question', 'SELECT 2')).toEqual([{ a: '2' }])
})

test('rows that nothing ends are not understood', async () => {
  await using server = await silentServer({ send: Buffer.concat([...ROW, readyForQuery()]), next: 'go on' })
  const session = await sessionOn(server)
  expect(await codeOf(session.ask('a question', 'SELECT 1'))).toBe('SESSION_PROTOCOL')
})

test.each([
  ['notices', noticeResponse({ S: 'NOTICE', C: '00000', M: 'x'.repeat(900) })],
  ['rows', Buffer.concat([rowDescription(['a']), dataRow(['x'.repeat(900)])])],
])('an answer that never ends is cut short by its size, not by the time: %s', async (_name, flood) => {
  await using server = await silentServer({ flood })
  const session = await sessionOn(server)
  expect(await codeOf(session.ask('a question', 'SELECT 1'))).toBe('SESSION_PROTOCOL')
})

test('a polite end takes a moment at most, whatever the server does', async () => {
  await using server = await silentServer()
  await using link = await relay({ target: { port: server.port } })
  const session = await sessionOn(link)
  void codeOf(session.ask('a question', 'SELECT 1'))
  await server.until(({ statements }) => statements.length > 0)
  link.swallow()
  const from = performance.now()
  await session.close()
  expect(performance.now() - from).toBeLessThan(1000)
  await session.close()
})
