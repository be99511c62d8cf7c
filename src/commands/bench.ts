/** `npm run bench`: measures the program against its peers. */
import { defineCommand, EXIT } from './command.ts'

export const bench = defineCommand({
  group: 'develop',
  does: 'measures the program against its peers: every section, or those named',
  words: ['SECTION…'],
  flags: {},
  development: true,
  async run({ words }, program) {
    const { bench } = await import('../../test/bench/main.ts')
    await bench(words, program.print)
    return EXIT.ok
  },
})
