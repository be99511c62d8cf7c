/** `npm run migrate`: applies drizzle/ as gateway_admin, or says with --status what it would apply. */
import type { Migration } from '../database/migrations.ts'
import { CODES } from '../failure/codes.ts'
import { failureLine } from '../failure/error.ts'
import { plain } from '../report/plain.ts'
import type { Loaded, ProbeConfig } from '../settings/config.ts'
import { defineCommand, EXIT, type Program } from './command.ts'
import { PROBE_FLAGS, probeArguments } from './probe-options.ts'
import { quoted, UsageError } from './usage.ts'

export const migrate = defineCommand({
  group: 'run',
  does: 'applies drizzle/ as gateway_admin; needs MIGRATION_DATABASE_URL',
  words: [],
  flags: {
    status: {
      type: 'boolean',
      does: 'only say what is applied and what is pending, with its SQL; exit 1 if anything is',
    },
    format: { type: 'string', value: 'text|json', does: 'of what migrate prints (text)' },
    wait: PROBE_FLAGS.wait,
    deadline: PROBE_FLAGS.deadline,
    'certs-dir': PROBE_FLAGS['certs-dir'],
  },
  development: false,
  async run({ flags }, program) {
    const { status = false, format = 'text', ...others } = flags
    if (format !== 'text' && format !== 'json')
      throw new UsageError(`--format of migrate wants text or json, not ${quoted(format)}`)
    const { options } = probeArguments(others)
    const { loadConfig } = await import('../settings/config.ts')
    const loaded = loadConfig({ role: 'admin', env: process.env, options })
    if (!loaded.ok) return refuseSettings(loaded, { status, format }, program)
    for (const { code, message } of loaded.config.warnings) program.note(plain(`! ${code}: ${message}`, 1000))
    const { boundLookups } = await import('./lookups.ts')
    boundLookups(loaded.config)
    const signal = program.interruption()
    const { migrated, attempts } = await attemptUntilCured(loaded.config, status, signal, program)
    const { renderJson, renderText, stateOf } = await import('../report/migration.ts')
    if (format === 'json') {
      const { config } = loaded
      await program.print(renderJson({ program: program.name, status, config, migrated, attempts }))
    } else {
      const { stdout, stderr } = renderText(migrated, loaded.config, { program: program.name, status })
      for (const line of stderr) program.note(line)
      await program.print(stdout)
    }
    if (signal.aborted) return EXIT.interrupted
    return stateOf(migrated, status) === 'up to date' ? EXIT.ok : EXIT.failed
  },
})

/** Attempts until one ends otherwise than by what waiting can cure, or `--wait` is over. */
async function attemptUntilCured(config: ProbeConfig, status: boolean, signal: AbortSignal, program: Program) {
  const migrations = await readTheMigrations()
  const [{ migrate }, { attempts }] = await Promise.all([import('../database/migrate.ts'), import('../budget.ts')])
  const make = async (attempts: number) => ({
    migrated: await migrate(config, signal, migrations, { status }),
    attempts,
  })
  return attempts(make, {
    waitMs: config.options.waitMs,
    signal,
    note: text => program.note(plain(text, 1000)),
    curable: ({ migrated: { failure } }) => (failure && CODES[failure.code].retryable ? failureLine(failure) : null),
  })
}

/** Wrong settings: nothing is tried. */
async function refuseSettings(
  { error, target }: Loaded & { ok: false },
  { status, format }: { readonly status: boolean; readonly format: 'text' | 'json' },
  program: Program,
): Promise<number> {
  const failure = error.toFailure()
  const { refusedJson, refusedText } = await import('../report/migration.ts')
  if (format === 'json') await program.print(refusedJson({ program: program.name, status, target, failure }))
  else program.note(refusedText(failure, target))
  return EXIT.usage
}

/** An incomplete drizzle/ is a deployment that was put together wrongly: nothing is tried. */
async function readTheMigrations(): Promise<readonly Migration[]> {
  const { readMigrations } = await import('../database/migrations.ts')
  try {
    return readMigrations()
  } catch (error) {
    throw new UsageError(
      plain(`the migrations in drizzle/ cannot be read: ${error instanceof Error ? error.message : error}`),
    )
  }
}
