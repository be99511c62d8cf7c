/** The checks that the way there answers: config, dns, tcp, tls, session, the database, and the table in it. */

import { verifyTable } from '../database/verify.ts'
import { ProbeError } from '../failure/error.ts'
import { EXPECTED_COLUMNS, TABLE_NAME } from '../schema.ts'
import type { Stage } from '../session/open.ts'
import type { Check, CheckContext, Passed } from './check.ts'

export const config: Check = {
  id: 'config',
  run: async ({ config }) => ({ evidence: config.evidence }),
}

export const dns: Check = {
  id: 'dns',
  async run({ path }) {
    const { failure, evidence, durationMs } = path.dns
    if (failure) throw taking(failure, durationMs)
    return { evidence, durationMs }
  },
}

/** A stage's failure, with the time that it took. */
const taking = (failure: ProbeError, durationMs: number): ProbeError => Object.assign(failure, { durationMs })

/** What the path found out at one stage. */
async function stage({ path }: CheckContext, id: Stage): Promise<Passed> {
  const outcome = path.opened?.stages[id]
  if (!outcome) throw new Error(`the path never came to ${id}, and no earlier stage failed`)
  const evidence = id === 'tcp' ? { ...outcome.evidence, tried: path.tried } : outcome.evidence
  if (outcome.failure) {
    Object.assign(outcome.failure.evidence, evidence)
    throw taking(outcome.failure, outcome.durationMs)
  }
  return { evidence, durationMs: outcome.durationMs }
}

export const tcp: Check = { id: 'tcp', run: async context => stage(context, 'tcp') }
export const tls: Check = { id: 'tls', run: async context => stage(context, 'tls') }
export const session: Check = { id: 'session', run: async context => stage(context, 'session') }

/** CockroachDB names a missing database only when it is first used, so it is used. */
export const database: Check = {
  id: 'database',
  async run(context) {
    const { evidence } = await stage(context, 'database')
    const { database, ownSession } = await context.facts()
    // Whose session it is comes first: of another one nothing that it says counts.
    await ownSession
    const used = await database
    if (!used.exists)
      throw new ProbeError('DATABASE_MISSING', `there is no database "${context.config.database}"`, {
        evidence: { ...used },
      })
    return { evidence: { ...evidence, ...used } }
  },
}

/** The table is what src/ declares. */
export const table: Check = {
  id: 'table',
  async run(context) {
    const facts = await context.facts()
    const columns = await facts.columns
    verifyTable(columns, undefined)
    // Without USAGE on the schema the bare name finds nothing, and the privilege is the matter (`dml`).
    const { usage } = await facts.held
    if (usage) verifyTable(columns, await facts.bareName)
    return {
      evidence: { table: `public.${TABLE_NAME}`, columns: EXPECTED_COLUMNS.map(({ name, type }) => `${name} ${type}`) },
    }
  },
}
