import { TABLE_NAME, VERBS, type Verb } from '../database/sql.ts'
import { asProbeError, ProbeError } from '../failure/error.ts'
import type { Rows } from '../row/index.ts'
import { exactlyOne } from '../session/answers.ts'
import type { Session } from '../session/postgres.ts'
import { retried } from '../session/retry.ts'
import { otherThan } from '../settings/config.ts'
import { type Context, defineCheck } from './check.ts'
import { removeRows, sweep } from './clean-up.ts'
import { database } from './database.ts'
import { dns } from './dns.ts'
import { type Held, table } from './table.ts'

/** The verbs without which no row could be written, seen and removed again. */
const canWrite = ({ verbs, usage }: Held): boolean =>
  usage && (['INSERT', 'SELECT', 'DELETE'] as const).every(verb => verbs.includes(verb))

/** The server's clock, as text with microseconds, UTC. */
async function readClock(session: Session): Promise<string> {
  const what = 'the clock query'
  const rows = await session.ask<{ now: string }>(what, 'SELECT clock_timestamp()::text AS now')
  return exactlyOne(rows, what).now
}

/** @throws ProbeError DML_DENIED for what the user lacks of what is needed */
export function expectHeld({ user }: Context['config'], { verbs, usage }: Held, needed: readonly Verb[] = VERBS): void {
  const missing = [...(usage ? [] : ['USAGE on schema public']), ...needed.filter(verb => !verbs.includes(verb))]
  const evidence = { held: verbs, missing }
  if (!usage)
    throw new ProbeError('DML_DENIED', `${user} lacks ${missing.join(', ')}`, {
      evidence,
      hint: `as root, in this database: GRANT USAGE ON SCHEMA public TO {role} (all of it: npm run bootstrap -- --engine cockroach)`,
    })
  if (missing.length > 0)
    throw new ProbeError('DML_DENIED', `${user} lacks ${missing.join(', ')} on ${TABLE_NAME}`, {
      evidence,
      hint: `npm run migrate, or as gateway_admin: GRANT ${missing.join(', ')} ON TABLE ${TABLE_NAME} TO {role}`,
    })
}

/** The four verbs really work. Here the rows of the run begin, and with them what removes them at its end. */
export const dml = defineCheck({
  id: 'dml',
  layer: 'privilege',
  criterion: 'privileges',
  needs: { table, database, dns },
  title: 'INSERT, SELECT, UPDATE and DELETE each really work',
  async run(context, { table: { held }, database: { sessions, opened }, dns: { endpoints } }) {
    const { createRows, openSession } = await import('../row/index.ts')
    if (canWrite(held) && context.config.options.sweep) context.atEnd(() => sweep(context))
    expectHeld(context.config, held)
    const clock = await readClock(sessions.writer)
    const inOrder = [opened, ...otherThan(opened, endpoints)]
    const reconnect = async () => openSession(await context.dialler.reopen(inOrder), context.budget)
    const rows = createRows(context, clock, reconnect, context.unremoved)
    context.atEnd(() => removeRows(context, sessions, rows))

    const session = await sessions.reader()
    await useEach(rows, session).catch(error => {
      const failed = asProbeError(error)
      throw failed.code === 'DML_DENIED' ? failed.with({ hint: failed.hint ?? USES_MORE }) : failed
    })
    return { evidence: { held: held.verbs, missing: [] }, found: { rows } }
  },
})

/** What is denied to a role that holds all four verbs on the table. */
const USES_MORE =
  'the role holds the four verbs on connection_probe, so what is denied is what the message names: a foreign key or a trigger of the table uses it, or a foreign key of that table onto this one: psql \\d+ connection_probe, as root SHOW CREATE TABLE public.connection_probe, and SHOW CREATE TABLE of it; then drop what uses it, or GRANT what it needs to {user}'

/** Writes one row, reads it, changes it, and removes it again. */
async function useEach(rows: Rows, session: Session): Promise<void> {
  const wrote = rows.make(-1)
  await rows.insert(session, wrote)
  const read = async () => (await retried(session.budget, () => rows.readRow(session, wrote.id))).value
  const inserted = await read()
  if (!inserted) throw rows.noRowsChanged('INSERT')
  rows.compare(wrote, inserted)
  const changed = { ...wrote, payload: { changed: true } }
  const [updated, ...more] = await rows.updatePayload(session, wrote.id, changed.payload)
  if (!updated || more.length > 0) throw rows.noRowsChanged('UPDATE')
  // What the statement says it did, and what is there afterwards: a trigger may come between.
  rows.compare(changed, updated)
  const kept = await read()
  if (!kept) throw rows.noRowsChanged('UPDATE')
  rows.compare(changed, kept)
  await rows.remove(session, [wrote.id])
}
