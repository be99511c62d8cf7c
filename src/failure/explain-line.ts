/** What a line of another client's log stands for (`npm run explain -- "LINE"`): a code, or several, likeliest first. */
import { asTyped } from '../invocation.ts'
import { CODES, type Code, LAYERS } from './codes.ts'
import { wrap } from './explain.ts'
import { EXPLANATIONS } from './explanations.ts'
import { fillIn } from './hints.ts'
import { CONSEQUENCES, LOG_LINES } from './log-lines.ts'
import { plain, redact } from './secrets.ts'

/** A line that is understood. */
export interface Recognised {
  readonly line: string
  readonly codes: readonly Code[]
  readonly apart: string | null
}

/** Lines of a log that are looked at, the last ones. */
const MOST_LINES = 10_000
const LONGEST_LINE = 4000

const isCode = (word: string): word is Code => Object.hasOwn(CODES, word)

/** What each line of a text stands for, in their order; the same codes once. */
export function recognise(text: string): readonly Recognised[] {
  const found = new Map<string, Recognised>()
  for (const whole of text.split('\n').slice(-MOST_LINES)) {
    const line = plain(redact(whole.slice(0, LONGEST_LINE), LONGEST_LINE), LONGEST_LINE)
    const one = recogniseLine(line)
    if (one && !found.has(one.codes.join())) found.set(one.codes.join(), one)
  }
  return [...found.values()]
}

function recogniseLine(line: string): Recognised | null {
  const row = LOG_LINES.find(({ pattern }) => pattern.test(line))
  if (row) return { line, codes: row.codes, apart: row.apart ?? null }
  // A line of this program's own: it names its code.
  const words = new Set(line.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b/g))
  const codes = [...words].filter(isCode)
  return codes.length > 0 ? { line, codes, apart: null } : null
}

/** Where to look instead, if a text is only the consequence of something; null where nothing is known of it. */
export const consequence = (text: string): string | null =>
  CONSEQUENCES.find(({ pattern }) => pattern.test(text))?.look ?? null

/** What was recognised, as text of at most 100 columns, with a line end. */
export const explainLines = (all: readonly Recognised[]): string =>
  all.map(one => `${recognisedLines(one).join('\n')}\n`).join('\n')

function recognisedLines({ line, codes, apart }: Recognised): string[] {
  const [first] = codes
  return [
    ...wrap(plain(line, 300), '> '),
    '',
    codes.length === 1 ? 'It stands for' : 'It may stand for, the likeliest first',
    ...codes.flatMap((code, at) => [
      ...wrap(
        `${code} (layer ${CODES[code].layer}): ${EXPLANATIONS[code].meaning}`,
        codes.length === 1 ? '  ' : `  ${at + 1}. `,
      ),
      ...wrap(fillIn(CODES[code].hint), codes.length === 1 ? '  next: ' : '     next: '),
    ]),
    ...(apart === null
      ? []
      : ['', codes.length === 1 ? 'To know besides' : 'To tell them apart', ...wrap(apart, '  ')]),
    '',
    `More: ${first === undefined ? '' : asTyped(`npm run explain -- ${first}`)}`,
  ]
}

/** Every code by layer with its meaning, as text of at most 100 columns, with a line end. */
export function listCodes(): string {
  const width = Math.max(...Object.keys(CODES).map(code => code.length)) + 4
  const ofLayer = (layer: string) => (Object.keys(CODES) as Code[]).filter(code => CODES[code].layer === layer)
  const layers = LAYERS.map(layer => [
    layer,
    ...ofLayer(layer).flatMap(code => wrap(firstSentence(EXPLANATIONS[code].meaning), `  ${code}`.padEnd(width))),
  ])
  return `${layers.map(lines => lines.join('\n')).join('\n\n')}\n`
}

const firstSentence = (text: string): string => /^.*?[.:;](?= |$)/.exec(text)?.[0].replace(/[.:;]$/, '') ?? text
