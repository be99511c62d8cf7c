/** What a migration is asked about before it runs: from two schemas as drizzle-kit sees them, and the SQL it writes. */
import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { sql } from 'drizzle-orm'
import * as pg from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { findingsOf } from '../../../src/development/schema-check/findings.ts'
import type { Snapshot } from '../../../src/development/schema-check/folder.ts'
import { BREAKPOINT } from '../../../src/development/schema-check/sql.ts'

type Extra = (self: Record<string, pg.ExtraConfigColumn>) => pg.PgTableExtraConfigValue[]
type Module = Record<string, unknown>

const BASE = { id: pg.uuid('id').primaryKey(), name: pg.text('name').notNull() }
const table = (columns: Record<string, pg.PgColumnBuilderBase>, extra: Extra = () => []): Module => ({
  one: pg.pgTable('one', { ...BASE, ...columns }, extra),
})
const mood = (...values: [string, ...string[]]): Module => {
  const mood = pg.pgEnum('mood', values)
  return { mood, one: pg.pgTable('one', { ...BASE, mood: mood('mood') }) }
}

/** Rules found, each with the statement at which it was; `change` edits the generated SQL. */
async function found(before: Module, after: Module, change = (text: string) => text) {
  const [then, now] = [generateDrizzleJson(before), generateDrizzleJson(after)] as unknown as [Snapshot, Snapshot]
  const generated = await generateMigration(then as never, now as never)
  const text = change(generated.join(`${BREAKPOINT}\n`))
  const migration = { tag: '0002_x', file: 'drizzle/0002_x.sql', sql: text, snapshot: now }
  return findingsOf(migration, then, now, [])
}

const rules = async (...given: Parameters<typeof found>) => (await found(...given)).map(({ rule }) => rule)

describe('found', () => {
  test.each<readonly [what: string, before: Module, after: Module, rules: readonly string[], at: string]>([
    ['a required column', table({}), table({ n: pg.text('n').notNull() }), ['required-column'], 'ADD COLUMN "n"'],
    ['a dropped column', table({ n: pg.text('n') }), table({}), ['dropped-column'], 'DROP COLUMN "n"'],
    [
      'a dropped table',
      { ...table({}), two: pg.pgTable('two', BASE) },
      table({}),
      ['dropped-table'],
      'DROP TABLE "two"',
    ],
    [
      'a changed type',
      table({ n: pg.bigint('n', { mode: 'number' }) }),
      table({ n: pg.text('n') }),
      ['changed-type', 'cockroachdb-retype'],
      'SET DATA TYPE text',
    ],
    [
      'a column now required',
      table({ n: pg.text('n') }),
      table({ n: pg.text('n').notNull() }),
      ['now-required'],
      'SET NOT NULL',
    ],
    [
      'a dropped default',
      table({ n: pg.text('n').notNull().default('x') }),
      table({ n: pg.text('n').notNull() }),
      ['dropped-default'],
      'DROP DEFAULT',
    ],
    [
      'a unique column',
      table({ n: pg.text('n') }),
      table({ n: pg.text('n').unique() }),
      ['new-constraint'],
      'ADD CONSTRAINT',
    ],
    [
      'a unique index',
      table({}),
      table({}, one => [pg.uniqueIndex('u').on(one.name as pg.ExtraConfigColumn)]),
      ['new-constraint'],
      'CREATE UNIQUE INDEX "u"',
    ],
    ['a check', table({}), table({}, () => [pg.check('c', sql`true`)]), ['new-constraint'], 'ADD CONSTRAINT "c"'],
    ['an integer', table({}), table({ n: pg.integer('n') }), ['cockroachdb-type'], 'ADD COLUMN "n"'],
    ['an array of them', table({}), table({ n: pg.integer('n').array() }), ['cockroachdb-type'], 'ADD COLUMN "n"'],
    ['a type of PostgreSQL alone', table({}), table({ n: pg.macaddr('n') }), ['cockroachdb-type'], 'ADD COLUMN "n"'],
    [
      'a table without a key',
      {},
      { t: pg.pgTable('t', { n: pg.text('n') }) },
      ['cockroachdb-no-key'],
      'CREATE TABLE "t"',
    ],
    [
      'a value taken from an enum',
      mood('a', 'b'),
      mood('a'),
      ['cockroachdb-retype', 'dropped-enum-value', 'cockroachdb-retype'],
      '',
    ],
  ])('%s', async (_what, before, after, expected, at) => {
    const findings = await found(before, after)
    expect(findings.map(({ rule }) => rule)).toEqual(expected)
    for (const { statement, accepted } of findings) {
      expect(statement).toContain(at)
      expect(accepted).toBeNull()
    }
  })

  test('a renamed column, and the table renamed', async () => {
    const [then, now] = [
      generateDrizzleJson(table({ a: pg.text('a') })),
      generateDrizzleJson(table({ b: pg.text('b') })),
    ]
    const text = 'ALTER TABLE "one" RENAME COLUMN "a" TO "b";'
    const migration = { tag: '0002_x', file: 'drizzle/0002_x.sql', sql: text, snapshot: null }
    const findings = findingsOf(migration, then as never, now as never, [])
    expect(findings.map(({ rule, statement }) => [rule, statement])).toEqual([['renamed-column', text]])
    const two = generateDrizzleJson({ two: pg.pgTable('two', { ...BASE, a: pg.text('a') }) })
    const renamed = findingsOf(
      { ...migration, sql: 'ALTER TABLE "one" RENAME TO "two";' },
      then as never,
      two as never,
      [],
    )
    expect(renamed.map(({ rule }) => rule)).toEqual(['renamed-table'])
  })

  test("squawk's word is a finding of its own only where ours does not say it", async () => {
    const said = (rule: string) => ({ rule, file: 'drizzle/0002_x.sql', line: 1, message: 'm', help: 'h' })
    const now = generateDrizzleJson(table({}))
    const then = generateDrizzleJson(table({ n: pg.text('n') }))
    const text = 'ALTER TABLE "one" DROP COLUMN "n";'
    const migration = { tag: '0002_x', file: 'drizzle/0002_x.sql', sql: text, snapshot: null }
    const all = findingsOf(migration, then as never, now as never, [said('ban-drop-column'), said('ban-drop-not-null')])
    expect(all.map(({ rule }) => rule)).toEqual(['dropped-column', 'ban-drop-not-null'])
  })
})

describe('not found', () => {
  test.each<readonly [what: string, before: Module, after: Module]>([
    ['a column that may be null', table({}), table({ n: pg.text('n') })],
    ['a required column with a default', table({}), table({ n: pg.text('n').notNull().default('x') })],
    ['an index', table({}), table({}, one => [pg.index('i').on(one.name as pg.ExtraConfigColumn)])],
    ['a table with a required column', table({}), { ...table({}), two: pg.pgTable('two', BASE) }],
    ['a value added to an enum', mood('a'), mood('a', 'b')],
    ['an enum', table({}), mood('a')],
  ])('%s', async (_what, before, after) => {
    expect(await rules(before, after)).toEqual([])
  })
})

describe('accepted by a reason above the statement', () => {
  const required = [table({}), table({ n: pg.text('n').notNull(), m: pg.text('m').notNull() })] as const
  const reasons = async (change: (text: string) => string) =>
    (await found(...required, change)).map(({ statement, accepted, line }) => [
      /"[nm]"/.exec(statement ?? '')?.[0],
      accepted,
      line,
    ])

  test('of that statement, and no other', async () => {
    expect(await reasons(text => `-- accepted: no rows yet\n${text}`)).toEqual([
      ['"n"', 'no rows yet', 2],
      ['"m"', null, 3],
    ])
    expect(
      await reasons(text => text.replace(`${BREAKPOINT}\n`, `${BREAKPOINT}\n-- a word\n-- accepted: later\n`)),
    ).toEqual([
      ['"n"', null, 1],
      ['"m"', 'later', 4],
    ])
  })

  test.each(['-- accepted:', '-- accepted:   ', '/* accepted: x */', '-- Accepted by me'])(
    '%s is none',
    async comment => {
      expect(await reasons(text => `${comment}\n${text}`)).toEqual([
        ['"n"', null, 2],
        ['"m"', null, 3],
      ])
    },
  )

  test('below it, or inside it, is none', async () => {
    expect(await reasons(text => `${text}\n-- accepted: too late`)).toEqual([
      ['"n"', null, 1],
      ['"m"', null, 2],
    ])
  })
})
