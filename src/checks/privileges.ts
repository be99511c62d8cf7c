/** The four verbs really work, and nothing beyond them does. */
import { eq } from 'drizzle-orm'
import { ProbeError } from '../failure/failure.ts'
import { connectionProbe, TABLE_NAME } from '../schema.ts'
import { retried } from '../session/retried.ts'
import type { Check, CheckContext } from './check.ts'
import { VERBS } from './facts.ts'
import { nothing } from './ledger.ts'
import { compare, newRow, readRow } from './row-visible.ts'

export const dml: Check = {
  id: 'dml',
  async run(context) {
    const facts = await context.facts()
    const held = await facts.held
    const missing = [
      ...(held.usage ? [] : ['USAGE on schema public']),
      ...VERBS.filter(verb => !held.verbs.includes(verb)),
    ]
    const evidence = { held: held.verbs, missing }
    const { user } = context.config
    if (!held.usage)
      throw new ProbeError('DML_DENIED', `${user} lacks ${missing.join(', ')}`, {
        evidence,
        hint: `as root, in this database: GRANT USAGE ON SCHEMA public TO ${user} (all of it: npm run bootstrap -- --engine cockroach)`,
      })
    if (missing.length > 0)
      throw new ProbeError('DML_DENIED', `${user} lacks ${missing.join(', ')} on ${TABLE_NAME}`, { evidence })
    // Last on the reader: a write that hangs or breaks the connection must not be the others' failure.
    await context.settled('role')
    await context.settled('ddl-refused')
    const session = await context.reader()
    const wrote = newRow(context, -1, await facts.clock)
    await context.ledger.insert(session, wrote)
    const read = async () => (await retried(session.budget, () => readRow(session, wrote.id))).value
    const inserted = await read()
    if (!inserted) throw nothing('INSERT')
    compare(wrote, inserted)
    const changed = { ...wrote, payload: { changed: true } }
    const update = () =>
      session.run('write', 'the update', db =>
        db
          .update(connectionProbe)
          .set({ payload: changed.payload })
          .where(eq(connectionProbe.id, wrote.id))
          .returning(),
      )
    const [updated, ...more] = (await retried(session.budget, update, true)).value
    if (!updated || more.length > 0) throw nothing('UPDATE')
    // What the statement says it did, and what is there afterwards: a trigger may come between.
    compare(changed, updated)
    const kept = await read()
    if (!kept) throw nothing('UPDATE')
    compare(changed, kept)
    await context.ledger.remove(session, [wrote.id])
    return { evidence }
  },
}

interface Excess {
  readonly schema: string
  readonly table: string
  readonly column: string | null
  readonly grantee: string
  readonly privilege: string
  readonly grantable: boolean
}

const sentence = ({ schema, table, column, grantee, privilege, grantable }: Excess) =>
  `${privilege}${column ? ` (${column})` : ''} on ${schema}.${table} to ${grantee}${grantable ? ' with grant option' : ''}`

/** Where something can be created: this database, and its schemas. */
async function creatable(context: CheckContext): Promise<string[]> {
  const session = await context.reader()
  const { engine } = await context.facts()
  const rows = await session.ask<{ name: string }>(
    'the question where the user can create',
    `SELECT 'database ' || current_database() AS name WHERE has_database_privilege(current_database(), 'CREATE')
     UNION ALL
     SELECT 'schema ' || nspname FROM pg_catalog.pg_namespace
     WHERE ${engine.ownSchema('nspname')} AND has_schema_privilege(nspname, 'CREATE')
     LIMIT 20`,
  )
  return rows.map(({ name }) => name)
}

/**
 * The one statement that is tried: it names a table that exists, so nothing can come of it on any version. Allowed is
 * 42P07 (already exists), refused is 42501; anything else is its own cause.
 */
async function tryCreate(context: CheckContext): Promise<string> {
  const session = await context.reader()
  const create = () =>
    session.run('write', 'CREATE TABLE', db => db.execute(`CREATE TABLE public.${TABLE_NAME} (canary int)`))
  try {
    await retried(session.budget, create, true)
    return '00000'
  } catch (error) {
    const sqlstate = error instanceof ProbeError ? error.evidence.sqlstate : undefined
    if (sqlstate === '42501' || sqlstate === '42P07') return sqlstate
    throw error
  }
}

export const ddlRefused: Check = {
  id: 'ddl-refused',
  async run(context) {
    await context.settled('row-visible')
    const { engine } = await context.facts()
    const session = await context.reader()
    const [create, excess] = await Promise.all([
      creatable(context),
      session.ask<Excess>('the question for excess privileges', engine.excessPrivileges),
    ])
    const here = excess.filter(({ schema, table }) => schema === 'public' && table === TABLE_NAME)
    const elsewhere = excess.filter(({ schema, table }) => !(schema === 'public' && table === TABLE_NAME))
    const tried = await tryCreate(context)
    const evidence = {
      createTable: tried,
      creatable: create,
      excess: here.map(sentence),
      elsewhere: elsewhere.map(sentence),
    }
    const allowed = [
      ...(tried === '42501' ? [] : [`CREATE TABLE in schema public is allowed (${tried})`]),
      ...create.map(where => `CREATE on ${where}`),
      ...elsewhere.map(sentence),
    ]
    const { user } = context.config
    if (allowed.length > 0)
      throw new ProbeError('DDL_ALLOWED', `${user} can do more than DML: ${allowed.join('; ')}`, { evidence })
    if (here.length > 0)
      throw new ProbeError('GRANT_EXCESS', `beyond the four verbs: ${here.map(sentence).join('; ')}`, { evidence })
    return { evidence }
  },
}
