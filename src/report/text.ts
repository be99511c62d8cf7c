/**
 * The report for a terminal or a log.
 *
 * a log (and a terminal with --verbose)   the verdict and the next step, the target, every check in order, the criteria,
 *                                         warnings; no line is wrapped where there is no terminal
 * a terminal                              what passed in one line per layer, then a block per cause (folded.ts)
 * both                                    the last lines are the verdict, the next step and the explain command
 *
 * √ passed   × failed   - blocked, it could not be tried   ! warning
 */
import { type Blocks, blockLines, blocksOf, mark } from './blocks.ts'
import { foldedLines } from './folded.ts'
import { EMPTY, type Line, layout, line, type Palette, palette } from './lines.ts'
import { endLines, startedLine, type TextOptions, targetLines, warningLines } from './parts.ts'
import { duration, headline, keyFacts, LONGEST_HINT, plain, proved, totals } from './plain.ts'
import { renderRefusal } from './refusal.ts'
import type { CheckResult, Report } from './report.ts'
import { barLines } from './text-bars.ts'

/** The report as text, with a line end. */
export function renderText(report: Report, options: TextOptions): string {
  const { failure, checks } = report
  if (failure?.layer === 'config')
    return renderRefusal({ ...report, failure, evidence: checks[0]?.evidence ?? {} }, options)
  const { columns = null, verbose = false, colour, note } = options
  const paint = palette(colour)
  const blocks = blocksOf(report)
  const lines = [
    ...(columns === null || verbose
      ? fullLines(report, blocks, paint, note)
      : foldedLines(report, blocks, paint, note)),
    ...(verbose ? [EMPTY, ...barLines(report, columns, paint)] : []),
    ...warningLines(report, paint),
    EMPTY,
    ...endLines(`${headline(report)}. ${totals(report)}.`, failure, paint),
  ]
  return layout(lines, columns)
}

function fullLines(report: Report, blocks: Blocks, paint: Palette, note: string | undefined): Line[] {
  return [
    ...verdict(report, paint),
    EMPTY,
    ...targetLines(report, note),
    startedLine(report),
    EMPTY,
    ...report.checks.flatMap(check => [
      checkLine(check, paint),
      ...blockLines(check, blocks, paint, { whole: true, next: true }),
    ]),
    ...(report.criteria.length > 0 ? [EMPTY] : []),
    ...report.criteria.map(({ id, title, status, checks }) =>
      line(`${mark(status, paint)} ${paint.bold(id.padEnd(11))}`, `${title}${paint.dim(` (${checks.join(', ')})`)}`),
    ),
  ]
}

function verdict(report: Report, paint: Palette): Line[] {
  const { failure } = report
  const head = headline(report)
  if (report.verdict === 'pass') return [line('', paint.green(head)), line('proved: ', proved(report))]
  if (failure === null) return [line('', paint.red(head))]
  return [
    line('', `${paint.red(head)}: ${plain(failure.message, 600)}`),
    line('next: ', plain(failure.hint, LONGEST_HINT)),
  ]
}

function checkLine(check: CheckResult, paint: Palette): Line {
  const lead = `${mark(check.status, paint)} ${check.id.padEnd(20)} `
  if (check.status === 'blocked')
    return line(lead, `${check.title} ${paint.yellow(`[blocked by ${check.blockedBy ?? '?'}]`)}`)
  const facts = check.status === 'passed' ? keyFacts(check, 3) : ''
  return line(
    lead,
    `${check.title} ${paint.dim(`[${duration(check.durationMs)}${facts === '' ? '' : ` · ${facts}`}]`)}`,
  )
}
