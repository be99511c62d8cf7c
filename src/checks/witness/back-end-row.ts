/**
 * The row of this run appears. It is looked for ten times a second; when it is there the sessions are listed at once,
 * since the one that wrote it may not live long.
 */
import { pause, roundMs } from '../../budget.ts'
import {
  type ListedSession,
  removalOf,
  type SeenRow,
  sessionsHolding,
  strayRows,
  witnessedRow,
  writtenOnRecord,
} from '../../database/sessions.ts'
import { asProbeError, ProbeError } from '../../failure/error.ts'
import { microseconds } from '../../row/row.ts'
import { ifKnown } from '../../session/if-known.ts'
import type { Session } from '../../session/postgres.ts'
import { retried } from '../../session/retry.ts'
import { certificateRequired } from '../certificate-required.ts'
import { certificateVerified } from '../certificate-verified.ts'
import { type Context, defineCheck } from '../check.ts'
import { cleanUp } from '../clean-up.ts'
import { database, type Sessions } from '../database.ts'
import { expectHeld } from '../dml.ts'
import { proveOwnSession } from '../own-session.ts'
import { table } from '../table.ts'
import type { Awaited } from './awaited.ts'
import { noteUnknownApp } from './machines.ts'

/** Between two looks, ms. */
const LOOK_EVERY_MS = 100

/** The row, and what the server lists at that moment. */
export interface Witnessed {
  readonly row: SeenRow
  /** sessions of others whose statement holds the row's id and is an INSERT into the table */
  readonly writers: readonly ListedSession[]
  /** sessions whose statement holds the row's id and that do not count: ours that inserted it, others that did not */
  readonly others: { readonly ours: number; readonly notInserting: number }
  /** µs since 1970, UTC: when it says it was written, when it was seen; null for what is no time */
  readonly writtenAt: bigint | null
  readonly seenAt: bigint | null
  /** when it was written by the server's own record, which no client can set; null where it keeps none: PostgreSQL */
  readonly recordedAt: bigint | null
  /** which look it was, from 1 */
  readonly looks: number
  /** how long nobody had looked for it, ms: since the look before began; null where there was none */
  readonly unwatchedMs: number | null
  readonly engine: Session['engine']['id']
}

/** What it means that nobody looked for so long, ms. */
export const unwatched = (ms: number): string =>
  `nobody looked for the row in the ${(ms / 1000).toFixed(1)} s before it was seen (this command was stopped, its session was lost, or the server was slow to answer): run npm run witness again`

/** Looks for the row once. */
async function look(session: Session, { rowId }: Awaited, runId: string): Promise<SeenRow | null> {
  const what = 'the query for the row of the back end'
  const sql = witnessedRow(session.engine, rowId, runId)
  const { value } = await retried(session.budget, () => session.send<SeenRow>('read', what, sql))
  const [row] = value
  if (row) session.answeredBy(row.session, what)
  return row ?? null
}

/** Looks until the row is there, or time is up: null. */
async function awaitRow(context: Context, session: Session, awaited: Awaited) {
  const from = performance.now()
  const until = awaited.until()
  for (let looks = 1; ; looks++) {
    const startedAt = performance.now()
    const row = await look(session, awaited, context.runId)
    if (row) awaited.seen()
    const before = awaited.lookedAt()
    const unwatchedMs = before === null ? null : performance.now() - before
    if (!row) awaited.looked(startedAt)
    const leftMs = until - startedAt
    const waitedMs = roundMs(performance.now() - from)
    if (session.budget.signal.aborted) throw session.budget.signal.reason
    if (row || leftMs <= 0) return { row, looks, waitedMs, unwatchedMs }
    if (looks === 1) {
      if (awaited.app !== null) await noteUnknownApp(context, awaited.app)
      await awaited.announce(session.engine.id)
    }
    awaited.waiting(leftMs)
    await pause(Math.min(LOOK_EVERY_MS, until - performance.now()), session.budget)
  }
}

/** The sessions that hold the row's id, and when the row was written by the server's record: in one flight. */
async function readWriters(session: Session, rowId: string) {
  const recorded = writtenOnRecord(session.engine, rowId)
  const record = async () =>
    recorded === null
      ? []
      : // A release that does not show the column: no such column, or not to this user.
        await ifKnown(session.ask<{ micros: string }>('the query for the time of the row', recorded), [], sqlstate =>
          ['42703', '42501'].includes(sqlstate ?? ''),
        )
  const [listed, times] = await Promise.all([
    session.ask<ListedSession>('the sessions query', sessionsHolding(session.engine, rowId)),
    record(),
  ])
  const [time] = times
  return { listed, recordedAt: time && /^-?\d+$/.test(time.micros) ? BigInt(time.micros) : null }
}

async function witnessed(
  { sessions: own }: Context,
  session: Session,
  rowId: string,
  { row, looks, unwatchedMs }: Pick<Witnessed, 'row' | 'looks' | 'unwatchedMs'>,
): Promise<Witnessed> {
  const { listed, recordedAt } = await readWriters(session, rowId)
  // By the server's own names: what a session calls itself is its client's choice.
  const names = new Set(own.map(session => session.name()))
  const isOurs = ({ session }: ListedSession) => names.has(session)
  const inserting = listed.filter(({ inserts }) => inserts === true)
  const writers = inserting.filter(session => !isOurs(session))
  return {
    row,
    looks,
    unwatchedMs,
    engine: session.engine.id,
    writers,
    others: {
      ours: inserting.length - writers.length,
      notInserting: listed.filter(session => session.inserts !== true && !isOurs(session)).length,
    },
    writtenAt: microseconds(row.writtenAt),
    seenAt: microseconds(row.seenAt),
    recordedAt,
  }
}

/** The row did not come; whether a row came that is not quite it is asked now, once. */
async function noRow({ runId, config }: Context, session: Session, { rowId }: Awaited): Promise<ProbeError> {
  const asked = session.ask<{ other: string }>('the query for other rows of this run', strayRows(rowId, runId))
  const strays = await asked.catch(error => {
    asProbeError(error)
    return []
  })
  const others = strays.map(({ other }) => other)
  const waited = `${config.options.waitMs / 1000} s`
  const evidence = { runId, rowId, waited, others }
  if (others.length > 0)
    return new ProbeError(
      'WITNESS_NO_ROW',
      `the row of run ${runId} did not come within ${waited}, a similar one did`,
      {
        evidence,
        hint: `a row came with ${others.join(' and ')}: run in the back end what is printed, unchanged: npm run witness -- --print elixir --run-id ${runId}`,
      },
    )
  return new ProbeError('WITNESS_NO_ROW', `the row of run ${runId} did not come within ${waited}`, { evidence })
}

/**
 * Removes the row that was seen, and the one that may have come while the run was interrupted. After a session that was
 * lost while it waited another attempt waits for it still.
 */
async function removeRow(context: Context, sessions: Sessions, { rowId }: Awaited): Promise<void> {
  const { runId, unremoved, budget } = context
  if (unremoved.size === 0 && !budget.signal.aborted) return
  await cleanUp(context, sessions, async session => {
    const remove = () => session.send('write', 'the removal of the row', removalOf(rowId, runId))
    await retried(session.budget, remove, true)
    unremoved.delete(rowId)
  })
}

export const backEndRowOf = (awaited: Awaited) =>
  defineCheck({
    id: 'back-end-row',
    layer: 'witness',
    criterion: null,
    // Where a login is possible without TLS and its certificate, whose session wrote a row would say nothing.
    needs: { database, certificateRequired, certificateVerified, table },
    title: "the row with this run's id, which the back end writes, appears in time",
    async run(context, { database: { sessions }, table: { held } }) {
      // Without these no row could come, however long it is awaited.
      expectHeld(context.config, held, ['SELECT', 'INSERT'])
      const session = await sessions.reader()
      await proveOwnSession(session)
      context.atEnd(() => removeRow(context, sessions, awaited))
      const { row, looks, waitedMs, unwatchedMs } = await awaitRow(context, session, awaited)
      if (!row) throw await noRow(context, session, awaited)
      context.unremoved.add(awaited.rowId)
      const found = await witnessed(context, session, awaited.rowId, { row, looks, unwatchedMs })
      const evidence = {
        waitedMs,
        looks,
        origin: row.origin,
        writtenBy: row.writtenBy,
        writtenAt: row.writtenAt,
        id: awaited.rowId,
        runId: context.runId,
      }
      return { evidence, found }
    },
  })
