/**
 * What the attribution tables share: one valid base, one varied fault, the expected verdict.
 *
 * base       a PKI, a server and settings with which nothing is wrong
 * fault      the one thing that a case changes
 * expected   code (and so layer), the check that fails, the checks that it blocks, what the evidence shows
 */
import { X509Certificate } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { expect } from 'vitest'
import { probe } from '../../src/checks/attempts.ts'
import {
  type Authority,
  createAuthority,
  type Issued,
  type IssueOptions,
} from '../../src/development/throwaway/authority.ts'
import { CODES, type Code } from '../../src/failure/codes.ts'
import type { CheckId, Report } from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'
import { principalsOf } from '../../src/settings/certificate.ts'
import { loadConfig, type NameService, type Options, type ProbeConfig } from '../../src/settings/config.ts'
import { check, type Pem, settings, verdictOf } from '../helpers/target.ts'

/** What each check needs, written down again, so that the program's own table is held by it. */
const NEEDS: Readonly<Partial<Record<CheckId, CheckId | null>>> = {
  config: null,
  dns: 'config',
  tcp: 'dns',
  tls: 'tcp',
  session: 'tls',
  database: 'session',
  'certificate-required': 'session',
  'certificate-verified': 'session',
  role: 'database',
  'certificate-bound': 'role',
  table: 'database',
  dml: 'table',
  'row-visible': 'dml',
  'ddl-refused': 'table',
  'sequential-writes': 'row-visible',
  'statements-unnamed': 'sequential-writes',
}

const needs = (id: CheckId, other: CheckId): boolean => {
  const next = NEEDS[id]
  return next != null && (next === other || needs(next, other))
}

/** The checks that a failure of this one blocks, in the report's order. */
export const blockedBy = (failed: CheckId): CheckId[] =>
  (Object.keys(NEEDS) as CheckId[]).filter(id => needs(id, failed))

/** How late a verdict may be, ms (issue 3: the deadline plus half a second). */
const GRACE_MS = 500

/** What is expected of one fault. */
export interface Expected {
  readonly code: Code
  readonly check: CheckId
  /** other checks that fail by the same fault, with their codes */
  readonly also?: Partial<Record<CheckId, Code>>
  /** what the failed check's evidence holds, at least */
  readonly evidence?: object
  /** what the message of the failure says */
  readonly message?: RegExp
  /** where a case has a better hint than the code's own */
  readonly hint?: RegExp
  readonly sqlstate?: string | null
}

/** Holds a report against what was expected of it. */
export function expectAttributed(report: Report, expected: Expected): void {
  const { code, check: failed, also = {}, evidence, message, hint, sqlstate } = expected
  const { layer } = CODES[code]
  expect(verdictOf(report)).toEqual({
    failure: `${layer} ${code}`,
    failed: { [failed]: code, ...also },
    blocked: blockedBy(failed),
  })
  expect(report.checks.map(({ id }) => id)).toEqual(Object.keys(NEEDS))
  for (const { status, blockedBy: by, id } of report.checks) if (status === 'blocked') expect(by).toBe(NEEDS[id])
  const { failure } = check(report, failed)
  expect(report.failure).toEqual(failure)
  if (evidence) expect(check(report, failed).evidence).toMatchObject(evidence)
  if (message) expect(failure?.message).toMatch(message)
  if (sqlstate !== undefined) expect(failure?.sqlstate).toBe(sqlstate)
  if (hint) expect(failure?.hint).toMatch(hint)
  else expect(failure?.hint).toBe(CODES[code].hint)
  expectSaid(renderText(report, { colour: false }), code, failure?.hint ?? '')
}

/** Layer and code stand in the first two lines, and so does the next thing to do. */
export function expectSaid(text: string, code: Code, hint: string): void {
  const top = text.split('\n').slice(0, 2).join('\n')
  expect(top).toContain(`FAIL at ${CODES[code].layer}, ${code}`)
  expect(top).toContain(hint)
}

/** The configuration of a target that is right, or the reason why there is none. */
export function configOf(
  env: NodeJS.ProcessEnv,
  more: { readonly options?: Partial<Options>; readonly names?: NameService } = {},
): ProbeConfig {
  const loaded = loadConfig({ role: 'writer', env, ...more })
  if (!loaded.ok) throw loaded.error
  return loaded.config
}

/** The same configuration with a certificate that the linter would not have let pass. */
export function presenting(config: ProbeConfig, { chain, key }: Issued): ProbeConfig {
  const principals = principalsOf(new X509Certificate(chain))
  const identity = { principals, identityMatches: principals.includes(config.user) }
  return { ...config, ...identity, credentials: { ...config.credentials, cert: chain, key } }
}

/** Runs the probe; whatever the target does, it ends within the deadline and half a second. */
export async function run(config: ProbeConfig): Promise<Report> {
  const from = performance.now()
  const report = await probe(config, {
    signal: new AbortController().signal,
    note: () => undefined,
    progress: () => undefined,
    program: 'connection-probe test',
  })
  expect(performance.now() - from).toBeLessThan(config.options.deadlineMs + GRACE_MS)
  return report
}

const DAY_MS = 86_400_000
/** A moment so many days from now. */
export const days = (count: number): Date => new Date(Date.now() + count * DAY_MS)

/** The valid base of every certificate: what a case names is what it varies. */
export const SERVER: IssueOptions = { commonName: 'node', dnsNames: ['localhost'], ipAddresses: ['::1'] }
export const CLIENT: IssueOptions = { commonName: 'gateway_writer', usages: ['clientAuth'] }

export interface Pki {
  readonly authority: Authority
  /** what the writer trusts and shows */
  readonly pem: Pem
  /** what a server that is right presents */
  readonly server: { readonly cert: string; readonly key: string; readonly ca: string }
}

/** One CA, a server certificate for localhost and ::1, and the writer's. */
export async function makePki(name = 'attribution CA'): Promise<Pki> {
  const authority = await createAuthority({ name })
  const [server, client] = await Promise.all([authority.issue(SERVER), authority.issue(CLIENT)])
  const ca = authority.certificate
  return {
    authority,
    pem: { ca, cert: client.chain, key: client.key },
    server: { cert: server.chain, key: server.key, ca },
  }
}

export interface TargetVariation {
  readonly names?: NameService
  readonly env?: Readonly<Record<string, string>>
  readonly host?: string
  readonly user?: string
  readonly database?: string
}

/** The writer's settings for a port of [::1], and a deadline that a silent peer is given, ms. */
export const target = (
  { port }: { readonly port: number },
  pem: Pem,
  { deadlineMs = 8_000, ...more }: Partial<Options> & TargetVariation = {},
): ProbeConfig => {
  const { names, env, host, user, database, ...options } = more
  const given = { port, pem, ...(host && { host }), ...(user && { user }), ...(database && { database }) }
  return configOf(
    { ...settings(given), ...env },
    {
      options: { deadlineMs, ...options },
      ...(names && { names }),
    },
  )
}
