/**
 * One run after another: the settings and the files that they name are read anew for each, so that a renewed
 * certificate needs no restart. What a run leaves for the next one is kept here: rows that it could not remove, when old
 * rows were swept, when the refused logins were tried.
 */
import { isDeepStrictEqual } from 'node:util'
import { probe } from '../checks/attempts.ts'
import { checksOf } from '../checks/index.ts'
import { refusedSettings } from '../report/refused-settings.ts'
import type { Report } from '../report/report.ts'
import { loadConfig, type Options, type ProbeConfig } from '../settings/config.ts'
import type { Credentials } from '../settings/credentials.ts'
import { createRefusedLogins } from './refused-logins.ts'

interface RunsOptions {
  readonly env: NodeJS.ProcessEnv
  readonly options: Partial<Options>
  /** name and version, as reports carry them */
  readonly program: string
  /** for a person who watches */
  readonly note: (text: string) => void
}

export interface Runs {
  /** Runs once, as soon as it is called. Rejects only for a bug. */
  next(signal: AbortSignal): Promise<Report>
}

const SWEPT_EVERY_MS = 3_600_000

/** Rows that could not be removed, at most: those beyond are removed by the sweep, a day later. */
const MOST_UNREMOVED = 1000

/** @param now on performance.now()'s clock, ms: when something is due */
export function createRuns(
  { env, options, program, note }: RunsOptions,
  now: () => number = () => performance.now(),
): Runs {
  const logins = createRefusedLogins(now)
  const unremoved = new Set<string>()
  let sweptAt: number | null = null
  let credentials: Credentials | null = null
  return {
    async next(signal) {
      const from = now()
      const sweep = sweptAt === null || from - sweptAt >= SWEPT_EVERY_MS
      const loaded = loadConfig({ role: 'writer', env, options: { ...options, sweep } })
      if (!loaded.ok) {
        logins.ended('fail')
        return refusedSettings(loaded, {
          command: 'probe',
          program,
          runId: null,
          checks: checksOf(options.allAddresses ?? false),
        })
      }
      // The same object while they are the same: TLS contexts that are made of it are found again (dial/handshake.ts).
      if (!isDeepStrictEqual(credentials, loaded.config.credentials)) ({ credentials } = loaded.config)
      const config: ProbeConfig = { ...loaded.config, ...(credentials && { credentials }) }
      const { allAddresses, keep } = config.options
      const checks = logins.next(checksOf(allAddresses))
      const hooks = { signal, note, progress: () => undefined, program, checks }
      const report = await probe(config, { ...hooks, unremoved: keep ? new Set() : unremoved })
      logins.ended(report.verdict)
      if (sweep && report.verdict === 'pass') sweptAt = from
      for (const id of [...unremoved].slice(0, -MOST_UNREMOVED)) unremoved.delete(id)
      return report
    },
  }
}
