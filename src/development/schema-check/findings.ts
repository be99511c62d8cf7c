/**
 * What a migration does that somebody should think about before it runs on filled tables under a running back end.
 *
 * A finding comes from the snapshots before and after the migration (what was dropped, renamed, retyped, required), from
 * what CockroachDB does in another way (cockroachdb.ts), or from squawk (squawk.ts). It is accepted by a comment above
 * its statement: `-- accepted: REASON`.
 */
import { compatibility } from './cockroachdb.ts'
import type { Migration, Snapshot, SnapshotTable } from './folder.ts'
import { columnRenames, tableRenames, withTablesRenamed } from './regenerate.ts'
import type { Finding, Rule } from './rule.ts'
import { mentions, parseMigration, type Statement } from './sql.ts'
import type { SquawkFinding } from './squawk.ts'

const ACCEPTED = /^--\s*accepted:[ \t]*(.*)$/

/** The reason above a statement. */
const reasonAbove = ({ above }: Statement): string | null => {
  const reasons = above.map(comment => ACCEPTED.exec(comment)?.[1]?.trim() ?? '').filter(reason => reason !== '')
  return reasons.length === 0 ? null : reasons.join('; ')
}

/** A migration's text without the lines that accept a finding: those are the author's, the rest is drizzle-kit's. */
export const withoutReasons = (sql: string): string => sql.replace(/^[ \t]*--\s*accepted:.*(\r?\n|$)/gm, '')

const RUNNING = 'the running back end'

const asWritten = (statements: readonly Statement[]): readonly string[] => statements.map(({ source }) => `${source};`)

/** The findings that the snapshots show. */
function structural(then: Snapshot, after: Snapshot, statements: readonly Statement[]): Rule[] {
  const renamed = tableRenames(asWritten(statements))
  const before = withTablesRenamed(then, renamed)
  const rules: Rule[] = renamed.map(({ from, to }) => ({
    rule: 'renamed-table',
    what: `renames the table ${from} to ${to}`,
    why: `${RUNNING} still uses ${from}, and fails from that moment on`,
    instead: `make ${to}, have the back end write both, copy the rows, and drop ${from} in a later migration`,
    does: statement => mentions(statement, 'rename to', from, to),
  }))
  for (const [key, table] of Object.entries(before.tables)) {
    const now = after.tables[key]
    if (now) rules.push(...ofTable(table, now, statements))
    else
      rules.push({
        rule: 'dropped-table',
        what: `drops the table ${table.name}`,
        why: `its rows are lost, and ${RUNNING} may still use it`,
        instead: 'deploy a back end that does not use it first; drop it in a later migration, after a backup',
        does: statement => mentions(statement, 'drop table', table.name),
      })
  }
  for (const [key, { name, values }] of Object.entries(before.enums)) {
    const gone = values.filter(value => !(after.enums[key]?.values ?? []).includes(value))
    if (gone.length > 0)
      rules.push({
        rule: 'dropped-enum-value',
        what: `takes ${gone.join(', ')} from the enum ${name}`,
        why: 'rows that hold it make the migration fail, and every column of the type is written anew',
        instead: 'leave the value and stop using it',
        does: statement => mentions(statement, 'drop type', name),
      })
  }
  return rules
}

/** The findings about one table that is there before and after. */
function ofTable(before: SnapshotTable, after: SnapshotTable, statements: readonly Statement[]): Rule[] {
  const table = after.name
  const renames = columnRenames(asWritten(statements)).filter(
    rename => rename.table === table && rename.from in before.columns && rename.to in after.columns,
  )
  const oldName = (name: string) => renames.find(({ to }) => to === name)?.from ?? name
  const on =
    (words: string, ...names: readonly string[]) =>
    (statement: Statement) =>
      mentions(statement, words, table, ...names)
  const rules: Rule[] = renames.map(({ from, to }) => ({
    rule: 'renamed-column',
    what: `renames the column ${table}.${from} to ${to}`,
    why: `${RUNNING} still reads and writes ${from}, and fails from that moment on`,
    instead: `add ${to}, have the back end write both, copy the rows, and drop ${from} in a later migration`,
    does: on('rename column', from, to),
  }))
  for (const [name, { type }] of Object.entries(before.columns))
    if (!(name in after.columns) && !renames.some(({ from }) => from === name))
      rules.push({
        rule: 'dropped-column',
        what: `drops the column ${table}.${name} (${type})`,
        why: `its values are lost, and ${RUNNING} may still use it`,
        instead: 'deploy a back end that does not use it first, and drop it in a later migration',
        does: on('drop column', name),
      })
  for (const [name, now] of Object.entries(after.columns)) {
    const then = before.columns[oldName(name)]
    if (!then) {
      if (now.notNull && now.default === undefined && !now.generated && !now.identity && !/serial$/.test(now.type))
        rules.push({
          rule: 'required-column',
          what: `adds the column ${table}.${name} (${now.type}), required and without a default`,
          why: `it fails where the table has rows; ${RUNNING} does not know the column, so its inserts fail`,
          instead: 'give it a default, or add it nullable, fill it, and make it required in a later migration',
          does: on('add column', name),
        })
      continue
    }
    rules.push(...ofColumn(`${table}.${name}`, then, now, on, name))
  }
  return [...rules, ...constraints(before, after, on)]
}

type Column = SnapshotTable['columns'][string]
type On = (words: string, ...names: readonly string[]) => (statement: Statement) => boolean

function ofColumn(label: string, then: Column, now: Column, on: On, name: string): Rule[] {
  return [
    ...(then.type === now.type
      ? []
      : [
          {
            rule: 'changed-type',
            what: `changes the type of ${label} from ${then.type} to ${now.type}`,
            why: `values that do not fit make it fail, the table is locked while it is written anew, and ${RUNNING} reads the other type`,
            instead: 'add a column of the new type, copy, and drop the old one in a later migration',
            does: on('set data type', name),
          },
        ]),
    ...(!then.notNull && now.notNull
      ? [
          {
            rule: 'now-required',
            what: `makes ${label} required`,
            why: `it fails where a row has no value there; inserts of ${RUNNING} without one fail, too`,
            instead: 'fill the rows first, in an earlier migration or by hand, and give the column a default',
            does: on('set not null', name),
          },
        ]
      : []),
    ...(then.default !== undefined && now.default === undefined && now.notNull
      ? [
          {
            rule: 'dropped-default',
            what: `takes the default ${String(then.default)} from the required column ${label}`,
            why: `inserts of ${RUNNING} that leave the column out fail`,
            instead: 'keep the default until every writer gives a value',
            does: on('drop default', name),
          },
        ]
      : []),
  ]
}

/** Constraints that rows of an existing table may break. */
function constraints(before: SnapshotTable, after: SnapshotTable, on: On): Rule[] {
  const added = <T>(then: Readonly<Record<string, T>>, now: Readonly<Record<string, T>>) =>
    Object.entries(now)
      .filter(([key]) => !(key in then))
      .map(([, one]) => one)
  const uniqueIndexes = (table: SnapshotTable) =>
    Object.fromEntries(Object.entries(table.indexes).filter(([, { isUnique }]) => isUnique))
  const kinds = [
    ...added(before.uniqueConstraints, after.uniqueConstraints).map(({ name }) => [name, 'UNIQUE', 'add constraint']),
    ...added(uniqueIndexes(before), uniqueIndexes(after)).map(({ name }) => [name, 'UNIQUE', 'create unique index']),
    ...added(before.foreignKeys, after.foreignKeys).map(({ name }) => [name, 'FOREIGN KEY', 'add constraint']),
    ...added(before.checkConstraints, after.checkConstraints).map(({ name }) => [name, 'CHECK', 'add constraint']),
    ...added(before.compositePrimaryKeys, after.compositePrimaryKeys).map(({ name }) => [
      name,
      'PRIMARY KEY',
      'add constraint',
    ]),
  ] as const
  return kinds.map(([name = '', kind, words = '']) => ({
    rule: 'new-constraint',
    what: `adds ${kind} ${name} to the table ${after.name}, which may have rows`,
    why: `it fails where rows break it; inserts of ${RUNNING} that break it fail, too`,
    instead: 'look for such rows first; say above the statement what you found',
    does: on(words, name),
  }))
}

/** The statements of a migration, as a person reads them. */
const withStatement = (migration: Migration, statements: readonly Statement[], { does, ...rule }: Rule): Finding => {
  const statement = statements.find(does)
  return {
    ...rule,
    file: migration.file,
    line: statement?.line ?? 1,
    statement: statement ? `${statement.source};` : null,
    accepted: statement ? reasonAbove(statement) : null,
  }
}

/** What squawk calls the findings that are ours: it says the same of them. */
const OURS: Readonly<Record<string, readonly string[]>> = {
  'adding-required-field': ['required-column'],
  'renaming-column': ['renamed-column'],
  'changing-column-type': ['changed-type', 'dropped-enum-value'],
  'ban-drop-column': ['dropped-column'],
  'ban-drop-table': ['dropped-table'],
}

/**
 * Every finding about one migration.
 * @param before the snapshot before it
 * @param said what squawk says of its file
 */
export function findingsOf(
  migration: Migration,
  before: Snapshot,
  after: Snapshot,
  said: readonly SquawkFinding[],
): Finding[] {
  const { statements } = parseMigration(migration.sql ?? '')
  const found = [...structural(before, after, statements), ...compatibility(before, after, statements)].map(rule =>
    withStatement(migration, statements, rule),
  )
  const isOurs = ({ rule, line }: SquawkFinding) =>
    found.some(one => OURS[rule]?.includes(one.rule) && statementAt(statements, line)?.line === one.line)
  const further = said
    .filter(one => !isOurs(one))
    .map(({ rule, line, message, help }) => {
      const statement = statementAt(statements, line)
      const does = (one: Statement) => one === statement
      const instead = help || 'say above the statement why it is safe'
      return withStatement(migration, statements, { rule, what: `squawk: ${rule}`, why: message, instead, does })
    })
  return [...found, ...further].sort((one, other) => one.line - other.line)
}

/** The statement to which this line of the file belongs. */
const statementAt = (statements: readonly Statement[], line: number): Statement | undefined =>
  statements.findLast(statement => statement.line <= line)
