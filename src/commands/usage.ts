/** Bad usage, and what it says of what was typed. */
import { redact } from '../failure/error.ts'
import { plain } from '../report/plain.ts'
import { nearest } from '../settings/nearest.ts'

/** Bad usage: one line that says which, exit 2. */
export class UsageError extends Error {}

/** What was typed, in one line and without what must not be shown, should a URL have slipped in. */
export const quoted = (text: string): string => `"${plain(redact(text), 200)}"`

/** "; did you mean …?" with the nearest of the candidates; nothing where none is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const meant = nearest(word, candidates)
  return meant === undefined ? '' : `; did you mean ${meant}?`
}
