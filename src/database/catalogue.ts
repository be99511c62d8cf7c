/**
 * What a database's catalogue holds of the declared tables. pg_catalog throughout: information_schema hides what one may
 * not touch.
 */
import type { Session } from '../session/postgres.ts'
import type { Declared } from './declared.ts'
import type { Engine } from './engine.ts'
import { literal } from './sql.ts'

/** A column as pg_catalog has it. */
export interface CatalogueColumn {
  readonly oid: string
  readonly relkind: string
  readonly name: string
  readonly type: string
  readonly not_null: boolean
  readonly primary_key: boolean
  /** computed, or GENERATED ALWAYS: it takes no value */
  readonly generated: boolean
}

/** A column of a declared table. */
export interface DeclaredTableColumn extends CatalogueColumn {
  readonly table: string
  /** its number, by which constraints and indexes name it */
  readonly attnum: string
  /** its default as the server prints it; IDENTITY where PostgreSQL keeps the sequence of one elsewhere */
  readonly default: string | null
}

/** A constraint of a declared table. */
export interface CatalogueConstraint {
  readonly table: string
  readonly name: string
  /** contype: p primary key, u unique, f foreign key, c check */
  readonly kind: string
  /** the numbers of its columns, e.g. {1,3} */
  readonly columns: string | null
  /** as SQL, where it has no such numbers: UNIQUE WITHOUT INDEX of CockroachDB */
  readonly definition: string | null
  /** of a foreign key */
  readonly target: string | null
  readonly target_columns: string | null
}

export interface CatalogueIndex {
  readonly table: string
  readonly name: string
  readonly unique: boolean
  /** the numbers of its columns, e.g. 1 3; 0 stands for an expression */
  readonly columns: string
}

export interface CatalogueLabel {
  readonly name: string
  readonly label: string
}

/** A grant on a declared table. */
export interface CatalogueGrant {
  readonly table: string
  readonly grantee: string
  readonly privilege: string
  readonly grantable: boolean
  readonly column: string | null
}

/** All that is verified after a migration. */
export interface Catalogue {
  readonly columns: readonly DeclaredTableColumn[]
  readonly constraints: readonly CatalogueConstraint[]
  readonly indexes: readonly CatalogueIndex[]
  readonly labels: readonly CatalogueLabel[]
  readonly grants: readonly CatalogueGrant[]
}

/** `c` and `n` of the tables with these names in schema public. */
const inPublic = (names: readonly string[]): string =>
  `n.nspname = 'public' AND c.relname IN (${names.map(literal).join(', ')})`

/** One row per column of these tables, whatever the search path is; `more` are further expressions, `joins` theirs. */
export const columnsQuery = (names: readonly string[], more = '', joins = ''): string => `
  SELECT c.oid::text AS oid, c.relkind::text AS relkind, a.attname::text AS name,
         format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
         EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
                 WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)) AS primary_key,
         a.attgenerated <> '' OR a.attidentity = 'a' AS generated${more}
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid${joins}
  WHERE ${inPublic(names)} AND a.attnum > 0 AND NOT a.attisdropped
    AND c.relkind NOT IN ('i', 'I')
  ORDER BY a.attnum`

const DEFAULTS = `,
         c.relname::text AS "table", a.attnum::text AS attnum,
         coalesce(pg_get_expr(d.adbin, d.adrelid), CASE WHEN a.attidentity = 'd' THEN 'IDENTITY' END) AS "default"`
const DEFAULTS_JOIN = `
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum`

const constraintsQuery = (names: readonly string[]): string => `
  SELECT c.relname::text AS "table", k.conname::text AS name, k.contype::text AS kind, k.conkey::text AS columns,
         CASE WHEN k.conkey IS NULL THEN pg_get_constraintdef(k.oid) END AS definition,
         f.relname::text AS target, k.confkey::text AS target_columns
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
  WHERE ${inPublic(names)} ORDER BY 1, 2`

const indexesQuery = (names: readonly string[]): string => `
  SELECT c.relname::text AS "table", i.relname::text AS name, x.indisunique AS unique, x.indkey::text AS columns
  FROM pg_catalog.pg_index x
  JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
  WHERE ${inPublic(names)} ORDER BY 1, 2`

const labelsQuery = (names: readonly string[]): string => `
  SELECT t.typname::text AS name, e.enumlabel::text AS label
  FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid
  WHERE t.typname IN (${names.map(literal).join(', ')}) ORDER BY 1, e.enumsortorder`

/** Reads all of it, in one flight. */
export async function readCatalogue(
  session: Pick<Session, 'ask'>,
  engine: Engine,
  { tables, enums }: Declared,
): Promise<Catalogue> {
  const names = tables.map(({ name }) => name)
  const [columns, constraints, indexes, labels, grants] = await Promise.all([
    session.ask<DeclaredTableColumn>('the tables query', columnsQuery(names, DEFAULTS, DEFAULTS_JOIN)),
    session.ask<CatalogueConstraint>('the constraints query', constraintsQuery(names)),
    session.ask<CatalogueIndex>('the indexes query', indexesQuery(names)),
    enums.length === 0
      ? []
      : session.ask<CatalogueLabel>('the enums query', labelsQuery(enums.map(({ name }) => name))),
    session.ask<CatalogueGrant>('the grants query', engine.tableGrants(names)),
  ])
  return { columns, constraints, indexes, labels, grants }
}
