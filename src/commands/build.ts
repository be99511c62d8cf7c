/** `npm run build`: the program as one file. */
import { defineCommand, EXIT } from './command.ts'

export const build = defineCommand({
  group: 'develop',
  does: 'makes dist/connection-probe.mjs, the program as one file',
  words: [],
  flags: {},
  development: true,
  async run(_, program) {
    const { build } = await import('../development/build.ts')
    program.note(`built ${await build()}`)
    return EXIT.ok
  },
})
