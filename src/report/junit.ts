/**
 * The report as JUnit XML, which CI systems read: one testsuite, a testcase for each check. Valid by the schema that the
 * Jenkins xunit plugin publishes (junit-10.xsd), which test/report/junit.xsd restates.
 */
import { count } from '../failure/error.ts'
import { duration, explainCommand, headline, hostPort, LONGEST_WARNING, originLine, plain, programOf } from './plain.ts'
import type { CheckResult, Report } from './report.ts'

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}
/** What `plain` leaves and XML 1.0 (2.2) has no place for. */
const NO_XML = /[\ufffe\uffff]/g

/** Foreign text as XML: one printable line, markup escaped. */
const text = (value: string, max?: number): string =>
  plain(value, max)
    .replace(NO_XML, ' ')
    .replace(/[&<>"']/g, found => ESCAPES[found] ?? found)

const seconds = (ms: number): string => (ms / 1000).toFixed(3)

/** The report as JUnit XML, with a line end. */
export function renderJunit(report: Report): string {
  const { checks, durationMs } = report
  const of = (status: CheckResult['status']) => checks.filter(check => check.status === status).length
  const counts = `tests="${checks.length}" failures="${of('failed')}" errors="0"`
  const name = text(`${programOf(report)} ${hostPort(report.target)}`)
  const about = `skipped="${of('blocked')}" timestamp="${text(report.startedAt)}" hostname="${text(report.origin.hostname)}"`
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="${text(programOf(report))}" ${counts} time="${seconds(durationMs)}">
  <testsuite name="${name}" ${counts} ${about} time="${seconds(durationMs)}">
    <properties>
${properties(report)
  .map(([name, value]) => `      <property name="${name}" value="${text(value)}"/>`)
  .join('\n')}
    </properties>
${checks.map(testcase).join('\n')}
    <system-out>${summary(report)}</system-out>
  </testsuite>
</testsuites>
`
}

/** Target and versions, and what else tells one run from another. */
function properties(report: Report): readonly (readonly [name: string, value: string])[] {
  const { target, origin, schemaVersion, program, runId, verdict, failure, attempts } = report
  const named = (prefix: string, values: object) =>
    Object.entries(values).map(([name, value]) => [`${prefix}.${name}`, value === null ? '' : String(value)] as const)
  return [
    ['program', program],
    ['schemaVersion', String(schemaVersion)],
    ['runId', runId],
    ['verdict', verdict],
    ['failure.layer', failure?.layer ?? ''],
    ['failure.code', failure?.code ?? ''],
    ['attempts', String(attempts)],
    ...named('target', target),
    ...named('origin', origin),
  ]
}

function testcase(check: CheckResult): string {
  const { id, layer, title, status, durationMs, blockedBy, failure } = check
  const start = `    <testcase name="${text(`${id}: ${title}`)}" classname="${layer}" time="${seconds(durationMs)}"`
  if (status === 'blocked') {
    const because = `blocked by ${blockedBy ?? 'another check'}`
    return `${start}>\n      <skipped message="${text(because)}"/>\n    </testcase>`
  }
  if (failure === null) return `${start}/>`
  const { code, message, causes, hint } = failure
  const lines = [
    ...causes.map(({ name, code, message, hint }) => {
      const next = hint === undefined ? '' : `; next: ${hint}`
      return `cause: ${[name, code].filter(Boolean).join(' ')}: ${message}${next}`
    }),
    `next: ${hint}`,
    `more: ${explainCommand(code)}`,
  ]
  const shown = `message="${text(`${code}: ${message}`, 700)}" type="${code}"`
  return `${start}>\n      <failure ${shown}>${lines.map(line => text(line, 1000)).join('\n')}</failure>\n    </testcase>`
}

/** The verdict, the criteria and the warnings, for whoever opens the suite's output. */
function summary(report: Report): string {
  const { criteria, warnings, attempts, durationMs, failure } = report
  return [
    `${headline(report)}, ${count(attempts, 'attempt')}, ${duration(durationMs)}, from ${originLine(report)}`,
    ...(failure === null ? [] : [`next: ${failure.hint}`]),
    ...criteria.map(({ id, title, status }) => `${status}: ${id}, ${title}`),
    ...warnings.map(({ code, message }) => `warning: ${code}: ${message}`),
  ]
    .map(line => text(line, LONGEST_WARNING))
    .join('\n')
}
