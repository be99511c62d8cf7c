/** Bad usage, and what it says of what was typed. */
import { redact } from '../failure/error.ts'
import { plain } from '../report/plain.ts'

/** Bad usage: one line that says which, exit 2. */
export class UsageError extends Error {}

/** What was typed, in one line and without what must not be shown, should a URL have slipped in. */
export const quoted = (text: string): string => `"${plain(redact(text), 200)}"`

/** "; did you mean …?" with the nearest of the candidates; nothing where none is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  // One slip in a short word makes another word of it.
  const most = word.length < 4 ? 1 : 2
  const [nearest] = candidates
    .filter(candidate => Math.abs(candidate.length - word.length) <= most)
    .map(candidate => ({ candidate, slips: slipsBetween(word, candidate) }))
    .filter(({ slips }) => slips <= most)
    .sort((one, other) => one.slips - other.slips)
  return nearest ? `; did you mean ${nearest.candidate}?` : ''
}

/** Letters added, left out, changed, or swapped with their neighbour (optimal string alignment distance). */
function slipsBetween(one: string, other: string): number {
  let before: number[] = []
  let above = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (let row = 1; row <= one.length; row++) {
    const line = [row]
    for (let column = 1; column <= other.length; column++) {
      const same = one[row - 1] === other[column - 1]
      const swapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      line[column] = Math.min(
        (above[column] ?? 0) + 1,
        (line[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + (same ? 0 : 1),
        ...(row > 1 && column > 1 && swapped ? [(before[column - 2] ?? 0) + 1] : []),
      )
    }
    before = above
    above = line
  }
  return above[other.length] ?? 0
}
