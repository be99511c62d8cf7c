/**
 * The typed row through Drizzle: what the checks do with it. This file and what it imports bring Drizzle and the driver
 * along, whose loading takes longer than most dials: the checks import it where they first need a session (`database`),
 * and for its types.
 */
import type { ProbeConfig } from '../settings/config.ts'
import { createLedger, type Ledger, noRowsChanged } from './ledger.ts'
import { compare, makeRow, type WrittenRow } from './row.ts'
import { missingRows, pollForRow, readRow, readRows, updatePayload } from './select.ts'

export { openSession } from '../session/postgres.ts'
export type { WrittenRow } from './row.ts'

const STATEMENTS = { readRow, readRows, updatePayload, pollForRow, missingRows, compare, noRowsChanged } as const

/** The rows of a run. */
export type Rows = typeof STATEMENTS &
  Ledger & {
    /** a row that is not written yet */
    make(sequence: number): WrittenRow
  }

/**
 * The rows of one run.
 * @param clock the server's time, as text, UTC
 * @param reconnect opens a new session where an outcome has to be settled
 * @param unremoved the ids of the rows that may be there by our doing (ledger.ts)
 */
export const createRows = (
  { config, runId }: { readonly config: ProbeConfig; readonly runId: string },
  clock: string,
  reconnect: Parameters<typeof createLedger>[0],
  unremoved: Set<string>,
): Rows => ({
  ...STATEMENTS,
  ...createLedger(reconnect, unremoved),
  make: sequence => makeRow(config, runId, sequence, clock),
})
