/**
 * The journal of a database, drizzle.__drizzle_migrations: a row per applied migration, with the `when` of drizzle/'s own
 * journal and the SHA-256 of the file. The migrator compares the newest `when` and nothing else; this compares all of it.
 */
import type { Session } from '../session/postgres.ts'
import type { Migration } from './embedded.ts'

export interface JournalRow {
  readonly when: number
  readonly hash: string
}

/**
 * What a database says of a migration:
 *
 * applied   it is in the journal, with the file's hash
 * changed   it is in the journal, and the file was edited since
 * pending   it is not there yet, and the next migrate applies it
 * skipped   it is not there, and later ones are: the migrator passes over it
 */
export type MigrationState = 'applied' | 'changed' | 'pending' | 'skipped'

export interface JournalEntry {
  readonly migration: Migration
  readonly state: MigrationState
}

export interface Compared {
  readonly entries: readonly JournalEntry[]
  /** rows that no file of drizzle/ has: a newer version of this program was here */
  readonly unknown: readonly JournalRow[]
}

/** The rows; none where there is no journal. */
export async function readJournal(session: Session): Promise<readonly JournalRow[]> {
  const question = 'the journal query'
  const [found] = await session.ask<{ count: string }>(
    question,
    `SELECT count(*)::text AS count FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'drizzle' AND c.relname = '__drizzle_migrations' AND c.relkind = 'r'`,
  )
  if (found?.count !== '1') return []
  const rows = await session.ask<{ hash: string; created_at: string }>(
    question,
    'SELECT hash, created_at::text AS created_at FROM drizzle.__drizzle_migrations ORDER BY created_at',
  )
  return rows.map(({ hash, created_at }) => ({ hash, when: Number(created_at) }))
}

/** Holds the files against the rows. */
export function compareJournal(migrations: readonly Migration[], rows: readonly JournalRow[]): Compared {
  const last = Math.max(0, ...rows.map(({ when }) => when))
  const stateOf = ({ meta }: Migration): MigrationState => {
    const row = rows.find(({ when }) => when === meta.folderMillis)
    if (row) return row.hash === meta.hash ? 'applied' : 'changed'
    return meta.folderMillis > last ? 'pending' : 'skipped'
  }
  return {
    entries: migrations.map(migration => ({ migration, state: stateOf(migration) })),
    unknown: rows.filter(({ when }) => !migrations.some(({ meta }) => meta.folderMillis === when)),
  }
}

/** The names of the migrations in this state. */
export const tagsOf = ({ entries }: Compared, state: MigrationState): readonly string[] =>
  entries.filter(entry => entry.state === state).map(({ migration }) => migration.tag)
