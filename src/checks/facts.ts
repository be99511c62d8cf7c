/**
 * What the catalogue says, asked on the writer's session in one flight before anything is written: the driver sends
 * simple queries without waiting for each other's answers, so that all of it costs one round trip.
 *
 * Each fact is a promise of its own: a question that fails fails the checks that rest on it, and no other.
 */

import { type Engine, literal } from '../database/engine.ts'
import { type CatalogueColumn, readBareName, readColumns } from '../database/verify.ts'
import { CODES } from '../failure/codes.ts'
import { ProbeError } from '../failure/error.ts'
import { TABLE_NAME } from '../schema.ts'
import { ifKnown } from '../session/if-known.ts'
import { SESSION_TOKEN } from '../session/open.ts'
import type { Session } from '../session/postgres.ts'
import type { ProbeConfig } from '../settings/config.ts'

export type Verb = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE'
export const VERBS: readonly Verb[] = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']

/** What the user holds on the table; `usage` is USAGE on schema public. */
export interface Held {
  readonly verbs: readonly Verb[]
  readonly usage: boolean
}

/** A role as pg_roles has it. */
export interface Role {
  readonly name: string
  readonly superuser: boolean
  readonly createrole: boolean
  readonly createdb: boolean
  readonly bypassrls: boolean
  readonly replication: boolean
  readonly login: boolean
}

export interface Facts {
  readonly engine: Engine
  readonly database: Promise<{ readonly exists: boolean; readonly database: string }>
  /** Resolves once the session has proved to be the one that was opened; else rejects with CONNECTION_REPLACED. */
  readonly ownSession: Promise<void>
  /** the server's clock, as text with microseconds, UTC */
  readonly clock: Promise<string>
  readonly columns: Promise<readonly CatalogueColumn[]>
  readonly bareName: Promise<string | null>
  readonly held: Promise<Held>
  readonly users: Promise<{ readonly current: string; readonly session: string }>
  /** the configured user, gateway_admin, root, and whom else our certificate names, as far as they exist */
  readonly roles: Promise<readonly Role[]>
}

/** The only row of an answer. A server that has none to give does not know its own catalogue. */
export function only<T>(rows: readonly T[], what: string): T {
  const [row] = rows
  if (row === undefined || rows.length > 1)
    throw new ProbeError('CATALOGUE_FAILED', `${what} was answered with ${rows.length} rows instead of one`)
  return row
}

/** The node goes away, or the link to it: no answer about what was asked. A wait that overran (a lock) is one. */
const sessionIsOver = ({ code }: ProbeError): boolean => CODES[code].waitable && !code.endsWith('_TIMEOUT')

/** A setting made in the session, which it keeps to its end; unlike SESSION_TOKEN it is gone after DISCARD ALL. */
export const KEPT_SETTING = 'connection_probe.kept'

/** What stands in between where a session is not the one that was opened. */
const POOLED =
  'something in between (a pooler, a proxy) drops startup options or shares one session among clients: connect to the .internal name and the port of the database itself'

/**
 * Asks for the setting that this connection, and no other, made at startup, and for the server's name of the session;
 * and makes one that `statements-unnamed` asks for. CockroachDB says 42704 where a setting is not there, PostgreSQL
 * gives NULL.
 * @throws ProbeError CONNECTION_REPLACED if the session is not the one that was opened
 */
export async function proveOwnSession(session: Session): Promise<void> {
  const what = 'the question for the session'
  const { engine, token } = session
  const asked = session.ask<{ token: string | null; session: string }>(
    what,
    `SELECT current_setting('${SESSION_TOKEN}', true) AS token,
            set_config('${KEPT_SETTING}', ${literal(token)}, false) AS kept, ${engine.sessionName} AS session`,
  )
  const rows = await ifKnown(asked, null)
  const found = rows && only(rows, what)
  if (!found?.token)
    throw new ProbeError(
      'CONNECTION_REPLACED',
      `the session does not have ${SESSION_TOKEN}, which was set at startup`,
      {
        evidence: { missing: SESSION_TOKEN },
        hint: POOLED,
      },
    )
  if (found.token !== token)
    throw new ProbeError(
      'CONNECTION_REPLACED',
      `the session is another connection's: it has that one's ${SESSION_TOKEN}`,
      {
        evidence: { setting: SESSION_TOKEN },
        hint: POOLED,
      },
    )
  session.answeredBy(found.session, what)
}

async function readDatabase(session: Session, configured: string) {
  // What is answered with 3D000 is the database; the table, its privileges and its locks are other checks' matter.
  const used = session
    .ask('the first use of the database', `SELECT 1 FROM ${TABLE_NAME} LIMIT 0`)
    .then(() => true)
    .catch(error => {
      const sqlstate = error instanceof ProbeError ? error.sqlstate : null
      if (sqlstate === null || sessionIsOver(error)) throw error
      return sqlstate !== '3D000'
    })
  const listed = session.ask<{ name: string; found: string }>(
    'the question for the database',
    `SELECT current_database() AS name,
            (SELECT count(*)::text FROM pg_catalog.pg_database WHERE datname = current_database()) AS found`,
  )
  const [isUsed, rows] = await Promise.all([used, listed.catch(error => error as ProbeError)])
  if (!isUsed) return { exists: false, database: configured }
  if (rows instanceof ProbeError) {
    if (rows.sqlstate === '3D000') return { exists: false, database: configured }
    throw rows
  }
  const { name, found } = only(rows, 'the question for the database')
  if (name !== configured)
    throw new ProbeError('CATALOGUE_FAILED', `the session is in database "${name}", not "${configured}"`)
  return { exists: found === '1', database: name }
}

async function readHeld(session: Session): Promise<Held> {
  const question = 'the question for the privileges'
  const each = VERBS.map(verb => `has_table_privilege(c.oid, '${verb}') AS "${verb}"`).join(', ')
  const rows = await session.ask<Record<Verb, boolean> & { usage: boolean }>(
    question,
    `SELECT ${each}, has_schema_privilege('public', 'USAGE') AS usage
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relname = '${TABLE_NAME}'`,
  )
  const row = only(rows, question)
  return { verbs: VERBS.filter(verb => row[verb] === true), usage: row.usage === true }
}

/**
 * Sends every question at once.
 * @param named whom our certificate names
 */
export function askFacts(
  session: Session,
  { user, database: configured }: Pick<ProbeConfig, 'user' | 'database'>,
  named: readonly string[],
): Facts {
  const { engine } = session
  const one = async <T>(what: string, sql: string) => only(await session.ask<T>(what, sql), what)
  const facts = {
    engine,
    database: readDatabase(session, configured),
    ownSession: proveOwnSession(session),
    clock: one<{ now: string }>("the question for the server's clock", 'SELECT clock_timestamp()::text AS now').then(
      ({ now }) => now,
    ),
    columns: readColumns(session),
    bareName: readBareName(session),
    held: readHeld(session),
    users: one<{ current: string; session: string }>(
      'the question who this is',
      'SELECT current_user::text AS current, session_user::text AS session',
    ),
    roles: session.ask<Role>(
      'the question for the roles',
      `SELECT rolname::text AS name, rolsuper AS superuser, rolcreaterole AS createrole, rolcreatedb AS createdb,
              rolbypassrls AS bypassrls, rolreplication AS replication, rolcanlogin AS login
       FROM pg_catalog.pg_roles WHERE rolname IN (${[user, 'gateway_admin', 'root', ...named].map(literal).join(', ')})
       ORDER BY rolname`,
    ),
  }
  // Facts that nobody comes to ask for, because an earlier check failed, are no unhandled rejections.
  for (const fact of Object.values(facts)) if (fact instanceof Promise) fact.catch(() => undefined)
  return facts
}
