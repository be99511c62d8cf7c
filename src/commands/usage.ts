/** What bad usage says of what was typed. */
import { plain, redact } from '../failure/secrets.ts'
import { nearest } from '../settings/nearest.ts'

export { UsageError } from './command.ts'

/** What was typed, in one line and without what must not be shown, should a URL have slipped in. */
export const quoted = (text: string): string => `"${plain(redact(text), 200)}"`

/** "; did you mean …?" with the nearest of the candidates; nothing where none is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const meant = nearest(word, candidates)
  return meant === undefined ? '' : `; did you mean ${meant}?`
}
