/**
 * The one statement that the back end runs: an INSERT of one row whose payload is what its session says of itself. It is
 * made of schema.ts, so that a new column that must have a value gets one.
 *
 * The two ids stand in it as literals, near its beginning: by the row's id the server's list of sessions shows who ran
 * it, and that list is cut (at 1,024 bytes on PostgreSQL).
 */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { connectionProbe, getTableColumns } from '../driver/index.ts'
import type { NewProbeRow } from '../schema.ts'
import type { Engine } from './engine.ts'
import { identifier, literal, TABLE_NAME } from './sql.ts'

export interface WitnessStatement {
  readonly engine: Engine['id']
  readonly runId: string
  readonly rowId: string
  /** what runs it, and which pool it says it is of; both go into the payload */
  readonly expression: 'elixir' | 'sql'
  readonly pool: string
  /** how texts are quoted: `literal`, or `dollarQuoted` where single quotes are in the way */
  readonly quote: (text: string) => string
}

/** A text in $$…$$, which both engines take: no shell's single quotes and no Elixir string's double ones are in its way. */
export function dollarQuoted(text: string): string {
  if (text.includes('$')) throw new Error('a text that cannot be quoted so')
  return `$$${text}$$`
}

/** A value of each type for a column that must have one, as text. The first that matches counts. */
const FILLERS: readonly (readonly [RegExp, string])[] = [
  [/\[\]$/, '{}'],
  [/^(text|varchar|char|bpchar|citext|bytea|bit varying)\b/, ''],
  [/^(small|big)?int(eger)?\b|^(numeric|decimal|real|double precision|interval)\b/, '0'],
  [/^bool/, 'false'],
  [/^jsonb?$/, '{}'],
  [/^uuid$/, '00000000-0000-0000-0000-000000000000'],
  [/^timestamp\b/, '2000-01-01 00:00:00'],
  [/^date$/, '2000-01-01'],
  [/^time\b/, '00:00:00'],
  [/^(inet|cidr)$/, '::'],
]

/** Whether an INSERT that leaves the column out is refused. A default of Drizzle's own is none of the database's. */
const isRequired = ({
  notNull,
  hasDefault,
  default: sql,
  defaultFn,
  generated,
  generatedIdentity,
}: PgColumn): boolean =>
  notNull && !generated && !generatedIdentity && (!hasDefault || (defaultFn !== undefined && sql === undefined))

/** A value for a column that nobody gives one. @throws Error for a type that has none here */
function fillerFor(column: PgColumn): string {
  const { enumValues } = column
  const type = column.getSQLType()
  const [, found] = FILLERS.find(([pattern]) => pattern.test(type)) ?? []
  const value = enumValues?.[0] ?? found
  if (value === undefined) throw new Error(`${column.name} must have a value, and there is none for its type, ${type}`)
  return value
}

/** As an identifier is typed: without quotes where it needs none. */
const nameOf = ({ name }: PgColumn): string => (/^[a-z][a-z0-9_]*$/.test(name) ? name : identifier(name))

/** What a session says of itself, by engine: SQL of the names and values of a JSON object. */
function evidenceOf({ engine, expression, pool, quote }: WitnessStatement): string {
  const named = `(SELECT count(*) FROM pg_catalog.pg_prepared_statements WHERE name <> ${quote('')})`
  const ownSession = `current_setting(${quote('session_id')})`
  const own: Readonly<Record<Engine['id'], Readonly<Record<string, string>>>> = {
    cockroachdb: {
      session: ownSession,
      client: `(SELECT client_address FROM [SHOW SESSIONS] WHERE session_id = ${ownSession})`,
    },
    postgresql: {
      session: 'CAST(pg_backend_pid() AS text)',
      client: 'host(inet_client_addr())',
      tls: '(SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid())',
    },
  }
  const facts: Readonly<Record<string, string>> = {
    expression: quote(expression),
    pool: quote(pool),
    named,
    ...own[engine],
    user: 'CAST(session_user AS text)',
    application: `current_setting(${quote('application_name')})`,
  }
  return Object.entries(facts)
    .map(([name, value]) => `${quote(name)}, ${value}`)
    .join(', ')
}

/** The statement, in one line, without a semicolon. */
export const witnessStatement = (wanted: WitnessStatement): string =>
  statementFor(getTableColumns(connectionProbe), wanted)

/** The same for these columns, by the keys that they have in the schema. @throws Error for a type that it has no value of */
export function statementFor(all: Readonly<Record<string, PgColumn>>, wanted: WitnessStatement): string {
  const { runId, rowId, expression, quote } = wanted
  const known: Readonly<Partial<Record<keyof NewProbeRow, string>>> = {
    id: `CAST(${quote(rowId)} AS uuid)`,
    runId: `CAST(${quote(runId)} AS uuid)`,
    sequence: '1',
    origin: quote(`the back end, by ${expression}`),
    payload: `jsonb_build_object(${evidenceOf(wanted)})`,
  }
  const columns = Object.entries(all)
    .map(([key, column]) => ({ column, value: known[key as keyof NewProbeRow] }))
    .flatMap(({ column, value }) => {
      if (value !== undefined) return [{ name: nameOf(column), value }]
      const filler = () => `CAST(${quote(fillerFor(column))} AS ${column.getSQLType()})`
      return isRequired(column) ? [{ name: nameOf(column), value: filler() }] : []
    })
  const names = columns.map(({ name }) => name).join(', ')
  return `INSERT INTO public.${TABLE_NAME} (${names}) SELECT ${columns.map(({ value }) => value).join(', ')}`
}

/** The statement for any client. */
export const sqlStatement = (ids: Pick<WitnessStatement, 'engine' | 'runId' | 'rowId'>): string =>
  `${witnessStatement({ ...ids, expression: 'sql', pool: '', quote: literal })};`
