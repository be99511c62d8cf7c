/**
 * A session: postgres.js and Drizzle on a socket that is already dialled and logged in. The driver sees the link's
 * guarded socket and nothing else (link.ts, guarded-socket.ts).
 */
import type { EventEmitter } from 'node:events'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { type Budget, recorded, roundMs } from '../budget.ts'
import { type Engine, engineOf } from '../database/engine.ts'
import { TABLE_NAME } from '../database/sql.ts'
import { drizzle, postgres } from '../driver/index.ts'
import { startupHint } from '../failure/classify.ts'
import { classifyStatement, type StatementKind, statementHint, TIMEOUTS } from '../failure/classify-statement.ts'
import { isServerError, ProbeError } from '../failure/error.ts'
import { sqlName } from '../failure/hints.ts'
import { createLink } from './link.ts'
import type { Opened } from './open.ts'
import { retried } from './retry.ts'
import type { Startup } from './startup.ts'
import { withoutEnvironment } from './without-environment.ts'

/** The server ends a statement for itself before we give up (open.ts): that not even that came is no lock. */
const SILENCE =
  "not even the server's own timeout came back: the link or the node stalls; ping -6 {host}, fly logs -a {app}, then probe again"

export interface Session {
  readonly address: string
  readonly engine: Engine
  /** what connection_probe.session was set to at startup */
  readonly token: string
  /**
   * The shortest round trip so far, of the SSLRequest and of the catalogue's questions, ms: of many one is not held up
   * by this program's own work; null where there was none.
   */
  roundTripMs(): number | null
  /** what its statements wait under */
  readonly budget: Budget
  /**
   * Runs statements of one kind under the statement budget; `what` completes "… was not answered within 5000 ms" and
   * is no secret.
   * Rejects with the code of the SQLSTATE, of the wait (the session is destroyed then: its answer could come at any
   * time), SESSION_PROTOCOL, or CONNECTION_LOST.
   */
  run<T>(kind: StatementKind, what: string, work: (db: PostgresJsDatabase) => PromiseLike<T>): Promise<T>
  /** Asks the catalogue by the simple protocol: no parameters, one round trip (40001 is tried again); rows as objects. */
  ask<T>(what: string, sql: string): Promise<readonly T[]>
  /** Sends one statement without parameters, once; of several that are sent together the server gets this order. */
  send<T>(kind: StatementKind, what: string, sql: string): Promise<readonly T[]>
  /**
   * Takes the server's own name of the session that answered a statement (`engine.sessionName`).
   * @throws ProbeError CONNECTION_REPLACED if the session before was another one
   */
  answeredBy(name: unknown, statement: string): void
  /** that name, once a statement or BackendKeyData has told it */
  name(): string | null
  /** another budget for what follows, e.g. cleaning up after the deadline */
  withBudget(budget: Budget): Session
  /** whether the connection is gone */
  isLost(): boolean
  /** Ends the session with Terminate; never rejects. */
  close(): Promise<void>
}

/** The session that an opened connection is; costs no round trip. Rejects with what ended it if it is none. */
export async function openSession(opened: Opened, budget: Budget): Promise<Session> {
  const { error, socket, startup, address, token } = opened
  if (error) throw error
  if (!socket || !startup) throw new Error('a connection without a socket, and without a failure')
  const link = createLink(socket)
  const { sql, db } = createDriver(link.socket)
  const engine = engineOf(startup)
  const names = sessionNames(engine, startup)
  let shortestMs = opened.roundTripMs ?? Number.POSITIVE_INFINITY

  const under = (budget: Budget): Session => {
    const run: Session['run'] = async (kind, what, work) => {
      const lost = link.lost()
      try {
        if (budget.signal.aborted) throw budget.signal.reason
        if (lost) throw lost
        const wait = { code: TIMEOUTS[kind], what: `${what} was not answered`, hint: SILENCE }
        return await recorded(budget, what, () => link.run(budget, wait, () => work(db)))
      } catch (error) {
        const failure = statementFailure(error, link.lost(), kind, what)
        // The driver stumbled over an answer: what it would make of the next one is anybody's guess.
        if (failure.code === 'SESSION_PROTOCOL') link.lose(failure)
        throw failure
      }
    }
    const send: Session['send'] = <T>(kind: StatementKind, what: string, text: string) =>
      run(kind, what, async () => {
        const from = performance.now()
        const rows = (await sql.unsafe(text)) as unknown as readonly T[]
        shortestMs = Math.min(shortestMs, performance.now() - from)
        return rows
      })
    return {
      ...{ address, engine, token, budget, run, send },
      roundTripMs: () => (Number.isFinite(shortestMs) ? roundMs(shortestMs) : null),
      ...names,
      ask: async <T>(what: string, text: string) =>
        (await retried(budget, () => send<T>('catalogue', what, text))).value,
      withBudget: under,
      isLost: link.isLost,
      close: link.close,
    }
  }
  // The driver pipelines only once a first query has been answered: the empty one, and by ourselves.
  await sql.unsafe('')
  link.start()
  return under(budget)
}

/** The driver on a socket of ours, and Drizzle on the driver. */
function createDriver(socket: EventEmitter): { sql: postgres.Sql; db: PostgresJsDatabase } {
  const options = {
    host: ['::1'],
    port: [1],
    // In a StartupMessage that is not sent; without them the driver asks the operating system.
    user: 'none',
    database: 'none',
    ssl: false as const,
    max: 1,
    prepare: false,
    fetch_types: false,
    idle_timeout: 0,
    max_lifetime: null,
    connect_timeout: 0,
    onnotice: () => undefined,
    // Not in postgres.js's types, but in its connection.js: whoever brings a socket is connected.
    socket: () => socket,
  }
  const sql = withoutEnvironment(() => postgres(options as unknown as postgres.Options<Record<string, never>>))
  return { sql: sql as postgres.Sql, db: drizzle({ client: sql as postgres.Sql }) }
}

/** What a statement's error stands for. `lost` is the reason why the connection is gone, null where it is not. */
export function statementFailure(error: unknown, lost: Error | null, kind: StatementKind, what: string): ProbeError {
  if (error instanceof ProbeError) return error
  const server = serverErrorIn(error)
  if (server) {
    const { code: sqlstate, routine = null, message, severity = server.severity_local ?? '' } = server
    const named = namedBy(server)
    const code = classifyStatement({ sqlstate, severity }, kind, named.inFunction)
    return new ProbeError(code, `${what}: ${message.slice(0, 1000)}`, {
      cause: error,
      origin: { kind: 'server', sqlstate, routine },
      evidence: { sqlstate, routine },
      hint: statementHint(sqlstate, kind, named) ?? startupHint({ sqlstate, message }),
    })
  }
  if (error === lost) return new ProbeError('CONNECTION_LOST', `${what}: the connection was lost`, { cause: error })
  return new ProbeError('SESSION_PROTOCOL', `${what}: the server's answer is not understood`, { cause: error })
}

/** Which session answers on a connection, by the server's own word. */
function sessionNames(
  { sessionNameIsProcessId }: Engine,
  { processId }: Startup,
): Pick<Session, 'answeredBy' | 'name'> {
  const first = sessionNameIsProcessId && processId !== null ? String(processId) : null
  let known = first
  return {
    name: () => known,
    answeredBy(name, statement) {
      const now = typeof name === 'string' ? name : `(${typeof name})`
      const before = known
      known ??= now
      if (before === null || before === now) return
      const was = before === first ? `process ${before} (BackendKeyData)` : before
      throw new ProbeError(
        'CONNECTION_REPLACED',
        `the session was ${was}, and ${statement} was answered by another one: ${now}`,
        { evidence: { before: was, after: now, statement } },
      )
    },
  }
}

/** What the driver's errors and ours (`asCause`) have of a server's. */
interface ServerSaid {
  readonly code: string
  readonly message: string
  readonly severity?: string
  readonly severity_local?: string
  readonly routine?: string | null
  readonly constraint_name?: string
  readonly column_name?: string
  readonly schema_name?: string
  readonly table_name?: string
  /** where it happened inside the server, one line for each level */
  readonly where?: string
}

/** What else an error names (PostgreSQL manual, "Error and Notice Message Fields"). */
function namedBy({ constraint_name, column_name, routine, schema_name, table_name, where = '' }: ServerSaid) {
  const isOther = table_name !== undefined && (table_name !== TABLE_NAME || (schema_name ?? 'public') !== 'public')
  return {
    ...{ constraint: constraint_name, column: column_name, routine },
    otherTable: isOther ? [schema_name, table_name].flatMap(name => (name ? [sqlName(name)] : [])).join('.') : null,
    // "PL/pgSQL function f() line 1 at SQL statement", "SQL function …"; of a constraint it is a statement, of a lock a tuple.
    inFunction: /^(?:PL\/\w+|SQL) function /m.test(where),
  }
}

/** A server's error inside whatever the driver and Drizzle wrapped around it. */
function serverErrorIn(error: unknown): ServerSaid | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++)
    if (isServerError(at)) return at as ServerSaid & Error
  return null
}
