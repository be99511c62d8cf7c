/** The throwaway server: a real one with mutual TLS, on [::1], that leaves nothing behind. */
import { startPostgres } from './postgres.ts'
import type { Throwaway, ThrowawayOptions } from './types.ts'

export { createTemplate, type Template } from './postgres.ts'
export type { Engine, Throwaway, ThrowawayOptions } from './types.ts'

/**
 * Starts a throwaway server and waits until it has been bootstrapped.
 * @throws ThrowawayError (one line, for a person) where no server can be started
 */
export async function startThrowaway(options: ThrowawayOptions = {}): Promise<Throwaway> {
  return startPostgres(options)
}
