/** The review as Markdown, for a pull request: the verdict first, then what to do, then what it rests on. */

import { count } from '../../failure/error.ts'
import { escapeMarkdown } from '../../report/markdown.ts'
import { plain } from '../../report/plain.ts'
import { ALONE } from '../schema-check/cockroachdb.ts'
import type { Finding } from '../schema-check/rule.ts'
import { ROWS } from './fill.ts'
import type { Review } from './index.ts'
import type { TableOutcome, Upgrade } from './upgrade.ts'

/** By this the workflow finds the comment that it updates. */
const MARKER = '<!-- connection-probe schema:review -->'

/** Text between backticks, however many of them it holds itself. */
function code(text: string): string {
  const fence = '`'.repeat(Math.max(0, ...(text.match(/`+/g) ?? []).map(run => run.length)) + 1)
  return fence === '`' ? `\`${text}\`` : `${fence} ${text} ${fence}`
}

/** A block of code, whatever stands in it. */
function block(text: string, language = ''): string {
  const longest = Math.max(2, ...(text.match(/`{3,}/g) ?? []).map(run => run.length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}${language}\n${text.trimEnd()}\n${fence}`
}

/** One line of prose, in which names from files and servers are quoted. */
const prose = (text: string): string => escapeMarkdown(plain(text, 2000))

/** A cell of a table. */
const cell = (text: string | null): string => (text === null ? '–' : code(plain(text, 500)).replaceAll('|', '\\|'))

const open = ({ findings }: Review): readonly Finding[] => findings.filter(({ accepted }) => accepted === null)

/** Whether anything is left to be done. */
export const isClear = (review: Review): boolean =>
  open(review).length === 0 &&
  review.edited.length === 0 &&
  review.problems.length === 0 &&
  isGood(review.emptyUpgrade ?? review.upgrade)

/** Where it fails with rows and every finding is accepted, the upgrade of empty tables decides. */
const isGood = (upgrade: Upgrade | null): boolean =>
  upgrade === null || (upgrade.failure === null && upgrade.probe?.passed !== false)

function title(review: Review): string {
  if (!review.changed && isClear(review)) return 'no change of the schema'
  const { problems, edited } = review
  const upgrade = review.emptyUpgrade ?? review.upgrade
  const parts = [
    ...(edited.length > 0 ? [`${count(edited.length, 'old migration')} edited`] : []),
    ...(problems.length > 0 ? ['drizzle/ and src/schema.ts disagree'] : []),
    ...(open(review).length > 0 ? [`${count(open(review).length, 'finding')} to answer`] : []),
    ...(upgrade?.failure ? [`the upgrade of ${review.emptyUpgrade ? 'empty' : 'filled'} tables fails`] : []),
    ...(upgrade?.probe?.passed === false ? ['the probe fails after the upgrade'] : []),
  ]
  return parts.length === 0 ? 'nothing stands against it' : parts.join(', ')
}

/** What is compared, and which migrations are new. */
function intro({ base, added }: Review): string {
  const since = `Compared with ${code(base.commit.slice(0, 12))} (${prose(base.how)}).`
  if (added.length === 0) return `${since} No migration is new.`
  return `${since} New: ${added.map(({ file }) => code(file)).join(', ')}.`
}

/** Findings by their statement: each is shown once. */
function findingsSection(review: Review): string[] {
  const groups = new Map<string, Finding[]>()
  for (const finding of review.findings) {
    const key = `${finding.file}:${finding.line}`
    groups.set(key, [...(groups.get(key) ?? []), finding])
  }
  if (groups.size === 0) return []
  const lines = [...groups].flatMap(([place, findings]) => {
    const [first] = findings
    const reason = first?.accepted
    return [
      `**${code(place)}**${reason ? `, accepted: ${prose(reason)}` : ''}`,
      '',
      ...(first?.statement ? [block(first.statement, 'sql'), ''] : []),
      ...findings.map(({ what, why, instead }) =>
        reason
          ? `- ${prose(what)}: ${prose(why)}.`
          : `- **${prose(what)}**: ${prose(why)}. Instead: ${prose(instead)}.`,
      ),
      '',
    ]
  })
  const how =
    open(review).length === 0
      ? []
      : ['To accept one, write the reason on a line of its own above the statement: `-- accepted: REASON`.', '']
  return ['### Findings', '', ...lines, ...how]
}

function editedSection({ edited }: Review): string[] {
  if (edited.length === 0) return []
  return [
    '### Old migrations that are not what they were',
    '',
    ...edited.map(({ file, what }) => `- ${code(file)} ${prose(what)}`),
    '',
    'A database that has applied them never runs them again: restore the files, and make the change in a new migration.',
    '',
  ]
}

function problemsSection({ problems }: Review): string[] {
  if (problems.length === 0) return []
  return ['### drizzle/ and src/schema.ts disagree', '', block(problems.join('\n')), '']
}

function changesSection({ changes }: Review): string[] {
  if (changes.length === 0) return []
  return [
    '### Before and after',
    '',
    '| | before | after |',
    '| --- | --- | --- |',
    ...changes.map(
      ({ what, before, after }) => `| ${what.replaceAll('|', '\\|')} | ${cell(before)} | ${cell(after)} |`,
    ),
    '',
  ]
}

function tableLine({ table, rowsBefore, rowsAfter, kept, altered }: TableOutcome): string {
  if (rowsBefore === 0) return `- ${code(table)}: had no rows`
  if (rowsAfter === null) return `- ${code(table)}: dropped, its ${count(rowsBefore, 'row')} with it`
  const rows = `${rowsAfter} of ${count(rowsBefore, 'row')} ${rowsAfter === 1 ? 'is' : 'are'} there`
  const values =
    altered.length === 0
      ? `the values of ${count(kept.length, 'column')} are the same`
      : `the values of ${altered.map(code).join(', ')} changed`
  return `- ${code(table)}: ${rows}, ${values}`
}

function outcomeLines({ failure, applied, probe, oldInserts, unfilled, tables }: Upgrade): string[] {
  const what = applied.length === 0 ? 'nothing new to apply' : `applied ${applied.map(code).join(', ')}`
  return [
    ...unfilled.map(problem => `- ${prose(problem)}`),
    failure === null
      ? `- ${what}; tables, defaults, keys and grants are as src/ declares`
      : `- **fails**: ${prose(failure)}${applied.length === 0 ? '' : ` (after it ${what})`}`,
    ...(failure !== null && applied.length === 0 ? ['- all of it is rolled back'] : tables.map(tableLine)),
    ...(probe === null
      ? []
      : [
          probe.passed
            ? '- the probe passes as gateway_writer'
            : `- **the probe fails**: ${prose(probe.failure ?? '')}`,
        ]),
    ...oldInserts.map(problem => `- **inserts as they were right before** fail: ${prose(problem)}`),
    ...(probe !== null && oldInserts.length === 0 && tables.length > 0
      ? ['- inserts as they were right before still work']
      : []),
  ]
}

function upgradeSection({ upgrade, emptyUpgrade }: Review): string[] {
  if (upgrade === null) return []
  const from =
    upgrade.base === 0
      ? 'an empty database'
      : `${count(upgrade.base, 'migration')} of the base and ${count(ROWS, 'row')} in each table`
  return [
    '### Upgrade of filled tables',
    '',
    `On a throwaway ${prose(upgrade.engine)}, from ${from}:`,
    '',
    ...outcomeLines(upgrade),
    '',
    ...(emptyUpgrade === null
      ? []
      : ['With empty tables, since every finding is accepted:', '', ...outcomeLines(emptyUpgrade), '']),
  ]
}

function sqlSection({ added }: Review): string[] {
  const texts = added.map(({ file, sql }) => `-- ${file}\n${(sql ?? '').trimEnd()}`)
  if (texts.length === 0) return []
  return ['### New SQL', '', block(texts.join('\n\n'), 'sql'), '']
}

/** What is no finding and good to know. */
function notes({ added, statements, upgrade }: Review): string[] {
  const lines = [
    ...(added.length > 0 && statements > 1 ? [`- CockroachDB: ${prose(ALONE)}.`] : []),
    ...(upgrade !== null && !upgrade.engine.startsWith('CockroachDB')
      ? [
          '- The upgrade ran on PostgreSQL; what CockroachDB does in another way comes from its documentation. With `COCKROACH_BINARY` it runs there.',
        ]
      : []),
  ]
  return lines.length === 0 ? [] : ['### Notes', '', ...lines, '']
}

/** The review, with a line end. */
export const renderReview = (review: Review): string =>
  `${[
    MARKER,
    `## Schema review: ${title(review)}`,
    '',
    intro(review),
    '',
    ...editedSection(review),
    ...problemsSection(review),
    ...findingsSection(review),
    ...changesSection(review),
    ...upgradeSection(review),
    ...sqlSection(review),
    ...notes(review),
  ]
    .join('\n')
    .trimEnd()}\n`
