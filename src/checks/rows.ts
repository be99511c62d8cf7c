/** Leaving nothing behind: this run's rows, and those that an earlier run could not remove. */
import { inArray } from 'drizzle-orm'
import { type Budget, remainingMs, startBudget } from '../budget.ts'
import { ProbeError } from '../failure/error.ts'
import type { Warning } from '../report/report.ts'
import { connectionProbe, TABLE_NAME } from '../schema.ts'
import { asFailure, type Login, type OpenContext, open } from '../session/open.ts'
import type { Path } from '../session/path.ts'
import { type Session, sessionOf } from '../session/postgres.ts'
import type { CheckContext } from './check.ts'
import { byId } from './ledger.ts'
import { canWrite } from './row-visible.ts'

/** How long removing may take when the run was interrupted, and after the deadline, ms: with a polite end within half a second. */
const INTERRUPTED_MS = 900
const OVERTIME_MS = 250

/** Rows as old as this are swept, so many at most, within so long (contract: The checks). */
const SWEEP = { age: '1 day', rows: 1000, ms: 2000 } as const

/** A budget of its own: a run that is interrupted or out of time still has to remove what it wrote. */
function cleanUpBudget(budget: Budget): Budget {
  const never = new AbortController().signal
  if (budget.signal.aborted) return { ...startBudget(INTERRUPTED_MS, never), waitMs: INTERRUPTED_MS }
  const ms = remainingMs(budget) + OVERTIME_MS
  return { ...startBudget(ms, never), waitMs: Math.min(budget.waitMs, ms) }
}

/**
 * Removes this run's rows, on a living session if there is one, else on a new one. Outcomes that are still unknown are
 * settled first.
 * @returns the warning that says which rows are left and how to remove them, or null
 */
export async function cleanUp(
  context: CheckContext,
  opening: OpenContext,
  login: Login,
  sessions: readonly Session[],
): Promise<Warning | null> {
  const { ledger, config, path } = context
  if (ledger.rows().length === 0 || (config.options.keep && !ledger.hasUnknown())) return null
  // No session, no row of this run's: what an earlier attempt left stays until the path is there.
  const broken = path.dns.failure ?? path.opened?.failure
  if (broken) return rowsLeft(ledger.rows(), broken)
  const budget = cleanUpBudget(opening.budget)
  let extra: Session | null = null
  try {
    let session = sessions.find(candidate => !candidate.isLost())?.withBudget(budget)
    if (!session) {
      extra = await newSession({ ...opening, budget }, path, login)
      session = extra
    }
    // Behind a pooler another session may answer: that is for the checks to judge, and the rows have to go all the same.
    const whoeverAnswers: Session = { ...session, answeredBy: () => undefined }
    await ledger.settleAll(whoeverAnswers)
    if (!config.options.keep) await ledger.remove(whoeverAnswers)
    return null
  } catch (error) {
    if (!(error instanceof ProbeError)) throw error
    return ledger.rows().length === 0 ? null : rowsLeft(ledger.rows(), error)
  } finally {
    await extra?.close()
  }
}

const rowsLeft = (ids: readonly string[], { code, message }: ProbeError): Warning => ({
  code: 'ROWS_LEFT',
  message: `${ids.length} rows could not be removed (${code}: ${message}); remove them with: DELETE FROM ${byId(ids)};`,
})

/** Another session at the address in use. Rejects with what became of it. */
export async function newSession(opening: OpenContext, { opened: at }: Path, login: Login): Promise<Session> {
  if (!at) throw new Error('another session was asked for before there was a path')
  return sessionOf(await open(opening, at, login), opening.budget)
}

/** Whether there is a table, and its rows may be seen and removed; the checks say why where not. */
async function mayWrite(context: CheckContext): Promise<boolean> {
  try {
    return canWrite(await (await context.facts()).held)
  } catch (error) {
    asFailure(error)
    return false
  }
}

/** Removes rows that earlier runs left, a day later, whatever this run's verdict is. A sweep that fails is a note and no verdict. */
export async function sweep(
  context: CheckContext,
  sessions: readonly Session[],
  note: (text: string) => void,
): Promise<void> {
  const ms = Math.min(SWEEP.ms, remainingMs(context.budget))
  const alive = sessions.findLast(session => !session.isLost())
  if (!alive || ms === 0 || !(await mayWrite(context))) return
  const session = alive.withBudget({ ...startBudget(ms, context.budget.signal), waitMs: ms })
  try {
    const old = await session.ask<{ id: string }>(
      'the question for old rows',
      `SELECT id::text AS id FROM public.${TABLE_NAME} WHERE written_at < now() - INTERVAL '${SWEEP.age}' LIMIT ${SWEEP.rows}`,
    )
    if (old.length === 0) return
    const ids = old.map(({ id }) => id)
    await session.run('write', 'the sweep', db => db.delete(connectionProbe).where(inArray(connectionProbe.id, ids)))
    note(`swept ${ids.length} rows that earlier runs left behind`)
  } catch (error) {
    if (!(error instanceof ProbeError)) throw error
    note(`rows of earlier runs could not be swept: ${error.code}: ${error.message}`)
  }
}
