/**
 * The connection under a session: the statements that wait for an answer on it, and how all of them end when it is gone.
 * When that is so, whatever the reason, every statement under way ends with that reason, and so does every later one;
 * the driver is not told, so it can never reconnect behind the caller's back.
 */
import type { EventEmitter } from 'node:events'
import type net from 'node:net'
import type tls from 'node:tls'
import { type Budget, limitOf, type Wait } from '../budget.ts'
import { TERMINATE } from '../dial/wire.ts'
import { guardedSocket } from './guarded-socket.ts'

/** How long a polite end may take, ms. */
const GOODBYE_MS = 200

export interface Link {
  /** what the driver takes for its socket */
  readonly socket: EventEmitter
  /** The driver is ready: from now on it hears the server. */
  start(): void
  /** why the connection is gone; null while it is not */
  lost(): Error | null
  isLost(): boolean
  /** Gives the connection up. */
  lose(reason: Error): void
  /**
   * Runs a statement; `wait` says what it is called when it overruns.
   * Rejects with what it rejects with, or with the reason why the connection is gone.
   */
  run<T>(budget: Budget, wait: Wait, statement: () => PromiseLike<T>): Promise<T>
  /** Ends the connection with Terminate; never rejects. */
  close(): Promise<void>
}

/** A statement that has not been answered. */
interface Pending {
  readonly fail: (reason: Error) => void
  readonly budget: Budget
  readonly wait: Wait
  /** null until its turn comes */
  limit: ReturnType<typeof limitOf> | null
}

/** Takes over a logged-in, paused socket. */
export function createLink(channel: net.Socket | tls.TLSSocket): Link {
  const pending = new Set<Pending>()
  let lost: Error | null = null
  const lose = (reason: Error) => {
    channel.destroy()
    const why = lost ?? reason
    lost = why
    // In the next turn: a statement whose answer came before the end has its answer.
    setImmediate(() => {
      for (const { fail } of [...pending]) fail(why)
    })
  }
  const watch = statementTimer(pending, lose)
  const { socket, start } = guardedSocket(channel, lose)
  return {
    socket,
    start,
    lost: () => lost,
    isLost: () => lost !== null || channel.destroyed,
    lose,
    run: <T>(budget: Budget, wait: Wait, statement: () => PromiseLike<T>) =>
      new Promise<T>((resolve, reject) => {
        const done = () => {
          pending.delete(waiting)
          budget.signal.removeEventListener('abort', interrupted)
          watch()
        }
        const fail = (reason: Error) => {
          done()
          reject(reason)
        }
        const interrupted = () => lose(budget.signal.reason)
        const waiting: Pending = { fail, budget, wait, limit: null }
        pending.add(waiting)
        watch()
        budget.signal.addEventListener('abort', interrupted, { once: true })
        // A statement that throws before it is sent rejects like any other.
        new Promise<T>(settle => settle(statement())).then(value => {
          done()
          resolve(value)
        }, fail)
      }),
    async close() {
      if (channel.destroyed) return
      const closed = new Promise<void>(resolve => channel.once('close', () => resolve()))
      channel.end(TERMINATE)
      const patience = setTimeout(() => channel.destroy(), GOODBYE_MS)
      await closed
      clearTimeout(patience)
    },
  }
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
