/** What is awaited: one row, written by the back end through its own connection. */
import type { Engine } from '../../database/engine.ts'

/** Says what to run in the back end, whose database is of this engine. */
export type Announce = (engine: Engine['id']) => Promise<void>

export interface Awaited {
  /** the row's id; the run's is in the context */
  readonly rowId: string
  /** the user that it must be written as: for the titles */
  readonly user: string
  /** the app whose machines the session must come from; null: from anywhere */
  readonly app: string | null
  readonly announce: Announce
  /** how long it is awaited still, ms */
  waiting(leftMs: number): void
  /** when the row is given up, on performance.now()'s clock: `--wait` from the first call on */
  until(): number
  /** The row is there. */
  seen(): void
  /** when the last look began that did not find the row, on performance.now()'s clock; null before there was one */
  lookedAt(): number | null
  looked(at: number): void
}
