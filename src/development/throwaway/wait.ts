/** Waiting for a server to be ready. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Job, type Supervisor, throwawayError } from './supervisor.ts'

/**
 * Asks `ready` every few ms until it gives a value; the engines announce themselves in a file, which is asked and not
 * watched since it appears, grows and is replaced. Returns null where the server ended first.
 * @throws ThrowawayError after `limit` ms, with the last lines of the server's log
 */
export async function waitFor<T>(
  job: Job,
  supervisor: Supervisor,
  limit: number,
  ready: () => Promise<T | null>,
): Promise<T | null> {
  let ended = false
  void job.exit.then(() => {
    ended = true
  })
  for (const end = Date.now() + limit; Date.now() < end; await sleep(5)) {
    const value = await ready()
    if (value !== null) return value
    if (ended) return null
  }
  throw throwawayError(`the throwaway server was not ready after ${limit} ms: ${await supervisor.lastLines(3)}`)
}
