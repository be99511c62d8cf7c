/**
 * The report as one HTML page that needs nothing else: no network, no script, and a policy of its own that allows none.
 * Whatever a server, a certificate or a setting said passes through `text` first, so that it stays text.
 */
import type { Facts, Failure } from '../failure/error.ts'
import { EXPLANATIONS } from '../failure/explanations.ts'
import { asTyped } from '../invocation.ts'
import { escapeHtml, htmlPage } from './html-page.ts'
import {
  duration,
  explainCommand,
  headline,
  hostPort,
  LONGEST_HINT,
  LONGEST_WARNING,
  originLine,
  printableJson,
  proved,
  timings,
  totals,
} from './plain.ts'
import type { CheckResult, Report, Status } from './report.ts'
import { type Row, waterfall } from './waterfall.ts'

/** What a page may have besides the report. */
export interface HtmlOptions {
  /** a remark about the target, such as that it is a throwaway server */
  readonly remark?: string | undefined
  /** the page loads itself anew after so many seconds */
  readonly reloadSeconds?: number | undefined
  /** HTML below the verdict and the next step; its foreign text is escaped already (`escapeHtml`) */
  readonly status?: string
  /** CSS for that, in addition to the page's own */
  readonly style?: string
}

/** Characters of one string of evidence. */
const LONGEST_EVIDENCE = 2000

const MARKS = { passed: '√', failed: '×', blocked: '-' } as const satisfies Readonly<Record<Status, string>>

/** The page. Pure: the same report makes the same page. */
export function renderHtml(report: Report, { remark, reloadSeconds, status = '', style }: HtmlOptions = {}): string {
  const parts = [
    verdict(report),
    status,
    criteria(report),
    target(report, remark),
    warnings(report),
    bars(report),
    checks(report),
    explanation(report),
    `<footer>${escapeHtml(totals(report))}. Started ${escapeHtml(report.startedAt)}, run ${escapeHtml(report.runId)}.</footer>`,
  ]
  const title = `${headline(report)}: ${hostPort(report.target)}`
  return htmlPage(title, parts.filter(part => part !== '').join('\n'), { reloadSeconds, style })
}

const section = (title: string, body: string): string => `<section>\n<h2>${title}</h2>\n${body}\n</section>`

function verdict(report: Report): string {
  const { failure } = report
  const mark = failure === null ? MARKS.passed : MARKS.failed
  const head = `<h1>${mark} ${escapeHtml(headline(report))}</h1>`
  if (failure === null)
    return `<header class="passed">\n${head}\n<p>Proved: ${escapeHtml(proved(report))}</p>\n</header>`
  return `<header class="failed">
${head}
<p>${escapeHtml(failure.message, 600)}</p>
<p class="next"><strong>Next:</strong> ${escapeHtml(failure.hint, LONGEST_HINT)}</p>
<p>More: <code>${explainCommand(failure.code)}</code></p>
</header>`
}

function facts(pairs: readonly (readonly [name: string, value: string])[]): string {
  return `<dl>\n${pairs.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`).join('\n')}\n</dl>`
}

function target(report: Report, remark: string | undefined): string {
  const { database, user, tlsName, address, engine } = report.target
  return section(
    'Target',
    facts([
      ['Host', hostPort(report.target)],
      ['Database, user', `${database ?? '(none)'}, ${user ?? '(none)'}`],
      ['Address', address ?? 'none reached'],
      ['Verified name', tlsName ?? '(none)'],
      ['Engine', engine ?? 'unknown'],
      ['Probed from', originLine(report)],
      ...(remark === undefined ? [] : [['Note', remark] as const]),
    ]),
  )
}

const badge = (status: Status): string => `<span class="badge ${status}">${MARKS[status]} ${status}</span>`

function criteria({ criteria }: Report): string {
  if (criteria.length === 0) return ''
  const items = criteria.map(
    ({ id, title, status }) => `<li>${badge(status)} <strong>${id}</strong> ${escapeHtml(title)}</li>`,
  )
  return section('Criteria', `<ul class="criteria">\n${items.join('\n')}\n</ul>`)
}

const warnings = ({ warnings }: Report): string =>
  warnings.length === 0
    ? ''
    : section(
        'Warnings',
        `<ul>\n${warnings.map(w => `<li><strong>${w.code}</strong>: ${escapeHtml(w.message, LONGEST_WARNING)}</li>`).join('\n')}\n</ul>`,
      )

const checks = (report: Report): string =>
  section('Checks', `<ol class="checks">\n${report.checks.map(checkItem).join('\n')}\n</ol>`)

function checkItem(check: CheckResult): string {
  const { id, layer, title, status, durationMs, blockedBy, failure } = check
  const took = status === 'blocked' ? `blocked by ${blockedBy ?? 'another check'}` : duration(durationMs)
  return `<li class="${status}">
<h3>${badge(status)} ${id} <span class="aside">layer ${layer}, ${took}</span></h3>
<p>${escapeHtml(title)}</p>${failure === null ? '' : `\n${failed(failure)}`}${evidence(check)}
</li>`
}

function failed({ code, message, causes, hint }: Failure): string {
  const items = causes.map(({ name, code, message, hint }) => {
    const what = escapeHtml(code === null ? name : `${name} ${code}`)
    const next = hint === undefined ? '' : `<br>Next: ${escapeHtml(hint, LONGEST_HINT)}`
    return `<li>${what}${message === '' ? '' : `: ${escapeHtml(message, 1000)}`}${next}</li>`
  })
  return [
    `<p><strong>${code}</strong>: ${escapeHtml(message, 600)}</p>`,
    ...(items.length === 0 ? [] : [`<ul>\n${items.join('\n')}\n</ul>`]),
    `<p class="next"><strong>Next:</strong> ${escapeHtml(hint, LONGEST_HINT)}</p>`,
  ].join('\n')
}

function evidence({ id, evidence }: { readonly id: string; readonly evidence: Facts }): string {
  const entries = Object.entries(evidence).filter(([, value]) => value !== undefined)
  if (entries.length === 0) return ''
  const pairs = entries.map(([key, value]) => {
    const shown = escapeHtml(typeof value === 'string' ? value : printableJson(value), LONGEST_EVIDENCE)
    return `<div><dt>${escapeHtml(key, 40)}</dt><dd>${shown}</dd></div>`
  })
  return `\n<details><summary>Evidence of ${id}</summary>\n<dl>\n${pairs.join('\n')}\n</dl>\n</details>`
}

function bars(report: Report): string {
  const { rows, totalMs } = waterfall(report)
  if (rows.length === 0) return ''
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(part => `<span>${duration(totalMs * part)}</span>`).join('')
  return section(
    'Waterfall',
    `<div class="axis" aria-hidden="true">${ticks}</div>\n<ol class="waterfall">\n${rows.map(bar).join('\n')}\n</ol>`,
  )
}

const percent = (part: number): string => `${Math.round(part * 10_000) / 100}%`
/** A bar that is narrower cannot be seen. */
const NARROWEST = 0.004

function bar({ entry, isCheck, status, from, width }: Row): string {
  const each = timings(entry)
  const at = Math.min(from, 1 - NARROWEST)
  const rect = `<rect x="${percent(at)}" width="${percent(Math.max(NARROWEST, width))}" height="100%" rx="2"/>`
  const name = escapeHtml(entry.name, 100)
  const shown = isCheck ? `<strong>${MARKS[status]} ${name}</strong>` : name
  return `<li class="${isCheck ? 'check' : 'part'} ${status}"><span class="name">${shown}</span><svg aria-hidden="true" focusable="false" width="100%" height="100%">${rect}</svg><span class="time">${duration(entry.durationMs)}</span>${each === null ? '' : `<span class="each">${each}</span>`}</li>`
}

function explanation({ failure }: Report): string {
  if (failure === null) return ''
  const { meaning, causes, confirm, fix } = EXPLANATIONS[failure.code]
  const said = (text: string) => escapeHtml(asTyped(text), 2000)
  const list = (lines: readonly string[]) =>
    lines
      .map(line => (/^\S*[$>] /.test(line) ? `<pre><code>${said(line)}</code></pre>` : `<p>${said(line)}</p>`))
      .join('\n')
  return section(
    `What ${failure.code} means`,
    [
      `<p>${said(meaning)}</p>`,
      '<h3>Usual causes, the likeliest first</h3>',
      `<ol>\n${causes.map(cause => `<li>${said(cause)}</li>`).join('\n')}\n</ol>`,
      `<h3>To confirm it</h3>\n${list(confirm)}`,
      `<h3>To fix it</h3>\n${list(fix)}`,
    ].join('\n'),
  )
}
