/** The SQL that root runs once per database, one file per engine: as text, and as steps for a driver to run. */
import { readFileSync } from 'node:fs'
import { embedded } from '../embedded.ts'

export type BootstrapEngine = 'postgresql' | 'cockroachdb'

/** One statement, and where it runs. */
export interface SqlStep {
  readonly database: string
  readonly sql: string
  /** psql's \gexec: what the statement returns are statements to run in its place */
  readonly generates: boolean
}

/** A name that is itself between double quotes and between single ones. */
const DATABASE_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,62}$/

/** The database that is there before ours, on both engines. */
const MAINTENANCE = 'postgres'

/**
 * The text of the bootstrap for `database`, for `cockroach sql` or psql.
 * @throws RangeError where the name would need escaping
 */
export function bootstrapSql(engine: BootstrapEngine, database = 'uro'): string {
  if (!DATABASE_NAME.test(database)) throw new RangeError(`not a plain database name: ${JSON.stringify(database)}`)
  const text = embedded?.bootstrap[engine] ?? readFileSync(new URL(`./${engine}.sql`, import.meta.url), 'utf8')
  return text.replaceAll('"uro"', `"${database}"`).replaceAll("'uro'", `'${database}'`)
}

/** The same text as steps, one a line: `USE` and psql's \connect become the database of the steps after them. */
export function bootstrapSteps(engine: BootstrapEngine, database = 'uro'): SqlStep[] {
  const steps: SqlStep[] = []
  let current = MAINTENANCE
  for (const line of bootstrapSql(engine, database).split('\n')) {
    if (line === '' || line.startsWith('--')) continue
    if (/^(USE|\\connect) /.test(line)) current = database
    else steps.push({ database: current, sql: line.replace(/;$| \\gexec$/, ''), generates: line.endsWith('\\gexec') })
  }
  return steps
}
