/**
 * The schema review: drizzle/ is exactly what src/schema.ts declares, grants included. drizzle-kit's own check sees
 * little of it (measured: it passes with files deleted, and never reads the SQL), so this compares
 *
 *   src/schema.ts   with the last snapshot
 *   the journal     with the files
 *   each SQL file   with what drizzle-kit generates between two snapshots; where they are equal (a custom migration),
 *                   with nothing but plain GRANT and REVOKE
 *   the grants      that the migrations add up to with those declared
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { tsImport } from 'tsx/esm/api'
import type { Grant } from '../../schema.ts'
import { diffJson, diffLines, withDiff } from './diff.ts'
import { type Migration, readMigrations, type Snapshot } from './folder.ts'
import { checkCustom, checkGrants, forgetTables, type GrantSet } from './grants.ts'
import { type GenerateMigration, regenerate } from './regenerate.ts'
import { BREAKPOINT } from './sql.ts'

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url))
const SCHEMA = 'src/schema.ts'
const CHECK_TIMEOUT_MS = 60_000

interface SchemaCheckOptions {
  /** the directory that holds src/schema.ts and drizzle/ (and from which drizzle-orm resolves); this repository if absent */
  readonly root?: string
}

interface SchemaCheckResult {
  readonly ok: boolean
  /** one per difference, each naming the file; further lines of one are indented and begin with - or + */
  readonly problems: readonly string[]
}

const message = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** What was imported, by its text: the same text is the same schema, and importing it takes the most of the time. */
const imported = new Map<string, Promise<Record<string, unknown>>>()

/** The schema as it stands in the file now, whatever this process imported before. */
async function importSchema(root: string): Promise<{ module: Record<string, unknown>; grants: readonly Grant[] }> {
  const file = join(root, SCHEMA)
  const text = await readFile(file, 'utf8')
  const importing = imported.get(text) ?? tsImport(pathToFileURL(file).href, import.meta.url)
  imported.set(text, importing)
  const module = await importing
  if (!Array.isArray(module.GRANTS)) throw new Error('it exports no GRANTS')
  return { module, grants: module.GRANTS }
}

/** `drizzle-kit check` as a process; null, or what it said. */
const drizzleKitCheck = (root: string): Promise<string | null> =>
  new Promise(resolve => {
    const kit = join(dirname(createRequire(import.meta.url).resolve('drizzle-kit/api')), 'bin.cjs')
    const options = { cwd: root, timeout: CHECK_TIMEOUT_MS }
    execFile(process.execPath, [kit, 'check', '--dialect=postgresql', '--out=drizzle'], options, (error, out, err) => {
      resolve(error ? `drizzle-kit check: ${`${out}${err}`.trim() || error.message}` : null)
    })
  })

/** A snapshot without what tells it from another one of the same schema. */
const content = ({ id: _id, prevId: _prevId, ...rest }: Snapshot) => JSON.parse(JSON.stringify(rest))

/** A generated migration: its file must be what drizzle-kit writes. */
async function checkGenerated(
  { file, sql }: Migration,
  before: Snapshot,
  after: Snapshot,
  generateMigration: GenerateMigration,
): Promise<string[]> {
  const written = (sql ?? '').split(BREAKPOINT).map(part => part.trim())
  try {
    const { statements, ordered } = await regenerate(before, after, written, generateMigration)
    const lines = (parts: readonly string[]) =>
      (ordered ? parts : parts.toSorted()).flatMap(part => [...part.split(/\r?\n/), BREAKPOINT])
    const difference = diffLines(lines(written), lines(statements.map(part => part.trim())))
    return withDiff(`${file} is not what drizzle-kit generates:`, difference)
  } catch (error) {
    return [`${file} cannot be compared with what drizzle-kit generates: ${message(error)}`]
  }
}

/**
 * Holds drizzle/ against src/schema.ts and returns every difference. Never throws for what it finds, a syntax error
 * included; needs drizzle-kit, that is, the development install. Takes about a second; writes and prints nothing.
 */
export async function checkSchema({ root = REPOSITORY }: SchemaCheckOptions = {}): Promise<SchemaCheckResult> {
  const kit = await import('drizzle-kit/api')
  const snapshotOf = (module: Record<string, unknown>): Snapshot => kit.generateDrizzleJson(module)
  const generateMigration: GenerateMigration = (before, after) => kit.generateMigration(before, after)
  const [folder, schema] = await Promise.all([
    readMigrations(root),
    importSchema(root).catch((error: unknown) => `${SCHEMA} cannot be imported: ${message(error)}`),
  ])
  const problems = [...folder.problems]
  let before: Snapshot | null = snapshotOf({})
  const held: GrantSet = new Set()
  for (const migration of folder.migrations) {
    const after: Snapshot | null = migration.snapshot
    if (before && after && migration.sql !== null) {
      const tables = Object.values(after.tables).map(table => table.name)
      if (diffJson(content(before), content(after)).length === 0) problems.push(...checkCustom(migration, tables, held))
      else problems.push(...(await checkGenerated(migration, before, after, generateMigration)))
      forgetTables(held, tables)
    }
    before = after
  }

  if (typeof schema === 'string') problems.push(schema)
  else {
    const difference = before ? diffJson(content(before), content(snapshotOf(schema.module))) : []
    problems.push(
      ...withDiff(`${SCHEMA} differs from the last migration; npm run generate makes the next:`, difference),
    )
    problems.push(...checkGrants(schema.grants, held, SCHEMA, folder.migrations))
  }
  // last, and only if all is well: it finds little, takes longest, and would create a missing journal
  const kitProblem = problems.length === 0 ? await drizzleKitCheck(root) : null
  if (kitProblem !== null) problems.push(kitProblem)
  return { ok: problems.length === 0, problems }
}
