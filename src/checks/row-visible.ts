/**
 * A row written on one connection is read on another, independently dialled one, within the limit, equal in every
 * column. The clock runs from handing the INSERT to the driver to the reply that shows the row.
 */
import { remainingMs, roundMs } from '../budget.ts'
import { asProbeError, type Facts, ProbeError, evidence as seal } from '../failure/error.ts'
import type { Rows, WrittenRow } from '../row/index.ts'
import type { Session } from '../session/postgres.ts'
import { type Context, defineCheck } from './check.ts'
import { database } from './database.ts'
import { dml } from './dml.ts'
import { proveOwnSession } from './own-session.ts'
import { lateHint, shareOfLink } from './slow-link.ts'

/** Reading goes on for so many times the limit, so that late is told from never. */
const PATIENCE = 5
/** Left for the rest of the report when the deadline is nearer than the patience, ms. */
const RESERVE_MS = 200

/** When a row that is not there is given up, on performance.now()'s clock: late must be told from never. */
export const patientUntil = ({ config, budget }: Pick<Context, 'config' | 'budget'>, startedAt: number): number =>
  Math.min(startedAt + PATIENCE * config.options.visibleWithinMs, performance.now() + remainingMs(budget) - RESERVE_MS)

/** Writes on one session, reads on the other, and says how long it took. */
export async function writeAndRead(
  context: Pick<Context, 'config' | 'budget'>,
  rows: Rows,
  { writer, reader, row }: { readonly writer: Session; readonly reader: Session; readonly row: WrittenRow },
): Promise<Facts> {
  const limit = context.config.options.visibleWithinMs
  const startedAt = performance.now()
  // While the row is written; the writer's own was asked before.
  const proof = proveOwnSession(reader)
  proof.catch(() => undefined)
  const { retries, settled } = await rows.insert(writer, row)
  const writtenMs = performance.now() - startedAt
  const { read, reads, retries: readRetries } = await rows.pollForRow(reader, row.id, patientUntil(context, startedAt))
  const visibleMs = performance.now() - startedAt
  const link = shareOfLink([writer, reader], visibleMs)
  const evidence = {
    writtenMs: roundMs(writtenMs),
    visibleMs: roundMs(visibleMs),
    limitMs: limit,
    ...link,
    reads,
    retries,
    readRetries,
    settled,
    id: row.id,
  }
  const waited = `${Math.round(visibleMs)} ms`
  if (read && reader.name() === writer.name())
    throw new ProbeError(
      'CONNECTION_REPLACED',
      'the read was not independent: both connections end in the same session',
      { evidence: { ...evidence, session: reader.name() } },
    )
  await proof
  if (!read && visibleMs < limit)
    throw new ProbeError('DEADLINE', `the deadline passed after ${waited} of waiting for the row`, { evidence })
  if (!read)
    throw new ProbeError('ROW_NOT_VISIBLE', `the written row was not visible to another connection within ${waited}`, {
      evidence,
    })
  try {
    rows.compare(row, read)
  } catch (error) {
    throw asProbeError(error).with({ evidence })
  }
  if (visibleMs > limit)
    throw new ProbeError('ROW_LATE', `the row was visible after ${waited}, the limit is ${limit} ms`, {
      evidence,
      hint: link ? lateHint(link, visibleMs, limit) : undefined,
    })
  return { ...evidence, writtenBy: read.writtenBy, origin: read.origin }
}

export const rowVisible = defineCheck({
  id: 'row-visible',
  layer: 'visibility',
  criterion: 'visible',
  needs: { dml, database },
  title: 'a row written on one connection is read, equal in every column, on another within the limit',
  async run(context, { dml: { rows }, database: { sessions } }) {
    const { writer } = sessions
    const row = rows.make(0)
    const evidence = await writeAndRead(context, rows, { writer, reader: await sessions.reader(), row })
    if (!context.config.options.keep) await rows.remove(writer, [row.id])
    return { evidence: seal(evidence), found: {} }
  },
})
