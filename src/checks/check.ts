/**
 * A check: one assertion with evidence. It resolves with what it saw when the assertion holds, and rejects with a
 * ProbeError when it does not; anything else that it throws is a bug in the program.
 */
import type { Budget } from '../budget.ts'
import type { Evidence } from '../failure/error.ts'
import type { CheckId, WarningCode } from '../report/report.ts'
import type { Login, Slots } from '../session/open.ts'
import type { Path } from '../session/path.ts'
import type { Session } from '../session/postgres.ts'
import type { ProbeConfig } from '../settings/config.ts'
import type { Facts } from './facts.ts'
import type { Ledger } from './ledger.ts'

/** What a check works with. Sessions and facts are made once, by whoever asks first. */
export interface CheckContext {
  readonly config: ProbeConfig
  readonly budget: Budget
  readonly slots: Slots
  readonly login: Login
  readonly runId: string
  readonly path: Path
  /** the session that the path ends in; rows are written here */
  writer(): Promise<Session>
  /** the independently dialled session; rows are read here */
  reader(): Promise<Session>
  /** what the catalogue says, asked in one round trip on the writer's session */
  facts(): Promise<Facts>
  readonly ledger: Ledger
  warn(code: WarningCode, message: string): void
  /** progress, for a terminal */
  progress(done: number, total: number): void
}

/** What a check that holds has to show. */
export interface Passed {
  readonly evidence: Evidence
  /** where the time was taken elsewhere than around `run`, ms */
  readonly durationMs?: number
}

/** No session is to be had any more, since the last one was lost in an earlier check: blocked by that one. */
export class StillLost extends Error {
  readonly blockedBy: CheckId
  constructor(blockedBy: CheckId) {
    super('no session is to be had any more')
    this.blockedBy = blockedBy
  }
}

export interface Check {
  readonly id: CheckId
  readonly run: (context: CheckContext) => Promise<Passed>
}
