/** The peer of sequential writes: raw postgres.js, the same statement, settings and TLS. Prints inserts per second. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'

const { DIR = '', PORT, WRITES } = process.env
const writes = Number(WRITES)

const INSERT =
  'insert into "connection_probe" ("id", "run_id", "sequence", "origin", "written_by", "payload", "written_at") values ($1, $2, $3, $4, $5, $6, $7)'

const file = (name: string) => readFileSync(join(DIR, name))
const options = {
  host: ['::1'],
  port: [Number(PORT)],
  user: 'gateway_writer',
  database: 'uro',
  prepare: false,
  fetch_types: false,
  max: 1,
  max_lifetime: null,
  ssl: {
    ca: file('ca.crt'),
    cert: file('client.gateway_writer.crt'),
    key: file('client.gateway_writer.key'),
    servername: 'localhost',
  },
}
const sql = postgres(options as unknown as postgres.Options<Record<string, never>>)
await sql.unsafe('select 1')
const payload = { probe: 'connection-probe', nested: { list: [1, 2.5, true, null, 'ü…"\\'], sequence: 1 } }
const runId = crypto.randomUUID()
const from = performance.now()
for (let sequence = 1; sequence <= writes; sequence++)
  await sql.unsafe(INSERT, [
    crypto.randomUUID(),
    runId,
    sequence,
    'bench',
    'gateway_writer',
    JSON.stringify(payload),
    '2026-01-01 00:00:00.123456+00',
  ])
process.stdout.write(String(writes / ((performance.now() - from) / 1000)))
await sql`DELETE FROM connection_probe WHERE run_id = ${runId}`
await sql.end()
