/**
 * Words shared by the reporters. A report quotes servers, certificates and the environment, which may hold anything:
 * whatever is printed passes through `plain` first, so that it can neither move a terminal's cursor nor break a table.
 */
import type { Code } from '../failure/codes.ts'
import { count } from '../failure/error.ts'
import { hostAndPort } from '../failure/hints.ts'
import { plain } from '../failure/secrets.ts'
import { asTyped } from '../invocation.ts'
import type { CheckResult, Report, Target, TimelineEntry } from './report.ts'

export { plain } from '../failure/secrets.ts'

/** A warning is printed whole where it can be: ROWS_LEFT holds the statement that removes the rows, a thousand at most. */
export const LONGEST_WARNING = 50_000

/** A next step is printed whole: it may be the statements that grant what is missing. */
export const LONGEST_HINT = 1500

/** An escape in JSON; with a group where it is half of a surrogate pair, which JSON.stringify escapes only then. */
const ESCAPE = /\\(?:u(d[89a-f][0-9a-f]{2})|.)/g

/**
 * JSON as text that a terminal can show: what `plain` would take away is escaped instead, so the value is the same. Half
 * of a surrogate pair, which is no character and which other readers of JSON refuse (jq), is U+FFFD.
 */
export function printableJson(
  value: unknown,
  indent?: number,
  replacer?: (key: string, value: unknown) => unknown,
): string {
  const json = JSON.stringify(value, replacer, indent) ?? 'null'
  const text = json.replace(ESCAPE, (whole, half) => (half === undefined ? whole : '\\ufffd'))
  return text.replace(/[\u007f-\u009f\u2028\u2029\p{Cf}]/gu, found =>
    Array.from({ length: found.length }, (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`).join(
      '',
    ),
  )
}

/** A duration in ms for people: three digits at most, seconds from one second on. */
export function duration(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}

/** Of something that was done several times how often, and what one took; null of what was done once. */
export function timings({ count, latencyMs }: TimelineEntry): string | null {
  if (count === undefined || latencyMs === undefined) return null
  const { p50, p95, p99, max } = latencyMs
  const each = Object.entries({ p50, p95, p99, max }).map(([name, ms]) => `${name} ${duration(ms)}`)
  return `${count} times: ${each.join(', ')}`
}

/** The host and the port of the target. */
export const hostPort = ({ host, port }: Target): string => plain(hostAndPort(host ?? '(no host)', port))

/** Where the probe ran, or "" where nothing but a host name is known and that is empty. */
export function originLine({ origin }: Pick<Report, 'origin'>): string {
  const { hostname, app, region, machine, privateIp } = origin
  const rest = [app, region, machine, privateIp].filter(part => part !== null)
  return plain(rest.length > 0 ? `${hostname} (${rest.join(', ')})` : hostname)
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A value short enough for a check's own line, or null. Latencies (min, p50, p95, p99, max) become p50 and max. */
function brief(value: unknown): string | null {
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 1 : 0)
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'string') return value !== '' && value.length <= 60 ? plain(value) : null
  if (Array.isArray(value)) {
    const parts = value.map(item => (isRecord(item) || Array.isArray(item) ? null : brief(item)))
    return parts.length > 0 && parts.length <= 4 && !parts.includes(null) ? parts.join(', ') : null
  }
  if (isRecord(value) && typeof value.p50 === 'number' && typeof value.max === 'number')
    return `p50 ${brief(value.p50)}, max ${brief(value.max)}`
  return null
}

/**
 * A check's key facts for its own line: of its evidence the first `max` entries that are short, latencies before the
 * others. So a check puts first what is worth reading first.
 */
export function keyFacts(check: CheckResult, max: number): string {
  const facts = Object.entries(check.evidence).flatMap(([key, value]) => {
    const text = brief(value)
    return text === null ? [] : [{ text: `${plain(key, 40)} ${text}`, first: isRecord(value) }]
  })
  const ordered = [...facts.filter(fact => fact.first), ...facts.filter(fact => !fact.first)]
  return ordered
    .slice(0, max)
    .map(fact => fact.text)
    .join(' · ')
}

/** How many checks passed, failed and were blocked. */
export function totals({ checks, durationMs, attempts }: Report): string {
  const of = (status: CheckResult['status']) => checks.filter(check => check.status === status).length
  const result = `${of('passed')} passed, ${of('failed')} failed, ${of('blocked')} blocked`
  return `${result}; ${duration(durationMs)}, ${count(attempts, 'attempt')}`
}

/** What a pass is a pass of. */
export function proved(report: Report): string {
  const { target } = report
  const { user, database, engine } = target
  const who = `${plain(user ?? '?')} on ${hostPort(target)}/${plain(database ?? '?')}`
  return `${writerOf(report)}${who}, IPv6 only, mutual TLS, ${plain(engine ?? 'unknown engine')}`
}

/** Whose row it was, of the witness: whatever wrote it, the server knows it as this. */
function writerOf({ command, checks }: Report): string {
  if (command !== 'witness') return ''
  const address = checks.find(({ id }) => id === 'back-end-session')?.evidence.address
  return `a row written by a session from ${plain(String(address))}, as `
}

/** What to type to learn more of a code. */
export const explainCommand = (code: Code): string => asTyped(`npm run explain -- ${code}`)

/** Which of the two programs reports: a witness says so. */
export const programOf = ({ program, command }: Pick<Report, 'program' | 'command'>): string =>
  `${plain(program)}${command === 'witness' ? ' witness' : ''}`

/** The report in one line: the verdict and, when it failed, layer and code. */
export function headline(report: Pick<Report, 'program' | 'command' | 'verdict' | 'failure' | 'checks'>): string {
  const { failure, verdict, checks } = report
  const program = programOf(report)
  if (verdict === 'pass') return `${program}: PASS, all ${checks.length} checks`
  if (failure === null) return `${program}: FAIL`
  return `${program}: FAIL at ${failure.layer}, ${failure.code}`
}
