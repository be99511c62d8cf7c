/** The candidate that somebody who typed a word most likely meant; undefined where none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  // One slip in a short word makes another word of it.
  const most = word.length < 4 ? 1 : 2
  const [found] = candidates
    .filter(candidate => Math.abs(candidate.length - word.length) <= most)
    .map(candidate => ({ candidate, slips: slipsBetween(word, candidate) }))
    .filter(({ slips }) => slips <= most)
    .sort((one, other) => one.slips - other.slips)
  return found?.candidate
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
