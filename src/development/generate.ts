/**
 * `npm run generate`: the migration of a change in src/schema.ts, by drizzle-kit, and that of its grants, which drizzle-kit
 * cannot write.
 */
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Snapshot } from './schema-check/folder.ts'
import { grantStatements } from './schema-check/grants.ts'
import { type Inspected, inspectSchema } from './schema-check/index.ts'

const SCHEMA = 'src/schema.ts'
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Where drizzle-kit asks whether something was renamed, and what those things are called. */
const KINDS = { tables: 'table', enums: 'enum', schemas: 'schema', sequences: 'sequence', views: 'view' } as const

const names = (of: object): string[] => Object.keys(of).map(name => name.replace(/^public\./, ''))
const gone = (before: object, after: object) => names(before).filter(name => !names(after).includes(name))

/** What drizzle-kit would ask on a terminal, a line each: whether what goes was renamed to what comes. */
function questions(before: Snapshot, after: Snapshot): string[] {
  const inTables = Object.entries(before.tables).flatMap(([key, { name, columns }]) => {
    const now = after.tables[key]
    return now ? [{ what: `column of ${name}`, before: columns, after: now.columns }] : []
  })
  const kinds = Object.entries(KINDS) as [keyof typeof KINDS, string][]
  return [...kinds.map(([kind, what]) => ({ what, before: before[kind], after: after[kind] })), ...inTables]
    .map(({ what, ...one }) => ({ what, went: gone(one.before, one.after), came: gone(one.after, one.before) }))
    .filter(({ went, came }) => went.length > 0 && came.length > 0)
    .map(({ what, went, came }) => `${what}: ${went.join(', ')} renamed to ${came.join(', ')}, or dropped and added?`)
}

const HOW_TO_ANSWER = `drizzle-kit asks this on a terminal only, and here is none: nothing is written. Either
  run npm run generate in a terminal, and answer; or
  make it two migrations: add the new name to src/schema.ts, npm run generate; then take the old one out, npm run generate`

export interface GenerateOptions {
  /** of the migration's file */
  readonly name: string | undefined
  /** an empty migration */
  readonly custom: boolean
  /** whether drizzle-kit can ask */
  readonly terminal: boolean
  /** for stdout */
  readonly print: (text: string) => Promise<void>
  /** for stderr */
  readonly note: (line: string) => void
}

/**
 * Writes what is missing in drizzle/.
 * @returns what is still wrong, a problem each; null where drizzle-kit failed and said so
 */
export async function generate(options: GenerateOptions): Promise<readonly string[] | null> {
  const { name, custom, terminal, note } = options
  const before = await inspectSchema(ROOT)
  // drizzle-kit would print its stack, write nothing, and exit 0.
  if (before.declared === null) return before.problems.filter(problem => problem.startsWith(SCHEMA))
  if (!terminal && !custom && before.snapshot && before.declared) {
    const asked = questions(before.snapshot, before.declared)
    if (asked.length > 0) return [...asked, HOW_TO_ANSWER]
  }
  const words = [...(name === undefined ? [] : [`--name=${name}`]), ...(custom ? ['--custom'] : [])]
  if ((await drizzleKit(['generate', ...words], 'inherit')) !== 0) return null
  if (custom) return []
  const after = await inspectSchema(ROOT)
  const undone = after.problems.filter(problem => /^src\/schema\.ts (?!declares grants)/.test(problem))
  if (undone.length > 0) return undone
  await writeGrants(after, options)
  const last = await inspectSchema(ROOT)
  for (const { file, line, what, why, accepted } of last.findings)
    if (accepted === null && !before.findings.some(one => one.file === file))
      note(
        `${file}:${line} ${what}: ${why}. Above it belongs: -- accepted: REASON, or another way (npm run schema:review)`,
      )
  return last.problems
}

/** The migration that makes the held grants the declared ones, where they are not. */
async function writeGrants(
  { grants, held, snapshot }: Inspected,
  { name, print }: Pick<GenerateOptions, 'name' | 'print'>,
): Promise<void> {
  const statements = grants && snapshot ? grantStatements(grants, held) : []
  if (statements.length === 0) return
  // drizzle-kit makes the file, its snapshot and its line in the journal; it cannot express GRANT.
  const tag = name === undefined ? 'grants' : `${name}_grants`
  if ((await drizzleKit(['generate', '--custom', `--name=${tag}`], 'ignore')) !== 0)
    throw new Error('drizzle-kit failed')
  const { migrations } = await inspectSchema(ROOT)
  const file = migrations.at(-1)?.file
  if (!file?.endsWith(`_${tag}.sql`)) throw new Error(`drizzle-kit made ${file}, not a migration ${tag}`)
  await writeFile(join(ROOT, file), `-- The grants that src/schema.ts declares.\n${statements.join('\n')}\n`)
  await print(`${file}\n${statements.map(statement => `    ${statement}\n`).join('')}`)
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs drizzle-kit to its end; returns its exit code, 130 where a signal ended it. */
async function drizzleKit(words: readonly string[], stdio: 'inherit' | 'ignore'): Promise<number> {
  const child = spawn(`${ROOT}node_modules/.bin/drizzle-kit`, words, { stdio, cwd: ROOT })
  // A terminal sends SIGINT to the tool as well; whatever else ends us must not leave it behind.
  const forward = (signal: NodeJS.Signals) => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
  }
  for (const signal of SIGNALS) process.on(signal, forward)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (status, signal) => resolve(signal ? 130 : (status ?? 70)))
    })
  } finally {
    for (const signal of SIGNALS) process.off(signal, forward)
  }
}
