/** The table is what src/ declares. */
import { EXPECTED_COLUMNS, TABLE_NAME } from '../schema.ts'
import { verifyTable } from '../verify.ts'
import type { Check } from './check.ts'

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
