/** Questions and settings that a release of the server may not know. */
import { ProbeError } from '../failure/error.ts'

/**
 * Resolves with `otherwise` where the server does not know what was asked for or set: by default 42704, no such
 * setting. Whatever else it answers is no such thing, and rejects as it did.
 */
export async function ifKnown<T, Otherwise>(
  asked: Promise<T>,
  otherwise: Otherwise,
  isUnknown: (sqlstate: string | null) => boolean = sqlstate => sqlstate === '42704',
): Promise<T | Otherwise> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ProbeError && isUnknown(error.answered)) return otherwise
    throw error
  }
}
