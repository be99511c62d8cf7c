/** What a failure code means and how to fix it, for a terminal (`npm run explain`). */

import { asTyped } from '../invocation.ts'
import { CODES, type Code, type Layer } from './codes.ts'
import { EXPLANATIONS, PROMPTS } from './explanations.ts'
import { fillIn } from './hints.ts'

const WIDTH = 100
/** Where a shell command may be broken: at a space outside parentheses. */
const SHELL_BREAKS = / (?![^(]*\))/
const promptOf = (line: string) => Object.keys(PROMPTS).find(prompt => line.startsWith(`${prompt} `))

/** What --wait does about it; for a witness it is something else. */
function waitingLine(retryable: boolean | undefined, layer: Layer): string {
  if (retryable) return 'Waiting can cure it: --wait SECONDS repeats the attempt.'
  return layer === 'witness'
    ? 'Waiting longer does not cure it: --wait SECONDS says how long the row of the back end is awaited.'
    : 'Waiting does not cure it: --wait stops here.'
}

/** One code's explanation as text of at most 100 columns, with a line end. */
export function explain(code: Code): string {
  const { layer, hint, retryable } = CODES[code]
  const { meaning, causes, confirm, fix } = EXPLANATIONS[code]
  const used = new Set([...confirm, ...fix].map(promptOf))
  if (used.has('root>') || used.has('admin>')) used.add('crdb$').add('root>')
  const prompts = Object.entries(PROMPTS).filter(([prompt]) => used.has(prompt))
  const lines = [
    `${code} (layer ${layer})`,
    '',
    ...wrap(meaning, ''),
    '',
    'Next',
    ...wrap(fillIn(hint), '  '),
    '',
    'Usual causes, the likeliest first',
    ...causes.flatMap((cause, at) => wrap(cause, `  ${at + 1}. `)),
    '',
    'To confirm it',
    ...confirm.flatMap(line => wrap(line, '  ')),
    '',
    'To fix it',
    ...fix.flatMap(line => wrap(line, '  ')),
    '',
    waitingLine(retryable, layer),
    ...(prompts.length === 0 ? [] : ['', 'Where to type it']),
    ...prompts.flatMap(([prompt, place]) =>
      place.split('\n').flatMap((line, at) => wrap(line, `  ${(at === 0 ? prompt : '').padEnd(7)}`)),
    ),
  ]
  return `${lines.join('\n')}\n`
}

/**
 * `text` in lines of at most 100 columns: the first after `lead`, the others indented as far. Commands are as they are
 * typed here, and a shell command (see PROMPTS) is continued with a backslash, so that it can be copied as it stands.
 */
export function wrap(text: string, lead: string): string[] {
  const prompt = promptOf(text)
  const shell = prompt === '$' || prompt === 'crdb$'
  const indent = ' '.repeat(lead.length + (prompt === undefined ? 0 : prompt.length + 1))
  const room = WIDTH - (shell ? 2 : 0)
  const lines: string[] = []
  let line = lead
  let empty = true
  for (const word of asTyped(text).split(shell ? SHELL_BREAKS : ' ')) {
    if (!empty && line.length + 1 + word.length > room) {
      lines.push(shell ? `${line} \\` : line)
      line = indent
      empty = true
    }
    line += empty ? word : ` ${word}`
    empty = false
  }
  return [...lines, line]
}
