/** What migrate prints: text for people, and JSON. */
import { DECLARED, type DeclaredTable } from '../database/declared.ts'
import type { MigrationState } from '../database/journal.ts'
import type { Migrated } from '../database/migrate.ts'
import { count, type Failure, failureLine } from '../failure/error.ts'
import type { ProbeConfig, Target } from '../settings/config.ts'
import { opened, withoutSecretTexts, withValues } from './evidence.ts'
import { plain, printableJson } from './plain.ts'

/**
 * What a run found:
 *
 * up to date   everything is applied, and every table and grant is as src/ declares
 * pending      migrations are still to be applied (only --status ends so)
 * diverged     an applied file was edited, the migrator passes over one, the database has migrations that drizzle/ has
 *              not, or what it holds is not what src/ declares
 * failed       anything else: the failure says what
 */
export type State = 'up to date' | 'pending' | 'diverged' | 'failed'

const DIVERGING: readonly string[] = ['TABLE_MISSING', 'TABLE_MISMATCH', 'DML_DENIED', 'GRANT_EXCESS']

/** The state, of --status and of a run that applies: that one may leave an edited file be, since it can change nothing. */
export function stateOf({ failure, journal, applied }: Migrated, status: boolean): State {
  const has = (state: MigrationState) => journal?.entries.some(entry => entry.state === state) ?? false
  const diverged = has('skipped') || (status && (has('changed') || (journal?.unknown.length ?? 0) > 0))
  if (failure) return journal && applied.length === 0 && DIVERGING.includes(failure.code) ? 'diverged' : 'failed'
  if (diverged) return 'diverged'
  return has('pending') ? 'pending' : 'up to date'
}

/** What is verified of a table, in words. */
function tableLine({ name, columns, keys, indexes, checks }: DeclaredTable): string {
  const defaults = columns.filter(column => column.default !== null).length
  const parts = [
    count(columns.length, 'column'),
    count(defaults, 'default'),
    count(keys.length, 'key'),
    ...(indexes.length > 0 ? [count(indexes.length, 'index', 'indexes')] : []),
    ...(checks.length > 0 ? [count(checks.length, 'check')] : []),
  ]
  return `${name} (${parts.join(', ')})`
}

/** What of src/ was verified, table by table and grant by grant. */
const verified = (): string[] => [
  ...DECLARED.tables.map(tableLine),
  ...DECLARED.enums.map(({ name }) => `enum ${name}`),
  ...DECLARED.grants.map(({ role, table, privileges }) => `${privileges.join(', ')} on ${table} to ${role}`),
]

const WHAT_TO_DO: Readonly<Record<MigrationState, string>> = {
  applied: '',
  changed: ' (its file was edited after it was applied: restore it, and make the change in a new migration)',
  pending: '',
  skipped: ' (later ones are applied, so the migrator passes over it: give it a new number and time)',
}

/** A line per migration that is not simply applied; of pending ones with their SQL. */
function journalLines({ journal }: Migrated): string[] {
  if (!journal) return []
  const lines = journal.entries.flatMap(({ migration: { tag, meta }, state }) => [
    plain(`${state.padEnd(8)} ${tag}${WHAT_TO_DO[state]}`),
    ...(state === 'pending' ? meta.sql.flatMap(statement => statement.trim().split(/\r?\n/).map(indented)) : []),
  ])
  const unknown = journal.unknown.map(
    ({ when, hash }) =>
      `unknown  ${new Date(when).toISOString()}, sha256 ${plain(hash).slice(0, 12)} (applied by another version of drizzle/)`,
  )
  return [...lines, ...unknown]
}

/** A line of a file, as far to the right as it stands there. */
function indented(line: string): string {
  const [lead = ''] = /^\s*/.exec(line) ?? []
  return `    ${lead.replaceAll('\t', '  ')}${plain(line, 2000)}`
}

/** What went wrong, what caused it, what was found, and what to do next, a line each. */
export function failureLines(
  { failure, evidence, address, applied }: Migrated & { readonly failure: Failure },
  { hosts: [host], user, database }: ProbeConfig,
  name: string,
): string[] {
  const known = { host: host.host, port: host.port, user, database, address }
  return [
    plain(`${name}: migrate FAILED at ${failureLine(failure)}`, 2000),
    ...failure.causes.map(
      ({ name, code, message }) =>
        `  ${plain(`caused by ${[name, code].filter(Boolean).join(' ')}${message && `: ${message}`}`)}`,
    ),
    ...(applied.length > 0 ? [`  applied before it failed: ${applied.join(', ')}`] : []),
    ...Object.entries(opened(evidence)).map(([name, value]) => `  ${plain(`${name}: ${printableJson(value)}`, 2000)}`),
    plain(`next: ${withValues(failure, known).hint}`, 2000),
  ]
}

/** Grants to roles that src/ does not name, a line for each table. */
const otherLines = ({ others }: Migrated): string[] =>
  Object.entries(others).map(([table, grants]) => plain(`other grants on ${table}: ${grants.join(', ')}`, 2000))

/** What a run that succeeded should still be told: files that were edited after they were applied, and other grants. */
export const journalNotes = (migrated: Migrated): string[] => [
  ...(migrated.journal?.entries ?? [])
    .filter(({ state }) => state === 'changed')
    .map(({ migration }) => plain(`! ${migration.tag}${WHAT_TO_DO.changed}`)),
  ...otherLines(migrated),
]

/** Text: what belongs on stdout, and the lines for stderr. */
export function renderText(
  migrated: Migrated,
  config: ProbeConfig,
  { program, status }: { readonly program: string; readonly status: boolean },
): { readonly stdout: string; readonly stderr: readonly string[] } {
  const { failure, applied, engine, address } = migrated
  const state = stateOf(migrated, status)
  const where = `(${engine} at ${address})`
  if (status) {
    const lines = journalLines(migrated)
    const last = failure ? [] : [plain(`${state} ${where}`)]
    const held = state === 'up to date' ? [`as src/ declares: ${verified().join('; ')}`] : []
    return {
      stdout: [...lines, ...held, ...last].map(line => `${line}\n`).join(''),
      stderr: failure ? failureLines({ ...migrated, failure }, config, program) : otherLines(migrated),
    }
  }
  if (failure) return { stdout: '', stderr: failureLines({ ...migrated, failure }, config, program) }
  const what = applied.length > 0 ? `applied ${applied.join(', ')}` : 'nothing to do'
  return {
    stdout: `${plain(`${what}; as src/ declares: ${verified().join('; ')} ${where}`, 4000)}\n`,
    stderr: journalNotes(migrated),
  }
}

interface Run {
  readonly program: string
  readonly status: boolean
  readonly config: ProbeConfig
  readonly migrated: Migrated
  readonly attempts: number
}

/** The same as JSON, schemaVersion 1, with a line end. */
export function renderJson({ program, status, config, migrated, attempts }: Run): string {
  const { failure, applied, journal, others, address, engine, evidence } = migrated
  const {
    hosts: [{ host, port, tlsName }],
    user,
    database,
  } = config
  const state = stateOf(migrated, status)
  const entries = journal?.entries.map(({ migration: { tag, meta }, state }) => ({
    ...{ tag, state, hash: meta.hash },
    ...(state === 'pending' && { sql: meta.sql.map(statement => statement.trim()) }),
  }))
  return `${printableJson(
    {
      ...{ schemaVersion: 1, program, command: 'migrate', status, state, verdict: verdictOf(state) },
      failure: failure && withValues(failure, { host, port, user, database, address }),
      target: withoutSecretTexts({ host, port, database, user, tlsName, address, engine }),
      ...{ applied, migrations: entries ?? [], unknown: journal?.unknown ?? [] },
      verified: state === 'up to date' ? verified() : [],
      ...{ others, evidence: opened(evidence), attempts },
      warnings: config.warnings,
    },
    2,
  )}\n`
}

const verdictOf = (state: State): 'pass' | 'fail' => (state === 'up to date' ? 'pass' : 'fail')

/** Wrong settings as text: each problem, and its own next step. */
export const refusedText = (failure: Failure, target: Target): string =>
  withValues(failure, target)
    .causes.flatMap(({ name, code, message, hint }) => [
      `${failure.layer} ${code}: ${name} ${message}`,
      ...(hint === undefined ? [] : [`next: ${hint}`]),
    ])
    .map(line => plain(line, 2000))
    .join('\n')

/** Wrong settings as JSON of the same shape. */
export const refusedJson = ({
  program,
  status,
  target,
  failure,
}: {
  readonly program: string
  readonly status: boolean
  readonly target: Target
  readonly failure: Failure
}): string =>
  `${printableJson(
    {
      ...{ schemaVersion: 1, program, command: 'migrate', status, state: 'failed', verdict: 'fail' },
      failure: withValues(failure, target),
      ...{
        target: withoutSecretTexts(target),
        applied: [],
        migrations: [],
        unknown: [],
        verified: [],
        others: {},
        evidence: {},
        attempts: 0,
      },
      warnings: [],
    },
    2,
  )}\n`
