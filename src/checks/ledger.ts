/**
 * The rows of this run: written, settled where the outcome is unknown, removed by primary key.
 *
 * landed     the row is in the database
 * unknown    the statement was sent and its answer never came: the server may still be at it
 * settle     the same id is inserted again on a new connection, ON CONFLICT DO NOTHING: that waits for the first
 *            statement to end, where reading could see nothing a moment before the row appears
 */

import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { inArray } from 'drizzle-orm/sql/expressions/conditions'
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
  /** The row was removed by the check itself. */
  forget(id: string): void
  /** Removes these rows, or all. Rejects if that fails; rows that are gone are forgotten. */
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
        `whether the row was written is not known (${cause.code}), and could not be settled (${why.code})`,
        { cause, evidence: { id: row.id, first: cause.code, settling: why.code } },
      )
    } finally {
      await session?.close()
    }
  }

  return {
    async insert(session, row) {
      const id = row.id ?? ''
      for (let retries = 0; ; retries++) {
        rows.set(id, { row, state: 'unknown' })
        try {
          await session.run('write', 'the insert', db => db.insert(connectionProbe).values(row))
          rows.set(id, { row, state: 'landed' })
          return { retries, settled: null }
        } catch (error) {
          if (!(error instanceof ProbeError)) throw error
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
    forget: id => void rows.delete(id),
    async remove(session, ids = [...rows.keys()]) {
      for (let at = 0; at < ids.length; at += BATCH) {
        const batch = ids.slice(at, at + BATCH)
        for (let attempt = 0; ; attempt++) {
          try {
            await session.run('write', 'the removal of the rows', db =>
              db.delete(connectionProbe).where(inArray(connectionProbe.id, batch)),
            )
            break
          } catch (error) {
            if (!(error instanceof ProbeError) || error.code !== 'WRITE_CONTENDED' || attempt >= RETRIES) throw error
            await pause(FIRST_PAUSE_MS * 2 ** attempt, session.budget)
          }
        }
        for (const id of batch) rows.delete(id)
      }
    },
    async settleAll(session) {
      for (const { row, state } of [...rows.values()]) if (state === 'unknown') await settle(session, row)
    },
    rows: () => [...rows.keys()],
    hasUnknown: () => [...rows.values()].some(({ state }) => state === 'unknown'),
  }
}
