/** The handle of a running server, the same for both engines. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hostAndPort } from '../../failure/hints.ts'
import type { Certificates } from './certificates.ts'
import { type RootLogin, runSteps } from './root.ts'
import { type Job, type Supervisor, throwawayError } from './supervisor.ts'
import type { Engine, Throwaway, ThrowawayOptions } from './types.ts'

interface Parts {
  readonly engine: Engine
  readonly supervisor: Supervisor
  readonly job: Job
  readonly port: number
  readonly certificates: Certificates
  readonly options: ThrowawayOptions
  /** default: certs/ in the supervisor's directory */
  readonly certsDir?: string
}

/** The handle, once the server accepts root. */
export async function handleOf(parts: Parts): Promise<Throwaway & { login: RootLogin }> {
  const { engine, supervisor, port, certificates, options } = parts
  const host = options.listen?.[0] ?? '::1'
  const database = options.database ?? 'uro'
  const certsDir = parts.certsDir ?? join(supervisor.directory, 'certs')
  const login = {
    host: host === '::' ? '::1' : host,
    port,
    certsDir,
    verifyServer: options.serverCertificate === undefined,
    commandPrefix: options.commandPrefix ?? [],
  }
  const runAsRoot: Throwaway['runAsRoot'] = (sql, on = database) =>
    runSteps(login, [{ sql, database: on, generates: false }])
  const [row] = await firstLogin(() => runAsRoot('SELECT version() AS version', 'postgres'), engine)
  return {
    engine,
    version: String(row?.version),
    host: login.host,
    port,
    database,
    certsDir,
    authority: certificates.authority,
    clientAuthority: certificates.clientAuthority,
    pid: parts.job.pid,
    logFile: join(supervisor.directory, 'server.log'),
    login,
    url: (user, on = database) => `postgresql://${user}@${hostAndPort(login.host, port)}/${on}?sslmode=verify-full`,
    runAsRoot,
    stop: supervisor.stop,
    [Symbol.asyncDispose]: supervisor.stop,
  }
}

const ACCEPTS_WITHIN = 30_000 // ms

/** A CockroachDB node listens before it takes sessions, so its first login is tried again; PostgreSQL's is not. */
async function firstLogin<T>(login: () => Promise<T>, engine: Engine): Promise<T> {
  for (const end = Date.now() + ACCEPTS_WITHIN; ; await sleep(100)) {
    try {
      return await login()
    } catch (error) {
      if (engine === 'postgresql' || Date.now() > end) {
        throw throwawayError(`the throwaway server does not let root in: ${String(error)}`, error)
      }
    }
  }
}
