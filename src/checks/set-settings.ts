/** Settings that are set for the user, for the database or for everybody: read once for all, and how each is reset. */
import { isUnknownHere } from '../failure/classify-statement.ts'
import { sqlName } from '../failure/hints.ts'
import { withText } from '../session/answers.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Session } from '../session/postgres.ts'

export interface SetSetting {
  readonly name: string
  readonly value: string
  /** for whom it is set; null: for everybody */
  readonly role: string | null
  /** where; null: in every database */
  readonly database: string | null
}

/** Of several the first one wins: for the role in the database, for the role, for the database, for everybody. */
const SET_HERE = `
  SELECT setting, CASE WHEN setrole = 0 THEN NULL ELSE session_user::text END AS role,
         CASE WHEN setdatabase = 0 THEN NULL ELSE current_database()::text END AS database FROM (
    SELECT unnest(s.setconfig) AS setting, s.setrole, s.setdatabase FROM pg_catalog.pg_db_role_setting s
    WHERE s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
      AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))) AS here
  ORDER BY CASE WHEN setrole = 0 THEN 2 ELSE 0 END + CASE WHEN setdatabase = 0 THEN 1 ELSE 0 END LIMIT 200`

/** All that hold in this session; none where they cannot be read. Every user may, on both engines. */
export async function readSetSettings(session: Pick<Session, 'ask'>): Promise<readonly SetSetting[]> {
  const what = 'the query for settings of the role and the database'
  const asked = session.ask<Omit<SetSetting, 'name' | 'value'> & { setting: string }>(what, SET_HERE)
  const rows = await ifKnown(asked, [], sqlstate => sqlstate === '42501' || isUnknownHere(sqlstate))
  return withText(rows, 'setting', what).map(({ setting, role, database }) => {
    const [name = '', ...value] = setting.split('=')
    return { name, value: value.join('='), role, database }
  })
}

/** The statement that ends one. For everybody in a database is the same as for the database, on both engines. */
function resetOf({ name, role, database }: SetSetting): string {
  const everybody = database === null ? 'ROLE ALL' : `DATABASE ${sqlName(database)}`
  const where = database === null ? '' : ` IN DATABASE ${sqlName(database)}`
  return `ALTER ${role === null ? everybody : `ROLE ${sqlName(role)}${where}`} RESET ${name}`
}

/**
 * The statements after which a setting is no longer as it is: for the one that wins, and for those behind it as far as
 * they do harm as well, since they win then. None where it is not set in such a way.
 */
export function resetsOf(
  settings: readonly SetSetting[],
  name: string,
  isHarmful: (value: string) => boolean = () => true,
): readonly string[] {
  const all = settings.filter(setting => setting.name === name)
  const harmless = all.findIndex(({ value }) => !isHarmful(value))
  return all.slice(0, harmless === -1 ? undefined : harmless).map(resetOf)
}
