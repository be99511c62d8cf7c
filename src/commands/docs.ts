/** `npm run docs`: writes every generated part of the documentation. */
import { defineCommand, EXIT } from './command.ts'

export const docs = defineCommand({
  group: 'develop',
  does: 'writes every generated part of the documentation',
  words: [],
  flags: {},
  development: true,
  async run(_, program) {
    const { writeDocuments } = await import('../development/docs.ts')
    const written = writeDocuments(await program.help())
    await program.print(written.length === 0 ? 'nothing was stale\n' : `wrote ${written.join(', ')}\n`)
    return EXIT.ok
  },
})
