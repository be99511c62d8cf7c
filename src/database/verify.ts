/** A database held against schema.ts: the probe's own table for its check, every declared table after a migration. */
import { connectionProbe } from '../driver/index.ts'
import { ProbeError } from '../failure/error.ts'
import type { Grant } from '../schema.ts'
import { withText } from '../session/answers.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Session } from '../session/postgres.ts'
import { type Catalogue, type CatalogueColumn, type CatalogueGrant, columnsQuery } from './catalogue.ts'
import { DECLARED, type Declared, type DeclaredTable, declare } from './declared.ts'
import { identifier, resetEverywhere, revokeOnTable, TABLE_NAME } from './sql.ts'
import { columnDifferences, enumDifferences, otherKind, type TypesOf, tableDifferences } from './table-differences.ts'

/** The probe's own table. */
const [OWN] = declare({ connectionProbe }).tables as readonly [DeclaredTable]

/** The columns that schema.ts declares, a line each. */
export const DECLARED_COLUMNS: readonly string[] = OWN.columns.map(({ name, type }) => `${name} ${type}`)

/**
 * The columns of the probe's table, none if there is no such table.
 * @throws ProbeError TABLE_MISMATCH if it is offline
 */
export async function readColumns(session: Session): Promise<readonly CatalogueColumn[]> {
  const what = 'the table query'
  const rows = await session.ask<CatalogueColumn>(what, columnsQuery([TABLE_NAME]))
  if (rows.length === 0) await expectOnline(session, TABLE_NAME)
  return withText(withText(rows, 'name', what), 'type', what)
}

const OFFLINE =
  'a job keeps the table offline, and its rows are still there: as root SHOW JOBS; wait until the job ends, or RESUME JOB ID, or CANCEL JOB ID; do not migrate and drop nothing before that'

/**
 * Looks whether a table that the catalogue does not list is there all the same: CockroachDB lists none that a job (IMPORT,
 * RESTORE) has taken offline, and answers XXUUU "relation … is offline: importing" to who uses it (measured on 22.1).
 * @throws ProbeError TABLE_MISMATCH if it is
 */
export async function expectOnline(session: Session, table: string): Promise<void> {
  const use = session.ask('the first use of the table', `SELECT 1 FROM public.${identifier(table)} LIMIT 0`)
  try {
    // 42501: of a schema that one may not use.
    await ifKnown(use, [], sqlstate => sqlstate === '42P01' || sqlstate === '42501')
  } catch (error) {
    const [said] = /(?<=" )is offline.*/.exec(error instanceof Error ? error.message : '') ?? []
    if (said === undefined) throw error
    throw mismatch([{ table, differences: [`it ${said}`] }], OFFLINE)
  }
}

/**
 * What a migration failed with, and what is in the way of the table where that is so: something else of its name, or the
 * table itself.
 * @throws ProbeError TABLE_MISMATCH if it is offline
 */
export async function inTheWay(session: Session, error: ProbeError): Promise<ProbeError> {
  if (error.answered !== '42P07') return error
  return error.with({ hint: replace(TABLE_NAME, await readColumns(session)) ?? error.hint })
}

/** A table that a bare name finds. */
export interface FoundByName {
  readonly oid: string
  readonly schema: string
}

/**
 * The table that the bare name finds; null if it finds none. Not by regclass: from the second time on CockroachDB refuses
 * that to who lacks SELECT, since it keeps the plan and asks for the privileges of what is in it (measured on 22.1).
 */
export async function readBareName(session: Session): Promise<FoundByName | null> {
  const [row] = await session.ask<FoundByName>(
    'the query for the table that the bare name finds',
    `SELECT c.oid::text AS oid, n.nspname AS schema
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relname = '${TABLE_NAME}' AND n.nspname = ANY (current_schemas(true))
       ${session.engine.indexesHideTables ? '' : `AND c.relkind NOT IN ('i', 'I')`}
     ORDER BY array_position(current_schemas(true), n.nspname) LIMIT 1`,
  )
  return row ?? null
}

const HIDDEN = 'the table is right, but the search path hides it'

/** What to do where only the name is the matter, and it is not known where the path is set. */
const SEARCH_PATH = `${HIDDEN}: as root ${resetEverywhere('search_path')}; where it finds one in a schema called like the role, which "$user" puts first: ALTER ROLE {role} SET search_path = public`

/** What a bare name finds instead of the table; empty where it finds that, or where it was not asked for. */
function shadowed(oid: string | undefined, bareName: FoundByName | null | undefined): string[] {
  if (bareName === undefined || bareName?.oid === oid) return []
  const finds = bareName === null ? 'no table' : `${bareName.schema}.${TABLE_NAME}, not public.${TABLE_NAME}`
  return [`the bare name ${TABLE_NAME} finds ${finds} (search_path)`]
}

/**
 * Holds what was read of the probe's table against schema.ts.
 * @param bareName what the bare name finds; undefined if that was not asked
 * @param resets the statements that reset the search path where it is set
 * @throws ProbeError TABLE_MISSING or TABLE_MISMATCH
 */
export function verifyTable(
  found: readonly CatalogueColumn[],
  bareName: FoundByName | null | undefined,
  engine?: TypesOf,
  resets: readonly string[] = [],
): void {
  if (found.length === 0) throw missing([TABLE_NAME])
  const columns = columnDifferences(found, OWN, engine)
  const differences = [...columns, ...shadowed(found[0]?.oid, bareName)]
  const hidden = resets.length > 0 ? `${HIDDEN}. As root: ${resets.join('; ')}` : SEARCH_PATH
  if (differences.length > 0)
    throw mismatch([{ table: TABLE_NAME, differences }], columns.length === 0 ? hidden : replace(TABLE_NAME, found))
}

/** What to do where something that is no table has the name of one; undefined where it is one. */
function replace(table: string, found: readonly CatalogueColumn[]): string | undefined {
  const kind = otherKind(found)
  if (kind === null || kind.startsWith('relation')) return undefined
  return `a ${kind} has the name of the table: as root DROP ${kind.toUpperCase()} public.${table}, or rename it; then npm run migrate`
}

const missing = (tables: readonly string[], hint?: string): ProbeError =>
  new ProbeError(
    'TABLE_MISSING',
    `there is no table ${tables.map(name => `public.${name}`).join(', no table ')} in this database`,
    { hint },
  )

/** What to do about missing tables that the journal says were made. */
const REMAKE = {
  all: 'as gateway_admin DELETE FROM drizzle.__drizzle_migrations; then migrate again',
  some: 'as gateway_admin run the statements of drizzle/*.sql that make it, its GRANT included',
} as const

interface Differing {
  /** null: of the database, e.g. an enum */
  readonly table: string | null
  readonly differences: readonly string[]
}

function mismatch(all: readonly Differing[], hint: string | undefined): ProbeError {
  const sentence = ({ table, differences }: Differing) =>
    `${table === null ? 'the database' : `public.${table}`} is not what src/ declares: ${differences.join('; ')}`
  const evidence = { differences: all.flatMap(({ differences }) => differences) }
  return new ProbeError('TABLE_MISMATCH', all.map(sentence).join('; '), { evidence, hint })
}

/**
 * Holds every declared table against the catalogue: columns, defaults, keys, checks, indexes, enums, and the grants.
 * @throws ProbeError TABLE_MISSING, TABLE_MISMATCH, DML_DENIED or GRANT_EXCESS
 */
export function verifyDeclared(catalogue: Catalogue, engine: TypesOf, declared: Declared = DECLARED): void {
  const columnsOf = (table: string) => catalogue.columns.filter(column => column.table === table)
  const gone = declared.tables.map(({ name }) => name).filter(name => columnsOf(name).length === 0)
  if (gone.length > 0) throw missing(gone, gone.length === declared.tables.length ? REMAKE.all : REMAKE.some)
  const enums = { table: null, differences: enumDifferences(catalogue, declared) }
  const tables = declared.tables.map(table => ({
    table: table.name,
    differences: tableDifferences(catalogue, table, engine),
  }))
  const differing = [enums, ...tables].filter(({ differences }) => differences.length > 0)
  const [hint] = declared.tables.flatMap(({ name }) => replace(name, columnsOf(name)) ?? [])
  if (differing.length > 0) throw mismatch(differing, hint)
  verifyGrants(catalogue.grants, declared)
}

/** What others hold than those that schema.ts names, the owner, and CockroachDB's own administrators. */
export function otherGrants(
  found: readonly CatalogueGrant[],
  owner: string,
  { grants }: Declared = DECLARED,
): Readonly<Record<string, readonly string[]>> {
  const named = new Set<string>(['public', owner, 'root', 'admin', ...grants.map(({ role }) => role)])
  const others: Record<string, string[]> = {}
  for (const { table, grantee, privilege, column } of found)
    if (!named.has(grantee))
      others[table] = [...(others[table] ?? []), `${privilege}${column ? ` (${column})` : ''} to ${grantee}`]
  return others
}

/** A grant that is too much, in words. */
const excessive = ({ privilege, column, grantable }: CatalogueGrant): string =>
  `${privilege}${column ? ` (${column})` : ''}${grantable ? ' with grant option' : ''}`

/** CockroachDB lists the four verbs, and whatever else there is, under this name where somebody holds them all. */
const ALL = 'ALL'

/** The statements that take it away; of a privilege that is declared only the grant option. */
function revokeOf(found: CatalogueGrant, grants: readonly Grant[]): string {
  const { privilege, table, grantee, grantable } = found
  const declared: readonly string[] = grants
    .filter(grant => grant.role === grantee && grant.table === table)
    .flatMap(({ privileges }) => privileges)
  const revoke = revokeOnTable(found, table, grantable && declared.includes(privilege))
  const isAgain = privilege === ALL && declared.length > 0
  return isAgain ? `${revoke}; GRANT ${declared.join(', ')} ON TABLE ${table} TO ${grantee}` : revoke
}

/**
 * Holds the grants on every declared table against schema.ts, exactly, for the roles that it names and for PUBLIC; what
 * others hold (the owner, the engine's own administrators) is evidence.
 * @throws ProbeError DML_DENIED for what is missing, GRANT_EXCESS for what is too much
 */
export function verifyGrants(found: readonly CatalogueGrant[], { tables, grants }: Declared = DECLARED): void {
  const roles = new Set(['public', ...grants.map(({ role }) => role)])
  const lacking: { role: string; table: string; missing: readonly string[] }[] = []
  const beyond: { role: string; table: string; excess: readonly CatalogueGrant[] }[] = []
  for (const { name: table } of tables)
    for (const role of roles) {
      const wanted: readonly string[] = grants
        .filter(grant => grant.role === role && grant.table === table)
        .flatMap(({ privileges }) => privileges)
      const held = found.filter(grant => grant.table === table && grant.grantee === role)
      const has = (wanted: string) =>
        held.some(({ privilege, column }) => (privilege === wanted || privilege === ALL) && !column)
      lacking.push({ role, table, missing: wanted.filter(privilege => !has(privilege)) })
      const isExcess = ({ privilege, grantable, column }: CatalogueGrant) =>
        grantable || column !== null || !wanted.includes(privilege)
      beyond.push({ role, table, excess: held.filter(isExcess) })
    }
  const missing = lacking.filter(one => one.missing.length > 0)
  if (missing.length > 0) {
    const lines = missing.map(one => `${one.role} lacks ${one.missing.join(', ')} on ${one.table}`)
    const grants = missing.map(one => `GRANT ${one.missing.join(', ')} ON TABLE ${one.table} TO ${one.role}`)
    const hint = `as gateway_admin: ${grants.join('; ')}`
    throw new ProbeError('DML_DENIED', lines.join('; '), { evidence: { missing }, hint })
  }
  const excess = beyond.filter(one => one.excess.length > 0)
  if (excess.length > 0) {
    const lines = excess.map(one => `${one.role} holds ${one.excess.map(excessive).join(', ')} on ${one.table}`)
    const hint = `as gateway_admin: ${excess.flatMap(one => one.excess.map(found => revokeOf(found, grants))).join('; ')}`
    throw new ProbeError('GRANT_EXCESS', `${lines.join('; ')}, which src/ does not declare`, {
      evidence: { excess },
      hint,
    })
  }
}
