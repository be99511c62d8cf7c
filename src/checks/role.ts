/** The session runs as the configured user, who administers nothing. */
import { ProbeError } from '../failure/failure.ts'
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
const OWNED = `
  SELECT 'table ' || n.nspname || '.' || c.relname AS name
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_roles u ON u.oid = c.relowner
  WHERE u.rolname = current_user AND c.relkind IN ('r','p','v','m','f','S')
    AND n.nspname NOT LIKE 'pg_temp%' AND n.nspname NOT LIKE 'pg_toast%'
  UNION ALL
  SELECT 'schema ' || n.nspname
  FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles u ON u.oid = n.nspowner
  WHERE u.rolname = current_user AND n.nspname NOT LIKE 'pg_temp%' AND n.nspname NOT LIKE 'pg_toast%'
  UNION ALL
  SELECT 'database ' || d.datname
  FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles u ON u.oid = d.datdba
  WHERE u.rolname = current_user AND d.datname = current_database()
  LIMIT 20`

const list = async (context: CheckContext, what: string, sql: string): Promise<string[]> =>
  (await (await context.reader()).ask<{ name: string }>(what, sql)).map(({ name }) => name)

/** The role options beyond LOGIN that can be read; a release that does not know one has not granted it. */
async function readOptions(context: CheckContext): Promise<string[]> {
  const { engine } = await context.facts()
  const session = await context.reader()
  const held = await Promise.all(
    engine.roleOptions.map(async option => {
      try {
        const [row] = await session.ask<{ held: boolean }>(`the question for ${option}`, engine.roleOption(option))
        return row?.held === true
      } catch (error) {
        // 42883 no such function, 22023 and 42601 no such option: this release has neither.
        if (error instanceof ProbeError && error.code === 'CATALOGUE_FAILED' && error.evidence.sqlstate) return false
        throw error
      }
    }),
  )
  return engine.roleOptions.filter((_, at) => held[at])
}

export const role: Check = {
  id: 'role',
  async run(context) {
    const { user } = context.config
    const facts = await context.facts()
    const [users, roles] = await Promise.all([facts.users, facts.roles])
    const own = roles.find(({ name }) => name === user)
    // The reader's time belongs to the row first.
    await context.settled('row-visible')
    const [memberships, owned, options] = await Promise.all([
      list(context, 'the question for memberships', MEMBERSHIPS),
      list(context, 'the question for what the user owns', OWNED),
      readOptions(context),
    ])
    const attributes = [...ATTRIBUTES.filter(([key]) => own?.[key] === true).map(([, name]) => name), ...options]
    const evidence = { currentUser: users.current, sessionUser: users.session, attributes, memberships, owned }
    const wrong = [
      ...(users.current !== user || users.session !== user
        ? [`the session runs as ${users.current} (session user ${users.session}), not as ${user}`]
        : []),
      ...(own ? [] : [`the catalogue does not list ${user}`]),
      ...(ADMINISTRATORS.includes(user) ? [`${user} is an administrator`] : []),
      ...(attributes.length > 0 ? [`${user} has ${attributes.join(', ')}`] : []),
      ...(memberships.length > 0 ? [`${user} is a member of ${memberships.join(', ')}`] : []),
      ...(owned.length > 0 ? [`${user} owns ${owned.join(', ')}`] : []),
    ]
    if (wrong.length > 0) throw new ProbeError('ADMIN_AT_RUNTIME', wrong.join('; '), { evidence })
    return { evidence }
  },
}

/** Whether the user is one that certificate-bound cannot be tried for: it would log in as itself. */
export const isAdministrator = (user: string, own: Role | undefined): boolean =>
  ADMINISTRATORS.includes(user) || own?.superuser === true
