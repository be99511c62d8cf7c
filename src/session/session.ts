/**
 * A session: postgres.js and Drizzle on a socket that is already dialled and logged in.
 *
 * Between the socket and the driver stands a `DriverSide` (driver-side.ts), which is all that the driver sees. When the
 * connection is gone, whatever the reason, every statement under way ends with that reason, and so does every later
 * one; the driver is not told, so it can never reconnect behind the caller's back.
 */
import type net from 'node:net'
import type tls from 'node:tls'
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { type Budget, limited } from '../budget.ts'
import { classifyStatement, type StatementKind, TIMEOUTS } from '../failure/classify.ts'
import { ProbeError } from '../failure/failure.ts'
import { TERMINATE } from '../wire.ts'
import { driverSide } from './driver-side.ts'
import type { Opened } from './open.ts'
import { retried } from './retried.ts'
import type { Startup } from './startup.ts'

/** How long a polite end may take, ms. */
const GOODBYE_MS = 200

/** The server ends a statement for itself before we give up (open.ts): that not even that came is no lock. */
const SILENCE =
  "not even the server's own timeout came back: the link or the node stalls; ping -6 HOST, fly logs, then probe again"

export interface Session {
  readonly db: PostgresJsDatabase
  readonly processId: number | null
  readonly address: string
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
  /** another budget for what follows, e.g. cleaning up after the deadline */
  withBudget(budget: Budget): Session
  /** whether the connection is gone */
  isLost(): boolean
  /** Ends the session with Terminate; never rejects. */
  close(): Promise<void>
  destroy(): void
}

/** The session that an opened connection is. Rejects with its failure if it is none. */
export async function sessionOf({ failure, socket, startup, address }: Opened, budget: Budget): Promise<Session> {
  if (failure) throw failure
  if (!socket || !startup) throw new Error('a connection without a socket, and without a failure')
  return openSession(socket, startup, address, budget)
}

/** Takes over a socket after ReadyForQuery. Costs no round trip. */
export async function openSession(
  channel: net.Socket | tls.TLSSocket,
  startup: Startup,
  address: string,
  budget: Budget,
): Promise<Session> {
  /** what the statements under way are rejected with when the connection is gone */
  const pending = new Set<(reason: Error) => void>()
  let lost: Error | null = null
  const lose = (reason: Error) => {
    channel.destroy()
    lost ??= reason
    for (const reject of pending) reject(lost)
    pending.clear()
  }
  const side = driverSide(channel, lose)
  const options = {
    host: ['::1'],
    port: [1],
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
  const sql = postgres(options as unknown as postgres.Options<Record<string, never>>)
  const db = drizzle({ client: sql as postgres.Sql })

  const failureOf = (error: unknown, kind: StatementKind, what: string): ProbeError => {
    // The reason why a session ended is that of every statement on it; each report of it has evidence of its own.
    if (error instanceof ProbeError) return error.again()
    const server = serverErrorIn(error)
    if (server)
      return new ProbeError(classifyStatement(server.code, kind), `${what}: ${server.message.slice(0, 1000)}`, {
        cause: error,
        evidence: { sqlstate: server.code, routine: server.routine ?? null },
      })
    if (error === lost) return new ProbeError('CONNECTION_LOST', `${what}: the connection was lost`, { cause: error })
    // The driver stumbled over an answer: what it would make of the next one is anybody's guess.
    const failure = new ProbeError('SESSION_PROTOCOL', `${what}: the server's answer is not understood`, {
      cause: error,
    })
    lose(failure)
    return failure
  }

  const under = (at: Budget): Session => ({
    db,
    processId: startup.processId,
    address,
    budget: at,
    isLost: () => lost !== null || channel.destroyed,
    async run<T>(kind: StatementKind, what: string, work: (db: PostgresJsDatabase) => PromiseLike<T>) {
      const statement = () =>
        new Promise<T>((resolve, reject) => {
          if (lost) return reject(lost)
          pending.add(reject)
          const done = () => pending.delete(reject)
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
        })
      try {
        const wait = { code: TIMEOUTS[kind], what: `${what} was not answered`, hint: SILENCE }
        return await limited(at, wait, statement, reason => lose(reason as Error))
      } catch (error) {
        throw failureOf(error, kind, what)
      }
    },
    async ask<T>(what: string, text: string) {
      const asked = () => this.run('catalogue', what, async () => (await sql.unsafe(text)) as unknown as readonly T[])
      return (await retried(at, asked)).value
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

/** A server's error inside whatever the driver and Drizzle wrapped around it. */
function serverErrorIn(error: unknown): { code: string; message: string; routine?: string | null } | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++)
    if (at.name === 'PostgresError' || at.name === 'ErrorResponse')
      return at as Error & { code: string; routine?: string | null }
  return null
}
