/** The rows that the probe writes: every value its own, so that any that is changed on the way is noticed. */
import { randomInt, randomUUID } from 'node:crypto'
import type { ProbeRow } from '../schema.ts'
import type { CheckContext } from './check.ts'

/** machine@region on Fly, else the host's name. */
function originText({ origin }: CheckContext['config']): string {
  return origin.machine ? `${origin.machine}@${origin.region ?? '?'}` : origin.hostname
}

/**
 * A new row. `clock` is the server's own time (text, UTC), so that a wrong clock here does not make rows look old; its
 * microseconds are replaced by others that end in no zero, so that none are lost unnoticed.
 */
export function newRow(context: Pick<CheckContext, 'config' | 'runId'>, sequence: number, clock: string): ProbeRow {
  const second = /^[^.+]*/.exec(clock)?.[0] ?? clock
  const micros = String(randomInt(99_999)).padStart(5, '0') + String(randomInt(1, 10))
  return {
    id: randomUUID(),
    runId: context.runId,
    sequence,
    origin: originText(context.config),
    writtenBy: context.config.user,
    payload: { probe: 'connection-probe', nested: { list: [1, 2.5, true, null, 'ü…"\\'], sequence } },
    writtenAt: `${second}.${micros}+00`,
  }
}
