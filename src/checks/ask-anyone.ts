/** A question that only adds to what was found: whatever is answered, or that nothing is, decides nothing. */
import { asProbeError } from '../failure/error.ts'
import type { Context } from './check.ts'

/** Asks the sessions of the run, one after another, until one answers; no rows where none does. */
export async function askAnyone<T>({ sessions }: Context, what: string, sql: string): Promise<readonly T[]> {
  for (const session of sessions.filter(session => !session.isLost())) {
    try {
      return await session.ask<T>(what, sql)
    } catch (error) {
      asProbeError(error)
    }
  }
  return []
}
