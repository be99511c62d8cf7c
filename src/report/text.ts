/**
 * The report for a terminal or a log.
 *
 * line 1   the verdict; when it failed, layer, code and message
 * line 2   the next thing to do; when it passed, what was proved
 * then     the target, every check in order, the criteria, warnings, totals
 *
 * √ passed   × failed   - blocked, it could not be tried   ! warning
 */
import { CODES, type Code } from '../failure/codes.ts'
import type { Cause, Facts, Failure } from '../failure/error.ts'
import { fillIn } from '../failure/hints.ts'
import { asTyped } from '../invocation.ts'
import {
  duration,
  headline,
  hostPort,
  keyFacts,
  LONGEST_WARNING,
  originLine,
  plain,
  printableJson,
  totals,
} from './plain.ts'
import type { CheckResult, Report, Status } from './report.ts'

export interface TextOptions {
  /** whether to colour with ANSI sequences */
  readonly colour: boolean
  /** a remark about the target, such as that it is a throwaway server */
  readonly note?: string | undefined
}

type Paint = (text: string) => string
const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const
type Palette = Readonly<Record<keyof typeof STYLES, Paint>>

function palette(colour: boolean): Palette {
  const style =
    (name: keyof typeof STYLES): Paint =>
    text =>
      colour && text !== '' ? `\u001b[${STYLES[name]}m${text}\u001b[0m` : text
  return { bold: style('bold'), dim: style('dim'), red: style('red'), green: style('green'), yellow: style('yellow') }
}

const INDENT = '    '

/** The report as text, with a line end. */
export function renderText(report: Report, options: TextOptions): string {
  const paint = palette(options.colour)
  const lines = [
    ...verdict(report, paint),
    '',
    ...target(report, options.note),
    '',
    ...report.checks.flatMap(check => [checkLine(check, paint), ...failureLines(check, paint, report.target)]),
    ...(report.criteria.length > 0 ? [''] : []),
    ...report.criteria.map(
      ({ id, title, status, checks }) =>
        `${mark(status, paint)} ${paint.bold(id.padEnd(11))}${title}${paint.dim(` (${checks.join(', ')})`)}`,
    ),
    ...report.warnings.flatMap(({ code, message }, at) => [
      ...(at === 0 ? [''] : []),
      `${paint.yellow('!')} ${paint.yellow(code)}: ${plain(message, LONGEST_WARNING)}`,
    ]),
    '',
    `${paint.bold(headline(report))}. ${totals(report)}.`,
    paint.dim(`started ${plain(report.startedAt)}, run ${plain(report.runId)}`),
  ]
  return `${lines.join('\n')}\n`
}

function verdict(report: Report, paint: Palette): string[] {
  const { failure } = report
  const head = headline(report)
  if (report.verdict === 'pass') {
    const { user, database, engine } = report.target
    const who = `${plain(user ?? '?')} on ${hostPort(report.target)}/${plain(database ?? '?')}`
    return [
      paint.green(head),
      `proved: ${writer(report)}${who}, IPv6 only, mutual TLS, ${plain(engine ?? 'unknown engine')}`,
    ]
  }
  if (failure === null) return [paint.red(head)]
  return [`${paint.red(head)}: ${plain(failure.message, 600)}`, `next: ${plain(failure.hint)}`]
}

/** Whose row it was, of the witness: whatever wrote it, the server knows it as this. */
function writer({ command, checks }: Report): string {
  if (command !== 'witness') return ''
  const address = checks.find(({ id }) => id === 'back-end-session')?.evidence.address
  return `a row written by a session from ${plain(String(address))}, as `
}

function target(report: Report, note: string | undefined): string[] {
  const { database, user, tlsName, address, engine } = report.target
  const reached = [
    address === null ? 'no address reached' : plain(address),
    tlsName === null ? null : `verified as ${plain(tlsName)}`,
    engine === null ? null : plain(engine),
  ].filter(part => part !== null)
  const lines = [
    `target   ${hostPort(report.target)}, database ${plain(database ?? '(none)')}, user ${plain(user ?? '(none)')}`,
    `reached  ${reached.join(', ')}`,
    `from     ${originLine(report)}`,
  ]
  return note === undefined ? lines : [...lines, `note     ${plain(note)}`]
}

function mark(status: Status, paint: Palette): string {
  if (status === 'passed') return paint.green('√')
  return status === 'failed' ? paint.red('×') : paint.yellow('-')
}

function checkLine(check: CheckResult, paint: Palette): string {
  const start = `${mark(check.status, paint)} ${check.id.padEnd(20)} ${check.title}`
  if (check.status === 'blocked') return `${start} ${paint.yellow(`[blocked by ${check.blockedBy ?? '?'}]`)}`
  const facts = check.status === 'passed' ? keyFacts(check, 3) : ''
  return `${start} ${paint.dim(`[${duration(check.durationMs)}${facts === '' ? '' : ` · ${facts}`}]`)}`
}

function failureLines({ failure, evidence }: CheckResult, paint: Palette, target: Report['target']): string[] {
  if (failure === null) return []
  return [
    `${INDENT}${paint.red(failure.code)}: ${plain(failure.message, 600)}`,
    ...failure.causes.flatMap(cause => causeLines(cause, failure, target)),
    `${INDENT}next: ${plain(failure.hint)}`,
    `${INDENT}more: ${asTyped(`npm run explain -- ${failure.code}`)}`,
    ...evidenceLines(evidence).map(paint.dim),
  ]
}

const isCode = (code: string | null): code is Code => code !== null && Object.hasOwn(CODES, code)

/** One link of the chain; or, of a configuration with several problems, one problem with its own hint. */
function causeLines({ name, code, message }: Cause, failure: Failure, target: Report['target']): string[] {
  if (!isCode(code) || failure.layer !== 'config') {
    const what = [plain(name), code === null ? '' : plain(code)].filter(part => part !== '').join(' ')
    return [`${INDENT}cause: ${what}${message === '' ? '' : `: ${plain(message, 1000)}`}`]
  }
  const hint = fillIn(CODES[code].hint, target)
  const line = `${INDENT}problem: ${plain(name)}: ${code}: ${plain(message, 1000)}`
  return hint === failure.hint ? [line] : [line, `${INDENT}    next: ${hint}`]
}

/** Evidence as "key: value" lines, nested values as JSON; bounded in length and number. */
function evidenceLines(evidence: Facts): string[] {
  const entries = Object.entries(evidence).filter(([, value]) => value !== undefined)
  const shown = entries.slice(0, 30).map(([key, value]) => {
    const text = plain(typeof value === 'string' ? value : printableJson(value), 1000)
    return `${INDENT}    ${plain(key, 40)}: ${text}`
  })
  const more = entries.length - shown.length
  return more > 0 ? [...shown, `${INDENT}    … and ${more} more, see --json`] : shown
}
