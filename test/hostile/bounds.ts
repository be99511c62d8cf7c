/**
 * What holds for every run, whatever the server does: a report in time, with few connections.
 */
import { afterAll, beforeAll, expect } from 'vitest'
import type { Code } from '../../src/failure/codes.ts'
import type { CheckId, Report } from '../../src/report/report.ts'
import type { Options, ProbeConfig } from '../../src/settings/config.ts'
import type { makeCredentials } from '../helpers/clients.ts'
import { configOf } from '../helpers/probe.ts'
import type { SessionServer } from '../helpers/sessions.ts'
import { measureStalls, run, settings } from '../helpers/target.ts'
import { checkIds } from '../helpers/verdict.ts'

export type Credentials = Awaited<ReturnType<typeof makeCredentials>>

/** At once, per address. */
const AT_ONCE = 4
/** In all: two sessions, each dialled again with TLS 1.2, three refused logins, settling and removing twice. */
const IN_ALL = 12

/** Environment for a server of the test's own on [::1], with the writer's certificate. */
export function environmentOf({ port }: { port: number }, credentials: Credentials) {
  const client = credentials.client('gateway_writer')
  return settings({ port, pem: { ca: credentials.ca, cert: client.cert ?? '', key: client.key ?? '' } })
}

/** The configuration that it makes. */
export const targetOf = (
  server: { port: number },
  credentials: Credentials,
  options: Partial<Options> = {},
): ProbeConfig => configOf(environmentOf(server, credentials), { options })

/** Probes and holds the bounds. */
export async function boundedProbe(
  server: Pick<SessionServer, 'port' | 'connections'> & { readonly maxOpen?: number },
  credentials: Credentials,
  options: Partial<Options> = {},
): Promise<Report> {
  const report = await run(targetOf(server, credentials, { writes: 3, deadlineMs: 1000, ...options }))
  expect(server.maxOpen ?? 0).toBeLessThanOrEqual(AT_ONCE)
  expect(server.connections).toBeLessThanOrEqual(IN_ALL)
  expect(report.checks.map(({ id }) => id)).toEqual(checkIds())
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
    expect(firstFailure(await boundedProbe(server, credentials, { deadlineMs }))).toBe(expected)
  })
