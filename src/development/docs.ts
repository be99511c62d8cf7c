/**
 * The generated parts of the documentation. Everything in them comes from the program, so that nobody writes it twice:
 *
 * src/failure/README.md   the table of codes
 * src/checks/README.md    every text of the checks, the criteria, the warnings and the codes, to be read in one diff
 * src/report/report.schema.json   the JSON Schema of the report
 * README.md               the help, and reports that were recorded (test/report/recorded)
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CRITERIA } from '../checks/check.ts'
import { CHECKS } from '../checks/index.ts'
import { witnessChecksFor } from '../checks/witness/index.ts'
import { CODES, type Code } from '../failure/codes.ts'
import { EXPLANATIONS, PROMPTS } from '../failure/explanations.ts'
import { fillIn } from '../failure/hints.ts'
import { escapeMarkdown } from '../report/markdown.ts'
import type { Report, WarningCode } from '../report/report.ts'
import { renderText } from '../report/text.ts'
import { reportSchema } from './report-schema.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const GENERATED = '<!-- written by `npm run docs`; a test fails when it is stale -->'

/** What each warning says; its message in a report has the names and the figures. */
const WARNINGS: Readonly<Record<WarningCode, string>> = {
  CERT_SOURCE_INCOMPLETE: 'a source of certificates lacks a part, and another source is used; the back end may fail',
  CERT_EXPIRES_SOON: 'a certificate expires within 30 days',
  NODE_CERT_USAGE: 'the server certificate lacks clientAuth, which CockroachDB needs between nodes',
  CERT_IDENTITY: 'neither the CN nor a DNS name of the client certificate is the user',
  ADMIN_CREDENTIALS_PRESENT:
    "the probe can read an administrator's key, or a CA's or a node's, which the running application must not",
  PLAINTEXT_ACCEPTED: 'the server answers a login without TLS with a challenge; it let nobody in',
  ROLE_TIMEOUT: "a timeout set for the role or the database ends the back end's statements, and not the probe's",
  ROWS_LEFT: 'rows of the probe could not be removed; the message has the statement that removes them',
  ADDRESS_NOT_6PN: "the address is outside fdaa::/16, Fly's private network",
  ENGINE_NOT_COCKROACHDB: 'the server is PostgreSQL, not CockroachDB',
}

const WARNING_CODES = Object.keys(WARNINGS) as WarningCode[]

/** A file of the documentation as it must be. */
export interface Document {
  /** relative to the root of the repository */
  readonly path: string
  readonly text: string
}

/**
 * Every file that has a generated part, in memory.
 * @param help the text of `--help`, as `npm run` has it
 * @param declared the text of declared.json
 */
export const documents = (help: string, declared: string): readonly Document[] => [
  { path: 'src/commands/declared.json', text: declared },
  { path: 'src/failure/README.md', text: failureReadme() },
  { path: 'src/checks/README.md', text: checksReadme() },
  { path: 'src/report/report.schema.json', text: `${JSON.stringify(reportSchema(WARNING_CODES), null, 2)}\n` },
  { path: 'README.md', text: readme(readFileSync(join(ROOT, 'README.md'), 'utf8'), help) },
]

/** Writes them; returns the paths of those that were stale. */
export function writeDocuments(help: string, declared: string): readonly string[] {
  const stale = documents(help, declared).filter(({ path, text }) => textOf(path) !== text)
  for (const { path, text } of stale) writeFileSync(join(ROOT, path), text)
  return stale.map(({ path }) => path)
}

/** The file as it is; empty where there is none. */
function textOf(path: string): string {
  try {
    return readFileSync(join(ROOT, path), 'utf8')
  } catch {
    return ''
  }
}

const failureReadme = (): string => `${GENERATED}

# Failure codes

One cause, one code. The layer is the stage of the path that is broken. Where "wait" says yes, waiting can cure the cause,
and \`--wait SECONDS\` repeats the attempt. \`npm run -s explain -- CODE\` says more: all usual causes, how to confirm each
and how to fix it.

${troubleshootingTable()}`

/** Every code by layer, its meaning, its usual first cause and the next thing to do: a Markdown table with a line end. */
export function troubleshootingTable(): string {
  const codes = Object.keys(CODES) as Code[]
  const rows = codes.map((code, at) => {
    const { layer, hint, retryable } = CODES[code]
    const { meaning, causes } = EXPLANATIONS[code]
    const before = codes[at - 1]
    const first = before === undefined || CODES[before].layer !== layer
    const cells = [first ? `**${layer}**` : '', `\`${code}\``, retryable ? 'yes' : '', meaning, causes[0], fillIn(hint)]
    return `| ${cells.map((cell, column) => (column < 2 ? cell : escapeMarkdown(cell))).join(' | ')} |`
  })
  const head = ['layer', 'code', 'wait', 'meaning', 'usual first cause', 'next']
  return `${[`| ${head.join(' | ')} |`, `| ${head.map(() => '---').join(' | ')} |`, ...rows].join('\n')}\n`
}

/** A table with a cell for each column, escaped unless it is code. */
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const cell = (text: string) => (/^`[^`]*`$/.test(text) ? text : escapeMarkdown(text))
  return [line(head), line(head.map(() => '---')), ...rows.map(row => line(row.map(cell)))].join('\n')
}

const code = (text: string): string => `\`${text}\``

/** One code's texts. A line that is typed begins with its prompt, and is shown as it is typed. */
function codeSection(name: Code): string {
  const { layer, hint, retryable } = CODES[name]
  const { meaning, causes, ...steps } = EXPLANATIONS[name]
  const isTyped = (line: string) => Object.keys(PROMPTS).some(prompt => line.startsWith(`${prompt} `))
  const item = (line: string) => `- ${isTyped(line) ? `\`\` ${line} \`\`` : escapeMarkdown(line)}`
  const list = ([title, lines]: [string, readonly string[]]) => `${title}:\n\n${lines.map(item).join('\n')}`
  return [
    `### ${name}`,
    `Layer ${layer}; ${retryable ? 'waiting can cure it' : 'waiting does not cure it'}.`,
    `next: ${escapeMarkdown(fillIn(hint))}`,
    escapeMarkdown(meaning),
    ...Object.entries({ causes, ...steps }).map(list),
  ].join('\n\n')
}

const checksReadme = (): string => `${GENERATED}

# Every text of the probe

Read this file whole, as a tired reader, after a change of any text: it is one diff.

## Checks

In the order in which they run. Each has a file here that is called like its id. A check runs when every check that it
needs has passed. \`every-address\` is in the report with \`--all-addresses\` only.

${table(
  ['check', 'layer', 'criterion', 'needs', 'title'],
  CHECKS.map(({ id, layer, criterion, needs, title }) => [
    code(id),
    layer,
    criterion ?? '',
    Object.values(needs)
      .map(need => need.id)
      .join(', '),
    title,
  ]),
)}

## Checks of the witness

In the order in which they run; those of the probe among them are above. They have no criteria. With \`--app\` the title of
\`back-end-session\` names the app.

${table(
  ['check', 'layer', 'needs', 'title'],
  witnessChecksFor(null).map(({ id, layer, needs, title }) => [
    code(id),
    layer,
    Object.values(needs)
      .map(need => need.id)
      .join(', '),
    title,
  ]),
)}

## Criteria

${table(
  ['criterion', 'title', 'checks'],
  CRITERIA.map(({ id, title }) => [
    code(id),
    title,
    CHECKS.filter(({ criterion }) => criterion === id)
      .map(check => check.id)
      .join(', '),
  ]),
)}

## Warnings

A warning never fails a run.

${table(
  ['warning', 'says'],
  Object.entries(WARNINGS).map(([name, says]) => [code(name), says]),
)}

## Codes

A step that is typed begins with its prompt:

${table(
  ['prompt', 'where it is typed'],
  Object.entries(PROMPTS).map(([prompt, place]) => [code(prompt), place]),
)}

${(Object.keys(CODES) as Code[]).map(codeSection).join('\n\n')}
`

/** The terminal for which README's report is made. */
const README_COLUMNS = 100

/** README with its generated parts as they must be. Each stands between two comments that name it. */
function readme(text: string, help: string): string {
  const parts = {
    commands: commandsOf(help),
    'failing report': recordedText('denied', README_COLUMNS),
    'witness report': witnessLines(recordedText('witness')),
  }
  return Object.entries(parts).reduce((readme, [name, part]) => {
    const between = new RegExp(`(?<=^<!-- ${name}[^\\n]* -->\\n).*?(?=^<!-- /${name} -->$)`, 'ms')
    if (!between.test(readme)) throw new Error(`README.md has no part "${name}"`)
    return readme.replace(between, () => `\`\`\`\n${part}\`\`\`\n`)
  }, text)
}

/** A recorded report as text, for a terminal of so many columns; null: for a log. */
function recordedText(name: string, columns: number | null = null): string {
  const recorded = readFileSync(join(ROOT, `test/report/recorded/${name}.json`), 'utf8')
  return renderText(JSON.parse(recorded) as Report, { colour: false, columns })
}

/** The verdict, and the checks that only the witness has. */
const witnessLines = (report: string): string =>
  `${report
    .split('\n')
    .filter((line, at) => at < 2 || /^. back-end-/.test(line))
    .join('\n')}\n`

/** The help without the options. */
const commandsOf = (help: string): string => /^run\n.*?\n(?=\noptions )/ms.exec(help)?.[0] ?? ''
