/** `npm test` chains tools in package.json; this is its line in the help. */
import { defineCommand } from './command.ts'
import { UsageError } from './usage.ts'

export const test = defineCommand({
  group: 'develop',
  does: 'lint, types, schema:check, every test',
  words: ['WORD…'],
  flags: {},
  development: true,
  async run() {
    throw new UsageError('test is a script of package.json: npm test')
  },
})
