/** `npm run bootstrap`: the SQL that root runs once per database. */
import { redact } from '../failure/error.ts'
import { plain } from '../report/plain.ts'
import { defineCommand, EXIT } from './command.ts'
import { quoted, UsageError } from './usage.ts'

/** The names of the engines, as they are typed. */
const ENGINES = {
  cockroach: 'cockroachdb',
  cockroachdb: 'cockroachdb',
  postgres: 'postgresql',
  postgresql: 'postgresql',
} as const

export const bootstrap = defineCommand({
  group: 'understand',
  does: 'the SQL that root runs once per database',
  words: [],
  flags: {
    engine: { type: 'string', value: 'ENGINE', does: 'cockroach or postgres (cockroach)' },
    database: { type: 'string', value: 'NAME', does: 'the database that it is for (uro)' },
  },
  development: false,
  async run({ flags: { engine = 'cockroach', database } }, program) {
    if (!isEngine(engine)) throw new UsageError(`--engine wants cockroach or postgres, not ${quoted(engine)}`)
    const { bootstrapSql } = await import('../database/bootstrap/index.ts')
    try {
      await program.print(bootstrapSql(ENGINES[engine], database))
    } catch (error) {
      if (error instanceof RangeError) throw new UsageError(plain(redact(`--database: ${error.message}`)))
      throw error
    }
    return EXIT.ok
  },
})

const isEngine = (name: string): name is keyof typeof ENGINES => Object.hasOwn(ENGINES, name)
