/**
 * CockroachDB, single node or cluster, as database/README.md ("A local CockroachDB") says. In each node's
 * temporary directory: certs/ (a cluster's are in one beside its nodes'), listening-url, pid-file, server.log, and what the server
 * writes into its working directory. Stores are in memory.
 */
import { accessSync, constants, statSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { bootstrapSteps } from '../../database/bootstrap/index.ts'
import { hostAndPort } from '../../failure/hints.ts'
import { temporaryParent } from './account.ts'
import { type Certificates, prepareCertificates } from './certificates.ts'
import { handleOf } from './handle.ts'
import { freePort } from './ports.ts'
import { runSteps } from './root.ts'
import { type Job, type Supervisor, supervise, throwawayError } from './supervisor.ts'
import type { Throwaway, ThrowawayOptions } from './types.ts'
import { waitFor } from './wait.ts'

const READY_WITHIN = 60_000 // ms

const FLAGS = [
  '--store=type=mem,size=1GiB',
  '--cache=128MiB',
  '--max-sql-memory=256MiB',
  '--pid-file=pid-file',
  '--listening-url-file=listening-url',
] as const

/**
 * The binary to use: COCKROACH_BINARY, or `cockroach` on PATH; null where there is neither.
 * @throws ThrowawayError where COCKROACH_BINARY is set and cannot be run: never silently something else
 */
export function findCockroach(env: NodeJS.ProcessEnv = process.env): string | null {
  const configured = env.COCKROACH_BINARY
  if (configured) {
    const path = resolve(configured)
    if (isExecutable(path)) return path
    throw throwawayError(`COCKROACH_BINARY=${configured} is not an executable file`)
  }
  const candidates = (env.PATH ?? '').split(delimiter).map(directory => resolve(directory || '.', 'cockroach'))
  return candidates.find(isExecutable) ?? null
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Starts a single node. @throws ThrowawayError with one clear line where this version cannot be started */
export async function startCockroach(options: ThrowawayOptions = {}): Promise<Throwaway> {
  const binary = requireCockroach()
  const supervisor = await openDirectory(options)
  try {
    const certsDir = join(supervisor.directory, 'certs')
    const certificates = await certificatesIn(certsDir, options)
    const flags = addressFlags(options, options.port ?? 0)
    const job = await supervisor.run([binary, 'start-single-node', ...nodeFlags(certsDir, flags, options)])
    const port = await listeningPort(supervisor, job)
    const node = await handleOf({ engine: 'cockroachdb', supervisor, job, port, certificates, options })
    await prepareDatabase(node, options)
    supervisor.release()
    return node
  } catch (error) {
    await supervisor.stop()
    throw error
  }
}

/** A running cluster; its nodes share one --certs-dir. */
export interface Cluster extends AsyncDisposable {
  /** `stop` of one node stops that node; `process.kill(node.pid, 'SIGKILL')` is a node that fails */
  readonly nodes: readonly Throwaway[]
  stop(): Promise<void>
}

/** Starts `count` nodes, joins and initialises them, and bootstraps the database once. */
export async function startCockroachCluster(count: number, options: ThrowawayOptions = {}): Promise<Cluster> {
  const binary = requireCockroach()
  const supervisors: Supervisor[] = []
  const open = async (): Promise<Supervisor> => {
    const supervisor = await openDirectory(options)
    supervisors.push(supervisor)
    return supervisor
  }
  // together: a node that drains alone waits for a quorum that is leaving too
  const stop = async (): Promise<void> => {
    await Promise.all(supervisors.map(supervisor => supervisor.stop()))
  }
  try {
    const shared = await open()
    const certsDir = join(shared.directory, 'certs')
    const certificates = await certificatesIn(certsDir, options)
    const host = hostOf(options)
    // all at once, so that no two are the same: each node must know the others' addresses before they exist
    const ports = await Promise.all(Array.from({ length: count }, () => freePort(host)))
    const addresses = ports.map(port => hostAndPort(host, port))
    const joined = await Promise.all(
      ports.map(async port => {
        const supervisor = await open()
        const flags = [...addressFlags(options, port), `--join=${addresses.join(',')}`]
        const job = await supervisor.run([binary, 'start', ...nodeFlags(certsDir, flags, options)])
        await listeningPort(supervisor, job) // written once it listens, which is before the cluster is initialised
        return { supervisor, job, port }
      }),
    )
    await initialise(shared, [binary, 'init', `--certs-dir=${certsDir}`, `--host=${addresses[0]}`])
    const nodes = await Promise.all(
      joined.map(node => handleOf({ engine: 'cockroachdb', ...node, certificates, options, certsDir })),
    )
    if (nodes[0]) await prepareDatabase(nodes[0], options)
    for (const supervisor of supervisors) supervisor.release()
    return { nodes, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function requireCockroach(): string {
  const binary = findCockroach()
  if (binary === null) throw throwawayError('no CockroachDB here: set COCKROACH_BINARY, or put cockroach on PATH')
  return binary
}

async function openDirectory(options: ThrowawayOptions): Promise<Supervisor> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(COCKROACH|PG)/.test(name))
  return supervise({
    parent: await temporaryParent(null),
    account: null, // it runs as root too
    commandPrefix: options.commandPrefix ?? [],
    env: {
      ...Object.fromEntries(inherited), // COCKROACH_* would stand in for flags
      COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING: 'true',
      COCKROACH_CRASH_REPORTS: '',
    },
    signals: ['TERM', 'INT', 'KILL'], // drain; stop (a second TERM is ignored); the last resort
    patience: 5,
  })
}

async function certificatesIn(certsDir: string, options: ThrowawayOptions): Promise<Certificates> {
  await mkdir(certsDir)
  return prepareCertificates(certsDir, options)
}

const hostOf = (options: ThrowawayOptions): string => options.listen?.[0] ?? '::1'

/** The literal is advertised, since `localhost` may be 127.0.0.1 only; of several addresses only `::` takes all. */
function addressFlags(options: ThrowawayOptions, port: number): string[] {
  const several = (options.listen?.length ?? 1) > 1
  return [
    `--listen-addr=${hostAndPort(several ? '::' : hostOf(options), port)}`,
    `--advertise-addr=${hostAndPort(hostOf(options), port)}`,
    `--http-addr=${hostAndPort(hostOf(options), 0)}`,
  ]
}

function nodeFlags(certsDir: string, address: readonly string[], options: ThrowawayOptions): string[] {
  return [`--certs-dir=${certsDir}`, ...address, ...FLAGS, ...(options.flags ?? [])]
}

/** The port the node took, from its listening-url file: `postgresql://root@[::1]:38451/defaultdb?…` */
async function listeningPort(supervisor: Supervisor, job: Job): Promise<number> {
  const file = join(supervisor.directory, 'listening-url')
  const port = await waitFor(job, supervisor, READY_WITHIN, async () => {
    const url = await readFile(file, 'utf8').catch(() => '')
    const found = /:(\d+)\/.*\n/.exec(url)?.[1]
    return found === undefined ? null : Number(found)
  })
  if (port !== null) return port
  throw throwawayError(`CockroachDB ended with status ${await job.exit}: ${await supervisor.lastLines(5)}`)
}

async function initialise(supervisor: Supervisor, command: readonly string[]): Promise<void> {
  const status = await (await supervisor.run(command)).exit
  if (status !== 0) throw throwawayError(`cockroach init ended with status ${status}: ${await supervisor.lastLines(5)}`)
}

async function prepareDatabase(node: Awaited<ReturnType<typeof handleOf>>, options: ThrowawayOptions): Promise<void> {
  await node.runAsRoot('SET CLUSTER SETTING diagnostics.reporting.enabled = false', 'postgres')
  if (options.bootstrap !== false) await runSteps(node.login, bootstrapSteps('cockroachdb', node.database))
}
