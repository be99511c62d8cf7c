/** Sequential writes on one connection: through Drizzle as the probe does them, beside raw postgres.js and pgbench. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { alternate, installed, median, migratedServer, ROOT, ratio, runNode, table } from './bed.ts'
import type { Section } from './section.ts'

const PAIRS = 10
const WRITES = 20_000

export const writes: Section = async print => {
  await using server = await migratedServer()
  const target = { DATABASE_URL: server.url('gateway_writer'), COCKROACH_CERTS_DIR: server.certsDir }
  const pgbenchThere = installed('pgbench') && server.engine === 'postgresql'
  const script = join(server.certsDir, '..', 'insert.sql')
  if (pgbenchThere)
    await writeFile(
      script,
      "INSERT INTO connection_probe (id, run_id, sequence, origin, payload) VALUES (gen_random_uuid(), gen_random_uuid(), 1, 'pgbench', '{}');\n",
    )
  const raw = async () => {
    const env = { DIR: server.certsDir, PORT: String(server.port), WRITES: String(WRITES) }
    return Number((await runNode(['--import', 'tsx', 'test/bench/raw-writes.ts'], env)).stdout)
  }
  const probe = async () => {
    const args = ['--import', 'tsx', 'src/cli.ts', 'probe', '--json', '--writes', String(WRITES)]
    const { stdout } = await runNode(args, target)
    const { checks } = JSON.parse(stdout) as { checks: { id: string; evidence: { perSecond?: number } }[] }
    return checks.find(({ id }) => id === 'sequential-writes')?.evidence.perSecond ?? 0
  }
  const pgbench = async () => {
    if (!pgbenchThere) return 0
    const child = spawn(
      'pgbench',
      ['-n', '-M', 'extended', '-c', '1', '-t', String(WRITES), '-f', script, server.database],
      {
        cwd: ROOT,
        env: {
          PATH: process.env.PATH,
          PGHOST: '::1',
          PGPORT: String(server.port),
          PGUSER: 'gateway_writer',
          PGSSLMODE: 'verify-full',
          PGSSLROOTCERT: join(server.certsDir, 'ca.crt'),
          PGSSLCERT: join(server.certsDir, 'client.gateway_writer.crt'),
          PGSSLKEY: join(server.certsDir, 'client.gateway_writer.key'),
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    let out = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      out += text
    })
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`pgbench ended with ${code}`)
    await server.runAsRoot("DELETE FROM connection_probe WHERE origin = 'pgbench'", server.database)
    return Number(/tps = ([\d.]+)/.exec(out)?.[1] ?? 0)
  }
  const rates = await alternate(PAIRS, { raw, probe, pgbench })
  await print(
    table(
      ['one connection, inserts one after another', 'per second (median)', 'ratio to raw postgres.js'],
      [
        ['raw postgres.js', median(rates.raw).toFixed(0), '1'],
        [
          '`probe`, through Drizzle (at least 0.85)',
          median(rates.probe).toFixed(0),
          ratio(rates.probe, rates.raw).toFixed(2),
        ],
        [
          '`pgbench -M extended -c 1`',
          ...(pgbenchThere
            ? [median(rates.pgbench).toFixed(0), ratio(rates.pgbench, rates.raw).toFixed(2)]
            : ['absent', '']),
        ],
      ],
    ),
  )
}
