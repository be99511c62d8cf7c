/**
 * `npx drizzle-kit migrate` that says why it fails. drizzle-kit 0.31 waits for drizzle-orm's migrator, and where that
 * rejects it ends with exit code 1 and not a word (source: `renderWithTask`). The one thing of it that both it and
 * drizzle.config.ts can reach is the migrator, a method of drizzle-orm's PgDialect: it is wrapped here.
 */

import { tagsOf } from '../database/journal.ts'
import { type Migrated, type MigrateOptions, migrate } from '../database/migrate.ts'
import { advised } from '../database/migrate-hints.ts'
import { failureLines, journalNotes } from '../report/migration.ts'
import { statementFailure } from '../session/postgres.ts'
import type { ProbeConfig } from '../settings/config.ts'

/** drizzle-orm's PgDialect, of which its types leave out the method. */
interface Dialect {
  migrate(...args: unknown[]): Promise<unknown>
}

const note = (line: string): void => void process.stderr.write(`${line}\n`)

/**
 * Before anything is migrated, the same dial as the probe's tells whether the database can be reached: its failure has a
 * code, and drizzle-kit's driver, which some of these causes keep waiting without end, is never started. What a statement
 * of a migration fails with has its code by SQLSTATE. Afterwards the tables and grants are held against src/.
 * @param aside runs work while what drizzle.config.ts changed in this process is put back
 */
export async function explainFailures(
  config: ProbeConfig,
  aside: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<void> {
  const look = (options: MigrateOptions) =>
    aside(() => migrate(config, new AbortController().signal, undefined, { status: true, ...options }))
  const stopAt = (migrated: Migrated, cause?: unknown) => {
    const { failure } = migrated
    if (!failure) return
    // Below drizzle-kit's spinner, which ends no line.
    note('')
    for (const line of failureLines({ ...migrated, failure }, config, 'drizzle-kit')) note(line)
    throw new Error(failure.code, { cause })
  }
  let reached = false
  await wrapMigrator(async (migrateAll, set) => {
    reached = true
    const before = await look({ verify: false })
    stopAt(before)
    try {
      for (const setting of before.settings) await set(setting).catch(() => undefined)
      await migrateAll()
    } catch (error) {
      const pending = before.journal ? tagsOf(before.journal, 'pending').join(', ') : ''
      const failed = advised(statementFailure(error, error as Error, 'write', `the migrations ${pending}`))
      stopAt({ ...before, failure: failed.toFailure(), evidence: failed.evidence }, error)
    }
    const after = await look({ verify: true })
    for (const line of journalNotes(after)) note(line)
    stopAt(after)
  })
  process.once('exit', code => {
    if (code !== 0 && !reached) note('drizzle-kit ended before it migrated; npm run -s migrate says why')
  })
}

/** What the migrator is given as its session. */
interface DriverSession {
  execute(statement: unknown): Promise<unknown>
}

/** Has `around` called in the place of the migrator, with the migrator to call, and what sets a setting of its session. */
async function wrapMigrator(
  around: (migrateAll: () => Promise<unknown>, set: (statement: string) => Promise<unknown>) => Promise<void>,
): Promise<void> {
  // The same instance as drizzle-kit's own: it loads the module in this way, too.
  const [{ PgDialect }, { sql }] = await Promise.all([import('drizzle-orm/pg-core'), import('drizzle-orm')])
  const dialect = PgDialect.prototype as unknown as Dialect
  const { migrate: original } = dialect
  dialect.migrate = async function (this: unknown, ...args: unknown[]) {
    const [, session] = args as [unknown, DriverSession]
    await around(
      () => original.apply(this, args),
      statement => session.execute(sql.raw(statement)),
    )
  }
}
