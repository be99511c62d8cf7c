/**
 * Recorded reports: what the probe said of real targets, one for each kind of report that a reader meets. What is not
 * the same in every run is normalised before it is stored (test/report/recorded/NAME.json).
 *
 *   RECORD=1 npx vitest run --config test/vitest.config.ts test/report/recorded.test.ts        records them anew
 *   UPDATE_GOLDEN=1 npx vitest run --config test/vitest.config.ts test/report/report.test.ts   renders them anew
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { roundMs } from '../../src/budget.ts'
import type { Report } from '../../src/report/report.ts'

export const RECORDED = [
  'passing',
  'failing',
  'denied',
  'bad-config',
  'interrupted',
  'witness',
  'witness-failing',
] as const
export type Recorded = (typeof RECORDED)[number]

export const recordedFile = (name: Recorded): URL => new URL(`recorded/${name}.json`, import.meta.url)
export const recorded = (name: Recorded): Report => JSON.parse(readFileSync(recordedFile(name), 'utf8'))

const ID = '0b0e4a52-7f5d-4c06-9d3e-0c9f3b5b8a11'
const MOMENT = '2026-03-02T09:15:04.120Z'
const VERSION = '18.4'
const MACHINE = '3d8d7949b23489'
const LATENCY: readonly string[] = ['min', 'p50', 'p95', 'p99', 'max']

/** Values that differ from run to run by what they are called. */
const BY_NAME: Readonly<Record<string, unknown>> = {
  perSecond: 700,
  processId: 4242,
  session: '4242',
  claimed: '4242',
  looks: 12,
  serialNumber: '6F1DE2B10C45A9370E8B',
  server_version: VERSION,
}

const ALL_ALIKE = { min: 1.5, p50: 1.5, p95: 1.5, p99: 1.5, max: 1.5 } as const

/** Values that differ from run to run by what they look like. */
const BY_LOOK: readonly (readonly [RegExp, string])[] = [
  [/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, ID],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, MOMENT],
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00/g, '2026-03-02 09:15:04.12+00'],
  [
    /([0-9A-F]{2}:){31}[0-9A-F]{2}/g,
    Array.from({ length: 32 }, (_, at) => (at * 7).toString(16).padStart(2, '0'))
      .join(':')
      .toUpperCase(),
  ],
  [/^connection-probe (\d\S*|test)$/g, 'connection-probe 1.0.0'],
  [/^PostgreSQL \S+$/g, `PostgreSQL ${VERSION}`],
]

/** A report without what differs from run to run: times, ids, the server's port, certificates, versions, this machine. */
export function normalised(report: Report, port: number): Report {
  const one = (value: unknown, name: string): unknown => {
    if (Array.isArray(value)) return value.map(inner => one(inner, name))
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, one(inner, key)]))
    if (Object.hasOwn(BY_NAME, name) && value !== null) return BY_NAME[name]
    if (typeof value === 'number') {
      if (LATENCY.includes(name) || (/Ms$/.test(name) && name !== 'limitMs')) return 1.5
      return value === port ? 26257 : value
    }
    if (typeof value !== 'string') return value
    if (value === hostname()) return MACHINE
    const text = value.replaceAll(`:${port}`, ':26257')
    return BY_LOOK.reduce((changed, [look, instead]) => changed.replace(look, instead), text)
  }
  const same = one(report, '') as Report
  // Every kind of duration that a reader sees; what is blocked takes no time, in every run.
  const took = (at: number): number => 0.4 * 2 ** at
  const checks = same.checks.map((check, at) => ({
    ...check,
    durationMs: check.status === 'blocked' ? (report.checks[at]?.durationMs ?? 0) : took(at),
  }))
  return { ...same, durationMs: took(checks.length), checks, timeline: sequential(report.timeline, checks) }
}

/**
 * A timeline in which each check takes its time after the one before it, and what was done within it equal parts of
 * that; how often a row was looked for is another number in every run.
 */
function sequential(timeline: Report['timeline'], checks: Report['checks']): Report['timeline'] {
  let ends = 0
  let within = 0
  const isBeside = ({ name }: Report['timeline'][number]): boolean => name.endsWith('(second connection)')
  const inOrder = timeline.toSorted((a, b) => (a.check === b.check ? Number(isBeside(a)) - Number(isBeside(b)) : 0))
  return inOrder.map(({ name, check, count }) => {
    const durationMs = checks.find(({ id }) => id === check)?.durationMs ?? 0
    if (name === check) {
      ends = roundMs(ends + durationMs)
      within = 0
      return { name, check, startMs: roundMs(ends - durationMs), durationMs }
    }
    const part = roundMs(durationMs / timeline.filter(entry => entry.check === check && entry.name !== check).length)
    const startMs = roundMs(ends - durationMs + part * within++)
    const several = name === 'insert' && count !== undefined
    return { name, check, startMs, durationMs: part, ...(several && { count, latencyMs: ALL_ALIKE }) }
  })
}
