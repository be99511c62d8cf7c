/**
 * The checks of the witness, in the order in which they run and stand in the report: those of the probe that say what a
 * session of this user is worth, then those of the back end's row.
 */
import { certificateRequired } from '../certificate-required.ts'
import { certificateVerified } from '../certificate-verified.ts'
import { config } from '../config.ts'
import { database } from '../database.ts'
import { dns } from '../dns.ts'
import { session } from '../session.ts'
import { table } from '../table.ts'
import { tcp } from '../tcp.ts'
import { tls } from '../tls.ts'
import type { Awaited } from './awaited.ts'
import { backEndRowOf } from './back-end-row.ts'
import { backEndSessionOf } from './back-end-session.ts'
import { backEndUnnamedOf } from './back-end-unnamed.ts'
import { backEndVisibleOf } from './back-end-visible.ts'

/** The checks of a run. */
export function witnessChecks(awaited: Awaited) {
  const backEndRow = backEndRowOf(awaited)
  const backEndSession = backEndSessionOf(awaited, backEndRow)
  return [
    config,
    dns,
    tcp,
    tls,
    session,
    database,
    certificateRequired,
    certificateVerified,
    table,
    backEndRow,
    backEndSession,
    backEndVisibleOf(backEndRow),
    backEndUnnamedOf(backEndRow, backEndSession),
  ] as const
}

export type WitnessCheckId = ReturnType<typeof witnessChecks>[number]['id']

/** The checks of a run that is none: their ids, layers and titles. */
export const witnessChecksFor = (app: string | null, user = 'gateway_writer') =>
  witnessChecks({
    rowId: '',
    user,
    app,
    announce: async () => undefined,
    waiting: () => undefined,
    until: () => 0,
    seen: () => undefined,
    lookedAt: () => null,
    looked: () => undefined,
  })
