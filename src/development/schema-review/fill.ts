/** Rows for any table: values by the types of its columns. */
import { identifier, literal } from '../../database/sql.ts'
import type { SnapshotColumn, SnapshotEnum, SnapshotTable } from '../schema-check/folder.ts'

/** Rows for each table; the last one has values in required columns only. */
export const ROWS = 3

/** Tables after those that they refer to. */
export function inOrder(tables: readonly SnapshotTable[]): readonly SnapshotTable[] {
  const done: SnapshotTable[] = []
  const visit = (table: SnapshotTable, path: readonly string[]) => {
    if (done.includes(table) || path.includes(table.name)) return
    for (const { tableTo } of Object.values(table.foreignKeys)) {
      const target = tables.find(({ name }) => name === tableTo)
      if (target) visit(target, [...path, table.name])
    }
    done.push(table)
  }
  for (const table of tables) visit(table, [])
  return done
}

/** A text of at most so many characters as the type takes. */
function textValue(type: string, row: number): string {
  const most = Number(/\((\d+)\)/.exec(type)?.[1] ?? 100)
  return literal(`row ${row}`.slice(-most))
}

/** By type, the value of a row as an SQL expression. */
const VALUES: readonly (readonly [type: RegExp, value: (row: number, type: string) => string])[] = [
  [/\[\]$/, () => `'{}'`],
  [/^uuid/, () => 'gen_random_uuid()'],
  [/^(text|varchar|char|character|bpchar)/, (row, type) => textValue(type, row)],
  [/^(bigint|integer|int|smallint|bigserial|serial|smallserial|numeric|decimal|real|double)/, row => String(row)],
  [/^boolean/, row => String(row % 2 === 1)],
  [/^timestamp/, () => 'now()'],
  [/^date/, () => 'current_date'],
  [/^time/, () => "'12:00:00'"],
  [/^interval/, () => "'1 hour'"],
  [/^jsonb?/, row => `'{"row": ${row}}'`],
  [/^bytea/, () => "'\\x01'"],
  [/^(inet|cidr)/, () => "'::1'"],
]

const isFilledByServer = ({ identity, generated, type }: SnapshotColumn): boolean =>
  identity !== undefined || generated !== undefined || /serial$/.test(type)

/**
 * The statements that fill a table.
 * @throws Error where a required column has a type of which no value is known here
 */
export function fillStatements(table: SnapshotTable, enums: Readonly<Record<string, SnapshotEnum>>): readonly string[] {
  const columns = Object.values(table.columns)
  const references = Object.values(table.foreignKeys)
  const valueFor = (column: SnapshotColumn, row: number): string | null => {
    for (const { tableTo, columnsFrom, columnsTo } of references) {
      const target = columnsTo[columnsFrom.indexOf(column.name)]
      if (target === undefined) continue
      const name = identifier(target)
      return `(SELECT ${name} FROM public.${identifier(tableTo)} ORDER BY ${name} LIMIT 1 OFFSET ${row - 1})`
    }
    const values = Object.values(enums).find(({ name }) => name === column.type)?.values
    if (values) return literal(values[row % values.length] ?? '')
    return VALUES.find(([type]) => type.test(column.type))?.[1](row, column.type) ?? null
  }
  return Array.from({ length: ROWS }, (_, at) => {
    const row = at + 1
    const wanted = columns.filter(
      column => !isFilledByServer(column) && (row < ROWS || column.notNull || column.primaryKey),
    )
    const given = wanted.flatMap(column => {
      const value = valueFor(column, row)
      if (value !== null) return [[identifier(column.name), value] as const]
      if (column.notNull && column.default === undefined)
        throw new Error(`no value is known here for ${column.name} ${column.type}`)
      return []
    })
    const into = `INSERT INTO public.${identifier(table.name)}`
    if (given.length === 0) return `${into} DEFAULT VALUES`
    return `${into} (${given.map(([name]) => name).join(', ')}) VALUES (${given.map(([, value]) => value).join(', ')})`
  })
}
