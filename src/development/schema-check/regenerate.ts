/** What drizzle-kit would write for a migration, from the snapshots before and after it. */
import type { Snapshot, SnapshotColumns } from './folder.ts'

export type GenerateMigration = (before: Snapshot, after: Snapshot) => Promise<string[]>

/** where drizzle-kit asks "created or renamed?" if names both come and go; columns are dealt with below */
const NAMED = ['tables', 'enums', 'schemas', 'sequences', 'roles', 'policies', 'views'] as const

const RENAME = /^ALTER TABLE "([^"]+)" RENAME COLUMN "([^"]+)" TO "([^"]+)";$/
const RENAME_TABLE = /^ALTER TABLE "([^"]+)" RENAME TO "([^"]+)";$/

export interface Rename {
  readonly table: string
  readonly from: string
  readonly to: string
}

/** The columns that these statements rename, in the words that drizzle-kit uses. */
export const columnRenames = (written: readonly string[]): Rename[] =>
  written.flatMap(statement => {
    const [, table, from, to] = RENAME.exec(statement) ?? []
    return table && from && to ? [{ table, from, to }] : []
  })

/** The tables that these statements rename. */
export const tableRenames = (written: readonly string[]): Omit<Rename, 'table'>[] =>
  written.flatMap(statement => {
    const [, from, to] = RENAME_TABLE.exec(statement) ?? []
    return from && to ? [{ from, to }] : []
  })

/** A snapshot with the tables renamed; a table that is not there, or whose new name is taken, is left alone. */
export function withTablesRenamed(snapshot: Snapshot, renames: readonly Omit<Rename, 'table'>[]): Snapshot {
  const tables = { ...snapshot.tables }
  for (const { from, to } of renames) {
    const table = tables[`public.${from}`]
    if (!table || `public.${to}` in tables) continue
    delete tables[`public.${from}`]
    tables[`public.${to}`] = { ...table, name: to }
  }
  return { ...snapshot, tables }
}

const without = (names: object, others: object) => Object.keys(names).filter(name => !(name in others))

/** Renames a column in a copy of the columns; null if that is not what happened between `before` and `after`. */
function renameColumn(
  before: SnapshotColumns,
  after: SnapshotColumns,
  from: string,
  to: string,
): SnapshotColumns | null {
  const column = before[from]
  if (!column || from in after || to in before || !(to in after)) return null
  return Object.fromEntries(
    Object.entries(before).map(([name, value]) => (name === from ? [to, { ...value, name: to }] : [name, value])),
  )
}

/**
 * `after` with the columns still there that go from a table to which others come: by way of it (first add, then drop)
 * no question arises. Null if there is no such table.
 */
function withReplaced(before: Snapshot, after: Snapshot): Snapshot | null {
  const tables = Object.entries(after.tables).map(([key, table]) => {
    const old = before.tables[key]?.columns ?? {}
    const gone = without(old, table.columns)
    if (gone.length === 0 || without(table.columns, old).length === 0) return [key, table] as const
    const kept = Object.fromEntries(Object.entries(old).filter(([name]) => gone.includes(name)))
    return [key, { ...table, columns: { ...table.columns, ...kept } }] as const
  })
  const replaced = tables.some(([key, table]) => table !== after.tables[key])
  return replaced ? { ...after, tables: Object.fromEntries(tables) } : null
}

/**
 * The statements of a migration, made anew. Whether a column was renamed or replaced is a question that drizzle-kit
 * asks a person and records nowhere but in the SQL, so `written` (the file's statements) is taken at its word there,
 * as far as it fits the snapshots.
 *
 * Returns the statements, and whether their order is certain; throws if the answer to another question would be needed.
 */
export async function regenerate(
  before: Snapshot,
  after: Snapshot,
  written: readonly string[],
  generateMigration: GenerateMigration,
): Promise<{ statements: string[]; ordered: boolean }> {
  const renamed = tableRenames(written).filter(
    ({ from, to }) => `public.${to}` in after.tables && !(`public.${from}` in after.tables),
  )
  let start = withTablesRenamed(before, renamed)
  for (const kind of NAMED) {
    const [gone, come] = [without(start[kind], after[kind]), without(after[kind], start[kind])]
    if (gone.length > 0 && come.length > 0) {
      throw new Error(`${kind} both come (${come}) and go (${gone}): make it two migrations, so that it can be checked`)
    }
  }
  const tables = written.filter(statement =>
    tableRenames([statement]).some(({ from, to }) => renamed.some(one => one.from === from && one.to === to)),
  )
  const renames = written.filter(statement => {
    const [, name, from, to] = RENAME.exec(statement) ?? []
    const key = `public.${name}`
    const [old, now] = [start.tables[key], after.tables[key]]
    const columns = old && now && from && to ? renameColumn(old.columns, now.columns, from, to) : null
    if (old && columns) start = { ...start, tables: { ...start.tables, [key]: { ...old, columns } } }
    return columns !== null
  })
  const middle = withReplaced(start, after)
  const statements = middle
    ? [...(await generateMigration(start, middle)), ...(await generateMigration(middle, after))]
    : await generateMigration(start, after)
  const ordered = tables.length + renames.length === 0 && middle === null
  return { statements: [...tables, ...renames, ...statements], ordered }
}
