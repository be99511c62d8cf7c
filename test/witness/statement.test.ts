/** What is printed: made of the schema, whatever it becomes, and quoted for whoever reads it on its way. */
import { execFileSync } from 'node:child_process'
import { getTableColumns } from 'drizzle-orm'
import * as pg from 'drizzle-orm/pg-core'
import { describe, expect, it } from 'vitest'
import { rowIdOf } from '../../src/checks/witness/row-id.ts'
import { elixirExpression, flyCommand, instructions, machineScript, shellWord } from '../../src/commands/back-end.ts'
import { literal } from '../../src/database/sql.ts'
import { statementFor } from '../../src/database/witness-statement.ts'
import { connectionProbe } from '../../src/schema.ts'
import { newIds, printed } from '../helpers/witness.ts'

const ENGINES = ['postgresql', 'cockroachdb'] as const
const RUN_ID = '39bfb1e7-63f8-4336-a42e-7f32e8f250e4'

describe("the row's id", () => {
  it('is the same for the same run, a UUID of version 5, and another for another run', () => {
    expect(rowIdOf(RUN_ID)).toBe(rowIdOf(RUN_ID))
    expect(rowIdOf(RUN_ID)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(rowIdOf(newIds('postgresql').runId)).not.toBe(rowIdOf(RUN_ID))
  })
})

describe.each(ENGINES)('the statement for %s', engine => {
  const ids = { engine, runId: RUN_ID, rowId: rowIdOf(RUN_ID) }

  it('has both ids as literals in its first 500 characters, in either form', () => {
    const inElixir = /query!\("(.*)", \[\]\)/.exec(elixirExpression(ids))?.[1] ?? ''
    for (const sql of [printed(ids), inElixir])
      for (const id of [RUN_ID, rowIdOf(RUN_ID)]) expect(sql.slice(0, 500)).toMatch(new RegExp(`['$]${id}['$]`))
  })

  it('is one line, without what psql or a shell would take for its own', () => {
    expect(printed(ids)).toMatch(/^[^\n\\:"$`]*;$/)
    expect(elixirExpression(ids)).toMatch(/^[^\n\\'`]*pool_size: 1\)$/)
  })

  it('names every column of the schema that has no default', () => {
    const required = Object.values(getTableColumns(connectionProbe)).filter(
      ({ notNull, hasDefault }) => notNull && !hasDefault,
    )
    for (const { name } of required) expect(printed(ids)).toMatch(new RegExp(`\\([^)]*\\b${name}\\b[^)]*\\) SELECT`))
  })
})

describe('a table with columns more', () => {
  const mood = pg.pgEnum('mood', ['sad', 'happy'])
  /** required columns, with what they get */
  const REQUIRED = {
    note: [pg.text('note').notNull(), `CAST('' AS text)`],
    short: [pg.varchar('short', { length: 10 }).notNull(), `CAST('' AS varchar(10))`],
    count: [pg.bigint('count', { mode: 'number' }).notNull(), `CAST('0' AS bigint)`],
    small: [pg.smallint('small').notNull(), `CAST('0' AS smallint)`],
    price: [pg.numeric('price', { precision: 10, scale: 2 }).notNull(), `CAST('0' AS numeric(10, 2))`],
    ratio: [pg.doublePrecision('ratio').notNull(), `CAST('0' AS double precision)`],
    live: [pg.boolean('live').notNull(), `CAST('false' AS boolean)`],
    other: [pg.uuid('other').notNull(), `CAST('00000000-0000-0000-0000-000000000000' AS uuid)`],
    more: [pg.jsonb('more').notNull(), `CAST('{}' AS jsonb)`],
    seenAt: [
      pg.timestamp('seen_at', { withTimezone: true }).notNull(),
      `CAST('2000-01-01 00:00:00' AS timestamp with time zone)`,
    ],
    day: [pg.date('day').notNull(), `CAST('2000-01-01' AS date)`],
    address: [pg.inet('address').notNull(), `CAST('::' AS inet)`],
    tags: [pg.text('tags').array().notNull(), `CAST('{}' AS text[])`],
    feeling: [mood('feeling').notNull(), `CAST('sad' AS mood)`],
    // A default of Drizzle's own is none of the database's.
    made: [
      pg
        .text('made')
        .notNull()
        .$defaultFn(() => 'x'),
      `CAST('' AS text)`,
    ],
    Order: [pg.text('Order').notNull(), `CAST('' AS text)`],
  } as const
  const OPTIONAL = {
    nullable: pg.text('nullable'),
    withDefault: pg.text('with_default').notNull().default('x'),
    numbered: pg.bigserial('numbered', { mode: 'number' }),
    counted: pg.bigint('counted', { mode: 'number' }).generatedAlwaysAsIdentity(),
    made2: pg.text('made2').notNull().generatedAlwaysAs('x'),
  }
  const columnsOf = (columns: Record<string, pg.PgColumnBuilderBase>) =>
    getTableColumns(pg.pgTable('t', columns)) as Readonly<Record<string, pg.PgColumn>>
  const wanted = { ...newIds('postgresql'), expression: 'sql', pool: '', quote: literal } as const

  it('gives each that must have a value one of its type, and the others none', () => {
    const required = Object.fromEntries(Object.entries(REQUIRED).map(([name, [column]]) => [name, column]))
    const sql = statementFor(columnsOf({ ...required, ...OPTIONAL }), wanted)
    const [, names = '', values = ''] = /\(([^)]*)\) SELECT (.*)$/.exec(sql) ?? []
    expect(names.split(', ')).toEqual(
      Object.values(columnsOf(required)).map(({ name }) => (name === 'Order' ? '"Order"' : name)),
    )
    expect(values).toBe(
      Object.values(REQUIRED)
        .map(([, value]) => value)
        .join(', '),
    )
  })

  it('says which column has a type that it has no value of', () => {
    expect(() => statementFor(columnsOf({ where: pg.point('where').notNull() }), wanted)).toThrow(
      /^where must have a value, .* point$/,
    )
  })
})

describe('what is typed', () => {
  const ids = { engine: 'cockroachdb', runId: RUN_ID, rowId: rowIdOf(RUN_ID) } as const
  const expression = elixirExpression(ids)
  /** What a command gets as its arguments, the command being typed into sh. */
  const typed = (line: string, shell = 'sh'): string[] =>
    execFileSync(
      shell,
      ['-c', `${['fly', 'mix'].map(name => `${name}() { printf '%s\\0' "$@"; }`).join('; ')}; ${line}`],
      {
        encoding: 'utf8',
      },
    )
      .split('\0')
      .slice(0, -1)

  it.each(["it's", `"$HOME" \`id\` $$ !! \\`, "''", ''])('shellWord(%j) comes through sh as it is', text => {
    expect(typed(`fly ${shellWord(text)}`)).toEqual([text])
  })

  it.each(['sh', 'bash'])('the expression comes through %s as it is', shell => {
    const text = instructions(ids, { app: null, waitMs: 120_000 })
    const assignment = /^E=.*$/m.exec(text)?.[0] ?? ''
    expect(typed(`${assignment}; mix run --no-start -e "$E"`, shell)).toEqual(['run', '--no-start', '-e', expression])
  })

  it.each(['sh', 'bash'])(
    'of what fly ssh console gets through %s, and splits without a shell, the script is whole',
    shell => {
      const [, , , app, flag, command = ''] = typed(flyCommand(expression, 'my-app'), shell)
      expect({ app, flag }).toEqual({ app: 'my-app', flag: '-C' })
      // As its splitting does: words, and quotes around some; nothing is expanded.
      const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare)
      expect(words.slice(0, 2)).toEqual(['sh', '-c'])
      expect(words).toHaveLength(3)
      const script = execFileSync('sh', ['-c', (words[2] ?? '').replace(/ \| sh$/, '')], { encoding: 'utf8' })
      expect(script).toBe(machineScript(expression))
      execFileSync('sh', ['-n'], { input: script })
    },
  )
})
