/**
 * The row was seen soon after it was written, by the server's clock alone: in the select that first shows it. When it was
 * written the row says, which a client can set, and the server has on record, of the row or of the session; the earlier
 * of both counts.
 */
import { ProbeError } from '../../failure/error.ts'
import { microseconds } from '../../row/row.ts'
import { defineCheck } from '../check.ts'
import { type backEndRowOf, unwatched, type Witnessed } from './back-end-row.ts'

/** What a time that a client did not set may be ahead of the server's clock: the clocks of several nodes, ms. */
const AHEAD_MS = 500

const msBetween = (from: bigint | null, to: bigint | null): number | null =>
  from === null || to === null ? null : Number(to - from) / 1000

/** How old the row was, ms; null where nothing says so. */
function agesOf({ writtenAt, seenAt, recordedAt, writers }: Witnessed) {
  const said = msBetween(writtenAt, seenAt)
  // PostgreSQL keeps when a session's last statement began; the first of several is the one that may have written it.
  const began = writers.flatMap(({ statementAt }) => (statementAt === null ? [] : (microseconds(statementAt) ?? [])))
  const [earliest = null] = began.sort((one, other) => Number(one - other))
  const recorded = msBetween(recordedAt ?? earliest, seenAt)
  return { said, recorded, oldest: said === null ? null : Math.max(said, recorded ?? said) }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`

export const backEndVisibleOf = (backEndRow: ReturnType<typeof backEndRowOf>) =>
  defineCheck({
    id: 'back-end-visible',
    layer: 'visibility',
    criterion: null,
    needs: { backEndRow },
    title: 'it is seen within the limit after it was written, by the clock of the server',
    async run({ config }, { backEndRow: found }) {
      const limit = config.options.visibleWithinMs
      const { said, recorded, oldest } = agesOf(found)
      const evidence = { visibleMs: said, limitMs: limit, onRecordMs: recorded, looks: found.looks }
      const late = (message: string, hint?: string) => new ProbeError('ROW_LATE', message, { evidence, hint })
      const FORGED =
        'the client set written_at, so when the row was written is not known: run what is printed, unchanged'
      if (oldest === null || said === null)
        throw late(`${found.row.writtenAt} is no time that a row is written at`, FORGED)
      if (said < -AHEAD_MS) throw late(`by its written_at the row is written in ${seconds(-said)} from now`, FORGED)
      if (oldest <= limit) return { evidence, found: {} }
      const first = `the row was first seen ${seconds(oldest)} after it was written, the limit is ${limit} ms`
      const { unwatchedMs } = found
      // It was there before anybody looked: that says when it was looked for, not when it came to be seen.
      if (unwatchedMs === null)
        throw late(
          `${first}; it was there at the first look`,
          'start npm run witness first and write the row while it waits: of a row that is there already nobody can say how soon it was visible',
        )
      // Seen at once, as far as anybody looked.
      if (oldest - unwatchedMs <= limit) throw late(first, unwatched(unwatchedMs))
      throw late(first)
    },
  })
