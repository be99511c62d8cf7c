/** Nothing beyond the four verbs works: nothing can be created, and no privilege goes beyond them. */
import { type ExcessQuestion, type Here, privilegesOf } from '../database/privileges.ts'
import { literal, revokeOnTable, TABLE_NAME, VERBS } from '../database/sql.ts'
import { ProbeError } from '../failure/error.ts'
import { sqlName } from '../failure/hints.ts'
import { namesOf } from '../session/answers.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Session } from '../session/postgres.ts'
import { retried } from '../session/retry.ts'
import { defineCheck } from './check.ts'
import { database } from './database.ts'
import { table } from './table.ts'

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

/** The statement that takes it away; of a verb only the grant option. */
const revoke = (excess: Excess): string => {
  const { schema, table, privilege, grantable } = excess
  return revokeOnTable(
    excess,
    `${sqlName(schema)}.${sqlName(table)}`,
    grantable && VERBS.some(verb => verb === privilege),
  )
}

/** ALL is one privilege on CockroachDB: what is declared goes with it, and is granted again. */
const grantedAgain = (here: readonly Excess[]): readonly string[] =>
  here.some(({ privilege }) => privilege === 'ALL')
    ? [`GRANT ${VERBS.join(', ')} ON TABLE public.${TABLE_NAME} TO {role}`]
    : []

/** A statement, and as whom it is typed. */
interface Step {
  readonly revoke: string
  readonly as: string
}

/** Where nothing can be created, the bootstrap changes nothing: what was granted besides is to be revoked. */
function takeAway(steps: readonly Step[]): string {
  const roles = [...new Set(['root', ...steps.map(step => step.as)])]
  const mine = (role: string) => [...new Set(steps.filter(step => step.as === role).map(step => step.revoke))]
  return roles
    .filter(role => mine(role).length > 0)
    .map((role, at) => `as ${role}${at === 0 ? ', in this database' : ''}: ${mine(role).join('; ')}`)
    .join('; then ')
}

/** Where the user can create something: this database, and its schemas. */
const creatable = (session: Session): Promise<readonly string[]> =>
  namesOf(
    session,
    'the CREATE privilege query',
    `SELECT 'database ' || quote_ident(current_database()) AS name WHERE has_database_privilege(current_database(), 'CREATE')
     UNION ALL
     SELECT 'schema ' || quote_ident(nspname) FROM pg_catalog.pg_namespace
     WHERE ${session.engine.ownSchema('nspname')} AND has_schema_privilege(nspname, 'CREATE')
     LIMIT 20`,
  )

/** Of these roles the ones that can create something here: of the others no default privilege ever comes to bear. */
async function creators(session: Session, makers: readonly string[]): Promise<readonly string[]> {
  if (makers.length === 0) return []
  return namesOf(
    session,
    'the query for roles that can create',
    `SELECT r.rolname::text AS name FROM pg_catalog.pg_roles r
     WHERE r.rolname IN (${makers.map(literal).join(', ')}) AND (
       r.rolsuper OR has_database_privilege(r.rolname, current_database(), 'CREATE')
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n
                  WHERE ${session.engine.ownSchema('n.nspname')} AND has_schema_privilege(r.rolname, n.nspname, 'CREATE')))`,
  )
}

/** What `otherExcess` asks for; `inSchemas` is null where the release does not show those. */
async function otherExcess(session: Session, here: Pick<Here, 'user' | 'database'>) {
  interface Row extends Step {
    readonly what: string
    readonly maker: string | null
  }
  const { engine } = session
  const [schemas, roles] = await Promise.all([
    namesOf(
      session,
      'the schemas query',
      `SELECT nspname::text AS name FROM pg_catalog.pg_namespace WHERE ${engine.ownSchema('nspname')} ORDER BY 1`,
    ),
    namesOf(session, 'the query for all roles', 'SELECT rolname::text AS name FROM pg_catalog.pg_roles ORDER BY 1'),
  ])
  const ask = ({ sql, unknown }: ExcessQuestion) =>
    ifKnown(session.ask<Row>(EXCESS_QUESTION, sql), null, sqlstate => unknown?.includes(sqlstate ?? '') ?? false)
  const questions = privilegesOf(engine).otherExcess({ ...here, roles, schemas })
  const [probing, ...inSchema] = questions.filter(question => question.inSchema)
  const everywhere = questions.filter(question => !question.inSchema)
  const [inGeneral, inFirst] = await Promise.all([Promise.all(everywhere.map(ask)), probing ? ask(probing) : []])
  const others = inFirst === null ? [] : await Promise.all(inSchema.map(ask))
  const rows = [...inGeneral, inFirst, ...others].flatMap(one => one ?? [])
  // What the user makes is its own: that it can is told by what it can create, and ends with that.
  const makers = [...new Set(rows.flatMap(({ maker }) => maker ?? []))].filter(name => name !== here.user)
  const able = await creators(session, makers)
  return { found: rows.filter(({ maker }) => maker === null || able.includes(maker)), inSchemas: inFirst !== null }
}

const EXCESS_QUESTION = 'the excess privileges query'

/**
 * The one statement that is tried: it names a table that exists, so nothing can come of it on any version. Allowed is
 * 42P07 (already exists), refused is 42501; anything else is its own cause.
 */
async function tryCreate(session: Session): Promise<string> {
  const create = () =>
    session.run('write', 'CREATE TABLE', db => db.execute(`CREATE TABLE public.${TABLE_NAME} (canary int)`))
  try {
    await retried(session.budget, create, true)
    return '00000'
  } catch (error) {
    const sqlstate = error instanceof ProbeError ? error.answered : null
    if (sqlstate === '42501' || sqlstate === '42P07') return sqlstate
    throw error
  }
}

/** Where more is open than schema public, or something else: the code's own hint is about that one only. */
function closing(create: readonly string[]): string | undefined {
  if (create.every(where => where === 'schema public')) return undefined
  const statements = create.map(
    where => `REVOKE CREATE ON ${where.replace(/^\w+/, word => word.toUpperCase())} FROM {role}, public`,
  )
  // gateway_admin may have had it as everybody had.
  if (create.includes('schema public')) statements.push('GRANT CREATE ON SCHEMA public TO gateway_admin')
  return `as root, in this database: ${statements.join('; ')}; then probe again, and take away what the evidence still lists`
}

export const ddlRefused = defineCheck({
  id: 'ddl-refused',
  layer: 'privilege',
  criterion: 'privileges',
  needs: { table, database },
  title: 'the user can create nothing in this database, and no privilege goes beyond the four verbs',
  async run(context, { database: { sessions } }) {
    const session = await sessions.reader()
    const { engine } = session
    const { user, database } = context.config
    const [create, excess, besides] = await Promise.all([
      creatable(session),
      session.ask<Excess>(EXCESS_QUESTION, privilegesOf(engine).excessPrivileges),
      otherExcess(session, { user, database }),
    ])
    const here = excess.filter(({ schema, table }) => schema === 'public' && table === TABLE_NAME)
    const others = excess.filter(({ schema, table }) => !(schema === 'public' && table === TABLE_NAME))
    const elsewhere = [...others.map(sentence), ...besides.found.map(({ what }) => what)]
    const tried = await tryCreate(session)
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
      const steps = [...others.map(one => ({ revoke: revoke(one), as: 'root' })), ...besides.found]
      const message = `${user} can do more than DML: ${allowed.join('; ')}`
      throw new ProbeError('DDL_ALLOWED', message, { evidence, hint: isCreate ? closing(create) : takeAway(steps) })
    }
    if (here.length > 0)
      throw new ProbeError('GRANT_EXCESS', `beyond the four verbs: ${here.map(sentence).join('; ')}`, {
        evidence,
        hint: `as gateway_admin: ${[...here.map(revoke), ...grantedAgain(here)].join('; ')}`,
      })
    return { evidence, found: {} }
  },
})
