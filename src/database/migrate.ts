/**
 * Applies drizzle/ as gateway_admin over the same dial as the probe, with drizzle-orm's migrator: the same files and
 * the same journal (drizzle.__drizzle_migrations) as `npx drizzle-kit migrate`. Then holds table and grants against
 * src/. Never throws for what the target does.
 */
import type { MigrationMeta } from 'drizzle-orm/migrator'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { remainingMs, startBudget } from '../budget.ts'
import { asProbeError, type Evidence, evidence, type Facts, type Failure, ProbeError } from '../failure/error.ts'
import { ifKnown } from '../session/if-known.ts'
import { ownLogin } from '../session/open.ts'
import { lookUp, openPath, type Path } from '../session/path.ts'
import { openSession, type Session } from '../session/postgres.ts'
import type { ProbeConfig } from '../settings/config.ts'
import { type Engine, engineName, engineOf } from './engine.ts'
import { advised } from './migrate-hints.ts'
import { type Migration, readMigrations } from './migrations.ts'
import { otherGrants, readBareName, readColumns, readGrants, verifyGrants, verifyTable } from './verify.ts'

export interface Migrated {
  /** the names of the migrations that this run applied, in order; empty if there was nothing to do */
  readonly applied: readonly string[]
  readonly address: string | null
  readonly engine: string | null
  readonly failure: Failure | null
  /** grants on the table beside those that schema.ts declares, a line each */
  readonly others: readonly string[]
  readonly evidence: Evidence
}

/** How often a migration that lost against another one at the same time is tried again. */
const RETRIES = 8

/** Applies what is pending. */
export async function migrate(
  config: ProbeConfig,
  signal: AbortSignal,
  migrations: readonly Migration[] = readMigrations(),
): Promise<Migrated> {
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
    const applied = await applyPending(session, engine, migrations)
    const columns = await readColumns(session)
    verifyTable(columns, await readBareName(session))
    const grants = await readGrants(session, engine)
    verifyGrants(grants)
    return {
      applied,
      address: opened.address,
      engine: engineName(opened.startup),
      failure: null,
      others: otherGrants(grants, config.user),
      evidence: evidence({ columns: columns.map(({ name, type }) => `${name} ${type}`), grants }),
    }
  } catch (error) {
    const failed = asProbeError(error)
    const { address = null, startup = null, error: notOpened = null } = path?.opened ?? {}
    const tried: Facts = path ? { tried: path.tried } : {}
    return {
      applied: [],
      address,
      engine: engineName(startup),
      failure: (path && !notOpened ? advised(failed) : failed).toFailure(),
      others: [],
      evidence: evidence(failed.evidence, tried),
    }
  } finally {
    await session?.close()
  }
}

/** The `when` of the migrations that the database says it has. */
async function readApplied(session: Session): Promise<number[]> {
  const question = 'the journal query'
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
 * Runs the migrator inside one transaction that begins with the engine's lock, so that of two at once the second finds
 * nothing left to do: PostgreSQL waits for the lock, CockroachDB, whose transactions are serializable and read the
 * journal, is told to restart (40001).
 */
async function applyPending(session: Session, engine: Engine, migrations: readonly Migration[]): Promise<string[]> {
  for (let attempt = 0; ; attempt++) {
    const before = new Set(await readApplied(session))
    const last = Math.max(0, ...before)
    const pending = migrations.filter(({ meta }) => meta.folderMillis > last)
    const skipped = migrations.filter(({ meta }) => meta.folderMillis <= last && !before.has(meta.folderMillis))
    if (skipped.length > 0)
      throw new ProbeError(
        'WRITE_REFUSED',
        `the database has later migrations but not ${tags(skipped)}: the migrator would pass over them`,
        { evidence: { skipped: skipped.map(({ tag }) => tag) } },
      )
    if (pending.length === 0) return []
    try {
      const metas = migrations.map(({ meta }) => meta)
      const applied = await session.run('write', `the migrations ${tags(pending)}`, db =>
        runMigrator(db, engine, metas),
      )
      return migrations.filter(({ meta }) => applied.includes(meta.folderMillis)).map(({ tag }) => tag)
    } catch (error) {
      if (!(error instanceof ProbeError) || session.isLost() || attempt >= RETRIES) throw error
      // Told to restart, or stumbled over what another run has made meanwhile: the journal tells.
      const overtaken = error.answered === '40001' || (await readApplied(session)).length > before.size
      if (!overtaken) throw error
      await new Promise(settle => setTimeout(settle, 20 * 2 ** attempt * (0.5 + Math.random())))
    }
  }
}

const tags = (migrations: readonly Migration[]): string => migrations.map(({ tag }) => tag).join(', ')

/** What drizzle-orm's dialect has, and its types leave out. */
interface Migrator {
  migrate(migrations: MigrationMeta[], session: unknown, config: object): Promise<void>
}

/** drizzle-orm's migrator on a transaction of ours, in which its own is a part. Returns the `when` of what it applied. */
async function runMigrator(db: PostgresJsDatabase, engine: Engine, metas: MigrationMeta[]): Promise<number[]> {
  return db.transaction(async tx => {
    if (engine.migrationLock) await tx.execute(engine.migrationLock)
    const { dialect, session } = tx as unknown as {
      dialect: Migrator
      session: { all(query: unknown): Promise<unknown[]> }
    }
    let last = 0
    const inside = {
      execute: (query: string) => tx.execute(query),
      all: async (query: unknown) => {
        const rows = await session.all(query)
        last = Number((rows[0] as { created_at?: unknown } | undefined)?.created_at ?? 0)
        return rows
      },
      transaction: (work: (transaction: typeof tx) => Promise<void>) => work(tx),
    }
    await dialect.migrate(metas, inside, {})
    return metas.map(({ folderMillis }) => folderMillis).filter(when => when > last)
  })
}
