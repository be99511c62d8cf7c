/** The migrations: drizzle/ as drizzle-orm's migrator takes it, from the tree or as `npm run build` embedded it. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { embedded, type Migration } from './embedded.ts'

export type { Migration } from './embedded.ts'

const FOLDER = fileURLToPath(new URL('../../drizzle', import.meta.url))

/** Reads a folder of drizzle-kit's, in the order of its journal. */
export function readMigrations(folder = FOLDER): readonly Migration[] {
  if (embedded) return embedded.migrations
  const journal = JSON.parse(readFileSync(`${folder}/meta/_journal.json`, 'utf8')) as { entries: { tag: string }[] }
  const metas = readMigrationFiles({ migrationsFolder: folder })
  return journal.entries.flatMap(({ tag }, at) => {
    const meta = metas[at]
    return meta ? [{ tag, meta }] : []
  })
}
