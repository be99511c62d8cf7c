/** Rows read and changed through Drizzle. Every statement about a row gives back which session it was that answered. */
import { pause } from '../budget.ts'
import { rowsById } from '../database/sql.ts'
import { connectionProbe, eq, getTableColumns, inArray, sql } from '../driver/index.ts'
import type { ProbeRow } from '../schema.ts'
import type { Session } from '../session/postgres.ts'
import { retried } from '../session/retry.ts'

/** The column that names the session. */
export const answeredBy = ({ engine }: Session) => ({ session: sql<string>`${sql.raw(engine.sessionName)}` })

const rowAndSession = (session: Session) => ({ ...getTableColumns(connectionProbe), ...answeredBy(session) })

/** The row without the session that read it, which must be the one that was asked. */
function takeRow(session: Session, found: ProbeRow & { readonly session: string }, statement: string): ProbeRow {
  const { session: name, ...row } = found
  session.answeredBy(name, statement)
  return row
}

/** Selects a row by id; null if it is not there. */
export async function readRow(session: Session, id: string): Promise<ProbeRow | null> {
  const [found] = await session.run('read', 'the select', db =>
    db.select(rowAndSession(session)).from(connectionProbe).where(eq(connectionProbe.id, id)),
  )
  return found ? takeRow(session, found, 'the select of a row') : null
}

/** Selects rows by id, those that are there, in any order. */
export async function readRows(session: Session, ids: readonly string[]): Promise<ProbeRow[]> {
  const what = 'the select of all rows'
  const select = () =>
    session.run('read', what, db =>
      db
        .select(rowAndSession(session))
        .from(connectionProbe)
        .where(inArray(connectionProbe.id, [...ids])),
    )
  const { value } = await retried(session.budget, select)
  return value.map(found => takeRow(session, found, what))
}

/** Changes the payload of a row by id, and returns every row that the statement says it changed. */
export async function updatePayload(session: Session, id: string, payload: ProbeRow['payload']): Promise<ProbeRow[]> {
  const what = 'the update'
  const update = () =>
    session.run('write', what, db =>
      db.update(connectionProbe).set({ payload }).where(eq(connectionProbe.id, id)).returning(rowAndSession(session)),
    )
  const { value } = await retried(session.budget, update, true)
  return value.map(found => takeRow(session, found, what))
}

/**
 * Reads until the row is there, or time is up.
 * @param until on performance.now()'s clock, ms
 */
export async function pollForRow(session: Session, id: string, until: number) {
  let retries = 0
  for (let reads = 1; ; reads++) {
    const found = await retried(session.budget, () => readRow(session, id))
    retries += found.retries
    if (found.value || performance.now() >= until) return { read: found.value, reads, retries }
    await pause(Math.min(50, 2 ** reads), session.budget)
  }
}

/**
 * Reads until all of these rows are there, or time is up; one round trip a read.
 * @param until on performance.now()'s clock, ms
 * @returns the ids of those that are not there
 */
export async function missingRows(session: Session, ids: readonly string[], until: number): Promise<readonly string[]> {
  const what = 'the select of the rows'
  let missing = ids
  for (let reads = 1; missing.length > 0; reads++) {
    const text = `SELECT id::text AS id, ${session.engine.sessionName} AS session FROM ${rowsById(missing)}`
    const select = () => session.send<{ id: string; session: string }>('read', what, text)
    const { value } = await retried(session.budget, select)
    for (const { session: name } of value) session.answeredBy(name, what)
    const found = new Set(value.map(({ id }) => id))
    missing = missing.filter(id => !found.has(id))
    if (performance.now() >= until) break
    if (missing.length > 0) await pause(Math.min(50, 2 ** reads), session.budget)
  }
  return missing
}
