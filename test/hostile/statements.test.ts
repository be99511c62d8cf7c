/** A real conversation that stops at any one statement, or at any byte. */
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Code } from '../../src/failure/codes.ts'
import type { Report } from '../../src/report/report.ts'
import { makeCredentials } from '../helpers/clients.ts'
import { isDelete } from '../helpers/faults.ts'
import { relay } from '../helpers/relay.ts'
import { once } from '../helpers/statement-faults.ts'
import type { Reply } from '../helpers/statements.ts'
import { errorResponse, noticeResponse } from '../helpers/wire.ts'
import { boundedProbe, type Credentials, firstFailure, noUnhandled, steadily } from './bounds.ts'
import { type Recording, type Replay, record, replay } from './recorded.ts'

noUnhandled()
let credentials: Credentials
let recording: Recording
beforeAll(async () => {
  credentials = await makeCredentials()
  recording = await record(credentials)
})

/** Every row that is still there is named, with the statement that removes it. */
function expectRowsNamed({ warnings }: Report, { rows }: Replay): void {
  const left = warnings.find(({ code }) => code === 'ROWS_LEFT')?.message ?? ''
  for (const id of rows.keys()) expect(left).toContain(id)
}

const STATEMENTS: [string, RegExp, Code][] = [
  ['the first use of the database', /^SELECT 1 FROM/, 'READ_TIMEOUT'],
  ['the database', /^SELECT current_database/, 'READ_TIMEOUT'],
  ['the session', /connection_probe\.session/, 'READ_TIMEOUT'],
  ['the clock', /^SELECT clock_timestamp/, 'READ_TIMEOUT'],
  ['the columns', /a\.attname::text AS name/, 'READ_TIMEOUT'],
  ['the bare name', /array_position/, 'READ_TIMEOUT'],
  ['the privileges', /^SELECT has_table_privilege/, 'READ_TIMEOUT'],
  ['the users', /^SELECT current_user/, 'READ_TIMEOUT'],
  ['the roles', /^SELECT rolname/, 'READ_TIMEOUT'],
  ['the insert', /^insert into/, 'WRITE_TIMEOUT'],
  ['the select', /^select .* = \$1$/, 'READ_TIMEOUT'],
  ['the memberships', /pg_auth_members/, 'READ_TIMEOUT'],
  ['what the user owns', /pg_shdepend/, 'READ_TIMEOUT'],
  ['the excess privileges', /aclexplode/, 'READ_TIMEOUT'],
  ['where it can create', /^SELECT 'database '/, 'READ_TIMEOUT'],
  ['CREATE TABLE', /^CREATE TABLE/, 'WRITE_TIMEOUT'],
  ['the update', /^update/, 'WRITE_TIMEOUT'],
  ['the select of all rows', /^select .* in \(\$/, 'READ_TIMEOUT'],
  ['the named statements', /pg_prepared_statements/, 'READ_TIMEOUT'],
]

/** What a server says that ends the session, and then says nothing more: the connection stays open. */
const FATALS: [string, string, Code][] = [
  ['a shutdown', '57P01', 'SERVER_DRAINING'],
  ['a node that takes no sessions any more', '57P03', 'SERVER_UNAVAILABLE'],
  ['a pooler that lost its server', '08006', 'CONNECTION_LOST'],
  ['a conflict with recovery', '40001', 'CONNECTION_LOST'],
]
const fatal = (C: string): Reply => ({ send: errorResponse({ S: 'FATAL', V: 'FATAL', C, M: 'gone' }), next: 'silent' })
/** How PostgreSQL ends its sessions at once (quickdie): a warning, and nothing after it. */
const warning = noticeResponse({ S: 'WARNING', V: 'WARNING', C: '57P02', M: 'terminating connection because of crash' })
/** One of each kind: the catalogue, a write, a read. */
const KINDS = STATEMENTS.filter(([name]) => ['the roles', 'the insert', 'the select'].includes(name))

describe.concurrent('at one statement', () => {
  test.each(STATEMENTS)('%s is not answered', async (_name, pattern, code) => {
    await steadily(2000, async deadlineMs => {
      await using server = await replay(recording, credentials, {
        onStatement: once(sql => pattern.test(sql), 'silent' as const),
      })
      const report = await boundedProbe(server, credentials, { deadlineMs })
      expect(report.failure?.code).toBe(code)
      expectRowsNamed(report, server)
    })
  })
  const ends = (pattern: RegExp, reply: Reply, code: Code, sqlstate: string) =>
    steadily(2000, async deadlineMs => {
      await using server = await replay(recording, credentials, { onStatement: once(sql => pattern.test(sql), reply) })
      const report = await boundedProbe(server, credentials, { deadlineMs, visibleWithinMs: 5000 })
      expect(report.failure).toMatchObject({ code, sqlstate })
      expectRowsNamed(report, server)
    })
  test.each(STATEMENTS)('%s: FATAL, an internal error, the connection left open', (_name, pattern) =>
    ends(pattern, fatal('XX000'), 'CONNECTION_LOST', 'XX000'),
  )
  for (const [what, sqlstate, code] of FATALS)
    test.each(KINDS)(`%s: FATAL, ${what}, the connection left open`, (_name, pattern) =>
      ends(pattern, fatal(sqlstate), code, sqlstate),
    )
  test.each(KINDS)('%s: a warning that the server crashes, and the end', (_name, pattern) =>
    ends(pattern, { send: warning, next: 'close' }, 'SERVER_UNAVAILABLE', '57P02'),
  )
  for (const how of ['close', 'reset'] as const) {
    test.each(STATEMENTS)(`%s: ${how}`, async (_name, pattern) => {
      await steadily(2000, async deadlineMs => {
        await using server = await replay(recording, credentials, { onStatement: once(sql => pattern.test(sql), how) })
        const report = await boundedProbe(server, credentials, { deadlineMs })
        expect(report.failure?.code).toBe('CONNECTION_LOST')
        expectRowsNamed(report, server)
      })
    })
  }
})

test('a connection lost, and then nobody answers any more: what comes after is blocked by the check that met it', async () => {
  await steadily(4000, async deadlineMs => {
    let gone = false
    await using server = await replay(recording, credentials, {
      onAccept: () => (gone ? 'silent' : undefined),
      onStatement: sql => {
        gone ||= sql.includes('pg_auth_members')
        return gone ? 'reset' : undefined
      },
    })
    const report = await boundedProbe(server, credentials, { deadlineMs })
    expect(firstFailure(report)).toBe('role CONNECTION_LOST')
    const others = report.checks.filter(({ id, status }) => id !== 'role' && status !== 'passed')
    expect(others.map(({ id, blockedBy }) => [id, blockedBy])).toEqual([
      ['certificate-bound', 'role'],
      // on the other connection, which is lost with it
      ['table', null],
      ['dml', 'table'],
      ['row-visible', 'dml'],
      ['ddl-refused', 'table'],
      ['sequential-writes', 'row-visible'],
      ['statements-unnamed', 'sequential-writes'],
    ])
  })
})

describe.concurrent('at every statement of a kind', () => {
  test('no insert is ever answered', async () => {
    await steadily(2000, async deadlineMs => {
      const onStatement = (sql: string): Reply | undefined => (sql.startsWith('insert') ? 'silent' : undefined)
      await using server = await replay(recording, credentials, { onStatement })
      const report = await boundedProbe(server, credentials, { deadlineMs })
      expect(firstFailure(report)).toBe('dml WRITE_AMBIGUOUS')
      expect(report.warnings.map(({ code }) => code)).toContain('ROWS_LEFT')
    })
  })

  test('no row can be removed', async () => {
    await steadily(2000, async deadlineMs => {
      const onStatement = (sql: string): Reply | undefined => (isDelete(sql) ? 'silent' : undefined)
      await using server = await replay(recording, credentials, { onStatement })
      const report = await boundedProbe(server, credentials, { deadlineMs })
      expect(report.verdict).toBe('fail')
      expect(server.rows.size).toBeGreaterThan(0)
      expectRowsNamed(report, server)
    })
  })

  test('every insert is to be tried again, and the deadline comes first', async () => {
    await steadily(400, async deadlineMs => {
      const error = { S: 'ERROR', V: 'ERROR', C: '40001', M: 'restart transaction', R: 'x' }
      const onStatement = (sql: string): Reply | undefined => (sql.startsWith('insert') ? { error } : undefined)
      await using server = await replay(recording, credentials, { onStatement })
      const report = await boundedProbe(server, credentials, { deadlineMs })
      expect(report.failure?.code).toMatch(/^(DEADLINE|WRITE_CONTENDED)$/)
      expect(server.rows.size).toBe(0)
    })
  })

  test('every row comes late, each within its own limit: nobody overran but the run', async () => {
    await steadily(1500, async deadlineMs => {
      await using server = await replay(recording, credentials, {
        onStatement: async sql => {
          if (sql.startsWith('insert')) await new Promise(settle => setTimeout(settle, 150))
          return undefined
        },
      })
      const options = { deadlineMs, writes: 500 }
      const report = await boundedProbe(server, credentials, options)
      expect(firstFailure(report)).toBe('sequential-writes DEADLINE')
      expectRowsNamed(report, server)
    })
  })
})

const WAYS = ['swallow', 'close', 'reset'] as const

test('at any byte that the server says on a connection, encrypted as it is', async () => {
  const run = async (bytes: number, connection: number, how: (typeof WAYS)[number]) => {
    await using target = await replay(recording, credentials)
    await using link = await relay({
      target,
      onBytes: chunk =>
        chunk.direction === 'down' && chunk.connection === connection && chunk.total >= bytes ? how : undefined,
    })
    // The link keeps what it swallowed open on its own side, so only the number of connections is counted.
    const counted = {
      port: link.port,
      get connections() {
        return link.connections
      },
    }
    const report = await boundedProbe(counted, credentials)
    if (report.verdict === 'fail') expect(report.failure?.layer).not.toBe('config')
    expectRowsNamed(report, target)
  }
  const cut = fc.tuple(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 5 }), fc.constantFrom(...WAYS))
  // In fives, since most of the time is waited.
  const fives = fc.array(cut, { minLength: 5, maxLength: 5 })
  const property = fc.asyncProperty(fives, async cuts => void (await Promise.all(cuts.map(one => run(...one)))))
  await fc.assert(property, { numRuns: 5, endOnFailure: true })
})
