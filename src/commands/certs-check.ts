/** `npm run certs:check -- DIR`: a directory of certificates, file by file. */
import { defineCommand, EXIT } from './command.ts'
import { UsageError } from './usage.ts'

export const certsCheck = defineCommand({
  group: 'understand',
  does: 'what is in a directory of certificates, and what would be refused',
  words: ['DIR'],
  flags: {},
  development: false,
  async run({ words: [dir] }, program) {
    if (dir === undefined) throw new UsageError('certs:check wants a directory')
    const { checkCertsDir } = await import('../settings/certs-dir.ts')
    const { text, ok } = checkCertsDir(dir)
    await program.print(text)
    return ok ? EXIT.ok : EXIT.failed
  },
})
