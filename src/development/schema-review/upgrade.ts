/**
 * The upgrade that a deployment will see, on a throwaway server: REF's migrations, rows in every table, the new migrations,
 * and then what is left of the rows, and the probe.
 */
import { probe } from '../../checks/attempts.ts'
import { migrate } from '../../database/migrate.ts'
import { type Migration, readMigrations } from '../../database/migrations.ts'
import { identifier, literal } from '../../database/sql.ts'
import { type Failure, failureLine } from '../../failure/error.ts'
import { loadConfig, type ProbeConfig } from '../../settings/config.ts'
import type { Snapshot, SnapshotTable } from '../schema-check/folder.ts'
import { startThrowaway, type Throwaway } from '../throwaway/index.ts'
import type { Renames } from './changes.ts'
import { fillStatements, inOrder } from './fill.ts'

/** What became of one table of the base. */
export interface TableOutcome {
  readonly table: string
  readonly rowsBefore: number
  /** null: the table is gone */
  readonly rowsAfter: number | null
  /** columns that are there before and after, by their new names */
  readonly kept: readonly string[]
  /** of those the ones whose values are not the same */
  readonly altered: readonly string[]
}

export interface Upgrade {
  readonly engine: string
  /** migrations of the base */
  readonly base: number
  /** why a table holds no rows, a line each */
  readonly unfilled: readonly string[]
  readonly applied: readonly string[]
  /** why the new migrations could not be applied, or what they made is not as src/ declares */
  readonly failure: string | null
  readonly tables: readonly TableOutcome[]
  /** what the probe says of the upgraded database; null: it was not run */
  readonly probe: { readonly passed: boolean; readonly failure: string | null } | null
  /** why inserts as they were right before the upgrade fail after it, a line each: the running back end makes such */
  readonly oldInserts: readonly string[]
}

export interface UpgradeInput {
  /** the directory of the base's drizzle/ */
  readonly baseFolder: string
  readonly base: Snapshot | null
  readonly after: Snapshot | null
  readonly renames: Renames
  /** whether the tables get rows */
  readonly filled: boolean
  readonly signal: AbortSignal
  readonly program: string
}

/** Does all of it; never throws for what the migrations do. */
export async function tryUpgrade(input: UpgradeInput): Promise<Upgrade> {
  const { base, after, renames, signal, program } = input
  await using server = await startThrowaway()
  const configOf = (role: 'admin' | 'writer') => configFor(server, role)
  const engine = server.version.replace(/ (on|\().*/, '')
  const old: readonly Migration[] = base ? readMigrations(input.baseFolder) : []
  const tables = inOrder(Object.values(base?.tables ?? {}))
  if (old.length > 0) {
    const made = await migrate(configOf('admin'), signal, old, { verify: false })
    if (made.failure)
      return { ...NOTHING, engine, base: old.length, failure: `the base fails already: ${lineOf(made.failure)}` }
  }
  const unfilled = input.filled ? await fill(server, tables, base) : []
  const before = await Promise.all(tables.map(table => readRows(server, table.name, Object.keys(table.columns))))
  const { applied, failure } = await migrate(configOf('admin'), signal)
  const outcomes = await Promise.all(
    tables.map((table, at) => outcomeOf(server, { table, before: before[at] ?? [], after, renames })),
  )
  const done = { engine, base: old.length, unfilled, applied, tables: outcomes }
  if (failure) return { ...done, failure: lineOf(failure), probe: null, oldInserts: [] }
  const hooks = { signal, program, note: () => undefined, progress: () => undefined }
  const report = await probe(configOf('writer'), hooks)
  const probed = { passed: report.verdict === 'pass', failure: report.failure && lineOf(report.failure) }
  const filled = tables.filter(({ name }) => !unfilled.some(problem => problem.startsWith(`${name} `)))
  const oldInserts = input.filled ? await fill(server, filled, base, 'takes no insert') : []
  return { ...done, failure: null, probe: probed, oldInserts }
}

const NOTHING = { unfilled: [], applied: [], tables: [], probe: null, oldInserts: [] } as const

const lineOf = (failure: Failure): string =>
  `${failureLine(failure)}${failure.sqlstate ? ` (SQLSTATE ${failure.sqlstate})` : ''}`

function configFor(server: Throwaway, role: 'admin' | 'writer'): ProbeConfig {
  const env = { MIGRATION_DATABASE_URL: server.url('gateway_admin'), DATABASE_URL: server.url('gateway_writer') }
  const loaded = loadConfig({ role, env, options: { certsDir: server.certsDir, writes: 2 } })
  if (!loaded.ok) throw loaded.error
  return loaded.config
}

/** Puts rows into every table; returns why one has none, a line each, which begins with its name and `what`. */
async function fill(
  server: Throwaway,
  tables: readonly SnapshotTable[],
  base: Snapshot | null,
  what = 'could not be filled',
): Promise<string[]> {
  const problems: string[] = []
  for (const table of tables)
    try {
      for (const statement of fillStatements(table, base?.enums ?? {}))
        await server.runAsRoot(statement, server.database)
    } catch (error) {
      problems.push(`${table.name} ${what}: ${error instanceof Error ? error.message : error}`)
    }
  return problems
}

type TextRow = Readonly<Record<string, string | null>>

/** The rows of a table, each value as text; none where it cannot be read. */
async function readRows(server: Throwaway, table: string, columns: readonly string[]): Promise<readonly TextRow[]> {
  const list = columns.map(name => `${identifier(name)}::text AS ${identifier(name)}`).join(', ')
  const rows = await server.runAsRoot(`SELECT ${list || '1'} FROM public.${identifier(table)}`, server.database)
  return rows as TextRow[]
}

interface Outcome {
  readonly table: SnapshotTable
  readonly before: readonly TextRow[]
  readonly after: Snapshot | null
  readonly renames: Renames
}

/** Rows are compared as sets of the columns that both have: not every table has a key. */
async function outcomeOf(server: Throwaway, { table, before, after, renames }: Outcome): Promise<TableOutcome> {
  const name = renames.tables.find(({ from }) => from === table.name)?.to ?? table.name
  const now = after?.tables[`public.${name}`]
  const newName = (column: string) =>
    renames.columns.find(rename => rename.table === name && rename.from === column)?.to ?? column
  const old = Object.keys(table.columns)
  const exists = await server.runAsRoot(
    `SELECT a.attname::text AS name FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relname = ${literal(name)} AND a.attnum > 0 AND NOT a.attisdropped`,
    server.database,
  )
  const there = new Set(exists.map(row => String(row.name)))
  const result = { table: name, rowsBefore: before.length }
  if (!now || there.size === 0)
    return { ...result, rowsAfter: there.size === 0 ? null : before.length, kept: [], altered: [] }
  const kept = old.filter(column => there.has(newName(column)))
  const rows = await readRows(server, name, kept.map(newName))
  const sorted = (values: readonly (string | null | undefined)[]) => values.map(String).sort().join('\0')
  const altered = kept
    .filter(column => sorted(before.map(row => row[column])) !== sorted(rows.map(row => row[newName(column)])))
    .map(newName)
  return { ...result, rowsAfter: rows.length, kept: kept.map(newName), altered }
}
