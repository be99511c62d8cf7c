/** What is served under each path. What does not change between two runs is made once. */
import { contentPolicy } from '../report/html-page.ts'
import { renderJson } from '../report/json.ts'
import { CONTENT_TYPE } from './exposition.ts'
import type { History } from './history.ts'
import type { Metrics } from './metrics.ts'
import { type PageOptions, renderPage, STYLE } from './page.ts'
import { type Answer, type Paths, words } from './server.ts'

const NO_RUN = 'no run has ended yet'

/** What each path shows. */
export function pagesOf(history: History, metrics: Metrics, options: PageOptions): Paths {
  /** Made again when a run has ended, or the last one has become too old. */
  const cached = (make: () => Answer): (() => Answer) => {
    let made: { readonly of: string; readonly answer: Answer } | null = null
    return () => {
      const of = `${history.last()?.runId} ${history.isStale()}`
      if (made?.of !== of) {
        const answer = make()
        made = { of, answer: { ...answer, body: Buffer.from(answer.body) } }
      }
      return made.answer
    }
  }
  return {
    '/': cached(() => ({
      status: 200,
      type: 'text/html; charset=utf-8',
      body: renderPage(history, options),
      headers: { 'Content-Security-Policy': `${contentPolicy(STYLE)}; frame-ancestors 'none'` },
    })),
    '/report.json': cached(() => {
      const report = history.last()
      if (!report) return words(503, NO_RUN)
      return { status: 200, type: 'application/json; charset=utf-8', body: renderJson(report) }
    }),
    '/metrics': cached(() => ({ status: 200, type: CONTENT_TYPE, body: metrics.text(isUp(history)) })),
    '/live': () => words(200, 'live'),
    '/health': () => health(history),
  }
}

/** Whether the last run passed and is no old one; null before the first has ended. */
function isUp(history: History): boolean | null {
  const report = history.last()
  return report && report.verdict === 'pass' && !history.isStale()
}

function health(history: History): Answer {
  const report = history.last()
  if (!report) return words(503, NO_RUN)
  if (report.failure) return words(503, `fail ${report.failure.code}`)
  if (history.isStale()) return words(503, `the last run that ended is too old: it began at ${report.startedAt}`)
  return words(200, 'pass')
}
