/** The checks, in the order of the report. */
import type { Check } from './check.ts'
import { config, database, dns, session, tcp, tls } from './path.ts'
import { ddlRefused, dml } from './privileges.ts'
import { certificateBound, certificateRequired } from './refusals.ts'
import { sequentialWrites, statementsUnnamed } from './reuse.ts'
import { role } from './role.ts'
import { rowVisible } from './row-visible.ts'
import { table } from './table.ts'

export const ALL_CHECKS: readonly Check[] = [
  config,
  dns,
  tcp,
  tls,
  session,
  database,
  certificateRequired,
  certificateBound,
  table,
  role,
  rowVisible,
  dml,
  ddlRefused,
  sequentialWrites,
  statementsUnnamed,
]
