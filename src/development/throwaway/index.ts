/** The throwaway server: a real one with mutual TLS, on [::1], that leaves nothing behind. */
import { findCockroach, startCockroach } from './cockroach.ts'
import { startPostgres } from './postgres.ts'
import type { Engine, Throwaway, ThrowawayOptions } from './types.ts'

export { type Cluster, findCockroach, startCockroachCluster } from './cockroach.ts'
export { createTemplate, type Template } from './postgres.ts'
export type { Engine, Throwaway, ThrowawayOptions } from './types.ts'

/**
 * The engine `startThrowaway` takes where none is asked for: CockroachDB where there is one, else PostgreSQL.
 * @throws ThrowawayError where COCKROACH_BINARY is set and cannot be run
 */
export const defaultEngine = (): Engine => (findCockroach() === null ? 'postgresql' : 'cockroachdb')

/**
 * Starts a throwaway server and waits until it has been bootstrapped.
 * @throws ThrowawayError (one line, for a person) where no server can be started
 */
export async function startThrowaway(options: ThrowawayOptions = {}): Promise<Throwaway> {
  return (options.engine ?? defaultEngine()) === 'cockroachdb' ? startCockroach(options) : startPostgres(options)
}
