/** A real cluster of three nodes: every address serves, one that dies is passed over or named. */
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate } from '../../src/database/migrate.ts'
import { type Cluster, startCockroachCluster, type Throwaway } from '../../src/development/throwaway/index.ts'
import { loadConfig } from '../../src/settings/config.ts'
import { TAGS } from '../helpers/migrations.ts'
import { configOf } from '../helpers/probe.ts'
import { run } from '../helpers/target.ts'
import { check, expectVerdict } from '../helpers/verdict.ts'

let cluster: Cluster
let first: Throwaway
beforeAll(async () => {
  cluster = await startCockroachCluster(3)
  const [node] = cluster.nodes
  if (!node) throw new Error('a cluster without a node')
  first = node
})
afterAll(() => cluster?.stop())

const url = (user: string) => {
  const hosts = cluster.nodes.map(({ port }) => `[::1]:${port}`).join(',')
  return `postgresql://${user}@${hosts}/${first.database}?sslmode=verify-full`
}
const environment = () => ({ DATABASE_URL: url('gateway_writer'), COCKROACH_CERTS_DIR: first.certsDir })

/** Migrates through one node. */
function migrateThrough(node: Throwaway) {
  const env = { MIGRATION_DATABASE_URL: node.url('gateway_admin'), COCKROACH_CERTS_DIR: first.certsDir }
  const loaded = loadConfig({ role: 'admin', env, options: { deadlineMs: 120_000 } })
  if (!loaded.ok) throw loaded.error
  return migrate(loaded.config, new AbortController().signal)
}

/** Resolves once nobody listens on a port any more. */
async function closed(port: number): Promise<void> {
  for (;;) {
    const socket = net.connect({ host: '::1', port, family: 6 })
    const refused = await Promise.race([
      once(socket, 'connect').then(() => false),
      once(socket, 'error').then(() => true),
    ]).catch(() => true)
    socket.destroy()
    if (refused) return
  }
}

/** Resolves once every range has a replica on each of the nodes: before, what only the first one holds dies with it. */
async function replicated(): Promise<void> {
  const behind = 'SELECT count(*)::int4 AS n FROM crdb_internal.ranges_no_leases WHERE array_length(replicas, 1) < 3'
  while (Number((await first.runAsRoot(behind, 'uro'))[0]?.n) > 0) await sleep(100)
}

describe('three nodes', () => {
  it('are migrated through all of them at once, and once', async () => {
    const runs = await Promise.all(cluster.nodes.map(migrateThrough))
    expect(runs.map(({ failure }) => failure)).toEqual([null, null, null])
    expect(runs.flatMap(({ applied }) => applied).sort()).toEqual(TAGS)
  })

  it('all serve', async () => {
    const report = await run(configOf(environment(), { options: { allAddresses: true, visibleWithinMs: 5000 } }))
    expectVerdict(report, {})
    const outcomes = check(report, 'every-address').evidence.addresses as { outcome: string }[]
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['connected', 'written and read', 'written and read'])
  })

  it('one of which was killed: the next one is used, and with --all-addresses it is named', async () => {
    await replicated()
    process.kill(first.pid, 'SIGKILL')
    await closed(first.port)
    // After kill -9 of one node the next write and read took about 8 s: its leases move.
    const patient = { deadlineMs: 120_000, waitMs: 120_000, visibleWithinMs: 30_000, writes: 5 }
    const report = await run(configOf(environment(), { options: patient }))
    expectVerdict(report, {})
    expect(report.target.port).toBe(cluster.nodes[1]?.port)
    expect(check(report, 'tcp').evidence.tried).toMatchObject([{ port: first.port, outcome: 'TCP_REFUSED' }, {}])

    const all = await run(configOf(environment(), { options: { ...patient, waitMs: 0, allAddresses: true } }))
    expect(all.failure).toMatchObject({ layer: 'tcp', code: 'TCP_REFUSED' })
    expect(all.failure?.message).toContain(String(first.port))
  })
})
