/** SQL as root, over TLS with root's certificate: for the bootstrap and for whoever prepares a fault. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import type { SqlStep } from '../../database/bootstrap/index.ts'
import { withoutEnvironment } from '../../session/without-environment.ts'

/** Where root logs in. */
export interface RootLogin {
  readonly host: string
  readonly port: number
  readonly certsDir: string
  /** false where the server's certificate is a deliberately wrong one */
  readonly verifyServer: boolean
  /** what must run us to reach the server: ['ip', 'netns', 'exec', 'db1'] */
  readonly commandPrefix: readonly string[]
}

export type Row = Record<string, unknown>

/**
 * Runs the steps in order, on one connection per stretch of the same database; returns the last one's rows.
 * Behind a command prefix they run in a process there, and the values come back as JSON has them.
 * @throws postgres.js' PostgresError, or an Error with its text from behind a prefix
 */
export async function runSteps(login: RootLogin, steps: readonly SqlStep[]): Promise<Row[]> {
  if (login.commandPrefix.length > 0) return runElsewhere(login, steps)
  let rows: Row[] = []
  for (const stretch of stretches(steps)) {
    const sql = await connect(login, stretch.database)
    try {
      for (const step of stretch.steps) {
        rows = await query(sql, step.sql)
        if (!step.generates) continue
        for (const generated of rows.flatMap(row => Object.values(row))) rows = await query(sql, String(generated))
      }
    } finally {
      await sql.end({ timeout: 1 })
    }
  }
  return rows
}

function stretches(steps: readonly SqlStep[]): { database: string; steps: SqlStep[] }[] {
  const found: { database: string; steps: SqlStep[] }[] = []
  for (const step of steps) {
    const last = found.at(-1)
    if (last?.database === step.database) last.steps.push(step)
    else found.push({ database: step.database, steps: [step] })
  }
  return found
}

const CONNECT_WITHIN = 15_000 // ms

async function connect(login: RootLogin, database: string): Promise<postgres.Sql> {
  const read = (name: string) => readFile(join(login.certsDir, name), 'utf8')
  const [ca, cert, key] = await Promise.all([read('ca.crt'), read('client.root.crt'), read('client.root.key')])
  const options = {
    ...ipv6Target(login),
    database,
    username: 'root',
    // both engines take this curve, whatever the machine's OPENSSL_CONF prefers
    ssl: { ca, cert, key, servername: 'localhost', ecdhCurve: 'prime256v1', rejectUnauthorized: login.verifyServer },
    max: 1,
    prepare: false,
    fetch_types: false,
    connect_timeout: CONNECT_WITHIN / 1000,
    onnotice: () => undefined,
    connection: { application_name: 'throwaway-root' },
  }
  const sql = withoutEnvironment(() => postgres(options))
  // a peer that accepts and closes is dialled again without end (session/README.md)
  const giveUp = setTimeout(() => void sql.end({ timeout: 0 }), CONNECT_WITHIN)
  try {
    await query(sql, 'SELECT 1')
    return sql
  } catch (error) {
    await sql.end({ timeout: 0 })
    throw error
  } finally {
    clearTimeout(giveUp)
  }
}

/** Only arrays let an IPv6 literal through (session/README.md), which the driver's types do not know. */
const ipv6Target = ({ host, port }: RootLogin): { host: string; port: number } =>
  ({ host: [host], port: [port] }) as unknown as { host: string; port: number }

/** The simple protocol, so several statements may stand in one text; the rows are the last one's. */
async function query(sql: postgres.Sql, text: string): Promise<Row[]> {
  const result = await sql.unsafe(text).simple()
  const last = 'command' in result ? result : (result as unknown as Row[][]).at(-1)
  return [...(last ?? [])] as Row[]
}

async function runElsewhere(login: RootLogin, steps: readonly SqlStep[]): Promise<Row[]> {
  const main = fileURLToPath(new URL('./root-main.ts', import.meta.url))
  const [file = process.execPath, ...rest] = [...login.commandPrefix, process.execPath, '--import', 'tsx', main]
  const child = spawn(file, rest, { cwd: dirname(main), stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.on('error', () => undefined).end(JSON.stringify({ login: { ...login, commandPrefix: [] }, steps }))
  const failed = new Promise<never>((_, reject) => child.on('error', reject))
  const answer = JSON.parse(await Promise.race([text(child.stdout), failed])) as { rows: Row[] } | { error: string }
  if ('error' in answer) throw new Error(answer.error)
  return answer.rows
}
