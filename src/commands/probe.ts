/** `npm run probe`: the probe of the database that the settings name. */
import type { Loaded } from '../settings/config.ts'
import { defineCommand, EXIT, type Program } from './command.ts'
import { PROBE_FLAGS, probeArguments } from './probe-options.ts'
import { type Renderer, rendererOf } from './renderer.ts'

export const probe = defineCommand({
  group: 'run',
  does: 'the probe; needs DATABASE_URL and certificates',
  words: [],
  flags: PROBE_FLAGS,
  development: false,
  async run({ flags }, program) {
    const { format, options } = probeArguments(flags)
    // tsx has Node parse the source map of every module, the driver's hundred included, for what only a bug prints.
    if (!program.sourceMaps) process.setSourceMapsEnabled(false)
    const [{ loadConfig }, render] = await Promise.all([import('../settings/config.ts'), rendererOf(format)])
    // Loading goes on in another thread while the settings are read; where they are wrong the process ends first.
    import('./prove.ts').catch(() => undefined)
    const loaded = loadConfig({ role: 'writer', env: process.env, options })
    if (!loaded.ok) return refuseSettings(loaded, render, program)
    const { probeAndPrint } = await import('./prove.ts')
    return probeAndPrint(loaded.config, { render, program, signal: program.interruption() })
  },
})

/** Wrong settings are a report, too. */
async function refuseSettings(
  { error, target, origin, warnings }: Loaded & { ok: false },
  render: Renderer,
  program: Program,
): Promise<number> {
  const { randomUUID } = await import('node:crypto')
  const { configurationReport } = await import('../report/report.ts')
  const run = {
    program: program.name,
    runId: randomUUID(),
    target,
    origin,
    startedAt: new Date().toISOString(),
    durationMs: 0,
    attempts: 0,
    warnings,
  }
  await program.print(render(configurationReport(run, error.toFailure(), error.evidence), program))
  return EXIT.usage
}
