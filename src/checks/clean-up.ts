/** Leaving nothing behind: this run's rows, and those that an earlier run could not remove. */
import { type Budget, remainingMs, startBudget } from '../budget.ts'
import { rowsById, TABLE_NAME } from '../database/sql.ts'
import type { Warning } from '../failure/codes.ts'
import { asProbeError, count, type ProbeError } from '../failure/error.ts'
import type { Rows } from '../row/index.ts'
import { withText } from '../session/answers.ts'
import type { Session } from '../session/postgres.ts'
import type { Context } from './check.ts'
import type { Sessions } from './database.ts'

/** How long removing may take when the run was interrupted, and after the deadline, ms: with a polite end within half a second. */
const INTERRUPTED_MS = 900
const OVERTIME_MS = 250

/** Rows as old as this are swept, so many at most, within so long. */
const SWEEP = { age: '1 day', rows: 1000, ms: 2000 } as const

/** A budget of its own: a run that is interrupted or out of time still has to remove what it wrote. */
function cleanUpBudget(budget: Budget): Budget {
  const never = new AbortController().signal
  if (budget.signal.aborted) return { ...startBudget(INTERRUPTED_MS, never), waitMs: INTERRUPTED_MS }
  const ms = remainingMs(budget) + OVERTIME_MS
  return { ...startBudget(ms, never), waitMs: Math.min(budget.waitMs, ms) }
}

/** The warning about rows that stay behind, which says how to remove them. */
export const rowsLeft = (ids: readonly string[], { code, message }: Pick<ProbeError, 'code' | 'message'>): Warning => ({
  code: 'ROWS_LEFT',
  message: `${count(ids.length, 'row')} could not be removed (${code}: ${message}); when that is fixed, remove what is left: DELETE FROM ${rowsById(ids)};`,
})

/**
 * Has rows removed at the end of a run, on a living session if there is one, else on a new one, under a budget of its
 * own. A session may be dead and nobody know it yet: then the next one has them removed. What cannot be removed is a
 * warning.
 */
export async function cleanUp(
  context: Context,
  sessions: Sessions,
  remove: (session: Session) => Promise<void>,
): Promise<void> {
  const { unremoved, warn } = context
  const budget = cleanUpBudget(context.budget)
  let extra: Session | null = null
  try {
    for (const living of context.sessions.filter(session => !session.isLost()))
      if (await isDoneOn(living.withBudget(budget), remove)) return
    extra = await sessions.another(budget)
    await remove(extra)
  } catch (error) {
    const failed = asProbeError(error)
    if (unremoved.size === 0) return
    const { code, message } = rowsLeft([...unremoved], failed)
    warn(code, message)
  } finally {
    await extra?.close()
  }
}

/** Whether the session did it; false where it turned out to be dead. Rejects with anything else. */
async function isDoneOn(session: Session, work: (session: Session) => Promise<void>): Promise<boolean> {
  try {
    await work(session)
    return true
  } catch (error) {
    if (session.isLost()) return false
    throw error
  }
}

/** Removes the run's rows. Outcomes that are still unknown are settled first. */
export async function removeRows(context: Context, sessions: Sessions, rows: Rows): Promise<void> {
  const { keep } = context.config.options
  if (context.unremoved.size === 0 || (keep && !rows.hasUnknown())) return
  await cleanUp(context, sessions, async session => {
    // Behind a pooler another session may answer: that is for the checks to judge, and the rows have to go all the same.
    const whoeverAnswers: Session = { ...session, answeredBy: () => undefined }
    await rows.settleAll(whoeverAnswers)
    if (!keep) await rows.remove(whoeverAnswers)
  })
}

/** Removes rows that earlier runs left, a day later, whatever this run's verdict is. A sweep that fails is a note and no verdict. */
export async function sweep({ budget, sessions, note }: Context): Promise<void> {
  const ms = Math.min(SWEEP.ms, remainingMs(budget))
  const living = sessions.findLast(session => !session.isLost())
  if (!living || ms === 0 || budget.signal.aborted) return
  const session = living.withBudget({ ...startBudget(ms, budget.signal), waitMs: ms })
  try {
    const what = 'the query for old rows'
    const old = withText(
      await session.ask<{ id: string }>(
        what,
        `SELECT id::text AS id FROM public.${TABLE_NAME} WHERE written_at < now() - INTERVAL '${SWEEP.age}' LIMIT ${SWEEP.rows}`,
      ),
      'id',
      what,
    )
    if (old.length === 0) return
    await session.send('write', 'the sweep', `DELETE FROM ${rowsById(old.map(({ id }) => id))}`)
    note(`swept ${count(old.length, 'row')} that earlier runs left behind`)
  } catch (error) {
    const { code, message } = asProbeError(error)
    note(`rows of earlier runs could not be swept: ${code}: ${message}`)
  }
}
