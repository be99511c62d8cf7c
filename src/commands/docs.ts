/** `npm run docs`: writes every generated part of the documentation. */
import { PROGRAM } from '../invocation.ts'
import { defineCommand, EXIT } from './command.ts'
import { declaredJson, helpText } from './help.ts'

export const docs = defineCommand({
  group: 'develop',
  does: 'writes every generated part of the documentation',
  words: [],
  flags: {},
  development: true,
  async run(_, program) {
    const { writeDocuments } = await import('../development/docs.ts')
    const commands = await program.commands()
    const written = writeDocuments(helpText(PROGRAM, commands, 'npm'), declaredJson(commands))
    await program.print(written.length === 0 ? 'nothing was stale\n' : `wrote ${written.join(', ')}\n`)
    return EXIT.ok
  },
})
