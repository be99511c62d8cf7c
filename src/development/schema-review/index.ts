/** The review of a pull request's change of the schema: what is new since a commit, and what it does to filled tables. */
import { fileURLToPath } from 'node:url'
import type { Migration } from '../schema-check/folder.ts'
import { inspectSchema } from '../schema-check/index.ts'
import { columnRenames, tableRenames } from '../schema-check/regenerate.ts'
import type { Finding } from '../schema-check/rule.ts'
import { parseMigration } from '../schema-check/sql.ts'
import { type Base, readBase, withBase } from './base.ts'
import { type Change, changesOf, type Renames } from './changes.ts'
import { tryUpgrade, type Upgrade } from './upgrade.ts'

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url))

/** A migration of the base that is not what it was. */
export interface Edited {
  readonly file: string
  readonly what: string
}

export interface Review {
  readonly base: Base
  /** whether drizzle/ or what src/schema.ts declares is another one than the base's */
  readonly changed: boolean
  readonly added: readonly Migration[]
  /** statements in the new migrations */
  readonly statements: number
  readonly edited: readonly Edited[]
  /** what schema:check says besides findings */
  readonly problems: readonly string[]
  /** in the new migrations */
  readonly findings: readonly Finding[]
  readonly changes: readonly Change[]
  /** null: there is nothing to try */
  readonly upgrade: Upgrade | null
  /** the same with empty tables, where it fails with rows and every finding is accepted; else null */
  readonly emptyUpgrade: Upgrade | null
}

export interface ReviewOptions {
  /** what to compare with; undefined: the merge base with main */
  readonly ref: string | undefined
  readonly signal: AbortSignal
  readonly program: string
}

/**
 * Reviews the working tree. Takes some seconds where the schema changes.
 * @throws ReviewError where there is nothing to compare with; ThrowawayError where no server can be started
 */
export async function reviewSchema({ ref, signal, program }: ReviewOptions): Promise<Review> {
  const base = await readBase(REPOSITORY, ref)
  const now = await inspectSchema(REPOSITORY)
  return await withBase(base, async directory => {
    const then = base.files.size === 0 ? null : await inspectSchema(directory)
    const old = new Set(then?.migrations.map(({ file }) => file))
    const added = now.migrations.filter(({ file }) => !old.has(file))
    const edited = editedOf(base, now.migrations)
    const renames = renamesOf(added)
    const changes = changesOf(
      { snapshot: then?.snapshot ?? null, held: then?.held ?? new Map() },
      { snapshot: now.snapshot, held: now.held },
      renames,
    )
    const changed = added.length + edited.length + changes.length > 0
    const findings = now.findings.filter(({ file }) => added.some(migration => migration.file === file))
    const trying = {
      ...{ baseFolder: `${directory}/drizzle`, base: then?.snapshot ?? null, after: now.snapshot },
      ...{ renames, signal, program },
    }
    const upgrade = changed ? await tryUpgrade({ ...trying, filled: true }) : null
    const isAccepted = findings.length > 0 && findings.every(({ accepted }) => accepted !== null)
    return {
      ...{ base, changed, added, edited, changes },
      statements: added.flatMap(({ sql }) => parseMigration(sql ?? '').statements).length,
      problems: now.problems,
      ...{ findings, upgrade },
      emptyUpgrade: upgrade?.failure && isAccepted ? await tryUpgrade({ ...trying, filled: false }) : null,
    }
  })
}

/** Migrations of the base that were edited or removed. */
function editedOf({ files }: Base, migrations: readonly Migration[]): Edited[] {
  return [...files]
    .filter(([path]) => path.endsWith('.sql'))
    .flatMap(([file, text]) => {
      const now = migrations.find(migration => migration.file === file)
      if (!now || now.sql === null) return [{ file, what: 'was removed' }]
      return now.sql === text ? [] : [{ file, what: 'was edited' }]
    })
}

function renamesOf(added: readonly Migration[]): Renames {
  const statements = added.flatMap(({ sql }) => parseMigration(sql ?? '').statements.map(({ source }) => `${source};`))
  return { columns: columnRenames(statements), tables: tableRenames(statements) }
}
