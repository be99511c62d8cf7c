/** What is made of an answer of the catalogue, which a server that is none may give in any form. */
import { ProbeError } from '../failure/error.ts'
import type { Session } from './postgres.ts'

/** The only row of an answer. A server that has none to give does not know its own catalogue. */
export function exactlyOne<T>(rows: readonly T[], what: string): T {
  const [row] = rows
  if (row === undefined || rows.length > 1)
    throw new ProbeError('CATALOGUE_FAILED', `${what} returned ${rows.length} rows instead of one`)
  return row
}

/** Rows that have a text in this column, each of them. @throws ProbeError CATALOGUE_FAILED for one that has not */
export function withText<T>(rows: readonly T[], column: keyof T & string, what: string): readonly T[] {
  if (rows.every(row => typeof row[column] === 'string')) return rows
  throw new ProbeError('CATALOGUE_FAILED', `${what} returned a row without a ${column}`)
}

/** The column `name` of an answer. */
export const namesOf = async (session: Session, what: string, sql: string): Promise<readonly string[]> =>
  withText(await session.ask<{ name: string }>(what, sql), 'name', what).map(({ name }) => name)
