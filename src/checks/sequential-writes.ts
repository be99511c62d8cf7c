/** One connection serves many sequential writes. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { asProbeError, evidence, type Facts, ProbeError } from '../failure/error.ts'
import type { Rows, WrittenRow } from '../row/index.ts'
import type { Session } from '../session/postgres.ts'
import { defineCheck } from './check.ts'
import { database } from './database.ts'
import { dml } from './dml.ts'
import { rowVisible } from './row-visible.ts'
import { latencyOf } from './timeline.ts'

/** Rows verified and removed at a time, so that memory stays flat however many are written. */
const BATCH = 1000

/** Reads a batch back in one select and compares each row. */
async function verify(rows: Rows, session: Session, wrote: readonly WrittenRow[]): Promise<void> {
  const read = await rows.readRows(
    session,
    wrote.map(({ id }) => id),
  )
  const byId = new Map(read.map(row => [row.id, row]))
  const absent = wrote.filter(({ id }) => !byId.has(id))
  if (absent.length > 0)
    throw new ProbeError('ROW_NOT_VISIBLE', `${absent.length} of ${wrote.length} written rows are missing`, {
      evidence: { absent: absent.slice(0, 10).map(({ id, sequence }) => ({ id, sequence })) },
    })
  for (const row of wrote) {
    const found = byId.get(row.id)
    if (found) rows.compare(row, found)
  }
}

/** What the writes came to so far. */
interface Tally {
  /** µs of each write */
  readonly latency: RecordableHistogram
  writingMs: number
  retries: number
  settled: number
  read: number
}

const figures = ({ latency, read, retries, settled }: Tally, writer: Session): Facts => ({
  writes: latency.count,
  read,
  retries,
  settled,
  latencyMs: latencyOf(latency),
  session: writer.name(),
})

/** Inserts a row, and counts what it took. */
async function write(rows: Rows, writer: Session, row: WrittenRow, tally: Tally): Promise<void> {
  const from = performance.now()
  const { retries, settled } = await rows.insert(writer, row)
  const ms = performance.now() - from
  tally.writingMs += ms
  tally.latency.record(Math.max(1, Math.round(ms * 1000)))
  tally.retries += retries
  if (settled) tally.settled++
}

export const sequentialWrites = defineCheck({
  id: 'sequential-writes',
  layer: 'reuse',
  criterion: 'reuse',
  needs: { rowVisible, dml, database },
  title: 'all inserts stay on one connection, and one select at the end reads all of them',
  async run(context, { dml: { rows }, database: { sessions } }) {
    const { writes, keep } = context.config.options
    const { writer } = sessions
    const tally: Tally = { latency: createHistogram(), writingMs: 0, retries: 0, settled: 0, read: 0 }
    let batch: WrittenRow[] = []
    try {
      for (let sequence = 1; sequence <= writes; sequence++) {
        const row = rows.make(sequence)
        await write(rows, writer, row, tally)
        batch.push(row)
        context.progress(sequence, writes)
        if (batch.length < BATCH && sequence < writes) continue
        await verify(rows, writer, batch)
        tally.read += batch.length
        if (!keep)
          await rows.remove(
            writer,
            batch.map(({ id }) => id),
          )
        batch = []
      }
    } catch (error) {
      const failed = asProbeError(error)
      throw failed.with({ evidence: evidence(figures(tally, writer), failed.evidence) })
    }
    const perSecond = Math.round(writes / (tally.writingMs / 1000))
    return { evidence: { ...figures(tally, writer), perSecond }, found: {} }
  },
})
