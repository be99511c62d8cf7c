/**
 * Pieces of SQL text, and the names in it. Nothing here needs Drizzle, whose loading takes longer than most dials: the
 * names are held against schema.ts by their types.
 */
import { sqlName } from '../failure/hints.ts'
import type { connectionProbe, Privilege } from '../schema.ts'

/** The table of schema.ts. */
export const TABLE_NAME: (typeof connectionProbe)['_']['name'] = 'connection_probe'

export type Verb = Privilege
/** The four verbs: all that the application's role may do, and all that it needs. */
export const VERBS: readonly Verb[] = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']

/** A text as an SQL literal; standard_conforming_strings is on everywhere since 2010, so only quotes are doubled. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** A name as an SQL identifier. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** The rows with these ids, as every statement about them that has no parameters names them. */
export const rowsById = (ids: readonly string[]): string =>
  `public.${TABLE_NAME} WHERE id IN (${ids.map(literal).join(', ')})`

/** A setting of our own that no server knows and every server keeps: what sets it at startup finds it again. */
export const SESSION_TOKEN = 'connection_probe.session'

/** What an entry of a table's grants says, as far as REVOKE takes it. */
interface TableGrant {
  readonly privilege: string
  readonly column: string | null
  readonly grantee: string
}

/**
 * The statement that takes a privilege on a table away.
 * @param table as SQL takes it
 * @param stays the privilege itself is to stay: only the grant option goes
 */
export const revokeOnTable = ({ privilege, column, grantee }: TableGrant, table: string, stays: boolean): string =>
  `REVOKE ${stays ? 'GRANT OPTION FOR ' : ''}${privilege}${column ? ` (${sqlName(column)})` : ''} ON TABLE ${table} FROM ${sqlName(grantee)}`

/** The statements after which a setting is set for the user nowhere, as a hint has them: where it is not known where it is. */
export const resetEverywhere = (setting: string): string =>
  ['ROLE {role}', 'ROLE {role} IN DATABASE {db}', 'DATABASE {db}', 'ROLE ALL']
    .map(whose => `ALTER ${whose} RESET ${setting}`)
    .join('; ')
