/**
 * What CockroachDB, which the deployment runs, does in another way than PostgreSQL, on which migrations are tried here: as
 * data, with where each comes from. Measured means 22.1.0-alpha (built from its source); docs were read, not run.
 */
import type { Snapshot, SnapshotColumn } from './folder.ts'
import type { Rule } from './rule.ts'
import { mentions, type Statement } from './sql.ts'

interface TypeRule {
  readonly type: RegExp
  readonly why: string
  readonly instead: string
}

/** Types of columns. */
const TYPES: readonly TypeRule[] = [
  {
    type: /^(integer|int|serial|smallserial)(\[\])*$/,
    why: 'INTEGER and SERIAL are 64 bits wide on CockroachDB and 32 on PostgreSQL, so drivers read another type (measured)',
    instead: "bigint, which is the same on both: bigint('…', { mode: 'number' })",
  },
  {
    type: /^(money|xml|cidr|macaddr8?|circle|line|lseg|path|hstore|(int4|int8|num|ts|tstz|date)(multi)?range)\b/,
    why: 'CockroachDB has no such type: 0A000 or 42704 (measured)',
    instead: 'text, or jsonb',
  },
  {
    type: /^(tsvector|tsquery|vector|halfvec|sparsevec)\b/,
    why: 'CockroachDB 22.1 has no such type (measured); tsvector came with 23.1, vector with 24.2 (docs)',
    instead: 'text, or jsonb',
  },
  {
    type: /^point\b/,
    why: "CockroachDB has no native point, 0A000 (measured); its geometry is PostGIS's",
    instead: 'two columns, or geometry',
  },
]

interface StatementRule {
  readonly rule: string
  readonly words: RegExp
  readonly what: string
  readonly why: string
  readonly instead: string
}

/** Statements, by their words in lower case. */
const STATEMENTS: readonly StatementRule[] = [
  {
    rule: 'cockroachdb-retype',
    words: /^alter table .* alter column .* set data type/,
    what: 'changes a type, which CockroachDB does later or not at all',
    why: "22.1 answers 0A000, 'only supported experimentally', to all but a wider one (measured); newer releases rewrite the column after the statement (docs)",
    instead: 'add a column of the new type, copy, and drop the old one',
  },
  {
    rule: 'cockroachdb-primary-key',
    words: /^alter table .* (drop constraint .*_(pkey|pk)|add constraint .* primary key|add primary key)/,
    what: 'changes a primary key, which CockroachDB does in one transaction only',
    why: 'DROP CONSTRAINT alone is 0A000, ADD PRIMARY KEY alone 42P16; in one transaction, as migrate runs them, both work (measured), and the table is written anew',
    instead: 'make a new table with the other key, and copy',
  },
  {
    rule: 'cockroachdb-row-security',
    words: /^(create|alter|drop) policy|^alter table .* (enable|disable|force) row level security/,
    what: 'uses row-level security',
    why: '22.1 answers 42601 (measured); CockroachDB has it from 25.2 on (docs)',
    instead: 'grants, which both have',
  },
  {
    rule: 'cockroachdb-nulls',
    words: /nulls not distinct/,
    what: 'uses NULLS NOT DISTINCT',
    why: 'CockroachDB answers 42601 (measured)',
    instead: 'a column that is NOT NULL',
  },
  {
    rule: 'cockroachdb-index-method',
    words: /^create (unique )?index .* using (hash|brin|spgist|hnsw|ivfflat)\b/,
    what: 'uses an index method that CockroachDB does not have',
    why: '22.1 answers 0A000 or 42601; it has btree and gin, and gist for geometry (measured)',
    instead: 'a btree index',
  },
  {
    rule: 'cockroachdb-deferrable',
    words: /\b(initially deferred|deferrable)\b/,
    what: 'uses a deferrable constraint',
    why: 'CockroachDB checks constraints at each statement, and answers 42601 (measured)',
    instead: 'an order of writes that needs none',
  },
]

const inWords = ({ tokens }: Statement): string => tokens.map(({ text }) => text).join(' ')

/** The columns that are new or of a new type. */
function newTypes(before: Snapshot, after: Snapshot): { table: string; column: SnapshotColumn }[] {
  return Object.entries(after.tables).flatMap(([key, { name: table, columns }]) =>
    Object.entries(columns)
      .filter(([name, { type }]) => before.tables[key]?.columns[name]?.type !== type)
      .map(([, column]) => ({ table, column })),
  )
}

/** What CockroachDB rejects, or makes something else of. */
export function compatibility(before: Snapshot, after: Snapshot, statements: readonly Statement[]): Rule[] {
  const types = newTypes(before, after).flatMap(({ table, column: { name, type } }) =>
    TYPES.filter(rule => rule.type.test(type)).map(({ why, instead }) => ({
      rule: 'cockroachdb-type',
      what: `gives ${table}.${name} the type ${type}, which is another one or none on CockroachDB`,
      ...{ why, instead },
      does: (statement: Statement) => mentions(statement, 'table', table, name),
    })),
  )
  const withoutKey = Object.entries(after.tables)
    .filter(([key, { columns, compositePrimaryKeys }]) => {
      const hasKey = Object.values(columns).some(({ primaryKey }) => primaryKey)
      return !(key in before.tables) && !hasKey && Object.keys(compositePrimaryKeys).length === 0
    })
    .map(([, { name }]) => ({
      rule: 'cockroachdb-no-key',
      what: `makes the table ${name} without a primary key`,
      why: 'CockroachDB adds a hidden column rowid and makes it the key (measured)',
      instead: "a key: uuid('id').primaryKey().defaultRandom()",
      does: (statement: Statement) => mentions(statement, 'create table', name),
    }))
  const found = STATEMENTS.flatMap(({ words, ...rule }) =>
    statements
      .filter(statement => words.test(inWords(statement)))
      .map(one => ({ ...rule, does: (statement: Statement) => statement === one })),
  )
  return [...types, ...withoutKey, ...found]
}

/** What is good to know of statements that run one after another; no finding, since every migration has some. */
export const ALONE =
  'from CockroachDB 25.1 each statement commits alone unless autocommit_before_ddl is off (docs): npm run migrate and npx drizzle-kit migrate switch it off; run by hand, a failure leaves half of it applied'
