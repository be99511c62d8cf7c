/**
 * The schema check: drizzle/ is exactly what src/schema.ts declares, grants included. drizzle-kit's own check sees
 * little of it (measured: it passes with files deleted, and never reads the SQL), so this compares
 *
 *   src/schema.ts   with the last snapshot
 *   the journal     with the files
 *   each SQL file   with what drizzle-kit generates between two snapshots; where they are equal (a custom migration),
 *                   with nothing but plain GRANT and REVOKE
 *   the grants      that the migrations add up to with those declared
 *
 * and looks in every migration for what should be thought about before it runs (findings.ts).
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { tsImport } from 'tsx/esm/api'
import type { Grant } from '../../schema.ts'
import { diffJson, diffLines, withDiff } from './diff.ts'
import { findingsOf, withoutReasons } from './findings.ts'
import { type Migration, readMigrations, type Snapshot } from './folder.ts'
import { checkCustom, checkGrants, forgetTables, type GrantSet, renameTable } from './grants.ts'
import { type GenerateMigration, regenerate, tableRenames } from './regenerate.ts'
import type { Finding } from './rule.ts'
import { BREAKPOINT } from './sql.ts'
import { squawk } from './squawk.ts'

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

/** drizzle/ and src/schema.ts, read and held against each other. */
export interface Inspected {
  readonly problems: readonly string[]
  readonly migrations: readonly Migration[]
  /** the schema after the last migration; null where that cannot be read */
  readonly snapshot: Snapshot | null
  /** the grants that the migrations add up to */
  readonly held: GrantSet
  /** those that src/schema.ts declares; null where it cannot be imported */
  readonly grants: readonly Grant[] | null
  /** the schema that src/schema.ts declares; null where it cannot be imported */
  readonly declared: Snapshot | null
  /** of every migration */
  readonly findings: readonly Finding[]
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
  const written = withoutReasons(sql ?? '')
    .split(BREAKPOINT)
    .map(part => part.trim())
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

/** Goes through the migrations in their order. */
async function replay(root: string, migrations: readonly Migration[]) {
  const kit = await import('drizzle-kit/api')
  const generateMigration: GenerateMigration = (before, after) => kit.generateMigration(before, after)
  const problems: string[] = []
  const held: GrantSet = new Map()
  const findings: Finding[] = []
  const said = await squawk(root, migrations).catch((error: unknown) => {
    problems.push(message(error))
    return []
  })
  let before: Snapshot | null = kit.generateDrizzleJson({})
  for (const migration of migrations) {
    const after: Snapshot | null = migration.snapshot
    if (before && after && migration.sql !== null) {
      const tables = Object.values(after.tables).map(table => table.name)
      if (diffJson(content(before), content(after)).length === 0) problems.push(...checkCustom(migration, tables, held))
      else problems.push(...(await checkGenerated(migration, before, after, generateMigration)))
      for (const { from, to } of tableRenames(asWritten(migration.sql))) renameTable(held, from, to)
      forgetTables(held, tables)
      findings.push(
        ...findingsOf(
          migration,
          before,
          after,
          said.filter(({ file }) => file === migration.file),
        ),
      )
    }
    before = after
  }
  return { problems, held, findings, snapshot: before }
}

const asWritten = (sql: string) =>
  withoutReasons(sql)
    .split(BREAKPOINT)
    .map(part => part.trim())

/** What src/schema.ts declares that the migrations and the checks of this project do not take. */
function undeclarable({ tables }: Snapshot, grants: readonly Grant[]): string[] {
  const names = Object.values(tables).map(({ name }) => name)
  return [
    ...Object.values(tables)
      .filter(({ schema }) => schema !== '' && schema !== 'public')
      .map(({ schema, name }) => `${SCHEMA}: the table ${name} is in schema ${schema}; only public is supported`),
    ...grants
      .filter(({ table }) => !names.includes(table))
      .map(({ table, role }) => `${SCHEMA} grants ${table} to ${role}, and exports no such table`),
  ]
}

/**
 * Reads drizzle/ and src/schema.ts, and holds them against each other. Never throws for what it finds, a syntax error
 * included; needs drizzle-kit, that is, the development install. Writes and prints nothing.
 */
export async function inspectSchema(root = REPOSITORY): Promise<Inspected> {
  const kit = await import('drizzle-kit/api')
  const [folder, schema] = await Promise.all([
    readMigrations(root),
    importSchema(root).catch((error: unknown) => `${SCHEMA} cannot be imported: ${message(error)}`),
  ])
  const { problems, held, findings, snapshot } = await replay(root, folder.migrations)
  const read = { migrations: folder.migrations, snapshot, held, findings }
  if (typeof schema === 'string')
    return { ...read, problems: [...folder.problems, ...problems, schema], grants: null, declared: null }
  const declared: Snapshot = kit.generateDrizzleJson(schema.module)
  const difference = snapshot ? diffJson(content(snapshot), content(declared)) : []
  const all = [
    ...folder.problems,
    ...problems,
    ...withDiff(`${SCHEMA} differs from the last migration; npm run generate makes the next:`, difference),
    ...undeclarable(declared, schema.grants),
    ...checkGrants(schema.grants, held, SCHEMA, folder.migrations),
  ]
  return { ...read, problems: all, grants: schema.grants, declared }
}

/** A finding that nobody has accepted, as a problem. */
const findingProblem = ({ file, line, statement, what, why, instead }: Finding): string =>
  [
    `${file}:${line} ${what}: ${why}`,
    ...(statement?.split('\n').map(text => `    ${text}`) ?? []),
    `    ${instead}; or say above the statement why it is right: -- accepted: REASON`,
  ].join('\n')

/**
 * Holds drizzle/ against src/schema.ts and returns every difference, and every finding that its migration does not accept.
 * Takes about a second; writes and prints nothing.
 */
export async function checkSchema({ root = REPOSITORY }: SchemaCheckOptions = {}): Promise<SchemaCheckResult> {
  const inspected = await inspectSchema(root)
  const open = inspected.findings.filter(({ accepted }) => accepted === null)
  const problems = [...inspected.problems, ...open.map(findingProblem)]
  // last, and only if all is well: it finds little, takes longest, and would create a missing journal
  const kitProblem = problems.length === 0 ? await drizzleKitCheck(root) : null
  if (kitProblem !== null) problems.push(kitProblem)
  return { ok: problems.length === 0, problems }
}
