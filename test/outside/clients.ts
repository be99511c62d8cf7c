/** Other clients, run once each: psql and the cockroach command line. What they print is what `explain` must understand. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pem } from '../helpers/clients.ts'

/** Where a client goes, and what it brings. */
export interface Way {
  /** default ::1 */
  readonly host?: string
  readonly port: number
  /** default gateway_writer */
  readonly user?: string
  readonly database?: string
  readonly pem: Partial<Pem>
  /** of the key's file; default 0600 */
  readonly keyMode?: number
}

/** Runs the client; all that it wrote, with /certs for the directory of its files. */
export type Client = (way: Way, sql?: string) => Promise<string>

const run = (program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> =>
  new Promise(resolve => {
    const options = { env: { PATH: process.env.PATH, LC_ALL: 'C', ...env }, timeout: 20_000 }
    const child = execFile(program, args, options, (_, stdout, stderr) => resolve(`${stdout}${stderr}`))
    child.stdin?.end()
  })

/** Gives a client its files in a directory of its own. */
async function withFiles(
  { pem, keyMode = 0o600 }: Way,
  names: Readonly<Record<keyof Pem, string>>,
  work: (dir: string) => Promise<string>,
): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'probe-client-'))
  try {
    for (const part of ['ca', 'cert', 'key'] as const) {
      const text = pem[part]
      if (text !== undefined) writeFileSync(join(dir, names[part]), text, { mode: part === 'key' ? keyMode : 0o600 })
    }
    return (await work(dir)).replaceAll(dir, '/certs')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

export const psql =
  (program: string): Client =>
  (way, sql = 'SELECT 1') =>
    withFiles(way, { ca: 'ca.crt', cert: 'client.crt', key: 'client.key' }, dir =>
      run(program, ['-XAtw', '-c', sql], {
        HOME: dir,
        PGHOST: way.host ?? '::1',
        PGPORT: String(way.port),
        PGUSER: way.user ?? 'gateway_writer',
        PGDATABASE: way.database ?? 'uro',
        PGSSLMODE: 'verify-full',
        PGSSLROOTCERT: join(dir, 'ca.crt'),
        PGSSLCERT: join(dir, 'client.crt'),
        PGSSLKEY: join(dir, 'client.key'),
        PGCONNECT_TIMEOUT: '2',
      }),
    )

export const cockroachSql =
  (program: string): Client =>
  (way, sql = 'SELECT 1') => {
    const { host = '[::1]', port, user = 'gateway_writer', database = 'uro' } = way
    return withFiles(way, { ca: 'ca.crt', cert: `client.${user}.crt`, key: `client.${user}.key` }, dir => {
      const target = [`--certs-dir=${dir}`, `--host=${host}:${port}`, `--user=${user}`, `--database=${database}`]
      return run(program, ['sql', ...target, '-e', sql], {
        HOME: dir,
        COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING: 'true',
        COCKROACH_CONNECT_TIMEOUT: '3',
      })
    })
  }
