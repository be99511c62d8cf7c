/** The session runs as the configured user, who administers nothing. */
import type { Engine } from '../database/engine.ts'
import { isUnknownHere } from '../failure/classify.ts'
import { ProbeError } from '../failure/error.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Check, CheckContext } from './check.ts'
import type { Role } from './facts.ts'

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

/** What the user owns in this database. Temporary tables are no verdict. */
const owned = ({ ownSchema }: Engine): string => `
  SELECT 'table ' || n.nspname || '.' || c.relname AS name
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_roles u ON u.oid = c.relowner
  WHERE u.rolname = current_user AND c.relkind IN ('r','p','v','m','f','S')
    AND ${ownSchema('n.nspname')}
  UNION ALL
  SELECT 'schema ' || n.nspname
  FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles u ON u.oid = n.nspowner
  WHERE u.rolname = current_user AND ${ownSchema('n.nspname')}
  UNION ALL
  SELECT 'database ' || d.datname
  FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles u ON u.oid = d.datdba
  WHERE u.rolname = current_user AND d.datname = current_database()
  LIMIT 20`

const list = async (context: CheckContext, what: string, sql: string): Promise<string[]> =>
  (await (await context.reader()).ask<{ name: string }>(what, sql)).map(({ name }) => name)

/** The role options beyond LOGIN that can be read; a release that does not know one has not granted it. */
async function readOptions(context: CheckContext, { roleOptions, roleOptionSettings }: Engine) {
  const session = await context.reader()
  const ask = <T>(what: string, sql: string) => ifKnown(session.ask<T>(what, sql), null, isUnknownHere)
  // In one flight, the settings before the questions.
  const settings = roleOptionSettings.map(setting => ask('a session setting', setting))
  const questions = roleOptions.map(({ option, sql }) => ask<{ held: boolean }>(`the question for ${option}`, sql))
  const [answers] = await Promise.all([Promise.all(questions), Promise.all(settings)])
  const names = (isWanted: (answer: readonly { held: boolean }[] | null | undefined) => boolean) =>
    roleOptions.filter((_, at) => isWanted(answers[at])).map(({ option }) => option)
  return { held: names(answer => answer?.[0]?.held === true), unknown: names(answer => answer === null) }
}

/**
 * System privileges of the user and of everybody, which hold in the whole cluster; null where this release has none, or
 * does not show them.
 */
async function readSystemGrants(context: CheckContext, { systemGrants }: Engine): Promise<string[] | null> {
  if (systemGrants === null) return null
  const session = await context.reader()
  const asked = session.ask<{ grantee: string; privilege: string }>(
    'the question for system privileges',
    systemGrants(context.config.user),
  )
  const rows = await ifKnown(asked, null, sqlstate => sqlstate === '42501' || isUnknownHere(sqlstate))
  return rows?.map(({ grantee, privilege }) => `${privilege} to ${grantee}`) ?? null
}

export const role: Check = {
  id: 'role',
  async run(context) {
    const { user } = context.config
    const facts = await context.facts()
    const [users, roles] = await Promise.all([facts.users, facts.roles])
    const own = roles.find(({ name }) => name === user)
    const [memberships, belongings, options, system] = await Promise.all([
      list(context, 'the question for memberships', MEMBERSHIPS),
      list(context, 'the question for what the user owns', owned(facts.engine)),
      readOptions(context, facts.engine),
      readSystemGrants(context, facts.engine),
    ])
    const attributes = [...ATTRIBUTES.filter(([key]) => own?.[key] === true).map(([, name]) => name), ...options.held]
    const evidence = {
      currentUser: users.current,
      sessionUser: users.session,
      attributes,
      ...(facts.engine.roleOptions.length > 0 && { unknownOptions: options.unknown }),
      ...(facts.engine.systemGrants && { systemPrivileges: system ?? 'not visible' }),
      memberships,
      owned: belongings,
    }
    const wrong = [
      ...(users.current !== user || users.session !== user
        ? [`the session runs as ${users.current} (session user ${users.session}), not as ${user}`]
        : []),
      ...(own ? [] : [`the catalogue does not list ${user}`]),
      ...(ADMINISTRATORS.includes(user) ? [`${user} is an administrator`] : []),
      ...(attributes.length > 0 ? [`${user} has ${attributes.join(', ')}`] : []),
      ...(system && system.length > 0 ? [`system privileges: ${system.join(', ')}`] : []),
      ...(memberships.length > 0 ? [`${user} is a member of ${memberships.join(', ')}`] : []),
      ...(belongings.length > 0 ? [`${user} owns ${belongings.join(', ')}`] : []),
    ]
    if (wrong.length > 0) throw new ProbeError('ADMIN_AT_RUNTIME', wrong.join('; '), { evidence })
    return { evidence }
  },
}
