/** `npm run probe`: the probe of the database that the settings name. */
import { defineCommand } from './command.ts'
import { PROBE_FLAGS, probeArguments } from './probe-options.ts'
import { refuseSettings } from './refused-settings.ts'
import { rendererOf } from './renderer.ts'

export const probe = defineCommand({
  group: 'run',
  does: 'the probe; needs DATABASE_URL and certificates',
  words: [],
  flags: PROBE_FLAGS,
  development: false,
  async run({ flags }, program) {
    const { format, options } = probeArguments(flags)
    const [{ loadConfig }, render] = await Promise.all([import('../settings/config.ts'), rendererOf(format)])
    // Loading goes on in another thread while the settings are read. Without any there is nothing to load it for.
    if (process.env.DATABASE_URL) import('./prove.ts').catch(() => undefined)
    const loaded = loadConfig({ role: 'writer', env: process.env, options })
    if (!loaded.ok) {
      const { checksOf } = await import('../checks/index.ts')
      const checks = checksOf(options.allAddresses === true)
      return refuseSettings(loaded, { command: 'probe', runId: null, checks, render, program })
    }
    const { probeAndPrint } = await import('./prove.ts')
    return probeAndPrint(loaded.config, { render, program, signal: program.interruption() })
  },
})
