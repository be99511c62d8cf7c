/** Questions and settings that a release of the server may not know. */
import { ProbeError } from '../failure/failure.ts'

/**
 * Resolves with `otherwise` where the server does not know what was asked for or set: by default 42704, no such
 * setting. Whatever else it answers is no such thing, and rejects as it did.
 */
export async function ifKnown<T>(asked: Promise<T>, otherwise: T, unknown: readonly unknown[] = ['42704']): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ProbeError && unknown.includes(error.evidence.sqlstate)) return otherwise
    throw error
  }
}
