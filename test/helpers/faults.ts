/**
 * One valid base, one fault, the expected verdict: what the attribution tables run on.
 *
 *   base     a migrated server with what src/ declares and nothing else; `restore` brings it back before every case,
 *            so that no case depends on another
 *   fault    SQL that root runs, or one thing that a proxy before the server does wrong
 *   verdict  what failed with which code, what is blocked, the evidence, and that no row is left
 *
 * What differs between the engines in how a base is restored stands here, once.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { bootstrapSteps } from '../../src/database/bootstrap/index.ts'
import type { Engine, Throwaway, ThrowawayOptions } from '../../src/development/throwaway/index.ts'
import type { Report } from '../../src/report/report.ts'
import type { Options } from '../../src/settings/config.ts'
import { clientOf, pemOf } from './clients.ts'
import { MIGRATION_SQL } from './migrations.ts'
import { configOf } from './probe.ts'
import { faultyProxy, type ProxyOptions } from './proxy.ts'
import { relay } from './relay.ts'
import type { Session, SessionServer } from './sessions.ts'
import { statementsOf } from './statements.ts'
import { migrated, type Pem, run, settings } from './target.ts'
import { type Expected, expectVerdict } from './verdict.ts'

export type OnStatement = NonNullable<ProxyOptions['onStatement']>
export type ProxyFault = Partial<Omit<ProxyOptions, 'upstream' | 'credentials' | 'tls'>>

export interface Case extends Expected {
  readonly fault: string
  /** where the fault exists; absent: on both */
  readonly engines?: readonly Engine[]
  /** run as root in the case's database, after it was restored */
  readonly sql?: string | ((database: string) => string)
  /** what a proxy before the server does; made anew for each run */
  readonly proxy?: () => ProxyFault
  /** the round trip of the link before that, ms; the TCP handshake takes none */
  readonly roundTripMs?: number
  readonly user?: string
  readonly options?: Partial<Options>
  /** ends the run */
  readonly signal?: AbortSignal
  /** run as root before the rows that are left are removed */
  readonly afterwards?: string
  /** false: there is no table to count rows in afterwards */
  readonly table?: false
  /** done while the probe runs; ends what it began when disposed */
  readonly meanwhile?: (base: Base, database: string) => Promise<AsyncDisposable>
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g

/** Statements of the probe, by their text. */
export const isInsert = (sql: string): boolean => /^insert /i.test(sql) && !isSettling(sql)
export const isSettling = (sql: string): boolean => / on conflict /i.test(sql)
export const isRead = (sql: string): boolean => /^select .* = \$1$/i.test(sql)
export const isFinalRead = (sql: string): boolean => /^select .* in \(\$/i.test(sql)
export const isDelete = (sql: string): boolean => /^delete /i.test(sql)
/** The rows that a statement names in its text: what removes them, and looks whether they are gone, has no parameters. */
export const idsIn = (sql: string): string[] => [...sql.matchAll(UUID)].map(([id]) => id)

/** Which row an insert writes: 0 row-visible's, -1 dml's, 1 and up those of sequential-writes. */
export const sequenceOf = (params: readonly (string | null)[]): number => Number(params[2])

/** A fault for the insert of one row, so many times. */
export function onInsert(sequence: number, fault: Awaited<ReturnType<OnStatement>>, times = 1): () => ProxyFault {
  return () => {
    let left = times
    return {
      onStatement: (sql, params) =>
        isInsert(sql) && sequenceOf(params) === sequence && left-- > 0 ? fault : undefined,
    }
  }
}

/** A fault for the reads of one row; those of other rows are left alone. */
export function onRead(sequence: number, fault: () => Awaited<ReturnType<OnStatement>>): () => ProxyFault {
  return () => {
    let id: string | null | undefined
    return {
      onStatement(sql, params) {
        if (isInsert(sql) && sequenceOf(params) === sequence) id = params[0]
        return id && isRead(sql) && params[0] === id ? fault() : undefined
      },
    }
  }
}

/** SQL that makes the table anew with one thing different, grants and all. */
export function tableWith(from: string, to: string): string {
  if (!MIGRATION_SQL.includes(from)) throw new Error(`no migration says ${from}`)
  return `DROP TABLE public.connection_probe; ${MIGRATION_SQL.replace(from, to)}`
}

/** A trigger on the table that runs this body before each insert. PostgreSQL. */
export const insertTrigger = (body: string): string => `
  CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$;
  CREATE TRIGGER meddle BEFORE INSERT ON public.connection_probe FOR EACH ROW EXECUTE FUNCTION public.meddle()`

/** Everything in the database, and everything that gateway_writer is and holds, is as after bootstrap and migration. */
const POSTGRESQL_RESTORE = (database: string): string => `
  SET client_min_messages = error;
  DROP SCHEMA IF EXISTS public CASCADE; DROP SCHEMA IF EXISTS other CASCADE; DROP SCHEMA IF EXISTS pgatemp_1 CASCADE;
  REVOKE CREATE ON SCHEMA pg_catalog, information_schema FROM PUBLIC;
  ALTER DATABASE ${database} OWNER TO root; ALTER DATABASE ${database} RESET ALL;
  DROP OWNED BY gateway_writer CASCADE; DROP OWNED BY gateway_reader CASCADE;
  REVOKE CREATE ON DATABASE ${database} FROM PUBLIC;
  REVOKE gateway_admin, gateway_reader, pg_execute_server_program FROM gateway_writer;
  ALTER ROLE gateway_writer NOSUPERUSER NOCREATEROLE NOCREATEDB NOBYPASSRLS NOREPLICATION;
  ALTER ROLE gateway_writer RESET ALL; ALTER ROLE gateway_writer IN DATABASE ${database} RESET ALL;
  CREATE SCHEMA public;
  ${bootstrapSteps('postgresql', database)
    .filter(({ generates }) => !generates)
    .map(({ sql }) => `${sql};`)
    .join('\n')}
  SET ROLE gateway_admin; ${MIGRATION_SQL}; RESET ROLE;`

/** What a case may have done to the roles; a release that does not know one has nothing to undo. */
const COCKROACHDB_ROLES: readonly string[] = [
  ...['admin', 'gateway_admin', 'gateway_reader'].map(role => `REVOKE ${role} FROM gateway_writer`),
  'REVOKE admin FROM gateway_reader',
  ...['CREATEROLE', 'CREATEDB', 'CREATELOGIN', 'CONTROLJOB', 'CANCELQUERY', 'VIEWACTIVITY'].map(
    option => `ALTER ROLE gateway_writer WITH NO${option}`,
  ),
  'ALTER ROLE gateway_writer RESET ALL',
]

/** Passes over what a release does not know: 42704 no such object, 42601 no such option. */
function ifUnknown(error: unknown): void {
  if (!['42704', '42601'].includes(String((error as { code?: unknown }).code))) throw error
}

export interface Base {
  readonly server: Throwaway
  /** A restored database, with `sql` run on it as root; its name. */
  restore(sql?: string | ((database: string) => string)): Promise<string>
  /** The proxy, with certificates that this server's clients trust. */
  proxy(options?: ProxyFault): Promise<SessionServer>
  pem(user: string): Pem
  /** a session of root's own, to be disposed */
  root(database: string): ReturnType<typeof clientOf>
  count(database: string): Promise<number>
  stop(): Promise<void>
}

/** Makes a database of this name, bootstrapped and empty. */
async function bootstrapped(server: Throwaway, database: string): Promise<void> {
  for (const { sql, database: on, generates } of bootstrapSteps(server.engine, database)) {
    const rows = await server.runAsRoot(sql, on)
    if (!generates) continue
    for (const statement of rows.flatMap(row => Object.values(row))) await server.runAsRoot(String(statement), on)
  }
}

/** A base around a migrated server. */
async function createBase(options: ThrowawayOptions): Promise<Base> {
  const server = await migrated(options)
  const pem = (user: string): Pem => pemOf(server, user)
  const proxied = await server.authority.issue({ commonName: 'node', dnsNames: ['localhost'], ipAddresses: ['::1'] })
  const credentials = ({ sslRequested, peerName }: Session) => {
    if (!sslRequested) return undefined
    return peerName === undefined ? { ca: server.authority.certificate } : pem(peerName)
  }
  let made = 0
  /** the database as the last case left it, where nothing but a proxy was at fault in it */
  let clean: string | null = null
  /** one session for all that is asked of PostgreSQL between two cases: a connection of their own costs the most of it */
  let rootsOwn: ReturnType<typeof clientOf> | undefined
  const asRoot = (sql: string, database: string): Promise<readonly Record<string, unknown>[]> => {
    if (server.engine === 'cockroachdb') return server.runAsRoot(sql, database)
    rootsOwn ??= clientOf(server, 'root', database)
    return rootsOwn
      .unsafe(sql)
      .simple()
      .then(rows => [...rows] as Record<string, unknown>[])
  }

  async function restoreCockroach(): Promise<string> {
    const database = `case_${++made}`
    for (const statement of COCKROACHDB_ROLES) await server.runAsRoot(statement, 'postgres').catch(ifUnknown)
    await bootstrapped(server, database)
    // As after a migration, gateway_admin owns the table; PostgreSQL's restore makes it as that role.
    const own = 'ALTER TABLE public.connection_probe OWNER TO gateway_admin'
    for (const sql of statementsOf(`${MIGRATION_SQL}; ${own}`)) await server.runAsRoot(sql, database)
    return database
  }

  /** Restores it whatever the last case left, and runs the case's own. */
  async function restoreAll(sql: string | ((database: string) => string)): Promise<string> {
    const own = (database: string): string => (typeof sql === 'string' ? sql : sql(database))
    if (server.engine === 'cockroachdb') {
      const database = await restoreCockroach()
      for (const statement of statementsOf(own(database))) await server.runAsRoot(statement, database)
      return database
    }
    const { database } = server
    await asRoot(`${POSTGRESQL_RESTORE(database)} ${own(database)}`, database)
    return database
  }

  return {
    server,
    pem,
    root: database => clientOf(server, 'root', database),
    async restore(sql = '') {
      if (sql === '' && clean !== null) {
        await asRoot('DELETE FROM public.connection_probe', clean)
        return clean
      }
      const database = await restoreAll(sql)
      clean = sql === '' ? database : null
      return database
    },
    proxy: more =>
      faultyProxy({ upstream: server, tls: { cert: proxied.chain, key: proxied.key }, credentials, ...more }),
    async count(database) {
      const [row] = await asRoot('SELECT count(*)::int4 AS n FROM public.connection_probe', database)
      return Number(row?.n)
    },
    async stop() {
      await rootsOwn?.end({ timeout: 1 })
      await server.stop()
    },
  }
}

/** A base for the tests of a file. */
export function useBase(options: ThrowawayOptions = {}): () => Base {
  let base: Base | undefined
  beforeAll(async () => {
    base = await createBase(options)
  })
  afterAll(() => base?.stop())
  return () => {
    if (!base) throw new Error('the base is used before it is made')
    return base
  }
}

/** Runs the probe on the base with the case's fault. */
export async function probeCase(
  base: Base,
  { sql, proxy, roundTripMs, user = 'gateway_writer', options, signal, meanwhile }: Omit<Case, 'fault'>,
) {
  const database = await base.restore(sql)
  await using _meanwhile = meanwhile ? await meanwhile(base, database) : undefined
  await using server = proxy ? await base.proxy(proxy()) : undefined
  const direct = server?.port ?? base.server.port
  await using link = roundTripMs ? await relay({ target: { port: direct }, delayMs: roundTripMs / 2 }) : undefined
  const port = link?.port ?? direct
  const given = { writes: 5, visibleWithinMs: 5000, ...options }
  const config = configOf(settings({ port, user, database, pem: base.pem(user) }), { options: given })
  const report = await run(config, signal ? { signal } : {})
  return { report, database, statements: server?.statements ?? [], maxOpen: server?.maxOpen ?? 0 }
}

/** Nothing is left of a run; or ROWS_LEFT names what is, and the statement in it removes it. */
export async function expectNothingLeft(
  base: Base,
  database: string,
  report: Report,
  rowsLeft?: Expected['rowsLeft'],
): Promise<void> {
  const warning = report.warnings.find(({ code }) => code === 'ROWS_LEFT')
  if (!rowsLeft) {
    expect(warning).toBeUndefined()
    expect(await base.count(database)).toBe(0)
    return
  }
  const statement =
    /DELETE FROM public\.connection_probe WHERE id IN \([^)]*\);/.exec(warning?.message ?? '')?.[0] ?? ''
  const rows = await base.server.runAsRoot('SELECT id::text AS id FROM public.connection_probe', database)
  const there = rows.map(({ id }) => String(id)).sort()
  const named = idsIn(statement).sort()
  expect(rowsLeft === 'exactly' ? named : named.filter(id => there.includes(id))).toEqual(there)
  expect(named.length).toBeGreaterThan(0)
  if (rowsLeft === 'unfounded') expect(there).toEqual([])
  await base.server.runAsRoot(statement, database)
  expect(await base.count(database)).toBe(0)
}

/** The table: one test for each case that this engine can have. */
export function describeFaults(title: string, base: () => Base, cases: readonly Case[]): void {
  const engine = inject('engine')
  const here = cases.filter(({ engines }) => !engines || engines.includes(engine))
  // A suite without a test fails.
  if (here.length === 0) return
  describe(`${title} (${engine})`, () => {
    for (const one of here)
      it(one.fault, async () => {
        const { report, database } = await probeCase(base(), one)
        expectVerdict(report, one)
        if (one.afterwards) await base().server.runAsRoot(one.afterwards, database)
        if (one.table !== false) await expectNothingLeft(base(), database, report, one.rowsLeft)
      })
  })
}
