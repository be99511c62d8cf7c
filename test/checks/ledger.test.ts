/** The rows of a run: whatever becomes of a statement, each is written once and removed. */
import { randomUUID } from 'node:crypto'
import { getTableColumns } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { literal } from '../../src/database/sql.ts'
import { CODES } from '../../src/failure/codes.ts'
import { makeRow } from '../../src/row/row.ts'
import { connectionProbe } from '../../src/schema.ts'
import {
  type Case,
  describeFaults,
  expectNothingLeft,
  idsIn,
  isDelete,
  isInsert,
  isSettling,
  type OnStatement,
  probeCase,
  sequenceOf,
  useBase,
} from '../helpers/faults.ts'
import { writerConfig } from '../helpers/probe.ts'
import { cut, error, once as onceOnly } from '../helpers/statement-faults.ts'
import { check, expectVerdict } from '../helpers/verdict.ts'

/** A fault for the first so many removals: dml's own, row-visible's, those of the sequential writes. */
function onDelete(
  which: (ids: number) => boolean,
  fault: Awaited<ReturnType<OnStatement>>,
  times = 1,
): Case['proxy'] & {} {
  return () => {
    let left = times
    return {
      onStatement: sql => (isDelete(sql) && which(idsIn(sql).length) && left-- > 0 ? fault : undefined),
    }
  }
}

const one = (ids: number) => ids === 1
const many = (ids: number) => ids > 1

const REMOVED: readonly Case[] = [
  { fault: 'a removal contended twice', proxy: onDelete(one, error('40001', 'restart transaction'), 2) },
  {
    fault: 'a removal of unknown outcome',
    proxy: onDelete(one, { instead: { S: 'ERROR', C: '40003', M: 'ambiguous' } }),
  },
  {
    fault: 'the look after a removal contended: what was removed before is no surprise',
    proxy: () => ({
      onStatement: onceOnly(
        sql => /^SELECT id::text AS id FROM .* IN \(/.test(sql),
        error('40001', 'restart transaction'),
      ),
    }),
  },
  {
    fault: 'the connection lost after a removal: not to find the row again is no alarm',
    proxy: onDelete(one, cut('after')),
    check: 'dml',
    code: 'CONNECTION_LOST',
  },
  {
    fault: 'the connection lost before a removal',
    proxy: onDelete(one, cut('before')),
    check: 'dml',
    code: 'CONNECTION_LOST',
  },
  { fault: 'the removal of the writes contended', proxy: onDelete(many, error('40001', 'restart transaction'), 3) },
  {
    fault: 'the removal of the writes refused, again at the end: the warning says what is left',
    proxy: onDelete(many, error('53100', 'could not extend file'), 100),
    check: 'sequential-writes',
    code: 'WRITE_REFUSED',
    hint: /^the disk is full/,
    rowsLeft: 'exactly',
  },
  {
    fault: 'an insert of unknown outcome whose settling is contended',
    proxy: () => {
      let left = 2
      return {
        onStatement(sql, params) {
          if (isSettling(sql)) return left-- > 0 ? error('40001', 'restart transaction') : undefined
          return isInsert(sql) && sequenceOf(params) === 0 ? error('40003', 'ambiguous') : undefined
        },
      }
    },
    seen: { 'row-visible': { settled: 'repeated' } },
  },
  {
    fault: 'an insert of unknown outcome whose settling is refused',
    proxy: () => ({
      onStatement(sql, params) {
        if (isSettling(sql)) return error('53100', 'could not extend file')
        return isInsert(sql) && sequenceOf(params) === 0 ? error('40003', 'ambiguous') : undefined
      },
    }),
    check: 'row-visible',
    code: 'WRITE_AMBIGUOUS',
    hint: 'first: the disk is full',
    evidence: { first: 'WRITE_AMBIGUOUS', settling: 'WRITE_REFUSED' },
    rowsLeft: 'unfounded',
  },
]

const base = useBase()
describeFaults('removing rows', base, REMOVED)

describe('many writes', () => {
  it('are verified and removed by the thousand, and counted', async () => {
    const { report, database } = await probeCase(base(), { options: { writes: 1001 } })
    expectVerdict(report, { seen: { 'sequential-writes': { writes: 1001, read: 1001, retries: 0 } } })
    await expectNothingLeft(base(), database, report)
  })
})

describe('rows of earlier runs', () => {
  /** The INSERT of a row as the probe makes them, so many days ago. */
  function old(days: number, id: number): string {
    const made: Record<string, unknown> = {
      ...makeRow(writerConfig(base().server), randomUUID(), 1, ''),
      id: `00000000-0000-4000-8000-00000000000${id}`,
      writtenAt: new Date(Date.now() - days * 86_400_000).toISOString(),
    }
    const columns = Object.entries(getTableColumns(connectionProbe)).filter(([key]) => key in made)
    const values = columns.map(([key]) => {
      const value = made[key]
      return literal(typeof value === 'object' ? JSON.stringify(value) : String(value))
    })
    const names = columns.map(([, { name }]) => name)
    return `INSERT INTO public.connection_probe (${names.join(', ')}) VALUES (${values.join(', ')})`
  }

  it('are swept after a day, and not before', async () => {
    const { report, database } = await probeCase(base(), { sql: `${old(2, 1)}; ${old(1.01, 2)}; ${old(0.99, 3)}` })
    expectVerdict(report, {})
    const left = await base().server.runAsRoot('SELECT id::text AS id FROM public.connection_probe', database)
    expect(left).toEqual([{ id: '00000000-0000-4000-8000-000000000003' }])
  })

  it('are swept a thousand at most in one run', async () => {
    const names = Object.values(getTableColumns(connectionProbe)).map(({ name }) => name)
    const values = names.map(name => (name === 'id' ? 'gen_random_uuid()' : name))
    const copies = `INSERT INTO public.connection_probe (${names}) SELECT ${values} FROM public.connection_probe, generate_series(1, 1000)`
    const { report, database } = await probeCase(base(), { sql: `${old(2, 1)}; ${copies}` })
    expectVerdict(report, {})
    expect(await base().count(database)).toBe(1)
  })

  it('that cannot be swept are no failure', async () => {
    const proxy = () => ({
      onStatement: (sql: string) => (/written_at < now\(\)/.test(sql) ? error('XX000', 'internal error') : undefined),
    })
    const { report, database } = await probeCase(base(), { sql: old(2, 1), proxy })
    expectVerdict(report, {})
    expect(await base().count(database)).toBe(1)
  })

  it('are swept by a run that failed, too', async () => {
    const sql = `${old(2, 1)}; GRANT SELECT ON public.connection_probe TO gateway_writer WITH GRANT OPTION`
    const { report, database } = await probeCase(base(), { sql })
    expect(report.failure?.code).toBe('GRANT_EXCESS')
    expect(await base().count(database)).toBe(0)
  })
})

describe('rows that are to be kept', () => {
  it('are kept, all of them, also where the outcome of one was unknown', async () => {
    const proxy = () => ({
      onStatement: (sql: string, params: readonly (string | null)[]) =>
        isInsert(sql) && sequenceOf(params) === 2 ? error('40003', 'ambiguous') : undefined,
    })
    const { report, database } = await probeCase(base(), { options: { keep: true, writes: 4 }, proxy })
    expectVerdict(report, { seen: { 'sequential-writes': { settled: 1 } } })
    expect(await base().count(database)).toBe(5)
  })
})

describe('the end of a run', () => {
  it('is DEADLINE where everything was slow and nothing overran', async () => {
    const proxy = () => ({
      // every write so late, ms, that they do not all fit, and each within a quarter of the deadline
      onStatement: (sql: string) =>
        isInsert(sql) ? { after: new Promise(settle => setTimeout(settle, 150)) } : undefined,
    })
    const { report, database } = await probeCase(base(), {
      proxy,
      options: { deadlineMs: 3000, writes: 50, visibleWithinMs: 1000 },
    })
    expectVerdict(report, {
      check: 'sequential-writes',
      code: 'DEADLINE',
    })
    expect(report.durationMs).toBeLessThan(3500)
    await expectNothingLeft(base(), database, report)
  })

  it('is INTERRUPTED where it is interrupted under its writes, and the rows are gone', async () => {
    const interruption = new AbortController()
    const { ProbeError } = await import('../../src/failure/error.ts')
    const proxy = () => ({
      onStatement(sql: string, params: readonly (string | null)[]) {
        if (isInsert(sql) && sequenceOf(params) === 30)
          interruption.abort(new ProbeError('INTERRUPTED', 'interrupted by a test'))
        return undefined
      },
    })
    const run = { proxy, options: { writes: 10_000 }, signal: interruption.signal }
    const { report, database } = await probeCase(base(), run)
    expect(report.verdict).toBe('fail')
    expect(check(report, 'sequential-writes').failure?.code).toBe('INTERRUPTED')
    expect(report.failure?.hint).toBe(CODES.INTERRUPTED.hint)
    await expectNothingLeft(base(), database, report)
  })
})
