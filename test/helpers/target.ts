/**
 * The probe and a target for it, as the tests use them.
 *
 *   startServer()        a throwaway server from the run's template
 *   migrated()           the same, with drizzle/ applied by our own migrate
 *   proxyTo()            a proxy with a fault before one
 *   settings()           environment for a target on [::1], certificates as PEM
 *   configOf(), target() the configuration of such settings
 *   run()                the probe in this process: a Report, in time
 *   cli()                the command line as a process: exit code, stdout, stderr
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, inject } from 'vitest'
import type { ProbeHooks } from '../../src/checks/attempts.ts'
import {
  findCockroach,
  startThrowaway,
  type Throwaway,
  type ThrowawayOptions,
} from '../../src/development/throwaway/index.ts'
import type { Report } from '../../src/report/report.ts'
import type { NameService, Options, ProbeConfig } from '../../src/settings/config.ts'
import { type Pem, pemOf } from './clients.ts'
import { configOf, runProbe, withMigrations, writerConfig } from './probe.ts'
import { type Ended, ended } from './process.ts'
import { faultyProxy, type ProxyOptions } from './proxy.ts'
import { schemaProblems, timelineProblems } from './schema.ts'
import type { SessionServer } from './sessions.ts'
import { verdictOf } from './verdict.ts'

export type { Pem } from './clients.ts'
export { check, verdictOf } from './verdict.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** A throwaway server of its own, of the run's engine, quickly: PostgreSQL copies the template of the run. */
export const startServer = (options: ThrowawayOptions = {}): Promise<Throwaway> => {
  const template = inject('template')
  return startThrowaway({ engine: inject('engine'), ...(template !== '' && { template }), ...options })
}

/** A server with drizzle/ applied: the valid base of most fault tests. */
export const migrated = (options: ThrowawayOptions = {}): Promise<Throwaway> => withMigrations(startServer(options))

/** What a throwaway server presents, for whoever stands before it. */
export function tlsOf({ certsDir }: Throwaway) {
  const file = (name: string) => readFileSync(join(certsDir, name), 'utf8')
  return { cert: file('node.crt'), key: file('node.key'), ca: file('ca.crt') }
}

/**
 * A proxy before a throwaway server that presents the server's own certificate, and passes each client on with the
 * client's; `more` is what is wrong with it.
 */
export function proxyTo(server: Throwaway, more: Partial<ProxyOptions> = {}): Promise<SessionServer> {
  return faultyProxy({
    upstream: { port: server.port },
    tls: tlsOf(server),
    credentials: ({ peerName }) => (peerName === undefined ? undefined : pemOf(server, peerName)),
    ...more,
  })
}

export interface TargetOptions {
  readonly port: number
  /** default gateway_writer */
  readonly user?: string
  readonly database?: string
  /** default [::1] */
  readonly host?: string
  readonly pem?: Pem
}

/** The environment for a target, with the deployed back end's own variables. */
export const settings = ({ port, user = 'gateway_writer', database = 'uro', host = '[::1]', pem }: TargetOptions) => ({
  DATABASE_URL: `postgresql://${user}@${host}:${port}/${database}?sslmode=verify-full`,
  ...(pem && { CRDB_CA_CRT: pem.ca, CRDB_CLIENT_WRITER_CRT: pem.cert, CRDB_CLIENT_WRITER_KEY: pem.key }),
})

export interface TargetVariation extends Omit<TargetOptions, 'port' | 'pem'>, Partial<Options> {
  readonly names?: NameService
  readonly env?: Readonly<Record<string, string>>
}

/** The configuration of the writer for a port of [::1], with a deadline that a silent peer is given, ms. */
export function target(
  { port }: { readonly port: number },
  pem: Pem,
  { names, env, host, user, database, ...options }: TargetVariation = {},
): ProbeConfig {
  const given = { port, pem, ...(host && { host }), ...(user && { user }), ...(database && { database }) }
  return configOf(
    { ...settings(given), ...env },
    { options: { deadlineMs: 8_000, ...options }, ...(names && { names }) },
  )
}

/** How late a verdict may be, ms: the deadline plus half a second. */
const GRACE_MS = 500

/** Runs the probe in this process; whatever the target does, it ends in time. */
export async function run(config: ProbeConfig, hooks: Partial<ProbeHooks> = {}): Promise<Report> {
  const { deadlineMs, waitMs } = config.options
  const stalls = measureStalls()
  const from = performance.now()
  const report = await runProbe(config, hooks)
  const took = performance.now() - from
  expect([...schemaProblems(report), ...timelineProblems(report)]).toEqual([])
  expect(took, JSON.stringify(verdictOf(report))).toBeLessThan(waitMs + deadlineMs + GRACE_MS + stalls())
  return report
}

/** Runs the probe in this process against a throwaway server, as gateway_writer. */
export const probeServer = (
  server: Throwaway,
  { options, ...hooks }: Partial<ProbeHooks> & { readonly options?: Partial<Options> } = {},
): Promise<Report> => run(writerConfig(server, options), hooks)

/**
 * Starts to measure the time that this process did not get to turn in, which is not the probe's delay on a busy
 * machine; the returned function says how much it was, ms.
 */
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

/** Names that resolve to these addresses and nothing else. */
export const namesOf = (records: Readonly<Record<string, readonly string[]>>): NameService => ({
  lookup: async (host, family) => {
    const found = records[host]
    if (!found || family === 4) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' })
    return [...found]
  },
  servers: null,
})

/** What `npm start` finds the run's engine by. */
export const engineVariables = (): NodeJS.ProcessEnv => {
  const binary = inject('engine') === 'cockroachdb' ? findCockroach() : null
  return binary === null ? {} : { COCKROACH_BINARY: binary }
}

/** The two forms of the program: one file, and the tree under tsx. */
export const PROGRAMS = { file: () => [inject('bundle')], tree: () => ['--import', 'tsx', 'src/cli.ts'] } as const
export type Form = keyof typeof PROGRAMS

/**
 * What a spawned command line is: its result, and the process to send signals to. It is the single file, which starts
 * in less than half the time and is the same program; what must hold for the tree as well says so.
 */
export function startCli(args: readonly string[], env: NodeJS.ProcessEnv = {}, form: Form = 'file') {
  const { PATH, HOME } = process.env
  const program = PROGRAMS[form]()
  const child = spawn(process.execPath, [...program, ...args], {
    cwd: ROOT,
    env: { PATH, HOME, ...engineVariables(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const result = ended(child)
  return { child, result }
}

/** Runs the command line as a process, with nothing in its environment but what is given. */
export async function cli(args: readonly string[], env: NodeJS.ProcessEnv = {}, form?: Form): Promise<Ended> {
  const result = await startCli(args, env, form).result
  if (args[0] === 'probe' && args.includes('--json') && result.stdout !== '')
    expect(schemaProblems(JSON.parse(result.stdout))).toEqual([])
  return result
}
