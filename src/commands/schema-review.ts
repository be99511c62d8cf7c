/** `npm run schema:review`: a pull request's change of the schema as Markdown. */
import { redact } from '../failure/error.ts'
import { plain } from '../report/plain.ts'
import { defineCommand, EXIT } from './command.ts'
import { UsageError } from './usage.ts'

export const schemaReview = defineCommand({
  group: 'develop',
  does: 'a change of the schema as Markdown: findings, before and after, upgrade of filled tables',
  words: [],
  flags: { base: { type: 'string', value: 'REF', does: 'what to compare with (the merge base with main)' } },
  development: true,
  async run({ flags: { base } }, program) {
    if (base === '') throw new UsageError('--base wants a commit or a branch')
    const { ReviewError } = await import('../development/schema-review/base.ts')
    const { reviewSchema } = await import('../development/schema-review/index.ts')
    const { isClear, renderReview } = await import('../development/schema-review/markdown.ts')
    const signal = program.interruption()
    try {
      const review = await reviewSchema({ ref: base, signal, program: program.name })
      await program.print(renderReview(review))
      if (process.env.GITHUB_ACTIONS === 'true') {
        const { annotations } = await import('../development/schema-review/annotations.ts')
        for (const line of annotations(review)) program.note(line)
      }
      if (signal.aborted) return EXIT.interrupted
      return isClear(review) ? EXIT.ok : EXIT.failed
    } catch (error) {
      if (error instanceof ReviewError) throw new UsageError(plain(redact(error.message)))
      throw error
    }
  },
})
