/** What the sections share: processes that are timed, medians, tables. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startThrowaway, type Throwaway, type ThrowawayOptions } from '../../src/development/throwaway/index.ts'
import { withMigrations } from '../helpers/probe.ts'
import { ended } from '../helpers/process.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** A throwaway server with drizzle/ applied. */
export const migratedServer = (options: ThrowawayOptions = {}): Promise<Throwaway> =>
  withMigrations(startThrowaway(options))

export interface Timed {
  readonly ms: number
  /** of the process itself, MB */
  readonly peakMb: number
  readonly stdout: string
}

/** Prints a process's peak memory when it ends; kilobytes, as getrusage counts on Linux. */
const REPORT_PEAK =
  'data:text/javascript,process.on("exit",()=>process.stderr.write("\\npeak="+process.resourceUsage().maxRSS))'

/** Runs node to its end. @throws where it fails and was not meant to, or the other way round */
export async function runNode(args: readonly string[], env: NodeJS.ProcessEnv = {}, failing = false): Promise<Timed> {
  const from = performance.now()
  const child = spawn(process.execPath, ['--import', REPORT_PEAK, ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { code, stdout, stderr } = await ended(child)
  const ms = performance.now() - from
  if ((code !== 0) !== failing) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}${stdout}`)
  return { ms, stdout, peakMb: Number(/peak=(\d+)/.exec(stderr)?.[1] ?? 0) / 1024 }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return ((sorted[middle] ?? 0) + (sorted[(sorted.length - 1) >> 1] ?? 0)) / 2
}

/** Runs the contenders in turn, `pairs` times after one round that does not count. */
export async function alternate<K extends string>(
  pairs: number,
  contenders: Readonly<Record<K, () => Promise<number>>>,
): Promise<Record<K, number[]>> {
  const names = Object.keys(contenders) as K[]
  const results = Object.fromEntries(names.map(name => [name, [] as number[]])) as Record<K, number[]>
  for (let round = 0; round <= pairs; round++)
    for (const name of names) {
      const value = await contenders[name]()
      if (round > 0) results[name].push(value)
    }
  return results
}

/** The median of the ratios of pairs measured one after the other. */
export const ratio = (values: readonly number[], base: readonly number[]): number =>
  median(values.map((value, at) => value / (base[at] ?? Number.NaN)))

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`
  return line(head) + line(head.map((_, at) => (at === 0 ? '---' : '---:'))) + rows.map(line).join('')
}

/** Whether a peer is installed; one that is not is named as absent. */
export const installed = (command: string): boolean => spawnSync(command, ['--version']).status === 0

/** psql connects, inserts a row and selects it; the time of its process, ms. */
export async function timePsql(certsDir: string, port: number, database: string): Promise<number> {
  const conninfo = [
    `host=::1 port=${port} user=gateway_writer dbname=${database} sslmode=verify-full`,
    `sslrootcert=${join(certsDir, 'ca.crt')}`,
    `sslcert=${join(certsDir, 'client.gateway_writer.crt')}`,
    `sslkey=${join(certsDir, 'client.gateway_writer.key')}`,
  ].join(' ')
  const id = crypto.randomUUID()
  const values = `'${id}', '${id}', 0, 'psql', '{}'`
  const from = performance.now()
  const child = spawn(
    'psql',
    ['-XqAt', '-d', conninfo]
      .concat(['-c', `INSERT INTO connection_probe (id, run_id, sequence, origin, payload) VALUES (${values})`])
      .concat(['-c', `SELECT * FROM connection_probe WHERE id = '${id}'`]),
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const [code] = await once(child, 'close')
  const ms = performance.now() - from
  if (code !== 0) throw new Error(`psql ended with ${code}`)
  return ms
}
