/** Differences as lines: `-` is what drizzle/ holds, `+` what src/schema.ts (or drizzle-kit) says instead. */

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The differences between two JSON values, one path a line; empty if they are equal. Key order does not count. */
export function diffJson(before: unknown, after: unknown, path = ''): string[] {
  if (!isRecord(before) || !isRecord(after)) {
    const [left, right] = [JSON.stringify(before), JSON.stringify(after)]
    if (left === right) return []
    return [
      ...(left === undefined ? [] : [`- ${path} = ${left}`]),
      ...(right === undefined ? [] : [`+ ${path} = ${right}`]),
    ]
  }
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap(key =>
    diffJson(before[key], after[key], path === '' ? key : `${path}.${key}`),
  )
}

/** The lines that two texts do not share: a longest common subsequence is kept and left out. */
export function diffLines(before: readonly string[], after: readonly string[]): string[] {
  // common[i][j]: how many lines before[i..] and after[j..] share in order
  const common = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0))
  const shared = (i: number, j: number) => common[i]?.[j] ?? 0
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      const row = common[i]
      if (row) row[j] = before[i] === after[j] ? shared(i + 1, j + 1) + 1 : Math.max(shared(i + 1, j), shared(i, j + 1))
    }
  }
  const lines: string[] = []
  let [i, j] = [0, 0]
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      i += 1
      j += 1
    } else if (j >= after.length || (i < before.length && shared(i + 1, j) >= shared(i, j + 1))) {
      lines.push(`- ${before[i]}`)
      i += 1
    } else {
      lines.push(`+ ${after[j]}`)
      j += 1
    }
  }
  return lines
}

/** A problem with its difference below it, and notes if there are any; no difference, no problem. */
export const withDiff = (problem: string, lines: readonly string[], notes: readonly string[] = []): string[] =>
  lines.length === 0 ? [] : [[problem, ...[...lines, ...notes].map(line => `    ${line}`)].join('\n')]
