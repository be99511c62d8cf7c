/** `npm start`: the demonstration. It starts a throwaway server, migrates, probes, and removes everything. */
import { once } from 'node:events'
import type { Throwaway } from '../development/throwaway/index.ts'
import { failureLine } from '../failure/error.ts'
import { commandLine } from '../invocation.ts'
import { plain } from '../report/plain.ts'
import type { WarningCode } from '../report/report.ts'
import type { Options, ProbeConfig } from '../settings/config.ts'
import { defineCommand, EXIT } from './command.ts'
import { PROBE_FLAGS, probeArguments } from './probe-options.ts'

export const start = defineCommand({
  group: 'run',
  does: 'the demonstration, against a throwaway server on [::1]',
  words: [],
  flags: PROBE_FLAGS,
  development: true,
  async run({ flags }, program) {
    const { delivery, options } = probeArguments(flags)
    const signal = program.interruption()
    const { startThrowaway } = await import('../development/throwaway/index.ts')
    // Interrupted while it starts, it is left to its supervisor, which removes it as soon as this process is gone.
    const started = await Promise.race([startThrowaway(), once(signal, 'abort').then(() => null)])
    if (!started) return EXIT.interrupted
    await using server = started
    const engine = server.version.replace(/ (on|\().*/, '')
    const remark = `a throwaway ${engine} made by ${commandLine('start')} on [${server.host}]:${server.port}, not your database`
    program.note(`the target is ${remark}`)
    const { admin, writer } = await settingsFor(server, options)
    const { migrate } = await import('../database/migrate.ts')
    const { applied, failure } = await migrate(admin, signal)
    if (failure) {
      program.note(plain(`the migration failed: ${failureLine(failure)}`))
      return signal.aborted ? EXIT.interrupted : EXIT.failed
    }
    program.note(`migrated as gateway_admin: ${applied.join(', ')}`)
    const { probeAndPrint } = await import('./prove.ts')
    const expected: readonly WarningCode[] = ['ADDRESS_NOT_6PN', 'ENGINE_NOT_COCKROACHDB']
    return await probeAndPrint(writer, { delivery, program, signal, remark, expected })
  },
})

/**
 * The throwaway server's directory holds everybody's keys, a deployment's must not; and whatever certificates this
 * machine is set up with are not for that server.
 */
const EXPECTED_OF_SETTINGS: readonly WarningCode[] = ['ADMIN_CREDENTIALS_PRESENT', 'CERT_SOURCE_INCOMPLETE']

/** The settings of both roles for the throwaway server. */
async function settingsFor(
  server: Throwaway,
  options: Partial<Options>,
): Promise<Record<'admin' | 'writer', ProbeConfig>> {
  const { loadConfig } = await import('../settings/config.ts')
  const env = {
    ...process.env,
    CRDB_SNI: '',
    MIGRATION_DATABASE_URL: server.url('gateway_admin'),
    DATABASE_URL: server.url('gateway_writer'),
  }
  const configOf = (role: 'admin' | 'writer') => {
    const loaded = loadConfig({ role, env, options: { ...options, certsDir: server.certsDir } })
    if (!loaded.ok) throw loaded.error
    return loaded.config
  }
  const writer = configOf('writer')
  const warnings = writer.warnings.filter(({ code }) => !EXPECTED_OF_SETTINGS.includes(code))
  return { admin: configOf('admin'), writer: { ...writer, warnings } }
}
