/** What is found in a migration. */
import type { Statement } from './sql.ts'

/** Something that a migration does, before its statement is looked for. */
export interface Rule {
  readonly rule: string
  /** what it does, in one sentence without a subject */
  readonly what: string
  /** what can go wrong */
  readonly why: string
  /** what to do in its place */
  readonly instead: string
  /** whether a statement is the one that does it */
  readonly does: (statement: Statement) => boolean
}

export interface Finding extends Omit<Rule, 'does'> {
  readonly file: string
  /** of the statement, from 1 */
  readonly line: number
  /** as it is written; null where none of the file's does it */
  readonly statement: string | null
  /** the reason that stands above the statement; null: there is none */
  readonly accepted: string | null
}
