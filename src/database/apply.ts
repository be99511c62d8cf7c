/** Applies what is pending, with drizzle-orm's migrator, in one transaction. */
import type { MigrationMeta } from 'drizzle-orm/migrator'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { ProbeError } from '../failure/error.ts'
import type { Session } from '../session/postgres.ts'
import type { Migration } from './embedded.ts'
import type { Engine } from './engine.ts'
import { compareJournal, readJournal, tagsOf } from './journal.ts'

/** How often a migration that lost against another one at the same time is tried again. */
const RETRIES = 8

/**
 * Runs the migrator inside one transaction that begins with the engine's lock, so that of two at once the second finds
 * nothing left to do: PostgreSQL waits for the lock, CockroachDB, whose transactions are serializable and read the
 * journal, is told to restart (40001).
 * @returns the names of what it applied, in order
 */
export async function applyPending(
  session: Session,
  engine: Engine,
  migrations: readonly Migration[],
): Promise<readonly string[]> {
  for (let attempt = 0; ; attempt++) {
    const rows = await readJournal(session)
    const compared = compareJournal(migrations, rows)
    const [skipped, pending] = [tagsOf(compared, 'skipped'), tagsOf(compared, 'pending')]
    if (skipped.length > 0)
      throw new ProbeError(
        'WRITE_REFUSED',
        `the database has later migrations but not ${skipped.join(', ')}: the migrator would pass over them`,
        { evidence: { skipped } },
      )
    if (pending.length === 0) return []
    try {
      const metas = migrations.map(({ meta }) => meta)
      const applied = await session.run('write', `the migrations ${pending.join(', ')}`, db =>
        runMigrator(db, engine, metas),
      )
      return migrations.filter(({ meta }) => applied.includes(meta.folderMillis)).map(({ tag }) => tag)
    } catch (error) {
      if (!(error instanceof ProbeError) || session.isLost() || attempt >= RETRIES) throw error
      // Told to restart, or stumbled over what another run has made meanwhile: the journal tells.
      const overtaken = error.answered === '40001' || (await readJournal(session)).length > rows.length
      if (!overtaken) throw error
      await new Promise(settle => setTimeout(settle, 20 * 2 ** attempt * (0.5 + Math.random())))
    }
  }
}

/** What drizzle-orm's dialect has, and its types leave out. */
interface Migrator {
  migrate(migrations: MigrationMeta[], session: unknown, config: object): Promise<void>
}

/** drizzle-orm's migrator on a transaction of ours, in which its own is a part. Returns the `when` of what it applied. */
async function runMigrator(db: PostgresJsDatabase, engine: Engine, metas: MigrationMeta[]): Promise<number[]> {
  return db.transaction(async tx => {
    if (engine.migrationLock) await tx.execute(engine.migrationLock)
    const { dialect, session } = tx as unknown as {
      dialect: Migrator
      session: { all(query: unknown): Promise<unknown[]> }
    }
    let last = 0
    const inside = {
      execute: (query: string) => tx.execute(query),
      all: async (query: unknown) => {
        const rows = await session.all(query)
        last = Number((rows[0] as { created_at?: unknown } | undefined)?.created_at ?? 0)
        return rows
      },
      transaction: (work: (transaction: typeof tx) => Promise<void>) => work(tx),
    }
    await dialect.migrate(metas, inside, {})
    return metas.map(({ folderMillis }) => folderMillis).filter(when => when > last)
  })
}
