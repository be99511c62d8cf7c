/**
 * What a report must say of one fault: which check fails with which code, what that blocks, and what a tired reader
 * finds in the first two lines.
 */
import { expect } from 'vitest'
import type { AnyCheck } from '../../src/checks/check.ts'
import { CHECKS, type CheckId } from '../../src/checks/index.ts'
import { witnessChecksFor } from '../../src/checks/witness/index.ts'
import { CODES, type Code } from '../../src/failure/codes.ts'
import { fillIn } from '../../src/failure/hints.ts'
import { asTyped } from '../../src/invocation.ts'
import type { CheckResult, Report } from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'

/** What is expected of a run; without `check` and `code` it passes. */
export interface Expected {
  /** the check that fails, the first one if several do, and its code */
  readonly check?: CheckId
  readonly code?: Code
  /** other checks that fail by the same fault, with their codes */
  readonly also?: Partial<Record<CheckId, Code>>
  /** checks that may fail as well, where the engines differ in what a privilege brings along */
  readonly mayFail?: Partial<Record<CheckId, Code>>
  /** checks that are blocked although what they need has passed, and by which check */
  readonly alsoBlocked?: Partial<Record<CheckId, CheckId>>
  /** what the failed check's evidence holds, at least */
  readonly evidence?: object
  /** what the evidence of checks that passed holds, at least */
  readonly seen?: Partial<Record<CheckId, object>>
  /** what the message of the failure says */
  readonly message?: RegExp
  /** what stands in the hint where it is not the code's own */
  readonly hint?: string | RegExp
  readonly sqlstate?: string | null
  /**
   * Rows are left, and the warning ROWS_LEFT names them and removes them: these `exactly`; `perhaps` some that never
   * came to be as well; `unfounded`: the server's answers do not tell, and none is there. `expectNothingLeft` holds it.
   */
  readonly rowsLeft?: 'exactly' | 'perhaps' | 'unfounded'
}

/** The checks of a run, in order: `every-address` is there only where it was asked for. */
export const checkIds = (allAddresses = false): CheckId[] =>
  CHECKS.map(({ id }): CheckId => id).filter(id => allAddresses || id !== 'every-address')

/** Those of the witness, in order. */
const WITNESS_CHECKS = witnessChecksFor(null)

function needsOf(id: CheckId): CheckId[] {
  const found: AnyCheck | undefined = [...CHECKS, ...WITNESS_CHECKS].find(check => check.id === id)
  return Object.values(found?.needs ?? {}).map(({ id }) => id as CheckId)
}

/** The check that this one is blocked by when these failed: the first that it needs and that did not pass. */
function blockerOf(id: CheckId, failed: readonly CheckId[]): CheckId | null {
  return needsOf(id).find(need => failed.includes(need) || blockerOf(need, failed) !== null) ?? null
}

export function check(report: Report, id: CheckId): CheckResult {
  const found = report.checks.find(candidate => candidate.id === id)
  if (!found) throw new Error(`no check ${id}`)
  return found
}

/** Which checks failed and with what, and which are blocked: the whole verdict in one value. */
export const verdictOf = (report: Report) => ({
  failure: report.failure && `${report.failure.layer} ${report.failure.code}`,
  failed: Object.fromEntries(
    report.checks.filter(({ status }) => status === 'failed').map(({ id, failure }) => [id, failure?.code]),
  ),
  blocked: report.checks.filter(({ status }) => status === 'blocked').map(({ id }) => id),
})

/** Holds a report against what is expected of it, and its text with it. */
export function expectVerdict(report: Report, expected: Expected): void {
  const { check: first, code, also = {}, mayFail = {}, alsoBlocked = {}, seen = {} } = expected
  const ids =
    report.command === 'witness'
      ? WITNESS_CHECKS.map(({ id }): CheckId => id)
      : checkIds(report.checks.some(({ id }) => id === 'every-address'))
  expect(report.checks.map(({ id }) => id)).toEqual(ids)

  const found = Object.fromEntries(report.checks.map(({ id, failure }) => [id, failure?.code]))
  const optional = Object.entries(mayFail).filter(([id, may]) => found[id] === may)
  const failed = { ...Object.fromEntries(optional), ...(first && { [first]: code }), ...also }
  const blockers = ids.flatMap((id): [CheckId, CheckId][] => {
    const by = id in failed ? null : (alsoBlocked[id] ?? blockerOf(id, Object.keys(failed) as CheckId[]))
    return by === null ? [] : [[id, by]]
  })
  const layer = report.failure && CODES[report.failure.code].layer
  expect(verdictOf(report)).toEqual({
    failure: first ? expect.stringMatching(`^${layer} `) : null,
    failed,
    blocked: blockers.map(([id]) => id),
  })
  const blocked = report.checks.filter(({ status }) => status === 'blocked')
  expect(blocked.map(({ id, blockedBy }) => [id, blockedBy])).toEqual(blockers)
  expect(report.verdict).toBe(first ? 'fail' : 'pass')
  for (const [id, facts] of Object.entries(seen)) expect(check(report, id as CheckId).evidence).toMatchObject(facts)
  if (first) expectFailure(report, first, expected)
}

/** The failure of a report is that of this check, and says what is expected of it. */
function expectFailure(report: Report, first: CheckId, { evidence, message, hint, sqlstate }: Expected): void {
  const failed = check(report, first)
  const { failure } = failed
  if (!failure) throw new Error(`${first} has no failure`)
  expect(report.failure).toEqual(failure)
  if (evidence) expect(failed.evidence).toMatchObject(evidence)
  if (message) expect(failure.message).toMatch(message)
  if (sqlstate !== undefined) expect(failure.sqlstate).toBe(sqlstate)
  const made = MADE_HINTS[failure.code]
  if (hint !== undefined) expect(failure.hint).toMatch(hint)
  else if (made) expect(failure.hint).toMatch(made)
  // A process of the tests is the single file.
  else
    expect([
      fillIn(CODES[failure.code].hint, knownOf(report)),
      asTyped(fillIn(CODES[failure.code].hint, knownOf(report)), 'installed'),
    ]).toContain(failure.hint)
  // Whatever is known of the target stands in the next step.
  if (failure.layer !== 'config') expect(failure.hint).not.toMatch(PLACEHOLDER)
  const text = renderText(report, { colour: false })
  expectSaid(text, failure.code, failure.hint)
  expect(text.split('\n')[1]).toBe(`next: ${failure.hint}`)
}

/** Next steps that are statements made from what was found; the tables hold some of them word by word. */
const MADE_HINTS: Partial<Record<Code, RegExp>> = {
  ADMIN_AT_RUNTIME: /^as root(, in this database)?: (REVOKE|ALTER|REASSIGN) |^DATABASE_URL must name /,
  DML_DENIED: /GRANT .+ TO /,
  FOREIGN_LOGIN_ALLOWED: /^the certificate does not name that role|^does the certificate name the other role too/,
  GRANT_EXCESS: /^as gateway_admin: REVOKE .+ ON TABLE public\.connection_probe FROM /,
}

/** The target, and the address that was dialled though nothing came of it. */
function knownOf({ target, checks }: Report) {
  const dialled = checks.find(({ id }) => id === 'tcp')?.evidence.address
  return { ...target, address: target.address ?? (typeof dialled === 'string' ? dialled : null) }
}

/** What a reader would have to replace although the report knows it. */
const PLACEHOLDER = /\{\w+\}|\b(HOST|PORT|ADDRESS|DATABASE_NAME)\b|(?<!(CREATE|ALTER|DROP) )\bUSER\b/

/** Layer and code stand in the first line of a text, and the next thing to do in the second. */
export function expectSaid(text: string, code: Code, hint: string): void {
  const [first, second] = text.split('\n')
  expect(first).toContain(`FAIL at ${CODES[code].layer}, ${code}`)
  expect(second).toContain(hint)
}
