/** Whether the session that answers is the one that was opened, and no other. */
import { literal, SESSION_TOKEN } from '../database/sql.ts'
import { ProbeError } from '../failure/error.ts'
import { exactlyOne } from '../session/answers.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Session } from '../session/postgres.ts'

/** A setting made in the session, which it keeps to its end; unlike SESSION_TOKEN it is gone after DISCARD ALL. */
export const KEPT_SETTING = 'connection_probe.kept'

/** What stands in between where a session is not the one that was opened. */
const POOLED =
  'something in between (a pooler, a proxy) drops startup options or shares one session among clients: connect to the .internal name and the port of the database itself'

/**
 * Asks for the setting that this connection, and no other, made at startup, and for the server's name of the session;
 * and makes one that `statements-unnamed` asks for. CockroachDB says 42704 where a setting is not there, PostgreSQL
 * gives NULL.
 * @throws ProbeError CONNECTION_REPLACED if the session is not the one that was opened
 */
export async function proveOwnSession(session: Session): Promise<void> {
  const what = 'the session query'
  const { engine, token } = session
  const asked = session.ask<{ token: string | null; session: string }>(
    what,
    `SELECT current_setting('${SESSION_TOKEN}', true) AS token,
            set_config('${KEPT_SETTING}', ${literal(token)}, false) AS kept, ${engine.sessionName} AS session`,
  )
  const rows = await ifKnown(asked, null)
  const found = rows && exactlyOne(rows, what)
  const replaced = (message: string, evidence: object) =>
    new ProbeError('CONNECTION_REPLACED', message, { evidence: { ...evidence }, hint: POOLED })
  if (!found?.token)
    throw replaced(`the session does not have ${SESSION_TOKEN}, which was set at startup`, { missing: SESSION_TOKEN })
  if (found.token !== token)
    throw replaced(`the session belongs to another connection: it has that connection's ${SESSION_TOKEN}`, {
      setting: SESSION_TOKEN,
    })
  session.answeredBy(found.session, what)
}
