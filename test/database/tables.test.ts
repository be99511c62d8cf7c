/** Every declared table on a real server: what drizzle-kit makes of a schema is as declared, and each difference is named. */

import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { sql } from 'drizzle-orm'
import * as pg from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { readCatalogue } from '../../src/database/catalogue.ts'
import { declare } from '../../src/database/declared.ts'
import { type Engine, engineOf } from '../../src/database/engine.ts'
import { verifyDeclared } from '../../src/database/verify.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { asProbeError } from '../../src/failure/error.ts'
import type { Startup } from '../../src/session/startup.ts'
import { clientOf } from '../helpers/clients.ts'
import { startServer } from '../helpers/target.ts'

/** A schema with a second table for another role, and with what a column and a key can be. */
const mood = pg.pgEnum('mood', ['calm', 'angry'])
const player = pg.pgTable(
  'player',
  {
    id: pg.uuid('id').primaryKey().defaultRandom(),
    name: pg.varchar('name', { length: 20 }).notNull().unique(),
    mood: mood('mood').notNull().default('calm'),
    score: pg.bigint('score', { mode: 'number' }).notNull().default(0),
    ratio: pg.numeric('ratio', { precision: 10, scale: 2 }).default('1.50'),
    active: pg.boolean('active').notNull().default(true),
    title: pg.text('title').notNull().default("it's"),
    settings: pg.jsonb('settings').notNull().default({ sound: true }),
    seen: pg.timestamp('seen', { withTimezone: true, precision: 3 }).notNull().defaultNow(),
    local: pg.timestamp('local'),
    day: pg.date('day').notNull().default(sql`current_date`),
    tags: pg.text('tags').array(),
    odds: pg.doublePrecision('odds').default(0.5),
    who: pg.text('who').notNull().default(sql`current_user`),
    shout: pg.text('shout').generatedAlwaysAs(sql`upper(title)`),
    twice: pg.bigint('twice', { mode: 'number' }).notNull().default(sql`1 + 1`),
  },
  table => [
    pg.index('player_seen').on(table.seen, table.score),
    pg.uniqueIndex('player_title').on(table.title),
    pg.check('player_score', sql`${table.score} >= 0`),
  ],
)
const item = pg.pgTable(
  'item',
  {
    owner: pg
      .uuid('owner')
      .notNull()
      .references(() => player.id),
    slot: pg.bigint('slot', { mode: 'number' }).notNull(),
    what: pg.text('what').notNull(),
  },
  table => [pg.primaryKey({ columns: [table.owner, table.slot] })],
)
const MODULE = {
  mood,
  player,
  item,
  GRANTS: [
    { role: 'gateway_writer', table: 'player', privileges: ['SELECT', 'INSERT'] },
    { role: 'gateway_reader', table: 'item', privileges: ['SELECT'] },
  ],
}
const declared = declare(MODULE)

let server: Throwaway
let admin: ReturnType<typeof clientOf>
let engine: Engine
beforeAll(async () => {
  server = await startServer()
  admin = clientOf(server, 'gateway_admin')
  engine = engineOf({ parameters: server.engine === 'cockroachdb' ? { crdb_version: '' } : {} } as unknown as Startup)
})
afterAll(async () => {
  await admin?.end({ timeout: 1 })
  await server?.stop()
})
beforeEach(async () => {
  for (const what of ['TABLE IF EXISTS item', 'TABLE IF EXISTS player', 'TYPE IF EXISTS mood'])
    await admin.unsafe(`DROP ${what}`)
  const made = await generateMigration(generateDrizzleJson({}), generateDrizzleJson(MODULE))
  for (const statement of made) await admin.unsafe(statement)
  for (const { role, table, privileges } of declared.grants)
    await admin.unsafe(`GRANT ${privileges.join(', ')} ON ${table} TO ${role}`)
})

/** The code and the message of what is not as declared; null where all is. */
async function found(): Promise<readonly [string, string] | null> {
  const session = { ask: async <T>(_: string, text: string) => [...(await admin.unsafe(text))] as T[] }
  const catalogue = await readCatalogue(session, engine, declared)
  try {
    verifyDeclared(catalogue, engine, declared)
    return null
  } catch (error) {
    const { code, message } = asProbeError(error)
    return [code, message]
  }
}

test('what drizzle-kit makes of a schema is as declared', async () => {
  expect(await found()).toBeNull()
})

if (inject('engine') === 'cockroachdb')
  test("an index of another kind is nobody's business, nor what CockroachDB makes for it", async () => {
    await admin.unsafe('SET experimental_enable_hash_sharded_indexes = on')
    await admin.unsafe('CREATE INDEX sharded ON item (what) USING HASH')
    expect(await found()).toBeNull()
  })

describe('each difference is named', () => {
  test.each<readonly [what: string, change: string, code: string, says: string]>([
    ['a table that is gone', 'DROP TABLE item', 'TABLE_MISSING', 'no table public.item'],
    ['a dropped column', 'ALTER TABLE item DROP COLUMN what', 'TABLE_MISMATCH', 'column what is missing'],
    ['one more', 'ALTER TABLE item ADD COLUMN more text', 'TABLE_MISMATCH', 'column more (text) is not declared'],
    [
      'a dropped default',
      'ALTER TABLE player ALTER COLUMN id DROP DEFAULT',
      'TABLE_MISMATCH',
      'column id has no default, not gen_random_uuid()',
    ],
    [
      'a dropped default of a longer expression',
      'ALTER TABLE player ALTER COLUMN twice DROP DEFAULT',
      'TABLE_MISMATCH',
      'column twice has no default, not 1 + 1',
    ],
    [
      'another one',
      'ALTER TABLE player ALTER COLUMN score SET DEFAULT 7',
      'TABLE_MISMATCH',
      'column score has the default',
    ],
    ['another text', "ALTER TABLE player ALTER COLUMN title SET DEFAULT 'x'", 'TABLE_MISMATCH', "not 'it''s'"],
    [
      'another function',
      'ALTER TABLE player ALTER COLUMN who SET DEFAULT session_user',
      'TABLE_MISMATCH',
      'column who has',
    ],
    [
      'another enum value',
      "ALTER TABLE player ALTER COLUMN mood SET DEFAULT 'angry'",
      'TABLE_MISMATCH',
      'column mood has',
    ],
    [
      'one that is not declared',
      "ALTER TABLE item ALTER COLUMN what SET DEFAULT 'x'",
      'TABLE_MISMATCH',
      'not declared',
    ],
    [
      'an identity, in the place of a default',
      'ALTER TABLE player DROP COLUMN score; ALTER TABLE player ADD COLUMN score bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY',
      'TABLE_MISMATCH',
      'column score has the default ',
    ],
    [
      'an identity that takes no value',
      'ALTER TABLE player DROP COLUMN score; ALTER TABLE player ADD COLUMN score bigint NOT NULL GENERATED ALWAYS AS IDENTITY',
      'TABLE_MISMATCH',
      'column score is generated; ',
    ],
    [
      'a column that is computed no more',
      'ALTER TABLE player DROP COLUMN shout; ALTER TABLE player ADD COLUMN shout text',
      'TABLE_MISMATCH',
      'column shout is not generated',
    ],
    ['nullable', 'ALTER TABLE item ALTER COLUMN what DROP NOT NULL', 'TABLE_MISMATCH', 'column what is nullable'],
    ['an index that is gone', 'DROP INDEX player_seen', 'TABLE_MISMATCH', 'index player_seen is missing'],
    [
      'an index on other columns',
      'DROP INDEX player_seen; CREATE INDEX player_seen ON player (score)',
      'TABLE_MISMATCH',
      'index player_seen is on score, not on seen, score',
    ],
    [
      'a check that is gone',
      'ALTER TABLE player DROP CONSTRAINT player_score',
      'TABLE_MISMATCH',
      'check player_score is missing',
    ],
    [
      'a foreign key that is gone',
      'ALTER TABLE item DROP CONSTRAINT item_owner_player_id_fk',
      'TABLE_MISMATCH',
      'foreign key (owner) to player (id) is missing',
    ],
    [
      'a check that is not declared',
      'ALTER TABLE item ADD CONSTRAINT long_enough CHECK (length(what) > 3)',
      'TABLE_MISMATCH',
      'check long_enough is not declared',
    ],
    [
      'a foreign key to a table that is not declared',
      'CREATE TABLE IF NOT EXISTS runs (id uuid PRIMARY KEY); ALTER TABLE item ADD CONSTRAINT of_run FOREIGN KEY (owner) REFERENCES runs (id)',
      'TABLE_MISMATCH',
      ': foreign key (owner) to runs (of_run) is not declared',
    ],
    ...(inject('engine') === 'cockroachdb'
      ? [
          [
            'a unique constraint without an index',
            'SET experimental_enable_unique_without_index_constraints = on; ALTER TABLE item ADD CONSTRAINT once UNIQUE WITHOUT INDEX (what)',
            'TABLE_MISMATCH',
            ': UNIQUE WITHOUT INDEX (what) (once) is not declared',
          ] as const,
          [
            'a hash-sharded unique index',
            'SET experimental_enable_hash_sharded_indexes = on; CREATE UNIQUE INDEX sharded ON item (what) USING HASH',
            'TABLE_MISMATCH',
            ': unique (what) (sharded) is not declared',
          ] as const,
        ]
      : []),
    ['an enum with one value more', "ALTER TYPE mood ADD VALUE 'bored'", 'TABLE_MISMATCH', 'enum mood has the values'],
    [
      "another role's grant that is gone",
      'REVOKE SELECT ON item FROM gateway_reader',
      'DML_DENIED',
      'gateway_reader lacks SELECT on item',
    ],
    [
      'a grant on the other table only',
      'GRANT SELECT ON player TO gateway_reader',
      'GRANT_EXCESS',
      'gateway_reader holds SELECT on player',
    ],
    ['a grant to PUBLIC', 'GRANT SELECT ON item TO public', 'GRANT_EXCESS', 'public holds SELECT on item'],
  ])('%s', async (_what, change, code, says) => {
    for (const statement of change.split('; ')) await admin.unsafe(statement)
    expect(await found()).toEqual([code, expect.stringContaining(says)])
  })
})
