/**
 * The report: what a run found out, as plain data (`--json`, schemaVersion 1). It is JSON as it stands; the reporters
 * beside this file are pure functions from it to a string.
 */
import { roundMs } from '../budget.ts'
import { type AnyCheck, CRITERIA, type CriterionId } from '../checks/check.ts'
import type { CheckId } from '../checks/index.ts'
import type { Result } from '../checks/run.ts'
import type { TimelineEntry } from '../checks/timeline.ts'
import type { Layer, Warning } from '../failure/codes.ts'
import { type Evidence, evidence, type Facts, type Failure } from '../failure/error.ts'
import type { Origin, Target } from '../settings/config.ts'
import { opened, withoutSecretTexts, withValues } from './evidence.ts'

export type { CriterionId } from '../checks/check.ts'
export type { CheckId } from '../checks/index.ts'
export type { TimelineEntry } from '../checks/timeline.ts'
export type { Warning, WarningCode } from '../failure/codes.ts'
export type { Origin, Target } from '../settings/config.ts'

export type Status = Result['status']

export interface CheckResult {
  readonly id: CheckId
  readonly layer: Layer
  readonly criterion: CriterionId | null
  readonly title: string
  readonly status: Status
  readonly durationMs: number
  readonly evidence: Facts
  readonly failure: Failure | null
  readonly blockedBy: CheckId | null
}

export interface CriterionResult {
  readonly id: CriterionId
  readonly title: string
  readonly status: Status
  readonly checks: readonly CheckId[]
}

/** What a report is of: the probe of a connection, or the back end's own one. */
export type ReportCommand = 'probe' | 'witness'

export interface Report {
  readonly schemaVersion: 1
  readonly command: ReportCommand
  readonly program: string
  readonly runId: string
  readonly verdict: 'pass' | 'fail'
  readonly failure: Failure | null
  readonly target: Target
  readonly origin: Origin
  readonly startedAt: string
  readonly durationMs: number
  readonly attempts: number
  readonly criteria: readonly CriterionResult[]
  readonly checks: readonly CheckResult[]
  /** what was done when, on one clock; empty where nothing was tried */
  readonly timeline: readonly TimelineEntry[]
  readonly warnings: readonly Warning[]
}

/** What every run has in common: the parts of a report that are no results. */
export type Run = Pick<
  Report,
  'command' | 'program' | 'runId' | 'target' | 'origin' | 'startedAt' | 'durationMs' | 'attempts' | 'warnings'
>

/**
 * The report of a run whose settings were refused: nothing was tried, every other check is blocked.
 * @param list the checks of the run, in order
 */
export function configurationReport(
  run: Run,
  list: readonly AnyCheck[],
  failure: Failure,
  seen: Evidence | Facts,
): Report {
  const nothing = { durationMs: 0, startedAt: null, evidence: evidence(), failure: null, blockedBy: null }
  const results = list.map((check): Result => {
    const [blocker] = Object.values(check.needs)
    return blocker
      ? { check, ...nothing, status: 'blocked', blockedBy: blocker.id }
      : { check, ...nothing, status: 'failed', evidence: evidence(seen), failure }
  })
  return assembleReport({ ...run, timeline: [] }, list, results.map(checkResult))
}

/** A result as the report has it. */
export const checkResult = ({ check, status, durationMs, evidence, failure, blockedBy }: Result): CheckResult => ({
  id: check.id as CheckId,
  layer: check.layer,
  criterion: check.criterion,
  title: check.title,
  status,
  durationMs: roundMs(durationMs),
  evidence: opened(evidence),
  failure,
  blockedBy: blockedBy as CheckId | null,
})

/** Failed if one of its checks failed, else blocked if one is blocked, else passed. */
function criterionStatus(checks: readonly CheckResult[]): Status {
  if (checks.some(check => check.status === 'failed')) return 'failed'
  if (checks.some(check => check.status === 'blocked')) return 'blocked'
  return 'passed'
}

/**
 * Puts results together into a report. `results` must hold every check of `list` once, in order. The verdict is pass only
 * if every check passed; the failure is that of the first failed check. Only the probe has criteria.
 */
export function assembleReport(
  parts: Run & Pick<Report, 'timeline'>,
  list: readonly AnyCheck[],
  results: readonly CheckResult[],
): Report {
  const hasCriteria = parts.command === 'probe'
  const checks = results
    .map(check => (check.failure ? { ...check, failure: withValues(check.failure, parts.target) } : check))
    .map(check => (hasCriteria ? check : { ...check, criterion: null }))
  if (checks.map(({ id }) => id).join() !== list.map(({ id }) => id).join())
    throw new Error('a report without one of its checks')
  const criteria = (hasCriteria ? CRITERIA : []).map(({ id, title }) => {
    const own = checks.filter(check => check.criterion === id)
    return { id, title, status: criterionStatus(own), checks: own.map(check => check.id) }
  })
  const failure = checks.find(check => check.status === 'failed')?.failure ?? null
  const verdict = checks.every(check => check.status === 'passed') ? 'pass' : 'fail'
  const { command, program, runId, startedAt, durationMs, attempts, timeline, warnings } = parts
  const [target, origin] = [withoutSecretTexts(parts.target), withoutSecretTexts(parts.origin)]
  return {
    schemaVersion: 1,
    command,
    program,
    runId,
    verdict,
    failure,
    target,
    origin,
    startedAt,
    durationMs,
    attempts,
    criteria,
    checks,
    timeline,
    warnings,
  }
}
