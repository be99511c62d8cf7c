/**
 * What holds for every run, whatever the server does: a report in time, with few connections.
 *
 * stall   the time that this process did not get to turn in, ms: a busy machine is not the probe's delay
 */
import { performance } from 'node:perf_hooks'
import { afterAll, beforeAll, expect } from 'vitest'
import type { Code } from '../../src/failure/codes.ts'
import type { CheckId, Report } from '../../src/report/report.ts'
import type { makeCredentials } from '../helpers/clients.ts'
import type { SessionServer } from '../helpers/sessions.ts'
import { type ProbeOptions, probeWith, settings, verdictOf } from '../helpers/target.ts'

export type Credentials = Awaited<ReturnType<typeof makeCredentials>>

/** What is allowed over the deadline, ms (the issue: half a second). */
const OVERTIME_MS = 500
/** At once, per address (contract: Settings). */
const AT_ONCE = 4
/** In all: two sessions, each dialled again with TLS 1.2, three refused logins, settling and removing twice. */
const IN_ALL = 12

/** Starts to measure stalls; the returned function says how much there was, ms. */
export function measureStalls(): () => number {
  const every = 10
  let stalled = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    stalled += Math.max(0, now - last - every - 2)
    last = now
  }, every)
  return () => {
    clearInterval(timer)
    return stalled
  }
}

/** Environment for a server of the test's own on [::1], with the writer's certificate. */
export function targetOf({ port }: { port: number }, credentials: Credentials) {
  const client = credentials.client('gateway_writer')
  return settings({ port, pem: { ca: credentials.ca, cert: client.cert ?? '', key: client.key ?? '' } })
}

/** Probes and holds the bounds. */
export async function boundedProbe(
  server: Pick<SessionServer, 'port' | 'connections'> & { readonly maxOpen?: number },
  credentials: Credentials,
  { options, ...more }: ProbeOptions = {},
): Promise<Report> {
  const deadlineMs = options?.deadlineMs ?? 1000
  const stalls = measureStalls()
  const from = performance.now()
  const report = await probeWith(targetOf(server, credentials), {
    options: { writes: 3, ...options, deadlineMs },
    ...more,
  })
  const took = performance.now() - from
  expect(took, JSON.stringify(verdictOf(report))).toBeLessThan(deadlineMs + OVERTIME_MS + stalls())
  expect(server.maxOpen ?? 0).toBeLessThanOrEqual(AT_ONCE)
  expect(server.connections).toBeLessThanOrEqual(IN_ALL)
  expect(report.checks).toHaveLength(16)
  return report
}

/** The first check that failed, with its code. */
export function firstFailure({ checks }: Report): `${CheckId} ${Code}` | null {
  const failed = checks.find(({ status }) => status === 'failed')
  return failed?.failure ? `${failed.id} ${failed.failure.code}` : null
}

/** Within a file: nothing may be rejected with nobody to hear it, or thrown where nobody catches. */
export function noUnhandled(): void {
  const heard: unknown[] = []
  const hear = (error: unknown) => void heard.push(error)
  beforeAll(() => void process.on('unhandledRejection', hear).on('uncaughtException', hear))
  afterAll(() => {
    process.off('unhandledRejection', hear).off('uncaughtException', hear)
    expect(heard).toEqual([])
  })
}

/**
 * Runs a case; one that fails while this process was kept from turning is run again with three times the deadline, since
 * on a busy machine a wait overruns by itself. What is wrong with the program stays wrong, however much time there is.
 */
export async function steadily(deadlineMs: number, run: (deadlineMs: number) => Promise<void>): Promise<void> {
  for (let given = deadlineMs; ; given *= 3) {
    const stalls = measureStalls()
    try {
      await run(given)
      stalls()
      return
    } catch (error) {
      if (stalls() < given / 20 || given > 5 * deadlineMs) throw error
    }
  }
}

/** Probes a server, steadily, and holds what failed first. */
export const expectFailure = (
  credentials: Credentials,
  serve: () => Promise<SessionServer>,
  expected: string,
): Promise<void> =>
  steadily(1000, async deadlineMs => {
    await using server = await serve()
    expect(firstFailure(await boundedProbe(server, credentials, { options: { deadlineMs } }))).toBe(expected)
  })
