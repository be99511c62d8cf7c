/**
 * The grants that migrations add up to. Only the plainest form is understood, and nothing else is accepted:
 * GRANT|REVOKE privilege, … ON [TABLE] [public.]table TO|FROM role, …
 */
import type { Grant } from '../../schema.ts'
import { withDiff } from './diff.ts'
import type { Migration } from './folder.ts'
import { parseMigration, type Statement, type Token } from './sql.ts'

/** One privilege on one table for one role. */
export interface HeldGrant {
  readonly privilege: string
  readonly table: string
  readonly role: string
}

/** What holds after the migrations so far, by sentences of the form "PRIVILEGE ON table TO role". */
export type GrantSet = Map<string, HeldGrant>

interface GrantStatement {
  readonly verb: 'grant' | 'revoke'
  readonly privileges: readonly string[]
  readonly table: string
  readonly roles: readonly string[]
}

const PRIVILEGES = ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN']
/** in CockroachDB besides; ALL is not here: a grant names what it gives */
const MORE_PRIVILEGES = ['CREATE', 'DROP', 'ZONECONFIG', 'BACKUP', 'CHANGEFEED']
const ROLE_KEYWORDS = ['current_user', 'current_role', 'session_user', 'group']

const sentence = ({ privilege, table, role }: HeldGrant) => `${privilege} ON ${table} TO ${role}`

/** A comma-separated list from `at` on: its items, and where it ends; null if there is none. */
function listAt(tokens: readonly Token[], at: number, accepts: (token: Token) => boolean) {
  const items: string[] = []
  for (let next = at; ; next += 2) {
    const token = tokens[next]
    if (!token || !accepts(token)) return null
    items.push(token.text)
    const comma = tokens[next + 1]
    if (comma?.kind !== 'other' || comma.text !== ',') return { items, end: next + 1 }
  }
}

/** The statement as a plain GRANT or REVOKE, or null if it is anything else. */
function readGrant({ tokens }: Statement): GrantStatement | null {
  const isWord = (at: number, text: string) => tokens[at]?.kind === 'word' && tokens[at].text === text
  const verb = isWord(0, 'grant') ? 'grant' : isWord(0, 'revoke') ? 'revoke' : null
  if (!verb) return null
  const privileges = listAt(
    tokens,
    1,
    token => token.kind === 'word' && [...PRIVILEGES, ...MORE_PRIVILEGES].includes(token.text.toUpperCase()),
  )
  if (!privileges || !isWord(privileges.end, 'on')) return null
  let at = privileges.end + (isWord(privileges.end + 1, 'table') ? 2 : 1)
  if (tokens[at]?.text === 'public' && tokens[at + 1]?.text === '.') at += 2
  const table = tokens[at]
  if (!table || (table.kind !== 'word' && table.kind !== 'quoted')) return null
  if (!isWord(at + 1, verb === 'grant' ? 'to' : 'from')) return null
  const roles = listAt(
    tokens,
    at + 2,
    token => token.kind === 'quoted' || (token.kind === 'word' && !ROLE_KEYWORDS.includes(token.text)),
  )
  if (!roles || roles.end !== tokens.length) return null
  return { verb, privileges: privileges.items.map(item => item.toUpperCase()), table: table.text, roles: roles.items }
}

/** Adds the grants to `held`, or takes the revoked ones away. */
function applyGrant(held: GrantSet, { verb, privileges, table, roles }: GrantStatement): void {
  for (const role of roles) {
    for (const privilege of privileges) {
      const grant = { privilege, table, role }
      if (verb === 'grant') held.set(sentence(grant), grant)
      else held.delete(sentence(grant))
    }
  }
}

/** What a dropped table takes with it. */
export function forgetTables(held: GrantSet, tables: readonly string[]): void {
  for (const [key, { table }] of held) if (!tables.includes(table)) held.delete(key)
}

/** What a renamed table keeps. */
export function renameTable(held: GrantSet, from: string, to: string): void {
  for (const [key, grant] of held)
    if (grant.table === from) {
      held.delete(key)
      held.set(sentence({ ...grant, table: to }), { ...grant, table: to })
    }
}

/** The declared grants in the same form. */
const declaredGrants = (grants: readonly Grant[]): GrantSet =>
  new Map(
    grants
      .flatMap(({ role, table, privileges }) => privileges.map(privilege => ({ privilege, table, role })))
      .map(grant => [sentence(grant), grant]),
  )

/** What is declared and not held, and what is held and not declared. */
function compareGrants(
  grants: readonly Grant[],
  held: GrantSet,
): { readonly missing: readonly HeldGrant[]; readonly excess: readonly HeldGrant[] } {
  const declared = declaredGrants(grants)
  return {
    missing: [...declared].filter(([key]) => !held.has(key)).map(([, grant]) => grant),
    excess: [...held].filter(([key]) => !declared.has(key)).map(([, grant]) => grant),
  }
}

/** A name as SQL writes it: in quotes only where it needs them. */
const nameOf = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`)

/** The plain GRANT and REVOKE statements that make the held grants the declared ones, one for each table and role. */
export function grantStatements(grants: readonly Grant[], held: GrantSet): readonly string[] {
  const { missing, excess } = compareGrants(grants, held)
  const statements = (verb: 'GRANT' | 'REVOKE', to: string, of: readonly HeldGrant[]) => {
    const privileges = new Map<string, string[]>()
    for (const { privilege, table, role } of of) {
      const where = `ON TABLE ${nameOf(table)} ${to} ${nameOf(role)}`
      privileges.set(where, [...(privileges.get(where) ?? []), privilege])
    }
    return [...privileges].map(([where, which]) => `${verb} ${which.join(', ')} ${where};`)
  }
  return [...statements('REVOKE', 'FROM', excess), ...statements('GRANT', 'TO', missing)]
}

/** A custom migration: plain GRANT and REVOKE and nothing else. Adds them to `held`. */
export function checkCustom({ file, sql }: Migration, tables: readonly string[], held: GrantSet): string[] {
  const { statements, unterminated } = parseMigration(sql ?? '')
  const problems = unterminated ? [`${file}: a ${unterminated} is never closed`] : []
  if (statements.length === 0) problems.push(`${file} holds no statement (all of it is comment)`)
  for (const statement of statements) {
    const grant = readGrant(statement)
    if (grant && tables.includes(grant.table)) applyGrant(held, grant)
    else problems.push(`${file}: only plain GRANT and REVOKE on ${tables} are accepted, not: ${statement.text}`)
  }
  return problems
}

/** What is declared and not granted (-), granted and not declared (+), with a word on comments that swallowed one. */
export function checkGrants(
  grants: readonly Grant[],
  held: GrantSet,
  schema: string,
  migrations: readonly Migration[],
): string[] {
  const { missing, excess } = compareGrants(grants, held)
  const swallowed = migrations
    .filter(({ sql }) => parseMigration(sql ?? '').comments.some(text => /\bGRANT\b[^;]*\bON\b[^;]*\bTO\b/i.test(text)))
    .map(({ file }) => `a comment in ${file} holds a GRANT, which is never run`)
  const lines = (sign: string, which: readonly HeldGrant[]) => which.map(grant => `${sign} GRANT ${sentence(grant)}`)
  return [
    ...withDiff(`${schema} declares grants that drizzle/*.sql does not give:`, lines('+', missing), swallowed),
    ...withDiff(`drizzle/*.sql gives grants that ${schema} does not declare:`, lines('-', excess)),
  ]
}
