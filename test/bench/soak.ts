/** A long run of sequential writes: the probe's memory stays flat, and so does the server's, because nothing is named. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import postgres from 'postgres'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { migratedServer, ROOT, table } from './bed.ts'
import type { Section } from './section.ts'

const WRITES = 20_000
const SETTLED_AFTER = 5_000
/** Named statements cost the server memory each; so many are enough to see it. */
const NAMED = 5_000

/** Resident memory of the server's processes that serve our sessions, MB; null where /proc cannot tell. */
function serverMemory(server: Throwaway): number | null {
  try {
    const children = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8').trim().split(' ')
    const sizes = [String(server.pid), ...children].map(pid => {
      try {
        const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
        return Number(/^Private_Dirty:\s+(\d+)/m.exec(rollup)?.[1] ?? 0)
      } catch {
        return 0
      }
    })
    return sizes.reduce((sum, kb) => sum + kb, 0) / 1024
  } catch {
    return null
  }
}

export const soak: Section = async print => {
  await using server = await migratedServer()
  const from = performance.now()
  const child = spawn(process.execPath, ['--expose-gc', '--import', 'tsx', 'test/bench/soak-main.ts'], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      DATABASE_URL: server.url('gateway_writer'),
      COCKROACH_CERTS_DIR: server.certsDir,
      WRITES: String(WRITES),
      SETTLED_AFTER: String(SETTLED_AFTER),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let serverAt: number | null = null
  let serverEnd: number | null = null
  const none = { resident: 0, live: 0 }
  let figures = { settled: none, end: none, highest: 0 }
  for await (const line of createInterface(child.stdout)) {
    if (line === 'settled') serverAt = serverMemory(server)
    else if (line === 'written') serverEnd = serverMemory(server)
    else figures = JSON.parse(line)
  }
  const { settled, end, highest } = figures
  if (highest === 0) throw new Error('the soak did not end well')
  const seconds = (performance.now() - from) / 1000
  const growth = (at: number | null, end: number | null) =>
    at === null || end === null ? 'unknown' : (end - at).toFixed(1)
  const named = await namedStatements(server)
  await print(
    table(
      ['', 'value'],
      [
        [`writes in one run, in ${seconds.toFixed(0)} s`, String(WRITES)],
        [`the probe's resident memory after ${SETTLED_AFTER} writes and a collection, MB`, settled.resident.toFixed(1)],
        ['its growth until the end and a collection, MB (less than 10)', (end.resident - settled.resident).toFixed(1)],
        ['growth of its live heap meanwhile, MB', (end.live - settled.live).toFixed(1)],
        ['its highest, with what was not collected yet, MB', highest.toFixed(1)],
        ["growth of the server's private memory meanwhile, MB", growth(serverAt, serverEnd)],
        [`growth of the server's private memory with ${NAMED} named statements, MB`, growth(named.before, named.after)],
        ['named statements on the server, probe', '0 (it passed `statements-unnamed`)'],
        ['named statements on the server, the other', String(named.count)],
      ],
    ),
  )
}

/** The same insert as named statements, each text its own as an application's query builder makes them. */
async function namedStatements(server: Throwaway) {
  const file = (name: string) => readFileSync(join(server.certsDir, name))
  const options = {
    host: ['::1'],
    port: [server.port],
    user: 'gateway_writer',
    database: server.database,
    prepare: true,
    fetch_types: false,
    max: 1,
    ssl: {
      ca: file('ca.crt'),
      cert: file('client.gateway_writer.crt'),
      key: file('client.gateway_writer.key'),
      servername: 'localhost',
    },
  }
  const sql = postgres(options as unknown as postgres.Options<Record<string, never>>)
  const runId = crypto.randomUUID()
  await sql.unsafe('select 1')
  const before = serverMemory(server)
  for (let sequence = 1; sequence <= NAMED; sequence++)
    await sql.unsafe(
      `insert into connection_probe (id, run_id, sequence, origin, payload) values ($1, $2, $3, 'named ${sequence}', '{}')`,
      [crypto.randomUUID(), runId, sequence],
      { prepare: true },
    )
  const after = serverMemory(server)
  const [row] = await sql.unsafe("select count(*)::int as count from pg_prepared_statements where name <> ''")
  await sql`DELETE FROM connection_probe WHERE run_id = ${runId}`
  await sql.end()
  return { before, after, count: Number(row?.count ?? 0) }
}
