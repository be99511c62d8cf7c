/** Inside the namespace: measures one probe, then `--all-addresses`, and prints a table. */
import type { Options } from '../../src/settings/config.ts'
import { configOf, passingProbe } from '../helpers/probe.ts'
import { median, migratedServer, table } from './bed.ts'

const ADDRESSES = 1_000
const CONCURRENCY = 4
const SINGLE_RUNS = 11

await using server = await migratedServer({ listen: ['::'], ipAddresses: [], dnsNames: ['db.internal'] })
const all = Array.from({ length: ADDRESSES }, (_, at) => `fdaa:0:1::${(at + 1).toString(16)}`)

async function run(found: readonly string[], options: Partial<Options>) {
  const env = { DATABASE_URL: `postgresql://gateway_writer@db.internal:${server.port}/${server.database}` }
  const names = { lookup: async () => [...found], servers: null }
  const config = configOf(env, { options: { certsDir: server.certsDir, ...options }, names })
  const from = performance.now()
  await passingProbe(config)
  return performance.now() - from
}

const single: number[] = []
for (let at = 0; at < SINGLE_RUNS; at++) single.push(await run(all.slice(0, 1), { writes: 2 }))
let peakSockets = 0
const watch = setInterval(() => {
  const sockets = process.getActiveResourcesInfo().filter(kind => kind === 'TCPSocketWrap').length
  peakSockets = Math.max(peakSockets, sockets)
}, 5)
const ms = await run(all, { writes: 2, allAddresses: true, deadlineMs: 600_000 })
clearInterval(watch)
const one = median(single.slice(1))
const expected = (ADDRESSES / CONCURRENCY) * one
process.stdout.write(
  table(
    ['', 'value'],
    [
      ['one probe, ms', one.toFixed(0)],
      [`${ADDRESSES} addresses, ${CONCURRENCY} at a time, ms`, ms.toFixed(0)],
      ['ratio to (addresses / concurrency) × one probe (at most 1.4)', (ms / expected).toFixed(2)],
      ['peak resident memory, MB (under 250)', (process.resourceUsage().maxRSS / 1024).toFixed(0)],
      ['most sockets at once', String(peakSockets)],
    ],
  ),
)
process.exit(0)
