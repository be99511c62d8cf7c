/** The probe's own table as schema.ts declares it. */
import { declare } from '../../src/database/declared.ts'
import { connectionProbe } from '../../src/schema.ts'

export const EXPECTED_COLUMNS = declare({ connectionProbe }).tables.flatMap(({ columns }) => columns)
