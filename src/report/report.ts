/**
 * The report: what a run found out, as plain data (contract: `--json`, schemaVersion 1). It is JSON as it stands;
 * the reporters beside this file are pure functions from it to a string.
 */
import type { Layer, Warning } from '../failure/codes.ts'
import type { Evidence, Failure } from '../failure/error.ts'
import type { Origin, Target } from '../settings/config.ts'

export type { Warning, WarningCode } from '../failure/codes.ts'
export type { Origin, Target } from '../settings/config.ts'

export type Status = 'passed' | 'failed' | 'blocked'

/** The four pass criteria, in the report's order. */
export const CRITERIA = [
  { id: 'visible', title: 'the row appears in the database within the limit of the trigger' },
  { id: 'mtls', title: 'the mutual-TLS handshake succeeds, and nothing less is let in' },
  { id: 'privileges', title: 'the role has DML access and nothing beyond it' },
  { id: 'reuse', title: 'one connection serves many sequential writes with unnamed statements' },
] as const

export type CriterionId = (typeof CRITERIA)[number]['id']

/**
 * What every check is called and asserts, in the order in which they run and stand in the report. `every-address` is
 * there only with --all-addresses.
 */
export const CHECKS = [
  {
    id: 'config',
    layer: 'config',
    needs: null,
    criterion: null,
    title: "the settings are complete and the client's certificate and key fit together",
  },
  { id: 'dns', layer: 'dns', needs: 'config', criterion: null, title: 'the host has an IPv6 address' },
  { id: 'tcp', layer: 'tcp', needs: 'dns', criterion: null, title: 'a TCP connection over IPv6 opens' },
  {
    id: 'tls',
    layer: 'tls',
    needs: 'tcp',
    criterion: 'mtls',
    title: 'the server speaks TLS, and its certificate is trusted, valid, names the host and is for servers',
  },
  {
    id: 'session',
    layer: 'session',
    needs: 'tls',
    criterion: 'mtls',
    title: 'the server accepts the client certificate as the user',
  },
  {
    id: 'database',
    layer: 'database',
    needs: 'session',
    criterion: null,
    title: 'the configured database exists and takes the session',
  },
  {
    id: 'certificate-required',
    layer: 'session',
    needs: 'session',
    criterion: 'mtls',
    title: 'the same login without a certificate, and without TLS, is refused',
  },
  {
    id: 'certificate-verified',
    layer: 'session',
    needs: 'session',
    criterion: 'mtls',
    title: 'the same login with a certificate whose signature is broken is refused',
  },
  {
    id: 'role',
    layer: 'privilege',
    needs: 'database',
    criterion: 'privileges',
    title:
      'the session runs as the configured user, who is no administrator, is a member of no role and owns nothing here',
  },
  {
    id: 'certificate-bound',
    layer: 'session',
    needs: 'role',
    criterion: 'mtls',
    title: 'the same certificate is refused as every other role that it could name',
  },
  {
    id: 'table',
    layer: 'schema',
    needs: 'database',
    criterion: null,
    title: 'connection_probe exists with the columns that src/ declares',
  },
  {
    id: 'dml',
    layer: 'privilege',
    needs: 'table',
    criterion: 'privileges',
    title: 'INSERT, SELECT, UPDATE and DELETE each really work',
  },
  {
    id: 'row-visible',
    layer: 'visibility',
    needs: 'dml',
    criterion: 'visible',
    title: 'a row written on one connection is read, equal in every column, on another within the limit',
  },
  {
    id: 'ddl-refused',
    layer: 'privilege',
    needs: 'table',
    criterion: 'privileges',
    title: 'the user can create nothing in this database, and no privilege goes beyond the four verbs',
  },
  {
    id: 'sequential-writes',
    layer: 'reuse',
    needs: 'row-visible',
    criterion: 'reuse',
    title: 'all inserts stay on one connection, and one select at the end reads all of them',
  },
  {
    id: 'statements-unnamed',
    layer: 'reuse',
    needs: 'sequential-writes',
    criterion: 'reuse',
    title: 'after them the server holds no named prepared statement of this session',
  },
  {
    id: 'every-address',
    layer: 'visibility',
    needs: 'row-visible',
    criterion: null,
    title: 'every address of the host takes a row that the others see',
  },
] as const satisfies readonly {
  id: string
  layer: Layer
  /** the check that must have passed first; if it did not, this one is blocked by it */
  needs: string | null
  criterion: CriterionId | null
  title: string
}[]

export type CheckId = (typeof CHECKS)[number]['id']

/** The checks of a run, in order. */
export const checksOf = (allAddresses: boolean): readonly (typeof CHECKS)[number][] =>
  CHECKS.filter(({ id }) => id !== 'every-address' || allAddresses)

export interface CheckResult {
  readonly id: CheckId
  readonly layer: Layer
  readonly criterion: CriterionId | null
  readonly title: string
  readonly status: Status
  readonly durationMs: number
  readonly evidence: Evidence
  readonly failure: Failure | null
  readonly blockedBy: CheckId | null
}

export interface CriterionResult {
  readonly id: CriterionId
  readonly title: string
  readonly status: Status
  readonly checks: readonly CheckId[]
}

export interface Report {
  readonly schemaVersion: 1
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
  readonly warnings: readonly Warning[]
}

/** What every run has in common: the parts of a report that are no results. */
export type Run = Pick<
  Report,
  'program' | 'runId' | 'target' | 'origin' | 'startedAt' | 'durationMs' | 'attempts' | 'warnings'
>

const NOTHING = { evidence: {}, failure: null }

/** The report of a run whose settings were refused: nothing was tried, every other check is blocked. */
export function configurationReport(run: Run, failure: Failure, evidence: Evidence, allAddresses = false): Report {
  const checks = checksOf(allAddresses).map(({ id, layer, criterion, title, needs }): CheckResult => {
    const [status, own] =
      needs === null ? (['failed', { evidence, failure }] as const) : (['blocked', NOTHING] as const)
    return { id, layer, criterion, title, status, durationMs: 0, ...own, blockedBy: needs }
  })
  return assembleReport({ ...run, checks })
}

/** Failed if one of its checks failed, else blocked if one is blocked, else passed. */
function criterionStatus(checks: readonly CheckResult[]): Status {
  if (checks.some(check => check.status === 'failed')) return 'failed'
  if (checks.some(check => check.status === 'blocked')) return 'blocked'
  return 'passed'
}

/**
 * Puts results together into a report. `checks` must hold every check of the run once, in order. The verdict is pass
 * only if every check passed; the failure is that of the first failed check.
 */
export function assembleReport(parts: Run & { readonly checks: readonly CheckResult[] }): Report {
  const { checks } = parts
  const wanted = checksOf(checks.at(-1)?.id === 'every-address').map(({ id }) => id)
  if (checks.map(({ id }) => id).join() !== wanted.join()) throw new Error('a report without one of its checks')
  const criteria = CRITERIA.map(({ id, title }) => {
    const own = checks.filter(check => check.criterion === id)
    return { id, title, status: criterionStatus(own), checks: own.map(check => check.id) }
  })
  const failure = checks.find(check => check.status === 'failed')?.failure ?? null
  const verdict = checks.every(check => check.status === 'passed') ? 'pass' : 'fail'
  const { program, runId, target, origin, startedAt, durationMs, attempts, warnings } = parts
  return {
    schemaVersion: 1,
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
    warnings,
  }
}
