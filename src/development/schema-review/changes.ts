/** What two schemas differ in, for a table of before and after. */
import type { Snapshot, SnapshotColumn, SnapshotTable } from '../schema-check/folder.ts'
import type { GrantSet } from '../schema-check/grants.ts'
import { type Rename, withTablesRenamed } from '../schema-check/regenerate.ts'

/** One thing that is not the same; null: it is not there. */
export interface Change {
  readonly what: string
  readonly before: string | null
  readonly after: string | null
}

export interface Side {
  /** null: there is no schema yet */
  readonly snapshot: Snapshot | null
  readonly held: GrantSet
}

export interface Renames {
  readonly columns: readonly Rename[]
  readonly tables: readonly Omit<Rename, 'table'>[]
}

const columnText = ({ type, notNull, primaryKey, default: value }: SnapshotColumn): string =>
  [
    type,
    ...(notNull ? ['NOT NULL'] : []),
    ...(value === undefined ? [] : [`DEFAULT ${String(value)}`]),
    ...(primaryKey ? ['PRIMARY KEY'] : []),
  ].join(' ')

/** Everything of a table by its name, as a line of text each. */
function partsOf({ name, ...table }: SnapshotTable): Map<string, string> {
  const parts = new Map<string, string>()
  for (const [column, one] of Object.entries(table.columns)) parts.set(`column \`${name}.${column}\``, columnText(one))
  for (const key of Object.values(table.compositePrimaryKeys))
    parts.set(`primary key of \`${name}\``, `(${key.columns.join(', ')})`)
  for (const key of Object.values(table.uniqueConstraints))
    parts.set(`unique \`${key.name}\` of \`${name}\``, `(${key.columns.join(', ')})`)
  for (const key of Object.values(table.foreignKeys))
    parts.set(
      `foreign key \`${key.name}\` of \`${name}\``,
      `(${key.columnsFrom.join(', ')}) to ${key.tableTo} (${key.columnsTo.join(', ')})`,
    )
  for (const index of Object.values(table.indexes)) {
    const columns = index.columns.map(({ expression }) => expression).join(', ')
    parts.set(`index \`${index.name}\` of \`${name}\``, `${index.isUnique ? 'UNIQUE ' : ''}(${columns})`)
  }
  for (const check of Object.values(table.checkConstraints))
    parts.set(`check \`${check.name}\` of \`${name}\``, check.value)
  return parts
}

/** A schema as lines of text by name. */
function describe({ snapshot, held }: Side): Map<string, string> {
  const parts = new Map<string, string>()
  for (const { name, values } of Object.values(snapshot?.enums ?? {})) parts.set(`enum \`${name}\``, values.join(', '))
  for (const table of Object.values(snapshot?.tables ?? {}))
    for (const [what, text] of partsOf(table)) parts.set(what, text)
  const grants = new Map<string, string[]>()
  for (const { privilege, table, role } of held.values()) {
    const what = `grants on \`${table}\` to \`${role}\``
    grants.set(what, [...(grants.get(what) ?? []), privilege])
  }
  for (const [what, privileges] of grants) parts.set(what, privileges.join(', '))
  return parts
}

/** A schema under its new names, with each renamed column called by `nameOf` beside its type, so that it is one line. */
function renamed(side: Side, { columns, tables }: Renames, nameOf: (rename: Rename) => string): Side {
  if (!side.snapshot) return side
  const snapshot = withTablesRenamed(side.snapshot, tables)
  const all = Object.entries(snapshot.tables).map(([key, table]) => {
    const named = Object.entries(table.columns).map(([name, column]) => {
      const rename = columns.find(one => one.table === table.name && [one.from, one.to].includes(name))
      return rename ? [rename.to, { ...column, type: `${nameOf(rename)} ${column.type}` }] : [name, column]
    })
    return [key, { ...table, columns: Object.fromEntries(named) as SnapshotTable['columns'] }] as const
  })
  return { ...side, snapshot: { ...snapshot, tables: Object.fromEntries(all) } }
}

/** What is not the same, in the order of the schema. */
export function changesOf(before: Side, after: Side, renames: Renames): Change[] {
  const tables: Change[] = renames.tables.map(({ from, to }) => ({
    what: 'table',
    before: `\`${from}\``,
    after: `\`${to}\``,
  }))
  const then = describe(renamed(before, renames, ({ from }) => from))
  const now = describe(renamed(after, renames, ({ to }) => to))
  const rest = [...new Set([...then.keys(), ...now.keys()])]
    .map(what => ({ what, before: then.get(what) ?? null, after: now.get(what) ?? null }))
    .filter(change => change.before !== change.after)
  return [...tables, ...rest]
}
