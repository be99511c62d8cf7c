/** `npm run explain -- CODE`: what a failure code means. */
import type { Code } from '../failure/codes.ts'
import { commandLine } from '../invocation.ts'
import { defineCommand, EXIT, UsageError } from './command.ts'

export const explain = defineCommand({
  group: 'understand',
  does: 'what a failure code means, and how to fix it',
  words: ['CODE'],
  flags: {},
  development: false,
  async run({ words: [code] }, program) {
    const { CODES } = await import('../failure/codes.ts')
    const codes = Object.keys(CODES)
    if (code === undefined) throw new UsageError(`explain wants a failure code: ${codes.join(', ')}`)
    const known = codes.find(name => name === code.toUpperCase())
    if (!known) {
      const { didYouMean, quoted } = await import('./usage.ts')
      const near = didYouMean(code.toUpperCase(), codes)
      throw new UsageError(
        `there is no failure code ${quoted(code)}${near || ';'} ${commandLine('explain')} lists them`,
      )
    }
    const { explain } = await import('../failure/explain.ts')
    await program.print(explain(known as Code))
    return EXIT.ok
  },
})
