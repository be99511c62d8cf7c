/** The four verbs really work, and nothing beyond them does. */
import { eq } from 'drizzle-orm'
import { type ExcessQuestion, type Here, literal } from '../database/engine.ts'
import { ProbeError } from '../failure/error.ts'
import { connectionProbe, TABLE_NAME } from '../schema.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Session } from '../session/postgres.ts'
import { retried } from '../session/retry.ts'
import type { Check, CheckContext } from './check.ts'
import { VERBS } from './facts.ts'
import { nothing } from './ledger.ts'
import { compare, newRow, readRow, rowAndSession } from './row-visible.ts'

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
          .returning(rowAndSession(session)),
      )
    const [changedRow, ...more] = (await retried(session.budget, update, true)).value
    if (!changedRow || more.length > 0) throw nothing('UPDATE')
    const { session: name, ...updated } = changedRow
    session.answeredBy(name, 'the update')
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

/** Names, from rows { name }. */
const namesOf = async (session: Session, what: string, sql: string): Promise<readonly string[]> =>
  (await session.ask<{ name: string }>(what, sql)).map(({ name }) => name)

/** Where the user can create something: this database, and its schemas. */
const creatable = (session: Session): Promise<readonly string[]> =>
  namesOf(
    session,
    'the question where the user can create',
    `SELECT 'database ' || current_database() AS name WHERE has_database_privilege(current_database(), 'CREATE')
     UNION ALL
     SELECT 'schema ' || nspname FROM pg_catalog.pg_namespace
     WHERE ${session.engine.ownSchema('nspname')} AND has_schema_privilege(nspname, 'CREATE')
     LIMIT 20`,
  )

/** Of these roles the ones that can create something here: of the others no default privilege ever comes to bear. */
async function creators(session: Session, makers: readonly string[]): Promise<readonly string[]> {
  if (makers.length === 0) return []
  return namesOf(
    session,
    'the question who can create',
    `SELECT r.rolname::text AS name FROM pg_catalog.pg_roles r
     WHERE r.rolname IN (${makers.map(literal).join(', ')}) AND (
       r.rolsuper OR has_database_privilege(r.rolname, current_database(), 'CREATE')
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n
                  WHERE ${session.engine.ownSchema('n.nspname')} AND has_schema_privilege(r.rolname, n.nspname, 'CREATE')))`,
  )
}

/** What `engine.otherExcess` asks for, a line each; `inSchemas` is null where the release does not show those. */
async function otherExcess(session: Session, here: Pick<Here, 'user' | 'database'>) {
  interface Row {
    readonly what: string
    readonly maker: string | null
  }
  const { engine } = session
  const [schemas, roles] = await Promise.all([
    namesOf(
      session,
      'the question for the schemas',
      `SELECT nspname::text AS name FROM pg_catalog.pg_namespace WHERE ${engine.ownSchema('nspname')} ORDER BY 1`,
    ),
    namesOf(session, 'the question for all roles', 'SELECT rolname::text AS name FROM pg_catalog.pg_roles ORDER BY 1'),
  ])
  const ask = ({ sql, unknown }: ExcessQuestion) =>
    ifKnown(session.ask<Row>(EXCESS_QUESTION, sql), null, sqlstate => unknown?.includes(sqlstate ?? '') ?? false)
  const questions = engine.otherExcess({ ...here, roles, schemas })
  const [probing, ...inSchema] = questions.filter(question => question.inSchema)
  const everywhere = questions.filter(question => !question.inSchema)
  const [found, inFirst] = await Promise.all([Promise.all(everywhere.map(ask)), probing ? ask(probing) : []])
  const others = inFirst === null ? [] : await Promise.all(inSchema.map(ask))
  const rows = [...found, inFirst, ...others].flatMap(one => one ?? [])
  const makers = [...new Set(rows.flatMap(({ maker }) => maker ?? []))]
  const able = await creators(session, makers)
  return {
    lines: rows.filter(({ maker }) => maker === null || able.includes(maker)).map(({ what }) => what),
    inSchemas: inFirst !== null,
  }
}

const EXCESS_QUESTION = 'the question for excess privileges'

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
    const sqlstate = error instanceof ProbeError ? error.sqlstate : null
    if (sqlstate === '42501' || sqlstate === '42P07') return sqlstate
    throw error
  }
}

/** Where nothing can be created, the bootstrap changes nothing: what was granted besides is to be revoked. */
const TAKE_AWAY =
  'as root take away what the evidence lists: REVOKE … ON DATABASE | SCHEMA | TABLE … FROM the role; REVOKE GRANT OPTION FOR …; ALTER DEFAULT PRIVILEGES FOR ROLE … REVOKE … FROM the role'

export const ddlRefused: Check = {
  id: 'ddl-refused',
  async run(context) {
    const { engine } = await context.facts()
    const session = await context.reader()
    const { user, database } = context.config
    const [create, excess, besides] = await Promise.all([
      creatable(session),
      session.ask<Excess>(EXCESS_QUESTION, engine.excessPrivileges),
      otherExcess(session, { user, database }),
    ])
    const here = excess.filter(({ schema, table }) => schema === 'public' && table === TABLE_NAME)
    const elsewhere = [
      ...excess.filter(({ schema, table }) => !(schema === 'public' && table === TABLE_NAME)).map(sentence),
      ...besides.lines,
    ]
    const tried = await tryCreate(context)
    const evidence = {
      createTable: tried,
      creatable: create,
      excess: here.map(sentence),
      elsewhere,
      ...(!besides.inSchemas && { defaultPrivilegesInSchemas: 'not visible' }),
    }
    const allowed = [
      ...(tried === '42501' ? [] : [`CREATE TABLE in schema public is allowed (${tried})`]),
      ...create.map(where => `CREATE on ${where}`),
      ...elsewhere,
    ]
    if (allowed.length > 0) {
      const isCreate = tried !== '42501' || create.length > 0
      const message = `${user} can do more than DML: ${allowed.join('; ')}`
      throw new ProbeError('DDL_ALLOWED', message, { evidence, ...(!isCreate && { hint: TAKE_AWAY }) })
    }
    if (here.length > 0)
      throw new ProbeError('GRANT_EXCESS', `beyond the four verbs: ${here.map(sentence).join('; ')}`, { evidence })
    return { evidence }
  },
}
