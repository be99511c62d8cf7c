/** The checks, in the order in which they run and stand in the report. */
import { certificateBound } from './certificate-bound.ts'
import { certificateRequired } from './certificate-required.ts'
import { certificateVerified } from './certificate-verified.ts'
import { config } from './config.ts'
import { database } from './database.ts'
import { ddlRefused } from './ddl-refused.ts'
import { dml } from './dml.ts'
import { dns } from './dns.ts'
import { everyAddress } from './every-address.ts'
import { role } from './role.ts'
import { rowVisible } from './row-visible.ts'
import { sequentialWrites } from './sequential-writes.ts'
import { session } from './session.ts'
import { statementsUnnamed } from './statements-unnamed.ts'
import { table } from './table.ts'
import { tcp } from './tcp.ts'
import { tls } from './tls.ts'
import type { WitnessCheckId } from './witness/index.ts'

export const CHECKS = [
  config,
  dns,
  tcp,
  tls,
  session,
  database,
  certificateRequired,
  certificateVerified,
  role,
  certificateBound,
  table,
  dml,
  rowVisible,
  ddlRefused,
  sequentialWrites,
  statementsUnnamed,
  everyAddress,
] as const

/** Of the probe and of the witness. */
export type CheckId = (typeof CHECKS)[number]['id'] | WitnessCheckId

/** The checks of a run; `every-address` is one of them only with --all-addresses. */
export const checksOf = (allAddresses: boolean) => CHECKS.filter(check => check !== everyAddress || allAddresses)
