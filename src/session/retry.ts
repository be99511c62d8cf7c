/**
 * Statements that lost against another transaction: 40001, "restart transaction", which says that nothing was done.
 * Every statement of the probe is a transaction of its own, so running it again is all that it takes.
 */
import { type Budget, pause } from '../budget.ts'
import { ProbeError } from '../failure/error.ts'

/** How often a statement is tried again, and the first pause before it, ms; each next one is about twice as long. */
const RETRIES = 6
const FIRST_PAUSE_MS = 10

export interface Retried<T> {
  readonly value: T
  readonly retries: number
}

/**
 * Runs a statement, and again with backoff where it is answered with 40001.
 * @param repeatable whether to run it twice comes to the same as once: then 40003 (outcome unknown) is tried again, too
 * Rejects with the last failure, which says how often it was tried again.
 */
export async function retried<T>(budget: Budget, statement: () => Promise<T>, repeatable = false): Promise<Retried<T>> {
  for (let retries = 0; ; retries++) {
    try {
      return { value: await statement(), retries }
    } catch (error) {
      const isLost = error instanceof ProbeError && error.answered === '40001'
      const isUnknown = error instanceof ProbeError && error.answered === '40003' && repeatable
      if (!isLost && !isUnknown) throw error
      if (retries >= RETRIES || budget.signal.aborted) throw error.with({ retries, evidence: { retries } })
      await pause(FIRST_PAUSE_MS * 2 ** retries * (0.5 + Math.random()), budget)
    }
  }
}
