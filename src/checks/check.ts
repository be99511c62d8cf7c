/**
 * A check: one assertion with evidence. It resolves with what it saw, and with what it found for the checks that need
 * it, when the assertion holds; it rejects with a ProbeError when it does not. Anything else that it throws is a bug.
 */
import type { Layer, WarningCode } from '../failure/codes.ts'
import type { Evidence, Facts, ProbeError } from '../failure/error.ts'
import type { OpenContext } from '../session/open.ts'
import type { Dialler } from '../session/path.ts'
import type { Session } from '../session/postgres.ts'
import type { Target } from '../settings/config.ts'
import type { Timeline } from './timeline.ts'

/** The four pass criteria, in the report's order. */
export const CRITERIA = [
  { id: 'visible', title: 'the row appears in the database within the limit of the trigger' },
  { id: 'mtls', title: 'the mutual-TLS handshake succeeds, and every weaker login is refused' },
  { id: 'privileges', title: 'the role has DML access and nothing beyond it' },
  { id: 'reuse', title: 'one connection serves many sequential writes with unnamed statements' },
] as const

export type CriterionId = (typeof CRITERIA)[number]['id']

/** What a check works with, besides what the checks that it needs have found. */
export interface Context extends OpenContext {
  readonly dialler: Dialler
  readonly runId: string
  /** the ids of the rows that may be there by our doing, also those that an earlier attempt could not remove */
  readonly unremoved: Set<string>
  /** the sessions of the run, to which whoever opens one adds it; the runner ends them */
  readonly sessions: Session[]
  /** the id of the last check that lost a session; null while none did */
  lostIn(): string | null
  /** Registers what is to be done when all checks are through; the last one first. A step never rejects. */
  atEnd(step: () => Promise<void>): void
  warn(code: WarningCode, message: string): void
  /** for a person watching */
  note(text: string): void
  /** writes done, of how many */
  progress(done: number, total: number): void
  /** Tells the report what was reached. */
  reached(target: Partial<Target>): void
  /** what the run did and when */
  readonly timeline: Timeline
}

/** The assertion holds. */
export interface Passed<Found> {
  readonly evidence: Evidence | Facts
  /** what checks that need this one get */
  readonly found: Found
  /** where the time was taken elsewhere than around `run`, ms */
  readonly tookMs?: number
  /** when that began, on performance.now()'s clock, ms */
  readonly startedAt?: number
}

/** The assertion does not hold, and that was found out elsewhere, in so long, ms. */
export interface Failed {
  readonly error: ProbeError
  readonly tookMs: number
  readonly startedAt?: number
}

export type Outcome<Found> = Passed<Found> | Failed

export interface AnyCheck {
  readonly id: string
  readonly layer: Layer
  readonly criterion: CriterionId | null
  /** a present-tense assertion */
  readonly title: string
  /** the checks that must have passed first; where one did not, this one is blocked by it */
  readonly needs: Readonly<Record<string, AnyCheck>>
  run(context: Context, needs: never): Promise<Outcome<unknown>>
}

type FoundBy<C extends AnyCheck> = Extract<Awaited<ReturnType<C['run']>>, Passed<unknown>>['found']

/** The identity, typed: `run` gets what each of `needs` found. */
export const defineCheck = <const Id extends string, const Needs extends Readonly<Record<string, AnyCheck>>, Found>(
  check: Omit<AnyCheck, 'id' | 'needs' | 'run'> & {
    readonly id: Id
    readonly needs: Needs
    run(context: Context, needs: { readonly [Name in keyof Needs]: FoundBy<Needs[Name]> }): Promise<Outcome<Found>>
  },
) => check

/** No session is to be had any more, since the last one was lost in an earlier check: blocked by that one. */
export class StillLost extends Error {
  readonly blockedBy: string
  constructor(blockedBy: string) {
    super('no session is to be had any more')
    this.blockedBy = blockedBy
  }
}
