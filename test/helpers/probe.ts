/** The probe in this process, and the configurations for it. Nothing of the test runner's: the benchmarks use it, too. */
import { type ProbeHooks, probe } from '../../src/checks/attempts.ts'
import { migrate } from '../../src/database/migrate.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import type { Report } from '../../src/report/report.ts'
import { type ConfigInput, loadConfig, type Options, type ProbeConfig } from '../../src/settings/config.ts'

/** The configuration that these settings make, or the reason why there is none. */
export function configOf(
  env: NodeJS.ProcessEnv,
  { role = 'writer', ...more }: Partial<Pick<ConfigInput, 'role' | 'options' | 'names'>> = {},
): ProbeConfig {
  const loaded = loadConfig({ role, env, ...more })
  if (!loaded.ok) throw loaded.error
  return loaded.config
}

/** The configuration of gateway_writer for a throwaway server. */
export const writerConfig = (server: Throwaway, options: Partial<Options> = {}): ProbeConfig =>
  configOf({ DATABASE_URL: server.url('gateway_writer') }, { options: { certsDir: server.certsDir, ...options } })

const adminConfig = (server: Throwaway): ProbeConfig =>
  configOf(
    { MIGRATION_DATABASE_URL: server.url('gateway_admin') },
    { role: 'admin', options: { certsDir: server.certsDir } },
  )

/** Applies drizzle/ to a server that starts; it is stopped where that fails. */
export async function withMigrations(starting: Promise<Throwaway>): Promise<Throwaway> {
  const server = await starting
  try {
    const { failure } = await migrate(adminConfig(server), new AbortController().signal)
    if (failure) throw new Error(`${failure.code}: ${failure.message}`)
    return server
  } catch (error) {
    await server.stop()
    throw error
  }
}

/** Runs the probe. */
export const runProbe = (config: ProbeConfig, hooks: Partial<ProbeHooks> = {}): Promise<Report> =>
  probe(config, {
    signal: new AbortController().signal,
    note: () => undefined,
    progress: () => undefined,
    program: 'connection-probe test',
    ...hooks,
  })

/** Runs the probe, which must pass. */
export async function passingProbe(config: ProbeConfig, hooks: Partial<ProbeHooks> = {}): Promise<Report> {
  const report = await runProbe(config, hooks)
  if (report.verdict !== 'pass') throw new Error(`${report.failure?.code}: ${report.failure?.message}`)
  return report
}
