/** `npm run probe`: the probe of the database that the settings name. */
import { defineCommand } from './command.ts'
import { PROBE_FLAGS, probeArguments } from './probe-options.ts'
import { rendererOf } from './renderer.ts'

export const probe = defineCommand({
  group: 'run',
  does: 'the probe; needs DATABASE_URL and certificates',
  words: [],
  flags: PROBE_FLAGS,
  development: false,
  async run({ flags }, program) {
    const { delivery, options } = probeArguments(flags)
    // Loading goes on in another thread while the settings are read. Without a URL there will be no run.
    const next: Promise<unknown> = process.env.DATABASE_URL ? import('./prove.ts') : import('./refused-settings.ts')
    next.catch(() => undefined)
    const { loadConfig } = await import('../settings/config.ts')
    const loaded = loadConfig({ role: 'writer', env: process.env, options })
    if (!loaded.ok) {
      const checks = async () => (await import('../checks/index.ts')).checksOf(options.allAddresses === true)
      const { refuseSettings } = await import('./refused-settings.ts')
      return refuseSettings(loaded, { command: 'probe', runId: null, checks, delivery, program })
    }
    const [{ probeAndPrint }] = await Promise.all([import('./prove.ts'), rendererOf(delivery.format)])
    return probeAndPrint(loaded.config, { delivery, program, signal: program.interruption() })
  },
})
