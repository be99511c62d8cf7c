/**
 * Applies drizzle/ as gateway_admin over the same dial as the probe, with drizzle-orm's migrator: the same files and
 * the same journal (drizzle.__drizzle_migrations) as `npx drizzle-kit migrate`. Then holds every table and grant against
 * src/. Never throws for what the target does.
 */
import { remainingMs, startBudget } from '../budget.ts'
import { asProbeError, type Evidence, evidence, type Facts, type Failure } from '../failure/error.ts'
import { ifKnown } from '../session/if-known.ts'
import { ownLogin } from '../session/open.ts'
import { lookUp, openPath, type Path } from '../session/path.ts'
import { openSession, type Session } from '../session/postgres.ts'
import type { ProbeConfig } from '../settings/config.ts'
import { applyPending } from './apply.ts'
import { type Catalogue, readCatalogue } from './catalogue.ts'
import { DECLARED } from './declared.ts'
import { type Engine, engineName, engineOf } from './engine.ts'
import { type Compared, compareJournal, readJournal, tagsOf } from './journal.ts'
import { advised } from './migrate-hints.ts'
import { type Migration, readMigrations } from './migrations.ts'
import { expectOnline, inTheWay, otherGrants, verifyDeclared } from './verify.ts'

/** What every visit to the database ends with. */
interface Visited {
  readonly address: string | null
  readonly engine: string | null
  readonly failure: Failure | null
  readonly evidence: Evidence
}

export interface Migrated extends Visited {
  /** the names of the migrations that this run applied, in order; empty if there was nothing to do */
  readonly applied: readonly string[]
  /** what the journal says afterwards; null where it was not reached */
  readonly journal: Compared | null
  /** what a session that migrates sets first; a release that does not know a setting does not need it */
  readonly settings: readonly string[]
  /** by table, grants beside those that schema.ts declares, a line each */
  readonly others: Readonly<Record<string, readonly string[]>>
}

/** What a visit has done so far: it is said of a visit that fails, too. */
interface Progress {
  applied: readonly string[]
  journal: Compared | null
  catalogue: Catalogue | null
  settings: readonly string[]
}

export interface MigrateOptions {
  /** only look: apply nothing, and verify only if nothing is pending */
  readonly status?: boolean
  /** hold the tables against src/ at the end (true) */
  readonly verify?: boolean
}

/** Applies what is pending, or says what is. */
export async function migrate(
  config: ProbeConfig,
  signal: AbortSignal,
  migrations: readonly Migration[] = readMigrations(),
  { status = false, verify = true }: MigrateOptions = {},
): Promise<Migrated> {
  const progress: Progress = { applied: [], journal: null, catalogue: null, settings: [] }
  const visited = await visit(config, signal, async (session, engine) => {
    try {
      progress.settings = engine.migrationSettings
      if (!status) progress.applied = await applyPending(session, engine, migrations)
      progress.journal = compareJournal(migrations, await readJournal(session))
      const isCurrent = tagsOf(progress.journal, 'pending').length + tagsOf(progress.journal, 'skipped').length === 0
      if (verify && isCurrent) await verifyAll(session, engine, progress)
    } catch (error) {
      throw await inTheWay(session, advised(asProbeError(error), progress.applied))
    }
  })
  const { applied, journal, catalogue, settings } = progress
  const facts = catalogue === null || visited.failure ? {} : factsOf(catalogue)
  return {
    ...visited,
    ...{ applied, journal, settings },
    others: catalogue === null ? {} : otherGrants(catalogue.grants, config.user),
    evidence: evidence(visited.evidence, facts),
  }
}

/** @throws ProbeError for the first of what is not as src/ declares */
async function verifyAll(session: Session, engine: Engine, progress: Progress): Promise<void> {
  const catalogue = await readCatalogue(session, engine, DECLARED)
  progress.catalogue = catalogue
  for (const { name } of DECLARED.tables)
    if (!catalogue.columns.some(({ table }) => table === name)) await expectOnline(session, name)
  verifyDeclared(catalogue, engine)
}

const factsOf = ({ columns, grants }: Catalogue): Facts => ({
  columns: columns.map(({ table, name, type }) => `${table}.${name} ${type}`),
  grants,
})

/** Has `work` done in a session with a migration's settings; whatever fails is a value. */
async function visit(
  config: ProbeConfig,
  signal: AbortSignal,
  work: (session: Session, engine: Engine) => Promise<void>,
): Promise<Visited> {
  const budget = startBudget(config.options.deadlineMs, signal)
  const context = { config, budget }
  let path: Path | null = null
  let session: Session | null = null
  try {
    const { endpoints } = await lookUp(context)
    path = await openPath(context, endpoints, ownLogin(config))
    const { opened } = path
    if (opened.error) throw opened.error
    if (!opened.startup) throw new Error('a path without a session')
    const engine = engineOf(opened.startup)
    // A migration may take longer than a single statement of the probe, up to the deadline; the server gives up a
    // little before we do, so that its answer still arrives.
    const patient = { ...budget, waitMs: config.options.deadlineMs }
    session = await openSession(opened, patient)
    const ms = Math.max(1, Math.floor(remainingMs(budget) * 0.9))
    const settings = [`SET statement_timeout = ${ms}`, `SET lock_timeout = ${ms}`, ...engine.migrationSettings]
    // A release that does not know a setting does not need it.
    for (const setting of settings) await ifKnown(session.ask('a session setting', setting), [])
    await work(session, engine)
    return {
      address: opened.address,
      engine: engineName(opened.startup),
      failure: null,
      evidence: evidence({}),
    }
  } catch (error) {
    const failed = asProbeError(error)
    const { address = null, startup = null } = path?.opened ?? {}
    const tried: Facts = path ? { tried: path.tried } : {}
    return {
      address,
      engine: engineName(startup),
      failure: failed.toFailure(),
      evidence: evidence(failed.evidence, tried),
    }
  } finally {
    await session?.close()
  }
}
