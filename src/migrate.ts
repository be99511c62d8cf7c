/**
 * Applies drizzle/ as gateway_admin over the same dial as the probe, with drizzle-orm's migrator: the same files and
 * the same journal (drizzle.__drizzle_migrations) as `npx drizzle-kit migrate`. Then holds table and grants against
 * src/. Never throws for what the target does.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { migrate as drizzleMigrate } from 'drizzle-orm/postgres-js/migrator'
import { startBudget } from './budget.ts'
import type { ProbeConfig } from './config.ts'
import { engineName, engineOf } from './engine.ts'
import { type Evidence, type Failure, ProbeError } from './failure/failure.ts'
import type { Login } from './session/open.ts'
import { openPath, type Path } from './session/path.ts'
import { openSession, type Session } from './session/session.ts'
import { createSlots } from './session/slots.ts'
import { readBareName, readColumns, readGrants, verifyGrants, verifyTable } from './verify.ts'

const FOLDER = fileURLToPath(new URL('../drizzle', import.meta.url))

export interface Migrated {
  /** the names of the migrations that this run applied, in order; empty if there was nothing to do */
  readonly applied: readonly string[]
  readonly address: string | null
  readonly engine: string | null
  readonly failure: Failure | null
  readonly evidence: Evidence
}

interface JournalEntry {
  readonly tag: string
  readonly when: number
}

/** How often a migration that lost against another one at the same time is looked at again. */
const RETRIES = 8

/** Errors of two migrations at once: one of them finds what the other made, or its transaction must restart. */
const CONTENTION: readonly unknown[] = ['40001', '40003', '42P07', '42P06', '42710', '23505', 'XX000', '40P01']

/** Applies what is pending. */
export async function migrate(config: ProbeConfig, signal: AbortSignal, folder = FOLDER): Promise<Migrated> {
  const budget = startBudget(config.options.deadlineMs, signal)
  const login: Login = { user: config.user, certificate: true, tls: true }
  const nothing = { applied: [], address: null, engine: null, evidence: {} }
  let path: Path | null = null
  let session: Session | null = null
  try {
    path = await openPath({ config, budget, slots: createSlots() }, login)
    if (path.dns.failure) throw path.dns.failure
    const { opened } = path
    if (opened?.failure) throw opened.failure
    if (!opened?.socket || !opened.startup) throw new Error('a path without a session')
    const engine = engineOf(opened.startup)
    // A migration may take longer than a single statement of the probe, up to the deadline.
    const patient = { ...budget, waitMs: config.options.deadlineMs }
    session = await openSession(opened.socket, opened.startup, opened.address, patient)
    for (const setting of engine.migrationSettings) await session.ask('a session setting', setting).catch(ignoreUnknown)
    const applied = await applyPending(session, readJournal(folder), folder)
    const columns = await readColumns(session)
    verifyTable(columns, await readBareName(session))
    const grants = await readGrants(session, engine)
    verifyGrants(grants)
    return {
      applied,
      address: opened.address,
      engine: engineName(opened.startup),
      failure: null,
      evidence: { columns: columns.map(({ name, type }) => `${name} ${type}`), grants },
    }
  } catch (error) {
    if (!(error instanceof ProbeError)) throw error
    const { address, startup } = path?.opened ?? {}
    return {
      ...nothing,
      address: address ?? null,
      engine: engineName(startup ?? null),
      failure: error.toFailure(),
      evidence: { ...error.evidence, ...(path && { tried: path.tried }) },
    }
  } finally {
    await session?.close()
  }
}

/** A release that does not know a setting does not need it. */
function ignoreUnknown(error: unknown): void {
  if (!(error instanceof ProbeError) || typeof error.evidence.sqlstate !== 'string') throw error
}

function readJournal(folder: string): JournalEntry[] {
  const journal = JSON.parse(readFileSync(`${folder}/meta/_journal.json`, 'utf8')) as { entries: JournalEntry[] }
  return journal.entries
}

/** The `when` of the migrations that the database says it has. */
async function readApplied(session: Session): Promise<number[]> {
  const question = 'the question for the journal'
  const [found] = await session.ask<{ count: string }>(
    question,
    `SELECT count(*)::text AS count FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'drizzle' AND c.relname = '__drizzle_migrations' AND c.relkind = 'r'`,
  )
  if (found?.count !== '1') return []
  const rows = await session.ask<{ created_at: string }>(
    question,
    'SELECT created_at::text AS created_at FROM drizzle.__drizzle_migrations',
  )
  return rows.map(({ created_at }) => Number(created_at))
}

/**
 * Runs the migrator, which holds no lock: of two at once, one may fail on what the other has just made. Then the
 * journal decides, and what is still pending is tried again.
 */
async function applyPending(session: Session, journal: readonly JournalEntry[], folder: string): Promise<string[]> {
  for (let attempt = 0; ; attempt++) {
    const before = new Set(await readApplied(session))
    const last = Math.max(0, ...before)
    const pending = journal.filter(({ when }) => when > last)
    const skipped = journal.filter(({ when }) => when <= last && !before.has(when))
    if (skipped.length > 0)
      throw new ProbeError(
        'WRITE_REFUSED',
        `the database has later migrations but not ${skipped.map(({ tag }) => tag).join(', ')}: the migrator would pass over them`,
        { evidence: { skipped } },
      )
    if (pending.length === 0) return []
    try {
      await session.run('write', `the migrations ${pending.map(({ tag }) => tag).join(', ')}`, db =>
        drizzleMigrate(db, { migrationsFolder: folder }),
      )
      return pending.map(({ tag }) => tag)
    } catch (error) {
      const lostRace = error instanceof ProbeError && CONTENTION.includes(error.evidence.sqlstate)
      if (!lostRace || attempt >= RETRIES) throw error
      await new Promise(settle => setTimeout(settle, 20 * 2 ** attempt * (0.5 + Math.random())))
      const after = await readApplied(session)
      // Nobody else has moved on: it was not a race but the migration itself.
      if (attempt >= 2 && after.length === before.size) throw error
    }
  }
}
