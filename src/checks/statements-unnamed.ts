/** The server holds no named statement of the session that all the writes went through. */
import { count, ProbeError } from '../failure/error.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Session } from '../session/postgres.ts'
import { defineCheck } from './check.ts'
import { database } from './database.ts'
import { KEPT_SETTING } from './own-session.ts'
import { sequentialWrites } from './sequential-writes.ts'

/** What stands in between where a session does not keep what is set in it. */
const RESET =
  'something in between (a pooler, a proxy) resets the session between statements (DISCARD ALL): connect to the .internal name and the port of the database itself'

/** What was set in the session when it was proved to be ours (own-session.ts), as far as it is still there. */
async function keptSetting(session: Session): Promise<string | null> {
  const asked = session.ask<{ kept: string | null }>(
    'the query for a setting made in the session',
    `SELECT current_setting('${KEPT_SETTING}', true) AS kept`,
  )
  return (await ifKnown(asked, []))[0]?.kept ?? null
}

export const statementsUnnamed = defineCheck({
  id: 'statements-unnamed',
  layer: 'reuse',
  criterion: 'reuse',
  needs: { sequentialWrites, database },
  title: 'after them the server holds no named prepared statement of this session',
  async run(_, { database: { sessions } }) {
    const { writer } = sessions
    // CockroachDB lists the unnamed statement too, with an empty name.
    const question = 'the prepared statements query'
    const { sessionName } = writer.engine
    const [rows, kept] = await Promise.all([
      writer.ask<{ name: string | null; session: string }>(
        question,
        `SELECT NULL AS name, ${sessionName} AS session
         UNION ALL
         SELECT name::text, ${sessionName} FROM pg_catalog.pg_prepared_statements WHERE name <> '' LIMIT 21`,
      ),
      keptSetting(writer),
    ])
    if (rows.length === 0) throw new ProbeError('CATALOGUE_FAILED', `${question} returned no row`)
    for (const { session } of rows) writer.answeredBy(session, question)
    // A reset takes named statements with it, so that none is found: what this is the check of is not told then.
    if (kept !== writer.token)
      throw new ProbeError('CONNECTION_REPLACED', `the session was reset: its setting ${KEPT_SETTING} is gone`, {
        evidence: { missing: KEPT_SETTING },
        hint: RESET,
      })
    const named = rows.flatMap(({ name }) => name ?? []).sort()
    if (named.length > 0)
      throw new ProbeError(
        'STATEMENTS_NAMED',
        `the server holds ${count(named.length, 'named prepared statement')} of this session`,
        { evidence: { named } },
      )
    return { evidence: { named }, found: {} }
  },
})
