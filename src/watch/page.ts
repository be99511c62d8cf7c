/**
 * The page for people: the report of the last run, and above its details since when its verdict holds and what the runs
 * before it came to. Without a run that says something of now there is no verdict, and the page says why.
 */

import { count } from '../failure/error.ts'
import { renderHtml } from '../report/html.ts'
import { escapeHtml, htmlPage } from '../report/html-page.ts'
import type { History, Past } from './history.ts'

/** CSS besides that of the report. A failed run is told by its height, too. */
export const STYLE = `
header.blocked { border-left-color: var(--blocked); }
.strip { display: block; width: 100%; height: 2.5rem; background: var(--panel); border: 1px solid var(--line); }
.strip .pass { fill: var(--passed); }
.strip .fail { fill: var(--failed); }
.ends { display: flex; justify-content: space-between; color: var(--quiet); font-size: 0.75rem; margin: 0; }
.changes { padding-left: 1.25rem; }
`

export interface PageOptions {
  readonly everyMs: number
  /** name and version */
  readonly program: string
}

/** The page as it is now. */
export function renderPage(history: History, { everyMs, program }: PageOptions): string {
  const report = history.last()
  const options = { reloadSeconds: reloadAfter(everyMs), style: STYLE }
  const period = `A run every ${everyMs / 1000} s.`
  if (report && !history.isStale()) return renderHtml(report, { ...options, status: before(history, period) })
  const why = report
    ? `no run has ended for a long time: the last one that did began at ${report.startedAt}`
    : 'the first run has not ended yet'
  const head = `<header class="blocked">\n<h1>- ${escapeHtml(program)}: no verdict</h1>\n<p>${escapeHtml(why)}</p>\n</header>`
  return htmlPage(`${program}: no verdict`, `${head}\n${before(history, period)}`, options)
}

/** As often as there is something new, within bounds, seconds. */
const reloadAfter = (everyMs: number): number => Math.min(60, Math.max(5, Math.ceil(everyMs / 1000)))

/** Since when, and the strip. */
function before(history: History, period: string): string {
  const since = history.since()
  const verdicts = history.verdicts()
  const last = verdicts.at(-1)
  if (!since || !last) return `<section>\n<h2>Runs</h2>\n<p>${period}</p>\n</section>`
  const runs = since.runs === 1 ? '1 run' : `${since.runs} runs in a row`
  return `<section>
<h2>Since ${escapeHtml(shortTime(since.startedAt))}</h2>
<p><strong>${last.verdict === 'pass' ? 'Passing' : 'Failing'}</strong> for ${runs}. ${period}</p>
${strip(verdicts)}
${changes(verdicts)}
</section>`
}

/** `2026-01-31 12:00:00 UTC` */
const shortTime = (iso: string): string => iso.replace(/^(.{10})T(.{8}).*$/, '$1 $2 UTC')

const nameOf = ({ verdict, failure }: Past): string => (failure ? `${verdict} ${failure.code}` : verdict)

/** A bar for each run, the newest on the right. */
function strip(verdicts: readonly Past[]): string {
  const failed = verdicts.filter(({ verdict }) => verdict === 'fail').length
  const label = `the last ${verdicts.length} runs: ${verdicts.length - failed} passed, ${failed} failed`
  const bars = verdicts.map((past, at) => {
    const [top, height] = past.verdict === 'pass' ? [5, 5] : [0, 10]
    const what = escapeHtml(`${shortTime(past.startedAt)} ${nameOf(past)}`)
    return `<rect class="${past.verdict}" x="${at}" y="${top}" width="0.8" height="${height}"><title>${what}</title></rect>`
  })
  const first = verdicts[0]
  return `<svg class="strip" role="img" aria-label="${label}" viewBox="0 0 ${verdicts.length} 10" preserveAspectRatio="none">${bars.join('')}</svg>
<p class="ends"><span>${escapeHtml(first ? shortTime(first.startedAt) : '')}</span><span>low: passed, high: failed</span><span>now</span></p>`
}

/** Lines at most. */
const MOST_CHANGES = 10

/** Runs in a row that came to the same, the newest first. */
function changes(verdicts: readonly Past[]): string {
  const rows: { readonly first: Past; runs: number }[] = []
  for (const past of verdicts) {
    const row = rows.at(-1)
    if (row && nameOf(row.first) === nameOf(past)) row.runs += 1
    else rows.push({ first: past, runs: 1 })
  }
  const lines = rows
    .reverse()
    .slice(0, MOST_CHANGES)
    .map(({ first, runs }) => `<li>from ${shortTime(first.startedAt)}: ${nameOf(first)}, ${count(runs, 'run')}</li>`)
  return `<ol class="changes">\n${lines.join('\n')}\n</ol>`
}
