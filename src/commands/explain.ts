/** `npm run explain -- CODE|LINE`: what a failure code means, or a line of another client's log. */
import { fstatSync } from 'node:fs'
import type { Code } from '../failure/codes.ts'
import { commandLine } from '../invocation.ts'
import { defineCommand, EXIT, type Program, UsageError } from './command.ts'

export const explain = defineCommand({
  group: 'understand',
  does: 'what a failure code means, or a line of a log, and how to fix it',
  words: ['CODE…'],
  flags: {},
  development: false,
  async run({ words }, program) {
    const [{ CODES }, { explain }] = await Promise.all([import('../failure/codes.ts'), import('../failure/explain.ts')])
    const text = words.length > 0 && words.join(' ') !== '-' ? words.join(' ') : await textOnStdin(words.length > 0)
    const known = Object.keys(CODES).find(name => name === text.trim().toUpperCase())
    if (known) {
      await program.print(explain(known as Code))
      return EXIT.ok
    }
    return explainText(text, Object.keys(CODES), program)
  },
})

async function explainText(text: string, codes: readonly string[], program: Program): Promise<number> {
  const { consequence, explainLines, listCodes, recognise } = await import('../failure/explain-line.ts')
  if (text.trim() === '') {
    await program.print(listCodes())
    return EXIT.ok
  }
  const found = recognise(text)
  if (found.length > 0) {
    await program.print(explainLines(found))
    return EXIT.ok
  }
  if (/^[\w-]+$/.test(text.trim())) {
    const { didYouMean, quoted } = await import('./usage.ts')
    const near = didYouMean(text.trim().toUpperCase(), codes)
    throw new UsageError(
      `there is no failure code ${quoted(text.trim())}${near || ';'} ${commandLine('explain')} lists them`,
    )
  }
  const look = consequence(text)
  program.note(
    look === null
      ? `nothing known looks like this: ${commandLine('probe')} finds the cause, ${commandLine('explain')} lists the codes`
      : `this is a consequence: ${look}`,
  )
  return EXIT.failed
}

/** Characters of a log, the last ones. */
const LONGEST = 4_000_000
/** How long an open pipe may take to say its first word before it is one that nobody writes to, ms. */
const FIRST_WORD_MS = 2_000

/**
 * What stands on stdin; nothing where that is a terminal, or a pipe in which nothing comes.
 * @param asked it was asked for: then a pipe is waited for as long as it takes
 */
async function textOnStdin(asked: boolean): Promise<string> {
  const { stdin } = process
  if ((stdin.isTTY && !asked) || !isOpen(stdin.fd)) return ''
  let text = ''
  const timer = asked ? undefined : setTimeout(() => stdin.destroy(), FIRST_WORD_MS)
  try {
    for await (const chunk of stdin.setEncoding('utf8')) {
      clearTimeout(timer)
      text = (text + chunk).slice(-LONGEST)
    }
  } catch (error) {
    // Closed by ourselves, or not to be read: there is nothing then.
    if (text !== '' && (error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  } finally {
    clearTimeout(timer)
  }
  return text
}

/** Whether there is a stdin at all: a process may be started without. */
function isOpen(fd: number): boolean {
  try {
    fstatSync(fd)
    return true
  } catch {
    return false
  }
}
