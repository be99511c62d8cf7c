/** What is made of an answer of the catalogue, which a server that is none may give in any form. */
import { ProbeError } from '../failure/error.ts'
import type { Session } from './postgres.ts'

/** Rows that have a text in this column, each of them. @throws ProbeError CATALOGUE_FAILED for one that has not */
export function withText<T>(rows: readonly T[], column: keyof T & string, what: string): readonly T[] {
  if (rows.every(row => typeof row[column] === 'string')) return rows
  throw new ProbeError('CATALOGUE_FAILED', `${what} returned a row without a ${column}`)
}

/** The column `name` of an answer. */
export const namesOf = async (session: Session, what: string, sql: string): Promise<readonly string[]> =>
  withText(await session.ask<{ name: string }>(what, sql), 'name', what).map(({ name }) => name)
