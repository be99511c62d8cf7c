/**
 * The probe and a target for it, as the tests use them.
 *
 *   startServer()        a throwaway server from the run's template
 *   migrated()           the same, with drizzle/ applied by our own migrate
 *   proxyTo()            a proxy with a fault before one
 *   settings()           environment for a target on [::1], certificates as PEM
 *   probeTarget()        the probe in this process: a Report
 *   cli()                the command line as a process: exit code, stdout, stderr
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'
import { probe } from '../../src/checks/attempts.ts'
import { migrate } from '../../src/database/migrate.ts'
import {
  findCockroach,
  startThrowaway,
  type Throwaway,
  type ThrowawayOptions,
} from '../../src/development/throwaway/index.ts'
import type { CheckId, CheckResult, Report } from '../../src/report/report.ts'
import { loadConfig, type NameService, type Options, type ProbeConfig } from '../../src/settings/config.ts'
import { type Pem, pemOf } from './clients.ts'
import { faultyProxy, type ProxyOptions } from './proxy.ts'
import type { SessionServer } from './sessions.ts'

export type { Pem } from './clients.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** A throwaway server of its own, of the run's engine, quickly: PostgreSQL copies the template of the run. */
export const startServer = (options: ThrowawayOptions = {}): Promise<Throwaway> => {
  const template = inject('template')
  return startThrowaway({ engine: inject('engine'), ...(template !== '' && { template }), ...options })
}

/** A server with drizzle/ applied: the valid base of most fault tests. */
export async function migrated(options: ThrowawayOptions = {}): Promise<Throwaway> {
  const server = await startServer(options)
  try {
    const { failure } = await migrate(adminConfig(server), new AbortController().signal)
    if (failure) throw new Error(`${failure.code}: ${failure.message}`)
    return server
  } catch (error) {
    await server.stop()
    throw error
  }
}

function configOrThrow(loaded: ReturnType<typeof loadConfig>): ProbeConfig {
  if (!loaded.ok) throw loaded.error
  return loaded.config
}

export const adminConfig = (server: Throwaway): ProbeConfig =>
  configOrThrow(
    loadConfig({
      role: 'admin',
      env: { MIGRATION_DATABASE_URL: server.url('gateway_admin') },
      options: { certsDir: server.certsDir },
    }),
  )

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

export interface ProbeOptions {
  readonly options?: Partial<Options>
  readonly names?: NameService
  readonly signal?: AbortSignal
  readonly note?: (text: string) => void
}

/** Runs the probe in this process with these settings; the settings must be right. */
export function probeWith(
  env: NodeJS.ProcessEnv,
  { options, names, signal, note }: ProbeOptions = {},
): Promise<Report> {
  const config = configOrThrow(
    loadConfig({ role: 'writer', env, ...(options && { options }), ...(names && { names }) }),
  )
  return probe(config, {
    signal: signal ?? new AbortController().signal,
    note: note ?? (() => undefined),
    progress: () => undefined,
    program: 'connection-probe test',
  })
}

/** Runs the probe in this process against a throwaway server, as gateway_writer. */
export const probeServer = (server: Throwaway, { options, ...more }: ProbeOptions = {}): Promise<Report> =>
  probeWith(
    { DATABASE_URL: server.url('gateway_writer') },
    { options: { certsDir: server.certsDir, ...options }, ...more },
  )

/** Names that resolve to these addresses and nothing else. */
export const namesOf = (records: Readonly<Record<string, readonly string[]>>): NameService => ({
  lookup: async (host, family) => {
    const found = records[host]
    if (!found || family === 4) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' })
    return [...found]
  },
  servers: null,
})

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

export interface CliResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

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
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const result = once(child, 'close').then(([code, signal]): CliResult => ({ code, signal, stdout, stderr }))
  return { child, result }
}

/** Runs the command line as a process, with nothing in its environment but what is given. */
export const cli = (args: readonly string[], env: NodeJS.ProcessEnv = {}, form?: Form): Promise<CliResult> =>
  startCli(args, env, form).result
