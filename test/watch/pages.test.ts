/** What the pages show of a history of runs, without a server. */
import { describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/report.ts'
import { createHistory, MOST_VERDICTS, staleAfter } from '../../src/watch/history.ts'
import { createMetrics } from '../../src/watch/metrics.ts'
import { pagesOf } from '../../src/watch/pages.ts'
import { metric } from '../helpers/watching.ts'
import { recorded } from '../report/recorded.ts'

const passing = recorded('passing')
const failing = recorded('denied')

/** A program that has made these runs, a minute each. */
function watched(...reports: readonly Report[]) {
  let now = 0
  const history = createHistory(180_000, () => now)
  const metrics = createMetrics(
    'connection-probe 1.2.3',
    passing.checks.map(({ id }) => id),
  )
  const pages = pagesOf(history, metrics, { everyMs: 60_000, program: 'connection-probe 1.2.3' })
  const run = (report: Report) => {
    now += 60_000
    const startedAt = new Date(Date.UTC(2026, 0, 1) + now).toISOString()
    const one = { ...report, startedAt, runId: `run ${now}` }
    history.record(one)
    metrics.record(one)
  }
  for (const report of reports) run(report)
  return {
    run,
    history,
    page: (path: string) => {
      const { status = 0, body = '' } = pages[path]?.() ?? {}
      return { status, body: String(body) }
    },
    wait: (ms: number) => {
      now += ms
    },
  }
}

const times = <T>(count: number, value: T): T[] => Array(count).fill(value)

describe('the page', () => {
  test.each([
    ['that passes', passing, 'Passing'],
    ['that fails', failing, 'Failing'],
  ])('of a run %s is its report, with since when', (_what, report, word) => {
    const { page } = watched(passing, failing, report, report)
    const { status, body } = page('/')
    expect(status).toBe(200)
    expect(body).toContain(`<strong>${word}</strong> for ${report === passing ? 2 : 3} runs in a row`)
    expect(body).toContain(`Since 2026-01-01 00:0${report === passing ? 3 : 2}:00 UTC`)
    expect(body).toContain('<meta http-equiv="refresh" content="60">')
    expect(body).toContain(report.failure?.code ?? 'PASS')
    expect(body).not.toContain('<script')
  })

  test('has a bar for each of the last hundred runs, and names the changes', () => {
    const { page } = watched(...times(120, passing), failing, failing, passing)
    const { body } = page('/')
    expect(body.match(/<rect class="(pass|fail)"/g)).toHaveLength(MOST_VERDICTS)
    expect(body.match(/<rect class="fail"/g)).toHaveLength(2)
    expect(body).toContain('aria-label="the last 100 runs: 98 passed, 2 failed"')
    const [, changes = ''] = /<ol class="changes">(.*?)<\/ol>/s.exec(body) ?? []
    expect(changes.trim().split('\n')).toEqual([
      '<li>from 2026-01-01 02:03:00 UTC: pass, 1 run</li>',
      '<li>from 2026-01-01 02:01:00 UTC: fail DML_DENIED, 2 runs</li>',
      '<li>from 2026-01-01 00:24:00 UTC: pass, 97 runs</li>',
    ])
  })

  test('says that there is no verdict before the first run has ended', () => {
    const { status, body } = watched().page('/')
    expect(status).toBe(200)
    expect(body).toContain('no verdict')
    expect(body).toContain('the first run has not ended yet')
    expect(body).not.toMatch(/PASS|FAIL/)
  })

  test('has a policy that lets its own style through, and nothing else', () => {
    const { history } = watched(passing)
    const answer = pagesOf(history, createMetrics('x 1', []), { everyMs: 5_000, program: 'x 1' })['/']?.()
    const policy = answer?.headers?.['Content-Security-Policy'] ?? ''
    const inPage = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(String(answer?.body))?.[1]
    expect(policy).toBe(`${inPage}; frame-ancestors 'none'`)
    expect(policy).not.toContain('unsafe')
  })
})

describe('a run that is too old', () => {
  test('counts for nothing: three periods', () => {
    const { page, wait, run } = watched(passing)
    wait(180_000)
    expect(page('/health')).toEqual({ status: 200, body: 'pass\n' })
    expect(metric(page('/metrics').body, 'connection_probe_up')).toBe(1)
    wait(1)
    expect(page('/health').status).toBe(503)
    expect(metric(page('/metrics').body, 'connection_probe_up')).toBe(0)
    expect(page('/').body).toContain('no verdict')
    expect(page('/').body).not.toContain('PASS')
    expect(page('/live').status).toBe(200)
    run(passing)
    expect(page('/health').status).toBe(200)
    expect(page('/').body).toContain('PASS')
  })

  test.each([
    [5_000, 30_000, 35_000],
    [60_000, 30_000, 180_000],
    [60_000, 630_000, 690_000],
  ])('with a period of %i ms and runs of up to %i ms after %i ms', (everyMs, runMs, ms) => {
    expect(staleAfter(everyMs, runMs)).toBe(ms)
  })
})

describe('/metrics', () => {
  test('counts runs and failures, and measures only what was tried', () => {
    const carried = {
      ...passing,
      checks: passing.checks.map(check => (check.id === 'certificate-bound' ? { ...check, durationMs: 0 } : check)),
    }
    const { body } = watched(passing, carried, failing).page('/metrics')
    const value = (line: string) => metric(body, `connection_probe_${line}`)
    expect(value('runs_total{verdict="pass"}')).toBe(2)
    expect(value('runs_total{verdict="fail"}')).toBe(1)
    expect(value('failures_total{layer="privilege",code="DML_DENIED"}')).toBe(1)
    expect(value('check_duration_seconds_count{check="tcp"}')).toBe(3)
    expect(value('check_duration_seconds_count{check="certificate-bound"}')).toBe(2)
    expect(value('check_duration_seconds_count{check="row-visible"}')).toBe(2)
    expect(value('visible_seconds_count')).toBe(2)
    expect(body).toContain(`build_info{version="1.2.3",node="${process.version}"} 1`)
  })

  test('keeps what was seen last of the certificates', () => {
    const line = 'connection_probe_certificate_not_after_timestamp_seconds{which="server"}'
    const { page, run } = watched(passing)
    const seen = metric(page('/metrics').body, line)
    expect(seen).toBeGreaterThan(Date.UTC(2020, 0) / 1000)
    run(recorded('failing'))
    run(recorded('bad-config'))
    expect(metric(page('/metrics').body, line)).toBeDefined()
    expect(metric(page('/metrics').body, 'connection_probe_up')).toBe(0)
  })

  test('of ten thousand runs is no longer than of two', () => {
    const length = (count: number) =>
      watched(...times(count, [passing, failing]).flat())
        .page('/metrics')
        .body.split('\n').length
    expect(length(1000)).toBe(length(1))
  })
})
