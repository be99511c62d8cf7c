/**
 * The report for somebody at a terminal: what passed in one line per layer, a block for each cause, what could not be
 * tried in one line for each check that it waits for. `--verbose` shows every check instead.
 */
import { LAYERS } from '../failure/codes.ts'
import { count } from '../failure/error.ts'
import { type Blocks, blockLines, mark } from './blocks.ts'
import { EMPTY, type Line, line, type Palette } from './lines.ts'
import { targetLines } from './parts.ts'
import { duration, keyFacts, proved } from './plain.ts'
import type { CheckResult, Report } from './report.ts'

/** How wide the column of the layers is. */
const LAYER_WIDTH = Math.max(...LAYERS.map(layer => layer.length)) + 1

export function foldedLines(report: Report, blocks: Blocks, paint: Palette, note: string | undefined): Line[] {
  const { checks } = report
  const failed = checks.filter(({ status }) => status === 'failed')
  return [
    ...targetLines(report, note),
    EMPTY,
    ...passedLines(checks, paint),
    ...failed.flatMap((check, at) => [
      line(
        `${mark('failed', paint)} `,
        `${paint.bold(check.id)}: ${check.title} ${paint.dim(`[${duration(check.durationMs)}]`)}`,
      ),
      ...blockLines(check, blocks, paint, { whole: false, next: at > 0 }),
    ]),
    ...blockedLines(checks, paint),
    ...criteriaLines(report, paint),
    ...(report.verdict === 'pass' ? [EMPTY, line('proved   ', proved(report))] : []),
  ]
}

/** The criteria in one line; nothing for a run that has none. */
const criteriaLines = ({ criteria }: Report, paint: Palette): Line[] =>
  criteria.length === 0
    ? []
    : [EMPTY, line('criteria ', criteria.map(({ id, status }) => `${mark(status, paint)} ${id}`).join('  '))]

/** One line per layer: how many of its checks passed; of a single one what it found. */
function passedLines(checks: readonly CheckResult[], paint: Palette): Line[] {
  const layers = [...new Set(checks.map(({ layer }) => layer))]
  return layers.flatMap(layer => {
    const passed = checks.filter(check => check.layer === layer && check.status === 'passed')
    const [first] = passed
    if (!first) return []
    const ms = passed.reduce((sum, { durationMs }) => sum + durationMs, 0)
    const facts = passed.length === 1 ? keyFacts(first, 2) : ''
    const shown = [duration(ms), facts].filter(part => part !== '').join(' · ')
    const names = passed.length === 1 && first.id === layer ? '' : passed.map(({ id }) => id).join(', ')
    return line(
      `${mark('passed', paint)} ${layer.padEnd(LAYER_WIDTH)}`,
      `${names}${names && ' '}${paint.dim(`[${shown}]`)}`,
    )
  })
}

/** What could not be tried, by the failed check that it waits for. */
function blockedLines(checks: readonly CheckResult[], paint: Palette): Line[] {
  const blocked = checks.filter(({ status }) => status === 'blocked')
  const rootOf = ({ blockedBy }: CheckResult): string => {
    const blocker = checks.find(({ id }) => id === blockedBy)
    return blocker?.status === 'blocked' ? rootOf(blocker) : (blockedBy ?? 'another check')
  }
  return [...new Set(blocked.map(rootOf))].map(root => {
    const own = blocked.filter(check => rootOf(check) === root).map(({ id }) => id)
    return line(`${mark('blocked', paint)} `, `${count(own.length, 'check')} blocked by ${root}: ${own.join(', ')}`)
  })
}
