/**
 * The rows of this run: written, settled where the outcome is unknown, removed by primary key.
 *
 * landed     the row is in the database
 * unknown    the statement was sent and its answer never came: the server may still be at it
 * doubtful   answered so that the row should not be there, by what may not know: it is removed if it is there
 * settle     the same id is inserted again on a new connection, ON CONFLICT DO NOTHING: that waits for the first
 *            statement to end, where reading could see nothing a moment before the row appears
 */
import { rowsById } from '../database/sql.ts'
import { connectionProbe } from '../driver/index.ts'
import { CODES } from '../failure/codes.ts'
import { count, type Facts, ProbeError } from '../failure/error.ts'
import type { Session } from '../session/postgres.ts'
import { retried } from '../session/retry.ts'
import type { WrittenRow } from './row.ts'
import { answeredBy } from './select.ts'

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
  insert(session: Session, row: WrittenRow): Promise<Written>
  /**
   * Removes these rows, or all, and looks whether they are gone; rows that are gone are forgotten. Rejects if that
   * fails, with WRITE_REFUSED if rows are still there or there again, and with ROW_NOT_VISIBLE if rows that were
   * reported written are not found: they never were, or may still be there.
   */
  remove(session: Session, ids?: readonly string[]): Promise<void>
  /** Inserts again what is still unknown, so that it can be removed. */
  settleAll(session: Session): Promise<void>
  /** whether the outcome of a row is not known */
  hasUnknown(): boolean
}

interface Entry {
  /** null for a row of an earlier attempt */
  readonly row: WrittenRow | null
  readonly state: 'landed' | 'unknown' | 'doubtful'
}

/** What is known of the rows. */
interface Books {
  get(id: string): Entry | undefined
  set(id: string, entry: Entry): void
  forget(id: string): void
  entries(): readonly Entry[]
  /** ids whose DELETE was answered, or sent and never answered: not to find them again is no surprise */
  readonly removing: Set<string>
  readonly reconnect: () => Promise<Session>
}

/**
 * A ledger.
 * @param reconnect opens a new session to settle an unknown outcome on; tries until the deadline
 * @param unremoved the ids of the rows that may be there by our doing, kept up to date; those that are in it from an
 *   earlier attempt are removed with the others
 */
export function createLedger(reconnect: () => Promise<Session>, unremoved: Set<string>): Ledger {
  const entries = new Map<string, Entry>([...unremoved].map(id => [id, { row: null, state: 'doubtful' }]))
  const removing = new Set<string>()
  const books: Books = {
    get: id => entries.get(id),
    set(id, entry) {
      entries.set(id, entry)
      unremoved.add(id)
    },
    forget(id) {
      entries.delete(id)
      unremoved.delete(id)
      removing.delete(id)
    },
    entries: () => [...entries.values()],
    removing,
    reconnect,
  }
  return {
    insert: (session, row) => insert(books, session, row),
    remove: (session, ids = [...unremoved]) => remove(books, session, ids),
    async settleAll(session) {
      for (const { row, state } of books.entries()) if (row && state === 'unknown') await settle(books, session, row)
    },
    hasUnknown: () => books.entries().some(({ state }) => state === 'unknown'),
  }
}

/**
 * What an error says of a row whose insert it answers. CONNECTION_LOST is a session that ended, by a FATAL or since a
 * pooler lost the server behind it, class 57P0 a server that goes away, 40003 an unknown outcome by name; 23505 says
 * that the id is there, and internal errors (XX, 58) may come after the row.
 */
function afterError({ sqlstate, code }: ProbeError): 'unknown' | 'doubtful' | 'absent' {
  if (sqlstate === null || code === 'CONNECTION_LOST' || /^(40003|57P0.)$/.test(sqlstate)) return 'unknown'
  return /^(23505|XX...|58...)$/.test(sqlstate) ? 'doubtful' : 'absent'
}

/** What to look at where a statement does not do what it says. */
const MEDDLED =
  'a trigger, a rule or a row-level policy on the table: psql \\d+ connection_probe, as root SHOW CREATE TABLE public.connection_probe'

/** What to think of where a row was reported written and read, and is not found by its id. */
const NEVER_THERE =
  'something that answers from memory, or a row-level policy that hides rows: is a proxy or pooler in between? Use the .internal name; psql \\d+ connection_probe, as root SHOW CREATE TABLE public.connection_probe'

const REMOVAL = 'the removal of the rows'

/** A statement that succeeded and did nothing, or not for long, as behind a trigger or a row-level policy. */
export const noRowsChanged = (
  verb: string,
  evidence: Facts = {},
  what = 'reported success but changed no row',
): ProbeError => new ProbeError('WRITE_REFUSED', `${verb} ${what}`, { hint: MEDDLED, evidence: { verb, ...evidence } })

async function insert(books: Books, session: Session, row: WrittenRow): Promise<Written> {
  const { id } = row
  try {
    const { value, retries } = await retried(session.budget, () => {
      // On a connection that is gone nothing is sent: the statement ends with the reason why it is gone.
      if (!session.isLost()) books.set(id, { row, state: 'unknown' })
      return session.run('write', 'the insert', db =>
        db.insert(connectionProbe).values(row).returning(answeredBy(session)),
      )
    })
    const [returned] = value
    books.set(id, { row, state: returned ? 'landed' : 'doubtful' })
    if (!returned) throw noRowsChanged('INSERT', { id, retries })
    session.answeredBy(returned.session, `the insert of row ${row.sequence}`)
    return { retries, settled: null }
  } catch (error) {
    if (!(error instanceof ProbeError) || books.get(id)?.state !== 'unknown') throw error
    return afterFailedInsert(books, session, row, error)
  }
}

/** Finds out what became of a row whose insert failed. Rejects with that failure unless the row is there after all. */
async function afterFailedInsert(books: Books, session: Session, row: WrittenRow, error: ProbeError): Promise<Written> {
  const { id } = row
  const { retries } = error
  const evidence = { id, retries }
  const after = afterError(error)
  if (after === 'doubtful') books.set(id, { row, state: 'doubtful' })
  if (after === 'absent') books.forget(id)
  if (after !== 'unknown') throw error.with({ evidence })
  // Interrupted or out of time: the clean-up settles it.
  if (error.layer === 'run') throw error
  const settled = await settleElsewhere(books, row, error)
  if (error.answered === '40003' && !session.isLost()) return { retries, settled }
  const outcome = settled === 'landed' ? 'the row had been written' : 'the row had not been written'
  throw error.with({ evidence: { ...evidence, outcome } })
}

async function settle(books: Books, session: Session, row: WrittenRow): Promise<'landed' | 'repeated'> {
  const what = 'the same insert again'
  const again = () =>
    session.run('write', what, db =>
      db
        .insert(connectionProbe)
        .values(row)
        .onConflictDoNothing({ target: connectionProbe.id })
        .returning(answeredBy(session)),
    )
  const { value: returned } = await retried(session.budget, again, true)
  books.set(row.id, { row, state: 'landed' })
  for (const { session: name } of returned) session.answeredBy(name, what)
  return returned.length > 0 ? 'repeated' : 'landed'
}

/** Settles on a new connection; rejects with WRITE_AMBIGUOUS if that cannot be done. */
async function settleElsewhere(books: Books, row: WrittenRow, cause: ProbeError): Promise<'landed' | 'repeated'> {
  let session: Session | null = null
  try {
    session = await books.reconnect()
    return await settle(books, session, row)
  } catch (error) {
    const why = error instanceof ProbeError ? error : null
    if (!why || why.code === 'CONNECTION_REPLACED') throw error
    throw new ProbeError(
      'WRITE_AMBIGUOUS',
      `whether the row was written is not known (${cause.code}), and could not be settled (${why.code}: ${why.message})`,
      {
        cause,
        evidence: { id: row.id, first: cause.code, settling: why.code },
        hint: `first: ${why.hint ?? CODES[why.code].hint}; then run the statement in the warning ROWS_LEFT, if there is one, and probe again`,
      },
    )
  } finally {
    await session?.close()
  }
}

async function remove(books: Books, session: Session, ids: readonly string[]): Promise<void> {
  const absent: string[] = []
  const back: string[] = []
  for (let at = 0; at < ids.length; at += BATCH) {
    const batch = ids.slice(at, at + BATCH)
    const { removed, left, sessions } = await removeBatch(books, session, batch)
    for (const id of batch) {
      if (left.has(id)) back.push(id)
      else if (removed.has(id) || books.removing.has(id) || books.get(id)?.state === 'doubtful') books.forget(id)
      else absent.push(id)
    }
    for (const name of sessions) session.answeredBy(name, REMOVAL)
  }
  if (back.length > 0) throw noRowsChanged('DELETE', { back }, 'reported success but the rows are still there')
  if (absent.length > 0)
    throw new ProbeError(
      'ROW_NOT_VISIBLE',
      `missing when they should be removed: ${absent.length} of ${count(ids.length, 'row')} reported written`,
      { evidence: { absent: absent.slice(0, 10) }, hint: NEVER_THERE },
    )
}

/** The ids that were found and removed, and those that are there all the same, asked in the same flight. */
async function removeBatch({ removing }: Books, session: Session, batch: readonly string[]) {
  const these = rowsById(batch)
  const removeThem = async () => {
    try {
      const sql = `DELETE FROM ${these} RETURNING id::text AS id, ${session.engine.sessionName} AS session`
      const removed = await session.send<{ id: string; session: string }>('write', REMOVAL, sql)
      // Should the question that follows have to be asked again: these are gone by then.
      for (const { id } of removed) removing.add(id)
      return removed
    } catch (error) {
      if (error instanceof ProbeError && afterError(error) === 'unknown') for (const id of batch) removing.add(id)
      throw error
    }
  }
  const findThem = () => {
    const sql = `SELECT id::text AS id FROM ${these}`
    return session.send<{ id: string }>('catalogue', 'the query for rows that are left', sql)
  }
  // The server gets them in this order; both again where one was told to restart.
  const { value } = await retried(session.budget, () => Promise.all([removeThem(), findThem()]), true)
  const [removed, left] = value
  return {
    removed: new Set(removed.map(({ id }) => id)),
    left: new Set(left.map(({ id }) => id)),
    sessions: removed.map(({ session: name }) => name),
  }
}
