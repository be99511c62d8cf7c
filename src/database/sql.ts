/**
 * Pieces of SQL text, and the names in it. Nothing here needs Drizzle, whose loading takes longer than most dials: the
 * names are held against schema.ts by their types.
 */
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
