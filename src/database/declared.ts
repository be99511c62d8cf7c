/**
 * What schema.ts declares, as data: every table with its columns, defaults, keys, indexes and checks, every enum, and the
 * grants. A table that is exported there is declared; nothing else lists it.
 */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { getTableConfig, is, isPgEnum, PgDialect, PgTable, SQL, schema } from '../driver/index.ts'
import type { Grant } from '../schema.ts'
import { literal } from './sql.ts'

export interface DeclaredColumn {
  readonly name: string
  /** as the migration has it, e.g. varchar(20) */
  readonly type: string
  readonly notNull: boolean
  readonly primaryKey: boolean
  /** the expression of its default; null: it has none */
  readonly default: string | null
  /** GENERATED: what the catalogue has in the place of a default is not compared */
  readonly generated: 'always' | 'by default' | null
}

/** A constraint that has columns. */
export interface DeclaredKey {
  readonly kind: 'primary key' | 'unique' | 'foreign key'
  readonly name: string
  readonly columns: readonly string[]
  /** of a foreign key: the table it refers to, and the columns there */
  readonly target: { readonly table: string; readonly columns: readonly string[] } | null
}

export interface DeclaredIndex {
  readonly name: string
  readonly unique: boolean
  /** null where an expression is among them */
  readonly columns: readonly string[] | null
}

export interface DeclaredTable {
  readonly schema: string
  readonly name: string
  readonly columns: readonly DeclaredColumn[]
  readonly keys: readonly DeclaredKey[]
  readonly indexes: readonly DeclaredIndex[]
  /** the names of its checks */
  readonly checks: readonly string[]
}

export interface DeclaredEnum {
  readonly name: string
  readonly values: readonly string[]
}

export interface Declared {
  readonly tables: readonly DeclaredTable[]
  readonly enums: readonly DeclaredEnum[]
  readonly grants: readonly Grant[]
}

/** A value of schema.ts in an SQL text, as drizzle-kit writes it into a migration. */
function defaultText({ default: value }: PgColumn): string | null {
  if (value === undefined) return null
  if (is(value, SQL)) return new PgDialect().sqlToQuery(value.inlineParams()).sql
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  const text = value instanceof Date ? value.toISOString() : typeof value === 'string' ? value : JSON.stringify(value)
  return literal(text)
}

const isSerial = (type: string): boolean => /^(small|big)?serial$/.test(type)

function generatedHow({ generated, generatedIdentity }: PgColumn): DeclaredColumn['generated'] {
  if (generated !== undefined) return 'always'
  if (generatedIdentity === undefined) return null
  return generatedIdentity.type === 'always' ? 'always' : 'by default'
}

function declareColumn(column: PgColumn, key: readonly string[]): DeclaredColumn {
  const type = column.getSQLType()
  return {
    name: column.name,
    type,
    notNull: column.notNull || key.includes(column.name),
    primaryKey: key.includes(column.name),
    default: isSerial(type) ? 'nextval' : defaultText(column),
    generated: generatedHow(column),
  }
}

function declareTable(table: PgTable): DeclaredTable {
  const config = getTableConfig(table)
  const names = (columns: readonly { readonly name: string }[]) => columns.map(({ name }) => name)
  const single = config.columns.filter(({ primary }) => primary)
  const primary = [
    ...config.primaryKeys.map(key => ({ name: key.getName(), columns: names(key.columns) })),
    ...(single.length > 0 ? [{ name: `${config.name}_pkey`, columns: names(single) }] : []),
  ]
  const unique = [
    ...config.uniqueConstraints.map(({ name, columns }) => ({ name: name ?? '', columns: names(columns) })),
    ...config.columns
      .filter(({ isUnique }) => isUnique)
      .map(({ name, uniqueName }) => ({ name: uniqueName ?? '', columns: [name] })),
  ]
  const foreign = config.foreignKeys.map(key => {
    const { columns, foreignColumns, foreignTable } = key.reference()
    return {
      name: key.getName(),
      columns: names(columns),
      target: { table: getTableConfig(foreignTable).name, columns: names(foreignColumns) },
    }
  })
  return {
    schema: config.schema ?? 'public',
    name: config.name,
    columns: config.columns.map(column => declareColumn(column, primary[0]?.columns ?? [])),
    keys: [
      ...primary.map(key => ({ ...key, kind: 'primary key' as const, target: null })),
      ...unique.map(key => ({ ...key, kind: 'unique' as const, target: null })),
      ...foreign.map(key => ({ ...key, kind: 'foreign key' as const })),
    ],
    indexes: config.indexes.map(({ config: { name, columns, unique } }) => {
      const named = columns.flatMap(column => ('name' in column && column.name ? [column.name] : []))
      return { name: name ?? '', unique, columns: named.length === columns.length ? named : null }
    }),
    checks: names(config.checks),
  }
}

/** What a module declares that exports tables, enums and GRANTS. */
export function declare(module: Readonly<Record<string, unknown>>): Declared {
  const exported = Object.values(module)
  return {
    tables: exported.filter(one => is(one, PgTable)).map(declareTable),
    enums: exported.filter(isPgEnum).map(({ enumName, enumValues }) => ({ name: enumName, values: enumValues })),
    grants: Array.isArray(module.GRANTS) ? module.GRANTS : [],
  }
}

/** What this program's schema.ts declares. */
export const DECLARED: Declared = declare(schema)
