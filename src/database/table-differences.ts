/** How what a catalogue holds differs from what schema.ts declares, a line each; pure. */
import type { Catalogue, CatalogueColumn, CatalogueConstraint, DeclaredTableColumn } from './catalogue.ts'
import type { Declared, DeclaredColumn, DeclaredKey, DeclaredTable } from './declared.ts'
import type { Engine } from './engine.ts'
import { sameDefault, typeName } from './expression.ts'

/** What of an engine decides here. */
export type TypesOf = Pick<Engine, 'typeMadeOf' | 'printsTimePrecision'>
const AS_WRITTEN: TypesOf = { typeMadeOf: () => null, printsTimePrecision: true }

/** With quote_all_identifiers PostgreSQL quotes them. */
const withoutQuotes = (type: string): string => type.replaceAll('"', '')

/** The type that a column must have. */
const expectedType = ({ type }: DeclaredColumn, { typeMadeOf }: TypesOf): string =>
  typeMadeOf(type.toLowerCase()) ?? typeName(type)

/** Whether the catalogue's type is that one, as far as the engine prints it. */
function isType(found: string, expected: string, { printsTimePrecision }: TypesOf): boolean {
  const form = (type: string) => (printsTimePrecision ? type : type.replace(/^(time(?:stamp)?)\(\d\)/, '$1'))
  return form(typeName(found)) === form(expected)
}

/** Of one column: type, nullability, key, and whether it takes a value. */
function columnDifference(
  declared: DeclaredColumn,
  actual: CatalogueColumn | undefined,
  engine: TypesOf,
): readonly string[] {
  const what = `column ${declared.name}`
  if (!actual) return [`${what} is missing`]
  const type = expectedType(declared, engine)
  return [
    ...(isType(withoutQuotes(actual.type), type, engine)
      ? []
      : [`${what} is ${withoutQuotes(actual.type)}, not ${type}`]),
    ...(actual.not_null === declared.notNull ? [] : [`${what} is ${actual.not_null ? 'NOT NULL' : 'nullable'}`]),
    ...(actual.primary_key === declared.primaryKey
      ? []
      : [`${what} is ${actual.primary_key ? '' : 'not '}part of the primary key`]),
    ...(actual.generated === (declared.generated === 'always')
      ? []
      : [`${what} is ${actual.generated ? '' : 'not '}generated`]),
  ]
}

/** What can have a table's name, by relkind, as DROP has it. */
const OTHER_KINDS: Readonly<Record<string, string>> = {
  v: 'view',
  m: 'materialized view',
  S: 'sequence',
  f: 'foreign table',
  c: 'type',
}

/** What it is that these columns are of, e.g. `view`; null of a table. */
export function otherKind([column]: readonly CatalogueColumn[]): string | null {
  const kind = column?.relkind ?? 'r'
  return kind === 'r' || kind === 'p' ? null : (OTHER_KINDS[kind] ?? `relation of kind ${kind}`)
}

/**
 * What CockroachDB adds and hides: a key to a table without a primary key, and the column that a hash-sharded index is
 * on, which refuses no row. One in the primary key is part of how the table was made.
 */
const isHidden = (column: CatalogueColumn, { keys }: DeclaredTable): boolean =>
  (column.name === 'rowid' && !keys.some(({ kind }) => kind === 'primary key')) || isShard(column)

const isShard = ({ name, generated, primary_key }: CatalogueColumn): boolean =>
  generated && !primary_key && /^crdb_internal_.+_shard_\d+$/.test(name)

/**
 * How the columns of a table differ: name, type, nullability, key, and whether they take a value, not the text of
 * defaults. Of what is no table nothing more is said.
 * @param found the columns of this table
 */
export function columnDifferences(
  found: readonly CatalogueColumn[],
  table: DeclaredTable,
  engine: TypesOf = AS_WRITTEN,
): string[] {
  const kind = otherKind(found)
  if (kind !== null) return [`it is a ${kind}, not a table`]
  return [
    ...table.columns.flatMap(column =>
      columnDifference(
        column,
        found.find(({ name }) => name === column.name),
        engine,
      ),
    ),
    ...found
      .filter(column => !table.columns.some(({ name }) => name === column.name) && !isHidden(column, table))
      .map(({ name, type }) => `column ${name} (${type}) is not declared`),
  ]
}

/** How the defaults of a table's columns differ. */
const defaultDifferences = (found: readonly DeclaredTableColumn[], { columns }: DeclaredTable): string[] =>
  columns.flatMap(({ name, type, default: declared, generated }) => {
    const actual = found.find(column => column.name === name)
    if (!actual || generated || actual.generated || sameDefault(declared, actual.default, type)) return []
    if (declared === null) return [`column ${name} has the default ${actual.default}, which is not declared`]
    return [
      actual.default === null
        ? `column ${name} has no default, not ${declared}`
        : `column ${name} has the default ${actual.default}, not ${declared}`,
    ]
  })

const KINDS: Readonly<Record<string, DeclaredKey['kind']>> = { p: 'primary key', u: 'unique', f: 'foreign key' }

/** A key in words, which are also what is compared; of a table that is not declared the columns are not known. */
function inWords(kind: string, columns: readonly string[], target: DeclaredKey['target']): string {
  const there = target && target.columns.length > 0 ? ` (${target.columns.join(', ')})` : ''
  return `${kind} (${columns.join(', ')})${target ? ` to ${target.table}${there}` : ''}`
}

/** The columns with these numbers, e.g. {1,3}, of a table, as far as somebody has named them. */
function columnsAt(numbers: string | null, columns: readonly DeclaredTableColumn[], table: string): string[] {
  return (numbers?.match(/\d+/g) ?? []).flatMap(number => {
    const column = columns.find(column => column.table === table && column.attnum === number)
    return column && isShard(column) ? [] : [column?.name ?? `column ${number}`]
  })
}

function foundKey(key: CatalogueConstraint, all: Catalogue['columns']): string {
  const { kind, table, columns, definition, target, target_columns } = key
  if (definition !== null) return definition
  const isKnown = all.some(column => column.table === target)
  const to = target === null ? null : { table: target, columns: isKnown ? columnsAt(target_columns, all, target) : [] }
  return inWords(KINDS[kind] ?? kind, columnsAt(columns, all, table), to)
}

/** The key that CockroachDB gives a table without one. */
const ROWID_KEY = inWords('primary key', ['rowid'], null)

/** How the keys and checks of a table differ. */
function constraintDifferences({ columns, constraints }: Catalogue, table: DeclaredTable): string[] {
  const here = constraints.filter(constraint => constraint.table === table.name)
  const found = here
    .filter(({ kind }) => kind in KINDS)
    .map(key => ({ name: key.name, key: foundKey(key, columns) }))
    .filter(({ key }) => key !== ROWID_KEY)
  const declared = table.keys.map(({ kind, columns, target }) => inWords(kind, columns, target))
  // CockroachDB lists unique indexes here, too.
  const isDeclared = ({ name, key }: { name: string; key: string }) =>
    declared.includes(key) || table.indexes.some(index => index.name === name)
  const shards = columns.filter(column => column.table === table.name && isShard(column))
  const checks = here
    .filter(({ kind, name }) => kind === 'c' && !shards.some(shard => name === `check_${shard.name}`))
    .map(({ name }) => name)
  return [
    ...declared.filter(key => !found.some(one => one.key === key)).map(key => `${key} is missing`),
    ...found.filter(one => !isDeclared(one)).map(({ name, key }) => `${key} (${name}) is not declared`),
    ...table.checks.filter(name => !checks.includes(name)).map(name => `check ${name} is missing`),
    ...checks.filter(name => !table.checks.includes(name)).map(name => `check ${name} is not declared`),
  ]
}

/** How the declared indexes of a table differ; one that somebody made besides refuses no row, and is nobody's business. */
const indexDifferences = ({ columns, indexes }: Catalogue, table: DeclaredTable): string[] =>
  table.indexes.flatMap(({ name, unique, columns: declared }) => {
    const actual = indexes.find(index => index.table === table.name && index.name === name)
    if (!actual) return [`index ${name} is missing`]
    const on = columnsAt(actual.columns, columns, table.name)
    return [
      ...(actual.unique === unique ? [] : [`index ${name} is ${actual.unique ? '' : 'not '}unique`]),
      ...(declared === null || declared.join() === on.slice(0, declared.length).join()
        ? []
        : [`index ${name} is on ${on.join(', ')}, not on ${declared.join(', ')}`]),
    ]
  })

/** Every difference of one table that is there. */
export function tableDifferences(catalogue: Catalogue, table: DeclaredTable, engine: TypesOf): string[] {
  const found = catalogue.columns.filter(column => column.table === table.name)
  const columns = columnDifferences(found, table, engine)
  if (otherKind(found) !== null) return columns
  return [
    ...columns,
    ...defaultDifferences(found, table),
    ...constraintDifferences(catalogue, table),
    ...indexDifferences(catalogue, table),
  ]
}

/** How the enums differ. */
export const enumDifferences = ({ labels }: Catalogue, { enums }: Declared): string[] =>
  enums.flatMap(({ name, values }) => {
    const found = labels.filter(label => label.name === name).map(({ label }) => label)
    if (found.length === 0) return [`enum ${name} is missing`]
    return found.join('\0') === values.join('\0')
      ? []
      : [`enum ${name} has the values ${found.join(', ')}, not ${values.join(', ')}`]
  })
