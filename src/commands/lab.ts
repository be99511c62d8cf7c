/** `npm run lab`: the private network, to be entered and broken. */
import { defineCommand, EXIT } from './command.ts'

export const lab = defineCommand({
  group: 'develop',
  does: "builds Fly's private network in namespaces, and keeps it until Ctrl-C (Linux; root or user namespaces)",
  words: [],
  flags: {},
  development: true,
  async run(_, { print, note, interruption }) {
    const { runLab } = await import('../../test/lab/main.ts')
    const signal = interruption()
    if (!(await runLab({ print, note, signal }))) return EXIT.failed
    return signal.aborted ? EXIT.interrupted : EXIT.ok
  },
})
