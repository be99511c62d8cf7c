/**
 * A real pgbouncer before a throwaway PostgreSQL: TLS with client certificates on both sides, upstream always as
 * gateway_writer. Everything of it is in a temporary directory that goes when it is stopped (src/development/throwaway/supervisor.ts).
 */
import { execFile } from 'node:child_process'
import { chown, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { temporaryParent, unprivilegedAccount } from '../../src/development/throwaway/account.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { freePort, portTaken } from '../../src/development/throwaway/ports.ts'
import { type Supervisor, supervise } from '../../src/development/throwaway/supervisor.ts'
import { waitFor } from '../../src/development/throwaway/wait.ts'
import { pemOf } from '../helpers/clients.ts'
import { tlsOf } from '../helpers/target.ts'

export type PoolMode = 'session' | 'transaction' | 'statement'

export interface PgbouncerOptions {
  readonly poolMode: PoolMode
  /** startup parameters that are neither passed on nor refused */
  readonly ignoring: readonly string[]
}

export interface Pgbouncer extends AsyncDisposable {
  readonly port: number
  /** what it has logged so far */
  log(): Promise<string>
}

const HOST = '::1'
const PORT_ATTEMPTS = 5
const READY_WITHIN = 10_000 // ms

/** Where packages put it, which is on root's PATH only. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` }

/** The version that is installed here, e.g. "1.18.0"; null where none is. */
export const pgbouncerVersion = (): Promise<string | null> =>
  promisify(execFile)('pgbouncer', ['--version'], { env }).then(
    ({ stdout }) => /^PgBouncer (\S+)/m.exec(stdout)?.[1] ?? stdout.trim(),
    () => null,
  )

/** Starts one. @throws ThrowawayError with the last lines that it wrote */
export async function startPgbouncer(server: Throwaway, options: PgbouncerOptions): Promise<Pgbouncer> {
  // Like PostgreSQL, it refuses to run as root.
  const account = await unprivilegedAccount()
  const parent = await temporaryParent(account)
  const signals = ['TERM', 'KILL'] as const
  const supervisor = await supervise({ parent, account, commandPrefix: [], env, signals, patience: 5 })
  try {
    const { cert, key, ca } = tlsOf(server)
    const writer = pemOf(server, 'gateway_writer')
    const write = async (name: string, text: string) => {
      const path = join(supervisor.directory, name)
      await writeFile(path, text, { mode: 0o600 })
      if (account) await chown(path, account.uid, account.gid)
    }
    await write('ca.crt', ca)
    await write('node.crt', cert)
    await write('node.key', key)
    await write('writer.crt', writer.cert)
    await write('writer.key', writer.key)
    await write('users.txt', '"gateway_writer" ""\n"gateway_admin" ""\n')
    const port = await serve(supervisor, at => write('pgbouncer.ini', configuration(server, at, options)))
    supervisor.release()
    const log = () => readFile(join(supervisor.directory, 'server.log'), 'utf8')
    return { port, log, [Symbol.asyncDispose]: supervisor.stop }
  } catch (error) {
    await supervisor.stop()
    throw error
  }
}

/** It has no port 0: a free one is picked, and another where somebody took it meanwhile. */
async function serve(supervisor: Supervisor, configure: (port: number) => Promise<void>): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(HOST)
    await configure(port)
    const job = await supervisor.run(['pgbouncer', 'pgbouncer.ini'])
    if (await waitFor(job, supervisor, READY_WITHIN, () => isUp(supervisor))) return port
    if (attempt === PORT_ATTEMPTS || !(await portTaken(HOST, port)))
      throw new Error(`pgbouncer ended with status ${await job.exit}: ${await supervisor.lastLines(3)}`)
  }
}

/** Its last line before it serves: it listens already. */
const isUp = async ({ directory }: Supervisor): Promise<true | null> =>
  (await readFile(join(directory, 'server.log'), 'utf8').catch(() => '')).includes('process up: ') ? true : null

const configuration = (server: Throwaway, port: number, { poolMode, ignoring }: PgbouncerOptions): string => `
[databases]
${server.database} = host=${server.host} port=${server.port} dbname=${server.database}

[pgbouncer]
listen_addr = ${HOST}
listen_port = ${port}
unix_socket_dir =
auth_type = cert
auth_file = users.txt
pool_mode = ${poolMode}
ignore_startup_parameters = ${ignoring.join(', ')}
client_tls_sslmode = verify-full
client_tls_ca_file = ca.crt
client_tls_cert_file = node.crt
client_tls_key_file = node.key
server_tls_sslmode = verify-full
server_tls_ca_file = ca.crt
server_tls_cert_file = writer.crt
server_tls_key_file = writer.key
`
