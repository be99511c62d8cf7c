/** Timeouts of the role's own, which the back end's sessions have and the probe's have not: it sets its own at startup. */
import type { Context } from './check.ts'
import { resetsOf, type SetSetting } from './set-settings.ts'

/** What the probe's own sessions override (session/open.ts). */
const OVERRIDDEN: readonly string[] = ['statement_timeout', 'lock_timeout']

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, min: 60_000, m: 60_000, h: 3_600_000 }

/** A timeout as it was set, ms; 0: none. Null for what is in another form. */
function millisecondsOf(value: string): number | null {
  const [, number = '', unit = 'ms'] = /^'?\s*(\d+(?:\.\d+)?)\s*([a-z]+)?\s*'?$/.exec(value) ?? []
  const factor = UNITS[unit]
  return number === '' || factor === undefined ? null : Number(number) * factor
}

/** Warns of those that end a statement before the probe would. Where they cannot be read nothing is said. */
export function warnOfTimeouts(settings: readonly SetSetting[], { warn, config, budget }: Context): void {
  const isShort = (value: string) => {
    const ms = millisecondsOf(value)
    return ms === null || (ms > 0 && ms < budget.waitMs)
  }
  for (const name of OVERRIDDEN) {
    const resets = resetsOf(settings, name, isShort)
    if (resets.length === 0) continue
    const value = settings.find(setting => setting.name === name)?.value
    warn(
      'ROLE_TIMEOUT',
      `${name} is ${value} for ${config.user} or this database, and ends the back end's statements; the probe sets its own and does not feel it: as root ${resets.join('; ')}`,
    )
  }
}
