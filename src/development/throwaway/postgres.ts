/**
 * PostgreSQL from the npm binaries. In its temporary directory:
 *
 *   certs/   the --certs-dir for clients        data/        the server's data
 *   server/  its configuration, certificate     server.log   what it said
 *   pg/      its binaries, where the server's account cannot reach the installed ones
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bootstrapSteps } from '../../database/bootstrap/index.ts'
import { makeDirectory, temporaryParent, unprivilegedAccount } from './account.ts'
import { locateBinaries, usableBinaries } from './binaries.ts'
import { prepareCertificates } from './certificates.ts'
import { handleOf } from './handle.ts'
import { freePort, portTaken } from './ports.ts'
import { writeServerFiles } from './postgres-conf.ts'
import { runSteps } from './root.ts'
import { type Account, type Job, type Supervisor, supervise, throwawayError } from './supervisor.ts'
import type { Throwaway, ThrowawayOptions } from './types.ts'
import { waitFor } from './wait.ts'

const READY_WITHIN = 20_000 // ms
const PORT_ATTEMPTS = 5

/** The data directories of a template: after initdb, and after the bootstrap of `uro`. */
const TEMPLATE = { empty: 'data-empty', bootstrapped: 'data' } as const

const INITDB = [
  '--username=root',
  '--auth=reject',
  '--encoding=UTF8',
  '--no-locale',
  '--no-sync',
  '--no-data-checksums',
  '--no-instructions',
  '--wal-segsize=1',
  '--set=dynamic_shared_memory_type=mmap',
  '--set=max_connections=100',
  '--set=shared_buffers=16MB',
] as const

/** Starts PostgreSQL. @throws ThrowawayError with one clear line */
export async function startPostgres(options: ThrowawayOptions = {}): Promise<Throwaway> {
  const { supervisor, account } = await openDirectory(options)
  try {
    const bin = join(
      await usableBinaries(await locateBinaries(), account, options.template ?? supervisor.directory),
      'bin',
    )
    const path = (name: string): string => join(supervisor.directory, name)
    await makeDirectory(path('certs'), account)
    const [certificates, bootstrapped] = await Promise.all([
      prepareCertificates(path('certs'), options),
      makeData(supervisor, bin, options),
    ])
    await writeServerFiles(path('server'), account, certificates, options)
    const { job, port } = await serve(supervisor, bin, options)
    const throwaway = await handleOf({ engine: 'postgresql', supervisor, job, port, certificates, options })
    if (options.bootstrap !== false && !bootstrapped) {
      await runSteps(throwaway.login, bootstrapSteps('postgresql', throwaway.database))
    }
    supervisor.release()
    return throwaway
  } catch (error) {
    await supervisor.stop()
    throw error
  }
}

/** A stopped server's data, for the option `template`; `stop()` removes it. */
export interface Template extends AsyncDisposable {
  readonly directory: string
  stop(): Promise<void>
}

/** Initialises and bootstraps a data directory once, for many `startPostgres`. It belongs to this process. */
export async function createTemplate(): Promise<Template> {
  const { supervisor, account } = await openDirectory({})
  try {
    const bin = join(await usableBinaries(await locateBinaries(), account, supervisor.directory), 'bin')
    const path = (name: string): string => join(supervisor.directory, name)
    await makeDirectory(path('certs'), account)
    const [certificates] = await Promise.all([
      prepareCertificates(path('certs'), {}),
      makeData(supervisor, bin, {}).then(() => copy(supervisor, path('data'), TEMPLATE.empty)),
    ])
    await writeServerFiles(path('server'), account, certificates, {})
    const { job, port } = await serve(supervisor, bin, {})
    const throwaway = await handleOf({ engine: 'postgresql', supervisor, job, port, certificates, options: {} })
    await runSteps(throwaway.login, bootstrapSteps('postgresql'))
    await supervisor.halt()
    supervisor.release()
  } catch (error) {
    await supervisor.stop()
    throw error
  }
  const { directory, stop } = supervisor
  return { directory, stop, [Symbol.asyncDispose]: stop }
}

async function openDirectory(options: ThrowawayOptions): Promise<{ supervisor: Supervisor; account: Account | null }> {
  const account = await unprivilegedAccount()
  const supervisor = await supervise({
    parent: await temporaryParent(account),
    account,
    commandPrefix: options.commandPrefix ?? [],
    // PG* would configure initdb and the server, OPENSSL_CONF its TLS
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG|OPENSSL_)/.test(name))),
    signals: ['INT', 'QUIT', 'KILL'], // fast shutdown, immediate shutdown, and the last resort
    patience: 5,
  })
  return { supervisor, account }
}

/** Makes data/; returns whether it is bootstrapped already. */
async function makeData(supervisor: Supervisor, bin: string, options: ThrowawayOptions): Promise<boolean> {
  if (options.template === undefined) {
    await runToEnd(supervisor, [join(bin, 'initdb'), '--pgdata=data', ...INITDB])
    return false
  }
  const bootstrapped = options.bootstrap !== false && (options.database ?? 'uro') === 'uro'
  await copy(supervisor, join(options.template, bootstrapped ? TEMPLATE.bootstrapped : TEMPLATE.empty), 'data')
  return bootstrapped
}

const copy = (supervisor: Supervisor, from: string, to: string): Promise<void> =>
  runToEnd(supervisor, ['cp', '-R', from, to])

async function runToEnd(supervisor: Supervisor, command: readonly string[]): Promise<void> {
  const status = await (await supervisor.run(command)).exit
  if (status === 0) return
  throw throwawayError(`${command[0]} ended with status ${status}: ${await supervisor.lastLines(3)}`)
}

/** Starts the server; PostgreSQL has no port 0, so a free one is picked, and another where somebody took it meanwhile. */
async function serve(
  supervisor: Supervisor,
  bin: string,
  options: ThrowawayOptions,
): Promise<{ job: Job; port: number }> {
  const host = options.listen?.[0] ?? '::1'
  const path = (name: string): string => join(supervisor.directory, name)
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort(host))
    const configuration = ['-c', `config_file=${path('server/postgresql.conf')}`, '-c', `port=${port}`]
    const job = await supervisor.run([join(bin, 'postgres'), '-D', path('data'), ...configuration])
    if (await waitFor(job, supervisor, READY_WITHIN, () => isReady(path('data/postmaster.pid')))) return { job, port }
    const collided = options.port === undefined && (await portTaken(host, port))
    if (collided && attempt < PORT_ATTEMPTS) continue
    throw throwawayError(`PostgreSQL ended with status ${await job.exit}: ${await supervisor.lastLines(3)}`)
  }
}

/** The eighth line of postmaster.pid is the server's state, in no language (PostgreSQL, src/include/utils/pidfile.h). */
async function isReady(pidFile: string): Promise<true | null> {
  if (!existsSync(pidFile)) return null
  const lines = (await readFile(pidFile, 'utf8').catch(() => '')).split('\n')
  return lines[7]?.trim() === 'ready' ? true : null
}
