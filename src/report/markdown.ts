/**
 * The report as Markdown (GitHub's), to be pasted into a decision record or a pull request: the verdict, the four
 * criteria as a checklist with figures, the checks as a table, warnings, and all evidence folded away.
 */
import type { Failure } from '../failure/error.ts'
import { escapeMarkdown } from '../failure/secrets.ts'
import {
  duration,
  explainCommand,
  headline,
  hostPort,
  keyFacts,
  LONGEST_HINT,
  LONGEST_WARNING,
  originLine,
  printableJson,
  totals,
} from './plain.ts'
import type { CheckResult, CriterionResult, Report } from './report.ts'

export { escapeMarkdown } from '../failure/secrets.ts'

/** Characters of one string of evidence. */
const LONGEST_EVIDENCE = 2000

const MARKS = { passed: '✓', failed: '✗', blocked: '–' } as const

/** The report as Markdown, with a line end; `note` is a remark about the target, such as that it is a throwaway server. */
export function renderMarkdown(report: Report, { note }: { readonly note?: string | undefined } = {}): string {
  return `${[
    `## ${escapeMarkdown(headline(report))}`,
    ...(report.failure === null ? [] : [failureParagraph(report.failure)]),
    target(report, note),
    ...(report.criteria.length === 0
      ? []
      : [report.criteria.map(criterion => criterionLine(criterion, report)).join('\n')]),
    checksTable(report),
    ...(report.warnings.length === 0 ? [] : [warnings(report)]),
    `${totals(report)}.`,
    evidence(report),
  ].join('\n\n')}\n`
}

function failureParagraph(failure: Failure): string {
  const causes = failure.causes.map(({ name, code, message, hint }) => {
    const what = code === null ? name : `${name} ${code}`
    const next = hint === undefined ? '' : `; next: ${escapeMarkdown(hint, LONGEST_HINT)}`
    return `- ${escapeMarkdown(what)}${message === '' ? '' : `: ${escapeMarkdown(message, 1000)}`}${next}`
  })
  return [
    `**${failure.layer}, \`${failure.code}\`:** ${escapeMarkdown(failure.message, 600)}`,
    ...(causes.length === 0 ? [] : [causes.join('\n')]),
    `Next: ${escapeMarkdown(failure.hint, LONGEST_HINT)} (\`${explainCommand(failure.code)}\`)`,
  ].join('\n\n')
}

function target(report: Report, note: string | undefined): string {
  const { database, user, tlsName, address, engine } = report.target
  const facts = [
    ['Target', hostPort(report.target)],
    ['Database, user', `${database ?? '–'}, ${user ?? '–'}`],
    ['Address, verified name', `${address ?? '–'}, ${tlsName ?? '–'}`],
    ['Engine', engine ?? '–'],
    ['Probed from', originLine(report)],
    ['Started, run', `${report.startedAt}, ${report.runId}`],
    ...(note === undefined ? [] : [['Note', note] as const]),
  ] as const
  return ['| | |', '| --- | --- |', ...facts.map(([name, value]) => `| ${name} | ${escapeMarkdown(value)} |`)].join(
    '\n',
  )
}

function criterionLine({ id, title, status, checks }: CriterionResult, report: Report): string {
  const figures = report.checks.filter(check => checks.includes(check.id)).map(figure)
  return `- [${status === 'passed' ? 'x' : ' '}] ${id}: ${title} (${figures.join('; ')})`
}

/** What a criterion's line says about one of its checks. */
function figure(check: CheckResult): string {
  if (check.status === 'blocked') return `${check.id} blocked by ${check.blockedBy ?? '–'}`
  if (check.failure !== null) return `**${check.id} failed: \`${check.failure.code}\`**`
  const facts = keyFacts(check, 2)
  return facts === '' ? `${check.id} passed` : `${check.id}: ${escapeMarkdown(facts)}`
}

function checksTable(report: Report): string {
  const rows = report.checks.map(check => {
    const time = check.status === 'blocked' ? '' : duration(check.durationMs)
    return `| ${MARKS[check.status]} | ${check.id} | ${check.layer} | ${escapeMarkdown(check.title)} | ${time} | ${result(check)} |`
  })
  return ['| | check | layer | asserts | time | result |', '| --- | --- | --- | --- | --- | --- |', ...rows].join('\n')
}

function result(check: CheckResult): string {
  if (check.status === 'blocked') return `blocked by ${check.blockedBy ?? '–'}`
  if (check.failure === null) return 'passed'
  return `\`${check.failure.code}\`: ${escapeMarkdown(check.failure.message, 600)}`
}

const warnings = (report: Report): string =>
  ['Warnings:', '', ...report.warnings.map(w => `- \`${w.code}\`: ${escapeMarkdown(w.message, LONGEST_WARNING)}`)].join(
    '\n',
  )

/** All evidence. A JSON line never begins with a backtick, so no value can end the block. */
function evidence(report: Report): string {
  const all = Object.fromEntries(report.checks.map(check => [check.id, check.evidence]))
  const json = printableJson(all, 2, (_, value) =>
    typeof value === 'string' ? value.slice(0, LONGEST_EVIDENCE) : value,
  )
  return `<details><summary>Evidence</summary>\n\n\`\`\`json\n${json}\n\`\`\`\n\n</details>`
}
