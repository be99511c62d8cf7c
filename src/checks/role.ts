/** The session runs as the configured user, who administers nothing. */
import { privilegesOf } from '../database/privileges.ts'
import { literal } from '../database/sql.ts'
import { isUnknownHere } from '../failure/classify-statement.ts'
import { ProbeError } from '../failure/error.ts'
import { sqlName } from '../failure/hints.ts'
import { exactlyOne, namesOf, withText } from '../session/answers.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Session } from '../session/postgres.ts'
import type { ProbeConfig } from '../settings/config.ts'
import { defineCheck } from './check.ts'
import { database } from './database.ts'
import { warnOfTimeouts } from './role-timeouts.ts'
import { readSetSettings, resetsOf } from './set-settings.ts'

/** A role as pg_roles has it. */
interface Role {
  readonly name: string
  readonly superuser: boolean
  readonly createrole: boolean
  readonly createdb: boolean
  readonly bypassrls: boolean
  readonly replication: boolean
  readonly login: boolean
}

/** Roles that must not run the application, whatever their attributes are. */
const ADMINISTRATORS: readonly string[] = ['root', 'gateway_admin', 'admin']

/** Role attributes of pg_roles that go beyond LOGIN, by their names in SQL. */
const ATTRIBUTES = [
  ['superuser', 'SUPERUSER'],
  ['createrole', 'CREATEROLE'],
  ['createdb', 'CREATEDB'],
  ['bypassrls', 'BYPASSRLS'],
  ['replication', 'REPLICATION'],
] as const satisfies readonly (readonly [keyof Role, string])[]

const MEMBERSHIPS = `
  SELECT g.rolname::text AS name
  FROM pg_catalog.pg_auth_members m
  JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
  JOIN pg_catalog.pg_roles u ON u.oid = m.member
  WHERE u.rolname = current_user ORDER BY 1 LIMIT 20`

/** Who this is, by the server's word. */
const readUsers = async (session: Session) => {
  const what = 'the current user query'
  const sql = 'SELECT current_user::text AS current, session_user::text AS session'
  return exactlyOne(await session.ask<{ current: string; session: string }>(what, sql), what)
}

/** The configured user, gateway_admin, root, and whom else our certificate names, as far as they exist. */
async function readRoles(session: Session, { user, principals }: ProbeConfig): Promise<readonly Role[]> {
  const what = 'the roles query'
  const rows = await session.ask<Role>(
    what,
    `SELECT rolname::text AS name, rolsuper AS superuser, rolcreaterole AS createrole, rolcreatedb AS createdb,
            rolbypassrls AS bypassrls, rolreplication AS replication, rolcanlogin AS login
     FROM pg_catalog.pg_roles WHERE rolname IN (${[user, 'gateway_admin', 'root', ...principals].map(literal).join(', ')})
     ORDER BY rolname`,
  )
  return withText(rows, 'name', what)
}

/** The role options beyond LOGIN that can be read; a release that does not know one has not granted it. */
async function readOptions(session: Session) {
  const { roleOptions, roleOptionSettings } = session.engine
  const ask = <T>(what: string, sql: string) => ifKnown(session.ask<T>(what, sql), null, isUnknownHere)
  // In one flight, the settings before the questions.
  const settings = roleOptionSettings.map(setting => ask('a session setting', setting))
  const questions = roleOptions.map(({ option, sql }) =>
    ask<{ held: boolean }>(`the query for role option ${option}`, sql),
  )
  const [answers] = await Promise.all([Promise.all(questions), Promise.all(settings)])
  const names = (isWanted: (answer: readonly { held: boolean }[] | null | undefined) => boolean) =>
    roleOptions.filter((_, at) => isWanted(answers[at])).map(({ option }) => option)
  return { held: names(answer => answer?.[0]?.held === true), unknown: names(answer => answer === null) }
}

/**
 * System privileges of the user and of everybody, which hold in the whole cluster; null where this release has none, or
 * does not show them.
 */
async function readSystemGrants(session: Session, user: string): Promise<string[] | null> {
  const { systemGrants } = session.engine
  if (systemGrants === null) return null
  const asked = session.ask<{ grantee: string; privilege: string }>('the system privileges query', systemGrants(user))
  const rows = await ifKnown(asked, null, sqlstate => sqlstate === '42501' || isUnknownHere(sqlstate))
  return rows?.map(({ grantee, privilege }) => `${privilege} to ${grantee}`) ?? null
}

/** What must not be so, a sentence each. */
function whatIsWrong(user: string, seen: Awaited<ReturnType<typeof readAll>>): string[] {
  const { users, own, attributes, system, memberships, owned } = seen
  return [
    ...(users.current !== user || users.session !== user
      ? [`the session runs as ${users.current} (session user ${users.session}), not as ${user}`]
      : []),
    ...(own ? [] : [`the catalogue does not list ${user}`]),
    ...(ADMINISTRATORS.includes(user) ? [`${user} is an administrator`] : []),
    ...(attributes.length > 0 ? [`${user} has ${attributes.join(', ')}`] : []),
    ...(system && system.length > 0 ? [`system privileges: ${system.join(', ')}`] : []),
    ...(memberships.length > 0 ? [`${users.current} is a member of ${memberships.join(', ')}`] : []),
    ...(owned.length > 0 ? [`${users.current} owns ${owned.join(', ')}`] : []),
  ]
}

/** What only a superuser may own (PostgreSQL): the statement that gives it back to one. */
function superusersOwn(owned: string): string[] {
  const [, kind, name] = /^(event trigger|foreign-data wrapper) (.+)$/s.exec(owned) ?? []
  return kind ? [`ALTER ${kind.replace('-', ' ').toUpperCase()} ${name} OWNER TO CURRENT_USER`] : []
}

/** The statements that take away what must not be so; undefined where the user itself is the matter. */
function whatToRevoke(user: string, seen: Awaited<ReturnType<typeof readAll>>): string | undefined {
  if (ADMINISTRATORS.includes(user)) return undefined
  const { isCockroach, users, attributes, system, memberships, owned, settings } = seen
  // What it owns and is a member of is then somebody else's.
  if (users.session !== user)
    return 'the server maps the certificate of {user} to another role: as root SHOW CLUSTER SETTING server.identity_map.configuration, and server.host_based_authentication.configuration for the rule with map=; RESET CLUSTER SETTING what does so'
  if (users.current !== user) {
    const resets = resetsOf(settings, 'role')
    return resets.length > 0
      ? `the session changes its role when it begins: as root ${resets.join('; ')}; then probe again`
      : 'the session changes its role when it begins: as root SELECT * FROM pg_catalog.pg_db_role_setting shows for whom role is set; ALTER ROLE {role} RESET role, or where it is set; then probe again'
  }
  // On CockroachDB that is what a member of admin is, and its options come from there; no ALTER ROLE knows the word.
  const options = isCockroach && attributes.includes('SUPERUSER') ? [] : attributes
  const statements = [
    ...memberships.map(role => `REVOKE ${sqlName(role)} FROM {role}`),
    ...(options.length > 0 ? [`ALTER ROLE {role} WITH ${options.map(name => `NO${name}`).join(' ')}`] : []),
    ...(system && system.length > 0
      ? [`REVOKE SYSTEM ${system.map(grant => grant.replace(' to ', ' FROM ')).join(', ')}`]
      : []),
    ...owned.flatMap(superusersOwn),
    ...(owned.length > 0 ? ['REASSIGN OWNED BY {role} TO gateway_admin'] : []),
  ]
  const where = owned.length > 0 ? 'as root, in this database' : 'as root'
  return statements.length > 0 ? `${where}: ${statements.join('; ')}` : undefined
}

/** All that the catalogue says of the user, in one flight on each of the sessions. */
async function readAll(writer: Session, reader: Session, config: ProbeConfig) {
  const { user } = config
  const [users, roles, settings, memberships, owned, options, system] = await Promise.all([
    readUsers(writer),
    readRoles(writer, config),
    readSetSettings(writer),
    namesOf(reader, 'the memberships query', MEMBERSHIPS),
    namesOf(reader, 'the ownership query', privilegesOf(reader.engine).belongings),
    readOptions(reader),
    readSystemGrants(reader, user),
  ])
  const own = roles.find(({ name }) => name === user)
  const attributes = [...ATTRIBUTES.filter(([key]) => own?.[key] === true).map(([, name]) => name), ...options.held]
  const isCockroach = writer.engine.id === 'cockroachdb'
  const unknownOptions = options.unknown
  return { isCockroach, users, roles, own, settings, memberships, owned, attributes, unknownOptions, system }
}

export const role = defineCheck({
  id: 'role',
  layer: 'privilege',
  criterion: 'privileges',
  needs: { database },
  title:
    'the session runs as the configured user, who is no administrator, is a member of no role and owns nothing here',
  async run(context, { database: { sessions } }) {
    const { config } = context
    const { engine } = sessions.writer
    const reader = await sessions.reader()
    const seen = await readAll(sessions.writer, reader, config)
    warnOfTimeouts(seen.settings, context)
    const { users, roles, attributes, unknownOptions, system, memberships, owned } = seen
    const evidence = {
      currentUser: users.current,
      sessionUser: users.session,
      attributes,
      ...(engine.roleOptions.length > 0 && { unknownOptions }),
      ...(engine.systemGrants && { systemPrivileges: system ?? 'not visible' }),
      memberships,
      owned,
    }
    const wrong = whatIsWrong(config.user, seen)
    if (wrong.length > 0)
      throw new ProbeError('ADMIN_AT_RUNTIME', wrong.join('; '), { evidence, hint: whatToRevoke(config.user, seen) })
    return { evidence, found: { roles } }
  },
})
