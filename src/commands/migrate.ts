/** `npm run migrate`: applies drizzle/ as gateway_admin, then verifies what is there against src/. */
import type { Migrated } from '../database/migrate.ts'
import { type Failure, failureLine } from '../failure/error.ts'
import { fillIn } from '../failure/hints.ts'
import { opened } from '../report/evidence.ts'
import { plain, printableJson } from '../report/plain.ts'
import type { ProbeConfig } from '../settings/config.ts'
import { defineCommand, EXIT, type Program } from './command.ts'
import { PROBE_FLAGS, probeArguments } from './probe-options.ts'
import { UsageError } from './usage.ts'

export const migrate = defineCommand({
  group: 'run',
  does: 'applies drizzle/ as gateway_admin; needs MIGRATION_DATABASE_URL',
  words: [],
  flags: { 'certs-dir': PROBE_FLAGS['certs-dir'], deadline: PROBE_FLAGS.deadline },
  development: false,
  async run({ flags }, program) {
    const { options } = probeArguments(flags)
    const { loadConfig } = await import('../settings/config.ts')
    const loaded = loadConfig({ role: 'admin', env: process.env, options })
    if (!loaded.ok) {
      const failure = loaded.error.toFailure()
      program.note(`${failureLine(failure)}\nnext: ${fillIn(failure.hint, loaded.target)}`)
      return EXIT.usage
    }
    for (const { code, message } of loaded.config.warnings) program.note(plain(`! ${code}: ${message}`, 1000))
    const { boundLookups } = await import('./lookups.ts')
    boundLookups(loaded.config)
    const signal = program.interruption()
    const migrations = await readTheMigrations()
    const { migrate } = await import('../database/migrate.ts')
    const migrated = await migrate(loaded.config, signal, migrations)
    if (migrated.failure) {
      noteFailure({ ...migrated, failure: migrated.failure }, loaded.config, program)
      return signal.aborted ? EXIT.interrupted : EXIT.failed
    }
    const { applied, address, engine, others } = migrated
    const what = applied.length > 0 ? `applied ${applied.join(', ')}` : 'nothing to do'
    if (others.length > 0) program.note(plain(`other grants on connection_probe: ${others.join(', ')}`))
    await program.print(
      `${plain(`${what}; table, columns and grants are as src/ declares (${engine} at ${address})`)}\n`,
    )
    return EXIT.ok
  },
})

/** What went wrong, what caused it, what was found, and what to do next, a line each. */
function noteFailure(
  { failure, evidence, address }: Migrated & { readonly failure: Failure },
  { hosts: [host], user, database }: ProbeConfig,
  { name, note }: Program,
): void {
  const known = { host: host.host, port: host.port, user, database, address }
  note(plain(`${name}: migrate FAILED at ${failureLine(failure)}`))
  for (const { name, code, message } of failure.causes) {
    const what = [name, code].filter(Boolean).join(' ')
    note(plain(`  caused by ${what}${message && `: ${message}`}`))
  }
  for (const [name, value] of Object.entries(opened(evidence))) note(plain(`  ${name}: ${printableJson(value)}`, 2000))
  note(plain(`next: ${fillIn(failure.hint, known)}`))
}

/** An incomplete drizzle/ is a deployment that was put together wrongly: nothing is tried. */
async function readTheMigrations() {
  const { readMigrations } = await import('../database/migrations.ts')
  try {
    return readMigrations()
  } catch (error) {
    throw new UsageError(
      plain(`the migrations in drizzle/ cannot be read: ${error instanceof Error ? error.message : error}`),
    )
  }
}
