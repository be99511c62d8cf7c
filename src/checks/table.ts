import { TABLE_NAME, VERBS, type Verb } from '../database/sql.ts'
import { exactlyOne } from '../session/answers.ts'
import type { Session } from '../session/postgres.ts'
import { defineCheck } from './check.ts'
import { database } from './database.ts'
import { readSetSettings, resetsOf } from './set-settings.ts'
import { settled } from './settled.ts'

/** What the user holds on the table; `usage` is USAGE on schema public. */
export interface Held {
  readonly verbs: readonly Verb[]
  readonly usage: boolean
}

/** Which verbs the user holds, without using one. Rejects where there is no such table. */
async function readHeld(session: Session): Promise<Held> {
  const what = 'the privileges query'
  const each = VERBS.map(verb => `has_table_privilege(c.oid, '${verb}') AS "${verb}"`).join(', ')
  const rows = await session.ask<Record<Verb, boolean> & { usage: boolean }>(
    what,
    `SELECT ${each}, has_schema_privilege('public', 'USAGE') AS usage
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relname = '${TABLE_NAME}'`,
  )
  const row = exactlyOne(rows, what)
  return { verbs: VERBS.filter(verb => row[verb] === true), usage: row.usage === true }
}

/** The table is what src/ declares. */
export const table = defineCheck({
  id: 'table',
  layer: 'schema',
  criterion: null,
  needs: { database },
  title: 'connection_probe exists with the columns that src/ declares',
  async run(_, { database: { sessions } }) {
    const { DECLARED_COLUMNS, readBareName, readColumns, verifyTable } = await import('../database/verify.ts')
    const { writer } = sessions
    // In one flight; of several that fail the first one counts.
    const [columns, held, bareName] = await Promise.allSettled([
      readColumns(writer),
      readHeld(writer),
      readBareName(writer),
    ])
    const found = settled(columns)
    verifyTable(found, undefined, writer.engine)
    // Without USAGE on the schema the bare name finds nothing, and the privilege is the matter (`dml`).
    const { verbs, usage } = settled(held)
    if (usage) {
      const name = settled(bareName)
      const isHidden = name?.oid !== found[0]?.oid
      const resets = isHidden ? resetsOf(await readSetSettings(writer), 'search_path') : []
      verifyTable(found, name, writer.engine, resets)
    }
    return {
      evidence: { table: `public.${TABLE_NAME}`, columns: DECLARED_COLUMNS },
      found: { held: { verbs, usage } },
    }
  },
})
