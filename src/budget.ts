/**
 * Every wait has a name, a budget and a signal; what overruns says which it was.
 *
 * deadline   the whole attempt (`--deadline`), ms
 * wait       one thing waited for: its own limit is 5 s, at most a quarter of the deadline
 * signal     aborted when the run is interrupted or the wait is over; the reason is always a ProbeError
 * record     takes what was waited for once it is over, for the timeline of the report
 */
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Code } from './failure/codes.ts'
import { ProbeError } from './failure/error.ts'

/** A single wait's limit, ms, where the deadline allows it. */
const WAIT_MS = 5_000

/** Something that took time: its name, and when it began and ended, on performance.now()'s clock, ms. */
export interface Span {
  readonly name: string
  readonly from: number
  readonly until: number
  /** the stage of a connection that it was: tcp, tls or session */
  readonly stage?: string
  /** the id of the check that it belongs to, where that is not the one that runs */
  readonly check?: string
}

export type RecordSpan = (span: Span) => void

export interface Budget {
  /** when the attempt must be over, on performance.now()'s clock, ms */
  readonly endsAt: number
  /** the limit of one wait, ms */
  readonly waitMs: number
  /** aborted with a ProbeError when the run is interrupted */
  readonly signal: AbortSignal
  readonly record: RecordSpan
}

/** What is waited for. */
export interface Wait {
  /** the code of the failure when this wait alone overruns */
  readonly code: Code
  /** the thing waited for, as it completes "… within 5000 ms": e.g. "the server did not answer the SSLRequest" */
  readonly what: string
  /** a hint that knows more than the code's own */
  readonly hint?: string
}

/** The limit of one wait under a deadline, ms. */
export const waitMsOf = (deadlineMs: number): number => Math.min(WAIT_MS, deadlineMs / 4)

/** A budget of `deadlineMs` from now on. */
export function startBudget(deadlineMs: number, signal: AbortSignal, record: RecordSpan = () => undefined): Budget {
  // Every wait listens; they are many at once, and none outlives its wait.
  setMaxListeners(0, signal)
  return { endsAt: performance.now() + deadlineMs, waitMs: waitMsOf(deadlineMs), signal, record }
}

/** What is left of the deadline, ms, never negative. */
export const remainingMs = (budget: Budget): number => Math.max(0, budget.endsAt - performance.now())

/** A duration as a report has it: ms with three decimals. */
export const roundMs = (ms: number): number => Math.round(ms * 1000) / 1000

/** When a wait that begins now is over, on performance.now()'s clock, and the failure that it then is. */
export function limitOf(budget: Budget, wait: Wait): { readonly endsAt: number; readonly overrun: () => ProbeError } {
  const left = remainingMs(budget)
  const ms = Math.min(budget.waitMs, left)
  return {
    endsAt: performance.now() + ms,
    overrun: () =>
      budget.waitMs <= left
        ? new ProbeError(wait.code, `${wait.what} within ${Math.round(ms)} ms`, wait.hint ? { hint: wait.hint } : {})
        : new ProbeError('DEADLINE', `the deadline passed while ${wait.what}`),
  }
}

/**
 * Runs `work` under a budget. `work` gets a signal and must let go of its resources when it is aborted; whether it
 * does or not, the promise settles in time.
 * Rejects with `wait.code` when the wait's own limit is overrun, with DEADLINE when the deadline comes first, with
 * the signal's reason when the run is interrupted, else with what `work` rejects with.
 */
export function within<T>(budget: Budget, wait: Wait, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  if (budget.signal.aborted) return Promise.reject(budget.signal.reason)
  const own = new AbortController()
  const { endsAt, overrun } = limitOf(budget, wait)
  return new Promise<T>((resolve, reject) => {
    const giveUp = (reason: unknown) => {
      done()
      reject(reason)
      own.abort(reason)
    }
    const timer = setTimeout(() => giveUp(overrun()), Math.max(0, endsAt - performance.now()))
    const interrupted = () => giveUp(budget.signal.reason)
    budget.signal.addEventListener('abort', interrupted, { once: true })
    const done = () => {
      clearTimeout(timer)
      budget.signal.removeEventListener('abort', interrupted)
    }
    // A work that throws before it waits rejects like any other.
    new Promise<T>(settle => settle(work(own.signal))).finally(done).then(resolve, reject)
  })
}

/** Does something, and records that it took its time, whatever it came to; `stage` is that of a connection. */
export async function recorded<T>(
  { record }: Budget,
  name: string,
  work: () => Promise<T>,
  stage?: string,
): Promise<T> {
  const from = performance.now()
  try {
    return await work()
  } finally {
    record({ name, from, until: performance.now(), ...(stage && { stage }) })
  }
}

/** Waits so long, ms; no longer than the budget lasts, and not at all once the run is interrupted. Never rejects. */
export const pause = (ms: number, budget: Budget): Promise<void> =>
  sleep(Math.min(ms, remainingMs(budget)), undefined, { signal: budget.signal }).catch(() => undefined)

/** Between attempts, ms. */
const ATTEMPT_PAUSE_MS = 1_000

/** What `--wait` says, and how to tell of it. */
export interface Waiting<T> {
  readonly waitMs: number
  readonly signal: AbortSignal
  /** for a person watching */
  readonly note: (text: string) => void
  /** in words, what of an attempt waiting may cure; null: another one would come to the same */
  readonly curable: (outcome: T) => string | null
}

/** Makes attempts, from 1, until one leaves nothing that waiting can cure, or that long is over; resolves with the last. */
export async function attempts<T>(
  make: (attempt: number) => Promise<T>,
  { waitMs, signal, note, curable }: Waiting<T>,
): Promise<T> {
  const until = performance.now() + waitMs
  for (let attempt = 1; ; attempt++) {
    const outcome = await make(attempt)
    const why = curable(outcome)
    if (why === null || signal.aborted || performance.now() + ATTEMPT_PAUSE_MS >= until) return outcome
    note(`attempt ${attempt}: ${why}; trying again`)
    await sleep(ATTEMPT_PAUSE_MS, undefined, { signal }).catch(() => undefined)
  }
}
