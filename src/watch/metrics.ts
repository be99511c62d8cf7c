/** What is counted and measured over the runs, for Prometheus. Label sets are bounded: checks, codes and verdicts. */
import { CODES, type Code } from '../failure/codes.ts'
import type { CheckId, Report } from '../report/report.ts'
import { createHistogram, exposition, type Family, type Sample } from './exposition.ts'

export interface Metrics {
  record(report: Report): void
  /** @param isUp whether the last run passed and is no old one; null before the first has ended */
  text(isUp: boolean | null): string
}

/** Of a check's duration, and of the time until a row is seen, seconds. */
const CHECK_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const VISIBLE_BOUNDS = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** Which certificates' ends are shown; each keeps the last one that was seen. */
type Which = 'client' | 'server' | 'ca'

/**
 * @param program name and version
 * @param checks the ids of the checks of every run
 */
export function createMetrics(program: string, checks: readonly CheckId[]): Metrics {
  const runs: Record<Report['verdict'], number> = { pass: 0, fail: 0 }
  const failures = new Map<Code, number>()
  const durations = new Map(checks.map(id => [id, createHistogram(CHECK_BOUNDS)]))
  const visible = createHistogram(VISIBLE_BOUNDS)
  const ends = new Map<Which, number>()
  let last: { readonly report: Report; readonly endedAt: number } | null = null
  return {
    record(report) {
      last = { report, endedAt: Date.now() / 1000 }
      runs[report.verdict] += 1
      const { failure } = report
      if (failure) failures.set(failure.code, (failures.get(failure.code) ?? 0) + 1)
      // One that was blocked, or shows what an earlier run saw (refused-logins.ts), took no time.
      for (const { id, durationMs } of report.checks) if (durationMs > 0) durations.get(id)?.observe(durationMs / 1000)
      const seconds = visibleSeconds(report)
      if (seconds !== null) visible.observe(seconds)
      for (const [which, end] of certificateEnds(report)) ends.set(which, end)
    },
    text: isUp =>
      exposition([
        buildInfo(program),
        gauge('up', 'Whether the last run passed (1) or not (0).', isUp === null ? [] : [{ value: isUp ? 1 : 0 }]),
        counter('runs_total', 'Runs by verdict.', Object.entries(runs).map(labelled('verdict'))),
        counter('failures_total', 'Runs that failed, by the layer and the code of their failure.', byCode(failures)),
        gauge(
          'check_status',
          'Whether a check of the last run passed (1) or failed (0); absent where it was blocked.',
          statuses(last?.report),
        ),
        histogram(
          'check_duration_seconds',
          'How long a check took, where it was tried.',
          [...durations].flatMap(([check, { samples }]) => samples({ check })),
        ),
        histogram(
          'visible_seconds',
          'From handing an insert to the driver to the reply of the other connection that shows the row.',
          visible.samples(),
        ),
        gauge(
          'certificate_not_after_timestamp_seconds',
          'When a certificate ends, as it was seen last; of several CA certificates the last one to end.',
          [...ends].map(labelled('which')),
        ),
        gauge('last_run_timestamp_seconds', 'When the last run ended.', last === null ? [] : [{ value: last.endedAt }]),
      ]),
  }
}

const family =
  (type: Family['type']) =>
  (name: string, help: string, samples: readonly Sample[]): Family => ({
    name: `connection_probe_${name}`,
    type,
    help,
    samples,
  })
const gauge = family('gauge')
const counter = family('counter')
const histogram = family('histogram')

/** One sample for each value of a label. */
const labelled =
  (label: string) =>
  ([name, value]: readonly [string, number]): Sample => ({ labels: { [label]: name }, value })

/** Every code that the probe has, those that never came with 0. */
const byCode = (failures: ReadonlyMap<Code, number>): readonly Sample[] =>
  (Object.keys(CODES) as Code[])
    .filter(code => CODES[code].layer !== 'witness')
    .map(code => ({ labels: { layer: CODES[code].layer, code }, value: failures.get(code) ?? 0 }))

const statuses = (report: Report | undefined): readonly Sample[] =>
  (report?.checks ?? [])
    .filter(({ status }) => status !== 'blocked')
    .map(({ id, status }) => ({ labels: { check: id }, value: status === 'passed' ? 1 : 0 }))

const buildInfo = (program: string): Family =>
  gauge('build_info', 'The version of the program, and of the Node that it runs on.', [
    { labels: { version: program.replace(/^.* /, ''), node: process.version }, value: 1 },
  ])

/** How long the row took to be seen; null where none was seen. */
function visibleSeconds({ checks }: Report): number | null {
  const check = checks.find(({ id }) => id === 'row-visible')
  const isSeen = check?.status === 'passed' || check?.failure?.code === 'ROW_LATE'
  const ms = check?.evidence.visibleMs
  return isSeen && typeof ms === 'number' ? ms / 1000 : null
}

/** When the certificates of this run end, epoch seconds; those that it came to see. */
function certificateEnds({ checks }: Report): ReadonlyMap<Which, number> {
  const seen = (id: CheckId) => checks.find(check => check.id === id)?.evidence ?? {}
  const { certificate, ca } = seen('config')
  const { serverCertificate } = seen('tls')
  const ends: readonly [Which, readonly unknown[]][] = [
    ['client', [certificate]],
    ['server', [serverCertificate]],
    ['ca', Array.isArray(ca) ? ca : []],
  ]
  return new Map(
    ends.flatMap(([which, certificates]): [Which, number][] => {
      const end = Math.max(...certificates.map(notAfter))
      return Number.isFinite(end) ? [[which, end]] : []
    }),
  )
}

/** `notAfter` of a certificate's facts, epoch seconds; NaN where there is none. */
function notAfter(facts: unknown): number {
  const at = typeof facts === 'object' && facts !== null && 'notAfter' in facts ? facts.notAfter : undefined
  return typeof at === 'string' ? Date.parse(at) / 1000 : Number.NaN
}
