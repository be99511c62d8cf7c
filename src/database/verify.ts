/**
 * A database's table held against schema.ts. pg_catalog throughout: information_schema hides what one may not touch.
 */

import { ProbeError } from '../failure/error.ts'
import { EXPECTED_COLUMNS, GRANTS, type Grant } from '../schema.ts'
import type { Session } from '../session/postgres.ts'
import type { Engine } from './engine.ts'
import { TABLE_NAME } from './sql.ts'

/** The columns that schema.ts declares, a line each. */
export const DECLARED_COLUMNS: readonly string[] = EXPECTED_COLUMNS.map(({ name, type }) => `${name} ${type}`)

/** One column of public.connection_probe as pg_catalog has it. */
export interface CatalogueColumn {
  readonly oid: string
  readonly relkind: string
  readonly name: string
  readonly type: string
  readonly not_null: boolean
  readonly primary_key: boolean
}

/** public.connection_probe, whatever the search path is: one row per column. */
const TABLE = `
  SELECT c.oid::text AS oid, c.relkind::text AS relkind, a.attname::text AS name,
         format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
         EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
                 WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)) AS primary_key
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
  WHERE n.nspname = 'public' AND c.relname = '${TABLE_NAME}' AND a.attnum > 0 AND NOT a.attisdropped
    AND c.relkind NOT IN ('i', 'I')
  ORDER BY a.attnum`

/** The columns of the table, none if there is no such table. */
export const readColumns = (session: Session): Promise<readonly CatalogueColumn[]> =>
  session.ask<CatalogueColumn>('the table query', TABLE)

/** The table that the bare name finds, as an oid; null if it finds none. */
export async function readBareName(session: Session): Promise<string | null> {
  try {
    const [row] = await session.ask<{ oid: string }>(
      'the query for the table that the bare name finds',
      `SELECT '${TABLE_NAME}'::regclass::oid::text AS oid`,
    )
    return row?.oid ?? null
  } catch (error) {
    if (error instanceof ProbeError && error.answered === '42P01') return null
    throw error
  }
}

/** How the columns differ from schema.ts, a line each; empty if they do not. */
export function columnDifferences(found: readonly CatalogueColumn[]): string[] {
  const differences: string[] = []
  const kind = found[0]?.relkind
  if (kind !== undefined && kind !== 'r' && kind !== 'p') differences.push(`public.${TABLE_NAME} is no table (${kind})`)
  for (const column of EXPECTED_COLUMNS) {
    const actual = found.find(({ name }) => name === column.name)
    if (!actual) {
      differences.push(`column ${column.name} is missing`)
      continue
    }
    // With quote_all_identifiers PostgreSQL quotes them.
    if (actual.type.replaceAll('"', '') !== column.type)
      differences.push(`column ${column.name} is ${actual.type}, not ${column.type}`)
    if (actual.not_null !== column.notNull)
      differences.push(`column ${column.name} is ${actual.not_null ? 'NOT NULL' : 'nullable'}`)
    if (actual.primary_key !== column.primaryKey)
      differences.push(`column ${column.name} is ${actual.primary_key ? '' : 'not '}part of the primary key`)
  }
  for (const { name, type } of found)
    if (!EXPECTED_COLUMNS.some(column => column.name === name))
      differences.push(`column ${name} (${type}) is not declared`)
  return differences
}

/** What to do where only the name is the matter. */
const SEARCH_PATH =
  'the table is right, but the search path hides it: as root ALTER ROLE {user} RESET search_path; ALTER DATABASE {database} RESET search_path'

/**
 * Holds what was read against schema.ts.
 * @param bareName the oid the bare name finds; undefined if that was not asked
 * @throws ProbeError TABLE_MISSING or TABLE_MISMATCH
 */
export function verifyTable(found: readonly CatalogueColumn[], bareName: string | null | undefined): void {
  if (found.length === 0)
    throw new ProbeError('TABLE_MISSING', `there is no table public.${TABLE_NAME} in this database`)
  const columns = columnDifferences(found)
  const isShadowed = bareName !== undefined && bareName !== found[0]?.oid
  const finds = bareName === null ? 'no table' : `another table than public.${TABLE_NAME}`
  const differences = [...columns, ...(isShadowed ? [`the bare name ${TABLE_NAME} finds ${finds} (search_path)`] : [])]
  if (differences.length > 0)
    throw new ProbeError(
      'TABLE_MISMATCH',
      `public.${TABLE_NAME} is not what src/ declares: ${differences.join('; ')}`,
      { evidence: { differences }, ...(columns.length === 0 && { hint: SEARCH_PATH }) },
    )
}

/** A grant on public.connection_probe as the catalogue has it. */
export interface CatalogueGrant {
  readonly grantee: string
  readonly privilege: string
  readonly grantable: boolean
  readonly column: string | null
}

export const readGrants = (session: Session, engine: Engine): Promise<readonly CatalogueGrant[]> =>
  session.ask<CatalogueGrant>('the grants query', engine.tableGrants)

/** What others hold than those that schema.ts names, the owner, and CockroachDB's own administrators. */
export function otherGrants(found: readonly CatalogueGrant[], owner: string): string[] {
  const named = new Set<string>(['public', owner, 'root', 'admin', ...GRANTS.map(({ role }) => role)])
  return found
    .filter(({ grantee }) => !named.has(grantee))
    .map(({ grantee, privilege, column }) => `${privilege}${column ? ` (${column})` : ''} to ${grantee}`)
}

/**
 * Holds the grants against schema.ts, exactly, for the roles that it names and for PUBLIC; what others hold (the
 * owner, the engine's own administrators) is evidence.
 * @throws ProbeError DML_DENIED for what is missing, GRANT_EXCESS for what is too much
 */
export function verifyGrants(found: readonly CatalogueGrant[]): void {
  const declared: readonly Grant[] = GRANTS
  for (const role of new Set(['public', ...declared.map(grant => grant.role)])) {
    const wanted: readonly string[] = declared.filter(grant => grant.role === role).flatMap(grant => grant.privileges)
    const held = found.filter(({ grantee }) => grantee === role)
    const plain = held
      .filter(({ grantable, column }) => !grantable && column === null)
      .map(({ privilege }) => privilege)
    const missing = wanted.filter(privilege => !held.some(grant => grant.privilege === privilege && !grant.column))
    const excess = held.filter(({ privilege, grantable, column }) => grantable || column || !wanted.includes(privilege))
    const evidence = { role, held: plain, missing, excess }
    if (missing.length > 0)
      throw new ProbeError('DML_DENIED', `${role} lacks ${missing.join(', ')} on ${TABLE_NAME}`, { evidence })
    if (excess.length > 0) {
      const what = excess.map(
        ({ privilege, column, grantable }) =>
          `${privilege}${column ? ` (${column})` : ''}${grantable ? ' with grant option' : ''}`,
      )
      throw new ProbeError(
        'GRANT_EXCESS',
        `${role} holds ${what.join(', ')} on ${TABLE_NAME}, which src/ does not declare`,
        {
          evidence,
        },
      )
    }
  }
}
