/** Timeouts of the role's own, which the back end's sessions have and the probe's have not: it sets its own at startup. */
import { isUnknownHere } from '../failure/classify-statement.ts'
import { sqlName } from '../failure/hints.ts'
import { withText } from '../session/answers.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Session } from '../session/postgres.ts'
import type { Context } from './check.ts'

/** What the probe's own sessions override (session/open.ts). */
const OVERRIDDEN: readonly string[] = ['statement_timeout', 'lock_timeout']

/** Of several that hold here the last one wins: for everybody, for the database, for the role, for the role in it. */
const SETTINGS = `
  SELECT setting FROM (
    SELECT unnest(s.setconfig) AS setting, s.setrole, s.setdatabase FROM pg_catalog.pg_db_role_setting s
    WHERE s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
      AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))) AS here
  ORDER BY CASE WHEN setrole = 0 THEN 0 ELSE 2 END + CASE WHEN setdatabase = 0 THEN 0 ELSE 1 END LIMIT 200`

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, min: 60_000, m: 60_000, h: 3_600_000 }

/** A timeout as it was set, ms; 0: none. Null for what is in another form. */
function millisecondsOf(value: string): number | null {
  const [, number = '', unit = 'ms'] = /^'?\s*(\d+(?:\.\d+)?)\s*([a-z]+)?\s*'?$/.exec(value) ?? []
  const factor = UNITS[unit]
  return number === '' || factor === undefined ? null : Number(number) * factor
}

/** Warns of those that end a statement before the probe would. Where they cannot be read nothing is said. */
export async function warnOfTimeouts(session: Session, { warn, config, budget }: Context): Promise<void> {
  const what = "the query for the role's timeouts"
  const asked = session.ask<{ setting: string }>(what, SETTINGS)
  const rows = await ifKnown(asked, [], sqlstate => sqlstate === '42501' || isUnknownHere(sqlstate))
  const values = new Map(
    withText(rows, 'setting', what).map(({ setting }) => {
      const [name = '', ...value] = setting.split('=')
      return [name, value.join('=')]
    }),
  )
  for (const name of OVERRIDDEN) {
    const value = values.get(name)
    const ms = value === undefined ? 0 : millisecondsOf(value)
    if (ms === 0 || (ms !== null && ms >= budget.waitMs)) continue
    warn(
      'ROLE_TIMEOUT',
      `${name} is ${value} for ${config.user} or this database, and ends the back end's statements; the probe sets its own and does not feel it: as root ALTER ROLE ${sqlName(config.user)} RESET ${name}, or ALTER DATABASE ${sqlName(config.database)} RESET ${name}`,
    )
  }
}
