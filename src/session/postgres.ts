/**
 * A session: postgres.js and Drizzle on a socket that is already dialled and logged in.
 *
 * Between the socket and the driver stands a `DriverSide` (guarded-socket.ts), which is all that the driver sees. When the
 * connection is gone, whatever the reason, every statement under way ends with that reason, and so does every later
 * one; the driver is not told, so it can never reconnect behind the caller's back.
 */
import type net from 'node:net'
import type tls from 'node:tls'
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { type Budget, limitOf, type Wait } from '../budget.ts'
import { type Engine, engineOf } from '../database/engine.ts'
import { TERMINATE } from '../dial/wire.ts'
import { classifyStatement, type StatementKind, statementHint, TIMEOUTS } from '../failure/classify.ts'
import { ProbeError } from '../failure/error.ts'
import { driverSide } from './guarded-socket.ts'
import type { Opened } from './open.ts'
import { retried } from './retry.ts'
import type { Startup } from './startup.ts'
import { withoutEnvironment } from './without-environment.ts'

/** How long a polite end may take, ms. */
const GOODBYE_MS = 200

/** The server ends a statement for itself before we give up (open.ts): that not even that came is no lock. */
const SILENCE =
  "not even the server's own timeout came back: the link or the node stalls; ping -6 HOST, fly logs, then probe again"

export interface Session {
  readonly db: PostgresJsDatabase
  readonly address: string
  readonly engine: Engine
  /** what connection_probe.session was set to at startup */
  readonly token: string
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
  destroy(): void
}

/** The session that an opened connection is. Rejects with its failure if it is none. */
export async function sessionOf(opened: Opened, budget: Budget): Promise<Session> {
  const { failure, socket, startup } = opened
  if (failure) throw failure
  if (!socket || !startup) throw new Error('a connection without a socket, and without a failure')
  return openSession(socket, startup, opened, budget)
}

/** Takes over a socket after ReadyForQuery. Costs no round trip. */
export async function openSession(
  channel: net.Socket | tls.TLSSocket,
  startup: Startup,
  { address, token }: Pick<Opened, 'address' | 'token'>,
  budget: Budget,
): Promise<Session> {
  const engine = engineOf(startup)
  const known = sessionNames(engine, startup)
  const pending = new Set<Pending>()
  let lost: Error | null = null
  const lose = (reason: Error) => {
    channel.destroy()
    lost ??= reason
    for (const { reject } of pending) reject(lost)
    pending.clear()
  }
  const watch = statementTimer(pending, lose)
  const side = driverSide(channel, lose)
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
    socket: () => side.socket,
  }
  const sql = withoutEnvironment(() => postgres(options as unknown as postgres.Options<Record<string, never>>))
  const db = drizzle({ client: sql as postgres.Sql })

  const failureOf = (error: unknown, kind: StatementKind, what: string): ProbeError => {
    // The reason why a session ended is that of every statement on it; each report of it has evidence of its own.
    if (error instanceof ProbeError) return error.again()
    const server = serverErrorIn(error)
    if (server) {
      const hint = statementHint(server.code, kind)
      return new ProbeError(classifyStatement(server.code, kind), `${what}: ${server.message.slice(0, 1000)}`, {
        cause: error,
        evidence: { sqlstate: server.code, routine: server.routine ?? null },
        ...(hint !== undefined && { hint }),
      })
    }
    if (error === lost) return new ProbeError('CONNECTION_LOST', `${what}: the connection was lost`, { cause: error })
    // The driver stumbled over an answer: what it would make of the next one is anybody's guess.
    const failure = new ProbeError('SESSION_PROTOCOL', `${what}: the server's answer is not understood`, {
      cause: error,
    })
    lose(failure)
    return failure
  }

  const under = (at: Budget): Session => {
    // One listener for all statements: they are many, and few runs are interrupted.
    const interrupted = () => {
      if ([...pending].some(({ budget }) => budget === at)) lose(at.signal.reason)
    }
    at.signal.addEventListener('abort', interrupted, { once: true })
    channel.once('close', () => at.signal.removeEventListener('abort', interrupted))
    return sessionUnder(at)
  }
  const sessionUnder = (at: Budget): Session => ({
    db,
    address,
    engine,
    token,
    budget: at,
    ...known,
    isLost: () => lost !== null || channel.destroyed,
    async run<T>(kind: StatementKind, what: string, work: (db: PostgresJsDatabase) => PromiseLike<T>) {
      try {
        if (at.signal.aborted) throw at.signal.reason
        if (lost) throw lost
        const wait = { code: TIMEOUTS[kind], what: `${what} was not answered`, hint: SILENCE }
        return await new Promise<T>((resolve, reject) => {
          const one: Pending = { reject, budget: at, wait, limit: null }
          const done = () => {
            pending.delete(one)
            watch()
          }
          pending.add(one)
          watch()
          try {
            work(db).then(
              value => {
                done()
                resolve(value)
              },
              error => {
                done()
                reject(error)
              },
            )
          } catch (error) {
            done()
            throw error
          }
        })
      } catch (error) {
        throw failureOf(error, kind, what)
      }
    },
    async ask<T>(what: string, text: string) {
      return (await retried(at, () => this.send<T>('catalogue', what, text))).value
    },
    send<T>(kind: StatementKind, what: string, text: string) {
      return this.run(kind, what, async () => (await sql.unsafe(text)) as unknown as readonly T[])
    },
    withBudget: under,
    async close() {
      if (channel.destroyed) return
      const closed = new Promise<void>(resolve => channel.once('close', () => resolve()))
      channel.end(TERMINATE)
      const patience = setTimeout(() => channel.destroy(), GOODBYE_MS)
      await closed
      clearTimeout(patience)
    },
    destroy: () => channel.destroy(),
  })
  // The driver pipelines only once a first query has been answered: the empty one, and by ourselves.
  await sql.unsafe('')
  side.start()
  return under(budget)
}

/** A statement that has not been answered. */
interface Pending {
  readonly reject: (reason: Error) => void
  readonly budget: Budget
  readonly wait: Wait
  /** null until its turn comes */
  limit: ReturnType<typeof limitOf> | null
}

/**
 * Gives the connection up when a statement has overrun. The server answers one statement after another, so it is the
 * first of them that is waited for: its time runs from its turn on, not from when it was queued. One timer for all of
 * them, which looks when it fires: of many thousand statements hardly one is waited for so long.
 * @returns to be called whenever a statement was added or has ended
 */
function statementTimer(pending: ReadonlySet<Pending>, giveUp: (reason: Error) => void): () => void {
  let firesAt = Number.POSITIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  const look = () => {
    firesAt = Number.POSITIVE_INFINITY
    const [first] = pending
    if (first?.limit && first.limit.endsAt <= performance.now()) giveUp(first.limit.overrun())
    else watch()
  }
  const watch = () => {
    const [first] = pending
    if (!first) return
    first.limit ??= limitOf(first.budget, first.wait)
    const { endsAt } = first.limit
    if (endsAt >= firesAt) return
    clearTimeout(timer)
    firesAt = endsAt
    // The socket keeps the process as long as there is something to wait for. Not before its time: timers are whole ms.
    timer = setTimeout(look, Math.max(0, Math.ceil(endsAt - performance.now()))).unref()
  }
  return watch
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
        {
          evidence: { before: was, after: now, statement },
        },
      )
    },
  }
}

/** A server's error inside whatever the driver and Drizzle wrapped around it. */
function serverErrorIn(error: unknown): { code: string; message: string; routine?: string | null } | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++)
    if (at.name === 'PostgresError' || at.name === 'ErrorResponse')
      return at as Error & { code: string; routine?: string | null }
  return null
}
