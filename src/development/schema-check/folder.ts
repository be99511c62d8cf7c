/**
 * The folder drizzle/ as data: journal, SQL files, snapshots, each there once and in order.
 *
 * journal    drizzle/meta/_journal.json: the order of the migrations, and the timestamp that the migrator compares
 * snapshot   drizzle/meta/NNNN_snapshot.json: the whole schema after migration NNNN; prevId names the one before
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Of a snapshot, what is looked at here (drizzle-kit's own type needs zod, which is not installed). */
export interface Snapshot {
  readonly id: string
  readonly prevId: string
  readonly tables: Readonly<Record<string, SnapshotTable>>
  readonly enums: Readonly<Record<string, SnapshotEnum>>
  readonly schemas: object
  readonly sequences: object
  readonly roles: object
  readonly policies: object
  readonly views: object
}

export interface SnapshotColumn {
  readonly name: string
  readonly type: string
  readonly primaryKey: boolean
  readonly notNull: boolean
  readonly default?: unknown
  readonly generated?: unknown
  readonly identity?: unknown
}
export type SnapshotColumns = Readonly<Record<string, SnapshotColumn>>

interface SnapshotKey {
  readonly name: string
  readonly columns: readonly string[]
}

export interface SnapshotTable {
  readonly name: string
  readonly schema: string
  readonly columns: SnapshotColumns
  readonly compositePrimaryKeys: Readonly<Record<string, SnapshotKey>>
  readonly uniqueConstraints: Readonly<Record<string, SnapshotKey>>
  readonly foreignKeys: Readonly<
    Record<
      string,
      {
        readonly name: string
        readonly tableTo: string
        readonly columnsFrom: readonly string[]
        readonly columnsTo: readonly string[]
      }
    >
  >
  readonly indexes: Readonly<
    Record<
      string,
      {
        readonly name: string
        readonly isUnique: boolean
        readonly columns: readonly { readonly expression: string }[]
      }
    >
  >
  readonly checkConstraints: Readonly<Record<string, { readonly name: string; readonly value: string }>>
}

export interface SnapshotEnum {
  readonly name: string
  readonly values: readonly string[]
}

export interface Migration {
  readonly tag: string
  /** relative to the root, as problems name it */
  readonly file: string
  /** null: it could not be read, which is a problem already */
  readonly sql: string | null
  readonly snapshot: Snapshot | null
}

interface MigrationFolder {
  readonly migrations: readonly Migration[]
  readonly problems: readonly string[]
}

interface JournalEntry {
  readonly idx: number
  readonly when: number
  readonly tag: string
}

const JOURNAL = 'drizzle/meta/_journal.json'
const ORIGIN_ID = '00000000-0000-0000-0000-000000000000'

const isEntry = (value: unknown): value is JournalEntry => {
  const entry = (value ?? {}) as Partial<Record<keyof JournalEntry, unknown>>
  return typeof entry.idx === 'number' && typeof entry.when === 'number' && typeof entry.tag === 'string'
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const PARTS = ['columns', 'compositePrimaryKeys', 'uniqueConstraints', 'foreignKeys', 'indexes', 'checkConstraints']

const isTable = (value: unknown) =>
  isRecord(value) && typeof value.name === 'string' && PARTS.every(part => isRecord(value[part]))

const isSnapshot = (value: unknown): value is Snapshot => {
  if (!isRecord(value) || !isRecord(value.tables)) return false
  const { id, prevId, tables, enums, schemas, sequences, roles, policies, views } = value
  const named = [enums, schemas, sequences, roles, policies, views]
  return (
    [id, prevId].every(it => typeof it === 'string') && named.every(isRecord) && Object.values(tables).every(isTable)
  )
}

/** Reads drizzle/ below `root`. Never throws: what cannot be read, is missing, stray or out of order is a problem. */
export async function readMigrations(root: string): Promise<MigrationFolder> {
  const problems: string[] = []
  const read = async (file: string): Promise<string | null> => {
    try {
      return await readFile(join(root, file), 'utf8')
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      problems.push(`${file} ${code === 'ENOENT' ? 'is missing' : `cannot be read (${code})`}`)
      return null
    }
  }
  const readJson = async (file: string): Promise<unknown> => {
    const text = await read(file)
    try {
      return text === null ? null : JSON.parse(text)
    } catch (error) {
      problems.push(`${file} is not JSON: ${(error as Error).message}`)
      return null
    }
  }

  const journal = (await readJson(JOURNAL)) as { entries?: unknown } | null
  if (journal === null) return { migrations: [], problems }
  const entries = Array.isArray(journal.entries) ? journal.entries.filter(isEntry) : []
  if (!Array.isArray(journal.entries) || entries.length !== journal.entries.length || entries.length === 0) {
    return { migrations: [], problems: [`${JOURNAL} is not a list of migrations with idx, when and tag`] }
  }

  const migrations: Migration[] = []
  const expected = new Set([JOURNAL])
  for (const [index, { idx, when, tag }] of entries.entries()) {
    const number = String(index).padStart(4, '0')
    if (idx !== index || !tag.startsWith(`${number}_`)) problems.push(`${JOURNAL}: entry ${index} is ${idx}, ${tag}`)
    const before = entries[index - 1]
    if (before && when <= before.when) {
      problems.push(`${JOURNAL}: ${tag} is not later than ${before.tag}, so a database that has that one skips it`)
    }
    const file = `drizzle/${tag}.sql`
    const snapshotFile = `drizzle/meta/${number}_snapshot.json`
    expected.add(file).add(snapshotFile)
    const sql = await read(file)
    const json = await readJson(snapshotFile)
    const snapshot = isSnapshot(json) ? json : null
    if (json !== null && !snapshot) problems.push(`${snapshotFile} is not a snapshot`)
    const previous = index === 0 ? ORIGIN_ID : migrations[index - 1]?.snapshot?.id
    if (snapshot && previous && snapshot.prevId !== previous) {
      problems.push(`${snapshotFile}: prevId is ${snapshot.prevId}, the snapshot before it has ${previous}`)
    }
    migrations.push({ tag, file, sql, snapshot })
  }
  for (const name of await readdir(join(root, 'drizzle'), { recursive: true, withFileTypes: true })) {
    const file = join(name.parentPath, name.name).slice(join(root, '/').length).replaceAll('\\', '/')
    if (!name.isDirectory() && !expected.has(file)) problems.push(`${file} belongs to no migration of the journal`)
  }
  return { migrations, problems }
}
