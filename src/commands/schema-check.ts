/** `npm run schema:check`: whether drizzle/ is what src/ declares. */
import { defineCommand, EXIT } from './command.ts'

export const schemaCheck = defineCommand({
  group: 'develop',
  does: 'fails unless drizzle/ is what src/ declares, grants included',
  words: [],
  flags: {},
  development: true,
  async run(_, program) {
    const { checkSchema } = await import('../development/schema-check/index.ts')
    const { ok, problems } = await checkSchema()
    await program.print(ok ? 'drizzle/ is what src/schema.ts declares, grants included\n' : `${problems.join('\n')}\n`)
    return ok ? EXIT.ok : EXIT.failed
  },
})
