/** A long run of sequential writes: the probe's memory stays flat, and so does the server's, because nothing is named. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import { loadConfig } from '../../src/config.ts'
import { probe } from '../../src/probe.ts'
import type { Throwaway } from '../../src/throwaway/index.ts'
import { migratedServer, table } from './bed.ts'
import type { Section } from './main.ts'

const WRITES = 100_000
const SETTLED_AFTER = 5_000
/** Named statements cost the server memory each; so many are enough to see it. */
const NAMED = 5_000

const mb = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1)

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
  const env = { DATABASE_URL: server.url('gateway_writer') }
  const options = { certsDir: server.certsDir, writes: WRITES, deadlineMs: 1_800_000 }
  const loaded = loadConfig({ role: 'writer', env, options })
  if (!loaded.ok) throw loaded.error
  let settled = 0
  let most = 0
  let serverAt: number | null = null
  let serverEnd: number | null = null
  const from = performance.now()
  const report = await probe(loaded.config, {
    signal: new AbortController().signal,
    note: () => undefined,
    program: 'bench',
    progress: done => {
      if (done === SETTLED_AFTER) {
        globalThis.gc?.()
        settled = process.memoryUsage().rss
        serverAt = serverMemory(server)
      }
      if (done > SETTLED_AFTER && done % 1000 === 0) most = Math.max(most, process.memoryUsage().rss)
      if (done === WRITES) serverEnd = serverMemory(server)
    },
  })
  const seconds = (performance.now() - from) / 1000
  if (report.verdict !== 'pass') throw new Error(`${report.failure?.code}: ${report.failure?.message}`)
  const growth = (at: number | null, end: number | null) =>
    at === null || end === null ? 'unknown' : (end - at).toFixed(1)
  const named = await namedStatements(server)
  await print(
    table(
      ['', 'value'],
      [
        [`writes in one run, in ${seconds.toFixed(0)} s`, String(WRITES)],
        [`the probe's resident memory after ${SETTLED_AFTER} writes, MB`, mb(settled)],
        ['growth to its highest afterwards, MB (less than 15)', mb(most - settled)],
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
