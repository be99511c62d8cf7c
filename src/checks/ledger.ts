/**
 * The rows of this run: written, settled where the outcome is unknown, removed by primary key.
 *
 * landed     the row is in the database
 * unknown    the statement was sent and its answer never came: the server may still be at it
 * settle     the same id is inserted again on a new connection, ON CONFLICT DO NOTHING: that waits for the first
 *            statement to end, where reading could see nothing a moment before the row appears
 */

import { inArray, sql } from 'drizzle-orm'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { pause } from '../budget.ts'
import { type Evidence, ProbeError } from '../failure/failure.ts'
import { connectionProbe, type NewProbeRow } from '../schema.ts'
import type { Session } from '../session/session.ts'

/** How often a serialization failure (40001) is tried again, and the first pause before it, ms. */
const RETRIES = 6
const FIRST_PAUSE_MS = 10
/** Rows removed by one statement. */
const BATCH = 500

/** What a write took. */
export interface Written {
  readonly retries: number
  /** set if the outcome was unknown at first: whether the first statement had landed */
  readonly settled: 'landed' | 'repeated' | null
}

export interface Ledger {
  /**
   * Inserts a row and sees to it that its outcome is known.
   * Rejects with the code of what went wrong; CONNECTION_LOST and WRITE_TIMEOUT with `outcome` in their evidence once
   * it is settled, WRITE_AMBIGUOUS if it could not be.
   */
  insert(session: Session, row: NewProbeRow): Promise<Written>
  /**
   * Removes these rows, or all; rows that are gone are forgotten. Rejects if that fails, and with WRITE_REFUSED if
   * rows that were written are not found, as behind a row-level policy: they may still be there.
   */
  remove(session: Session, ids?: readonly string[]): Promise<void>
  /** Inserts again what is still unknown, so that it can be removed. */
  settleAll(session: Session): Promise<void>
  rows(): readonly string[]
  hasUnknown(): boolean
}

/** Failures after which the row may or may not be there. */
function isUnknown(error: ProbeError): boolean {
  const sqlstate = error.evidence.sqlstate
  if (sqlstate === '40003' || (typeof sqlstate === 'string' && sqlstate.startsWith('57P0'))) return true
  return sqlstate === undefined
}

/** A statement that succeeded and did nothing, as behind a trigger or a row-level policy. */
export const nothing = (verb: string, evidence: Evidence = {}): ProbeError =>
  new ProbeError('WRITE_REFUSED', `${verb} is answered with success and changes no row`, {
    evidence: { verb, ...evidence },
  })

const p = sql.placeholder

/**
 * The insert, its SQL built once per session since it is the same for every row. On the server it stays unnamed, as
 * the client says (`prepare: false`); `statements-unnamed` confirms it.
 */
const buildInsert = (db: PostgresJsDatabase) =>
  db
    .insert(connectionProbe)
    .values({
      id: p('id'),
      runId: p('runId'),
      sequence: p('sequence'),
      origin: p('origin'),
      writtenBy: p('writtenBy'),
      payload: p('payload'),
      writtenAt: p('writtenAt'),
    })
    .prepare('connection_probe')

const built = new WeakMap<PostgresJsDatabase, ReturnType<typeof buildInsert>>()

function insertOf(db: PostgresJsDatabase): ReturnType<typeof buildInsert> {
  const insert = built.get(db) ?? buildInsert(db)
  built.set(db, insert)
  return insert
}

const insertAgain = (db: PostgresJsDatabase, row: NewProbeRow) =>
  db
    .insert(connectionProbe)
    .values(row)
    .onConflictDoNothing({ target: connectionProbe.id })
    .returning({ id: connectionProbe.id })

/**
 * A ledger.
 * @param reconnect opens a new session to settle an unknown outcome on; tries until the deadline
 */
export function createLedger(reconnect: () => Promise<Session>): Ledger {
  const rows = new Map<string, { row: NewProbeRow; state: 'landed' | 'unknown' }>()
  /** ids whose DELETE was sent and never answered: not to find them again is no surprise */
  const removing = new Set<string>()

  const settle = async (session: Session, row: NewProbeRow): Promise<'landed' | 'repeated'> => {
    for (let attempt = 0; ; attempt++) {
      try {
        const returned = await session.run('write', 'the same insert again', db => insertAgain(db, row))
        rows.set(row.id ?? '', { row, state: 'landed' })
        return returned.length > 0 ? 'repeated' : 'landed'
      } catch (error) {
        if (!(error instanceof ProbeError) || error.code !== 'WRITE_CONTENDED' || attempt >= RETRIES) throw error
        await pause(FIRST_PAUSE_MS * 2 ** attempt, session.budget)
      }
    }
  }

  /** Settles on a new connection; rejects with WRITE_AMBIGUOUS if that cannot be done. */
  const settleElsewhere = async (row: NewProbeRow, cause: ProbeError): Promise<'landed' | 'repeated'> => {
    let session: Session | null = null
    try {
      session = await reconnect()
      return await settle(session, row)
    } catch (error) {
      const why = error instanceof ProbeError ? error : null
      if (!why) throw error
      throw new ProbeError(
        'WRITE_AMBIGUOUS',
        `whether the row was written is not known (${cause.code}), and could not be settled (${why.code}: ${why.message})`,
        { cause, evidence: { id: row.id, first: cause.code, settling: why.code } },
      )
    } finally {
      await session?.close()
    }
  }

  /** The ids that were found and removed. A DELETE by id can be repeated as often as one likes. */
  const removeBatch = async (session: Session, batch: readonly string[]): Promise<ReadonlySet<string>> => {
    for (let attempt = 0; ; attempt++) {
      try {
        const removed = await session.run('write', 'the removal of the rows', db =>
          db.delete(connectionProbe).where(inArray(connectionProbe.id, batch)).returning({ id: connectionProbe.id }),
        )
        return new Set(removed.map(({ id }) => id))
      } catch (error) {
        if (!(error instanceof ProbeError)) throw error
        if (isUnknown(error)) for (const id of batch) removing.add(id)
        const again = error.code === 'WRITE_CONTENDED' || error.code === 'WRITE_AMBIGUOUS'
        if (!again || attempt >= RETRIES) throw error
        await pause(FIRST_PAUSE_MS * 2 ** attempt, session.budget)
      }
    }
  }

  return {
    async insert(session, row) {
      const id = row.id ?? ''
      for (let retries = 0; ; retries++) {
        // On a connection that is gone nothing is sent: the statement ends with the reason why it is gone.
        if (!session.isLost()) rows.set(id, { row, state: 'unknown' })
        try {
          const { count } = await session.run('write', 'the insert', db => insertOf(db).execute({ ...row }))
          if (count === 0) {
            rows.delete(id)
            throw nothing('INSERT', { id, retries })
          }
          rows.set(id, { row, state: 'landed' })
          return { retries, settled: null }
        } catch (error) {
          if (!(error instanceof ProbeError) || !rows.has(id)) throw error
          const evidence: Evidence = { id, retries }
          if (!isUnknown(error)) {
            rows.delete(id)
            if (error.code === 'WRITE_CONTENDED' && retries < RETRIES) {
              await pause(FIRST_PAUSE_MS * 2 ** retries * (0.5 + Math.random()), session.budget)
              continue
            }
            throw Object.assign(error, { evidence: { ...error.evidence, ...evidence } })
          }
          // Interrupted or out of time: the clean-up settles it.
          if (error.layer === 'run') throw error
          const settled = await settleElsewhere(row, error)
          if (error.evidence.sqlstate === '40003' && !session.isLost()) return { retries, settled }
          const outcome = settled === 'landed' ? 'the row had been written' : 'the row had not been written'
          throw Object.assign(error, { evidence: { ...error.evidence, ...evidence, outcome } })
        }
      }
    },
    async remove(session, ids = [...rows.keys()]) {
      const absent: string[] = []
      for (let at = 0; at < ids.length; at += BATCH) {
        const batch = ids.slice(at, at + BATCH)
        const removed = await removeBatch(session, batch)
        for (const id of batch) {
          if (removed.has(id) || removing.has(id)) rows.delete(id)
          else absent.push(id)
        }
      }
      if (absent.length > 0) throw nothing('DELETE', { absent })
    },
    async settleAll(session) {
      for (const { row, state } of [...rows.values()]) if (state === 'unknown') await settle(session, row)
    },
    rows: () => [...rows.keys()],
    hasUnknown: () => [...rows.values()].some(({ state }) => state === 'unknown'),
  }
}
