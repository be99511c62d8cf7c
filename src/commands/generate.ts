/** `npm run generate`: the migrations of a change in src/schema.ts, its grants included. */
import { defineCommand, EXIT } from './command.ts'
import { UsageError } from './usage.ts'

export const generate = defineCommand({
  group: 'develop',
  does: 'writes the migrations of a change in src/schema.ts: tables (drizzle-kit generate) and grants',
  words: [],
  flags: {
    name: { type: 'string', value: 'NAME', does: 'of the migration: drizzle/NNNN_NAME.sql' },
    custom: { type: 'boolean', does: 'an empty migration, for SQL of your own' },
  },
  development: true,
  async run({ flags: { name, custom = false } }, program) {
    if (name !== undefined && !/^[A-Za-z0-9_-]{1,100}$/.test(name))
      throw new UsageError('--name of generate wants letters, digits, _ and -')
    const { generate } = await import('../development/generate.ts')
    const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true
    const problems = await generate({ ...{ name, custom, terminal }, print: program.print, note: program.note })
    if (problems === null) return EXIT.failed
    await program.print(problems.map(problem => `${problem}\n`).join(''))
    return problems.length === 0 ? EXIT.ok : EXIT.failed
  },
})
