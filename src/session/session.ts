/**
 * A session: postgres.js and Drizzle on a socket that is already dialled and logged in.
 *
 * The driver believes that it connects: the StartupMessage it writes is swallowed, since ours has been sent, and the
 * server's recorded answer is played to it. It gets the socket once; asked for another, it gets the reason why there
 * is none, so it can never reconnect behind the caller's back.
 */
import type net from 'node:net'
import type tls from 'node:tls'
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { type Budget, within } from '../budget.ts'
import { classifyStatement, type StatementKind, TIMEOUTS } from '../failure/classify.ts'
import { ProbeError } from '../failure/failure.ts'
import { TERMINATE } from '../wire.ts'
import type { Startup } from './startup.ts'

/** One message, and all that may come in answer to one statement, bytes: no question of ours has a larger answer. */
const MESSAGE_LIMIT = 16 * 1024 * 1024
const EXCHANGE_LIMIT = 64 * 1024 * 1024

/** How long a polite end may take, ms. */
const GOODBYE_MS = 200

export interface Session {
  readonly db: PostgresJsDatabase
  readonly processId: number | null
  readonly address: string
  /**
   * Runs statements of one kind under the statement budget; `what` completes "… within 5000 ms" and is no secret.
   * Rejects with the code of the SQLSTATE, of the wait (the session is destroyed then: its answer could come at any
   * time), or CONNECTION_LOST.
   */
  run<T>(kind: StatementKind, what: string, work: (db: PostgresJsDatabase) => PromiseLike<T>): Promise<T>
  /** Asks the catalogue by the simple protocol: no parameters, one round trip; rows as objects. */
  ask<T>(what: string, sql: string): Promise<readonly T[]>
  /** another budget for what follows, e.g. cleaning up after the deadline */
  withBudget(budget: Budget): Session
  /** whether the connection is gone */
  isLost(): boolean
  /** Ends the session with Terminate; never rejects. */
  close(): Promise<void>
  destroy(): void
}

type Channel = net.Socket | tls.TLSSocket

/** Takes over a socket after ReadyForQuery. Costs no round trip. */
export async function openSession(
  channel: Channel,
  startup: Startup,
  address: string,
  budget: Budget,
): Promise<Session> {
  let lost: Error | null = null
  channel.on('error', error => {
    lost ??= error
  })
  channel.once('close', () => {
    lost ??= new Error('the server closed the connection')
  })
  guard(channel)
  let given = false
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
    socket: () => {
      if (given) throw lost ?? new Error('the connection is gone')
      given = true
      answerLocally(channel, startup.bytes)
      return channel
    },
  }
  const sql = postgres(options as unknown as postgres.Options<Record<string, never>>)
  const db = drizzle({ client: sql as postgres.Sql })

  const failureOf = (error: unknown, kind: StatementKind, what: string): ProbeError => {
    if (error instanceof ProbeError) return error
    const server = postgresError(error)
    if (server)
      return new ProbeError(classifyStatement(server.code, kind), `${what}: ${server.message}`, {
        cause: error,
        evidence: { sqlstate: server.code, routine: server.routine ?? null },
      })
    if (lost instanceof ProbeError) return lost
    if (lost || channel.destroyed)
      return new ProbeError('CONNECTION_LOST', `${what}: the connection was lost`, { cause: lost ?? error })
    return new ProbeError('SESSION_PROTOCOL', `${what}: the server's answer is not understood`, { cause: error })
  }

  const within_ = (at: Budget): Session => ({
    db,
    processId: startup.processId,
    address,
    isLost: () => lost !== null || channel.destroyed,
    async run(kind, what, work) {
      try {
        return await within(at, { code: TIMEOUTS[kind], what: `no answer to ${what}` }, async signal => {
          signal.addEventListener('abort', () => channel.destroy(), { once: true })
          return await work(db)
        })
      } catch (error) {
        throw failureOf(error, kind, what)
      }
    },
    async ask<T>(what: string, text: string) {
      return await this.run('catalogue', what, async () => (await sql.unsafe(text)) as unknown as readonly T[])
    },
    withBudget: within_,
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
  return within_(budget)
}

/** A server's error inside whatever the driver and Drizzle wrapped around it. */
function postgresError(error: unknown): { code: string; message: string; routine?: string } | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++)
    if (at.name === 'PostgresError') return at as Error & { code: string; routine?: string }
  return null
}

/** The answer to an empty query: EmptyQueryResponse, ReadyForQuery (idle). */
const EMPTY_ANSWER = Buffer.from([0x49, 0, 0, 0, 4, 0x5a, 0, 0, 0, 5, 0x49])

/**
 * Stands in for the server until the driver is ready: its StartupMessage (no type byte, length first) is answered with
 * the bytes that the server sent to ours, and its first query, which must be the empty one, with nothing to report.
 * From then on what it writes goes out.
 */
function answerLocally(channel: Channel, startupBytes: Buffer): void {
  const write = channel.write
  let held: Buffer = Buffer.alloc(0)
  let started = false
  const answer = (bytes: Buffer) => setImmediate(() => channel.unshift(bytes))
  channel.write = ((bytes: Buffer) => {
    held = Buffer.concat([held, bytes])
    if (!started) {
      started = true
      held = held.subarray(held.readInt32BE(0))
    }
    if (held.length > 0) {
      channel.write = write
      answer(EMPTY_ANSWER)
    }
    return true
  }) as Channel['write']
  setImmediate(() => {
    channel.resume()
    channel.unshift(startupBytes)
  })
}

/**
 * Watches what comes in, beside the driver, which would take any length on trust: a message or an answer beyond the
 * limits ends the session. Reads the headers only (type, int32 length), holds nothing.
 */
function guard(channel: Channel): void {
  const header = Buffer.alloc(5)
  let have = 0
  let skip = 0
  let exchange = 0
  const refuse = (why: string) =>
    channel.destroy(new ProbeError('SESSION_PROTOCOL', `the server's answer is too large: ${why}`))
  channel.prependListener('data', (chunk: Buffer) => {
    exchange += chunk.length
    for (let at = 0; at < chunk.length; ) {
      if (skip > 0) {
        const take = Math.min(skip, chunk.length - at)
        skip -= take
        at += take
        continue
      }
      header[have++] = chunk[at++] ?? 0
      if (have < 5) continue
      have = 0
      const length = header.readUInt32BE(1)
      if (length < 4 || length > MESSAGE_LIMIT) return void refuse(`a message announces ${length} bytes`)
      skip = length - 4
      if (header[0] === 0x5a) exchange = 0
    }
    if (exchange > EXCHANGE_LIMIT) refuse(`over ${EXCHANGE_LIMIT} bytes for one statement`)
  })
}
