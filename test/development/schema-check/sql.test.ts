/** Where comments, strings and quoted names end: each text, and the statements that a server would see in it. */
import { describe, expect, test } from 'vitest'
import { parseMigration, parseSql } from '../../../src/development/schema-check/sql.ts'

const STATEMENTS: readonly [sql: string, statements: readonly string[]][] = [
  ['', []],
  [' ; ;\n', []],
  ['a; b', ['a', 'b']],
  ['-- a; b', []],
  ['-- a\rb', ['b']],
  ['a -- ; b\n c;', ['a -- ; b c']],
  ['/* a; */ b', ['b']],
  ['/* /* a */ ; */ b; c', ['b', 'c']],
  ["a '; -- ' ; b", ["a '; -- '", 'b']],
  ["a 'it''s; ' ; b", ["a 'it''s; '", 'b']],
  ["a '\\' ; b", ["a '\\'", 'b']],
  ["a E'\\'; ' ; b", ["a E'\\'; '", 'b']],
  ["a e'\\\\' ; b", ["a e'\\\\'", 'b']],
  ["date'2026' ; b", ["date'2026'", 'b']],
  ['a "; -- " ; b', ['a "; -- "', 'b']],
  ['a "x""; " ; b', ['a "x""; "', 'b']],
  ['a $$ ; -- $$ ; b', ['a $$ ; -- $$', 'b']],
  ['a $x$ ; $$ ; $x$ ; b', ['a $x$ ; $$ ; $x$', 'b']],
  ['a$x$ ; b$x$', ['a$x$', 'b$x$']],
  ['a $1 ; b', ['a $1', 'b']],
]

describe('statements', () => {
  test.each(STATEMENTS)('%j', (sql, statements) => {
    expect(parseSql(sql)).toMatchObject({ statements: statements.map(text => ({ text })), unterminated: null })
  })
})

test.each([
  ['/* /* */', 'comment'],
  ["a 'b", 'string'],
  ["a E'b\\'", 'string'],
  ['a $x$ b $y$', 'string'],
  ['a "b', 'quoted name'],
])('%j is never closed', (sql, unterminated) => {
  expect(parseSql(sql).unterminated).toBe(unterminated)
})

test('unquoted names are folded, quoted ones are not', () => {
  expect(parseSql('GRANT "Select" ON Table_1').statements[0]?.tokens).toEqual([
    { kind: 'word', text: 'grant' },
    { kind: 'quoted', text: 'Select' },
    { kind: 'word', text: 'on' },
    { kind: 'word', text: 'table_1' },
  ])
})

test('a file is cut at its breakpoints before anything else, as the migrator does', () => {
  const { statements, comments } = parseMigration('-- a --> statement-breakpoint b;--> statement-breakpoint\nc')
  expect(statements.map(({ text }) => text)).toEqual(['b', 'c'])
  expect(comments).toEqual(['-- a '])
})
