/**
 * Round trips, counted: behind a relay that delays each direction, the slope of a phase's time over the delay is the
 * number of times it waits for the other side. The relay does not delay TCP's own handshake, which is added as one.
 */
import type { Report } from '../../src/report/report.ts'
import { configOf, passingProbe } from '../helpers/probe.ts'
import { relay } from '../helpers/relay.ts'
import { installed, median, migratedServer, table, timePsql } from './bed.ts'
import type { Section } from './section.ts'

/** Round-trip times, ms, and how often each is measured. */
const DELAYS = [0, 20, 40, 60] as const
const ROUNDS = 3

/** Least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const over = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return over / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}

/** Figures in the evidence of a check, ms. */
const evidence = (report: Report, id: string) =>
  (report.checks.find(check => check.id === id)?.evidence ?? {}) as Readonly<Record<string, number>>

const duration = (report: Report, id: string): number => report.checks.find(check => check.id === id)?.durationMs ?? 0

export const roundTrips: Section = async print => {
  await using server = await migratedServer()
  const points: Record<string, [number, number][]> = {}
  const psqlThere = installed('psql')
  for (const delay of DELAYS) {
    const samples: Record<string, number[]> = {}
    const add = (phase: string, ms: number) => {
      samples[phase] ??= []
      samples[phase].push(ms)
    }
    for (let round = 0; round < ROUNDS; round++) {
      await using link = await relay({ target: { port: server.port }, delayMs: { up: delay / 2, down: delay / 2 } })
      const env = { DATABASE_URL: `postgresql://gateway_writer@[::1]:${link.port}/${server.database}` }
      const report = await passingProbe(configOf(env, { options: { certsDir: server.certsDir } }))
      const at = (id: string) => duration(report, id)
      add('resolve (an IPv6 literal)', at('dns'))
      add('connect', at('tcp'))
      const { sslRequestMs = 0 } = evidence(report, 'tls')
      add('SSLRequest', sslRequestMs)
      add('TLS', at('tls') - sslRequestMs)
      add('startup', at('session'))
      add('catalogue, one flight', at('database'))
      const { writtenMs = 0, visibleMs = 0 } = evidence(report, 'row-visible')
      add('write', writtenMs)
      add('read on the other connection', visibleMs - writtenMs)
      add('`visible`: from the insert to the row seen', visibleMs)
      add('20 sequential writes and the select', at('sequential-writes'))
      add('whole run, 20 writes', report.durationMs)
      const short = await passingProbe(configOf(env, { options: { certsDir: server.certsDir, writes: 2 } }))
      add('whole run, 2 writes', short.durationMs)
      if (psqlThere) add('psql: connect, insert, select', await timePsql(server.certsDir, link.port, server.database))
    }
    for (const [phase, values] of Object.entries(samples)) {
      points[phase] ??= []
      points[phase].push([delay, median(values)])
    }
  }
  // What the relay does not delay: one round trip for TCP, wherever a phase includes connecting.
  const connecting = ['connect', 'whole run', 'psql']
  const limits: Readonly<Record<string, string>> = {
    '`visible`: from the insert to the row seen': '4',
    'whole run, 20 writes': '90',
    'whole run, 2 writes': '54',
  }
  const rows = Object.entries(points).map(([phase, measured]) => {
    const trips = slope(measured) + (connecting.some(name => phase.startsWith(name)) ? 1 : 0)
    return [phase, trips.toFixed(1), limits[phase] ?? '', ...measured.map(([, ms]) => ms.toFixed(1))]
  })
  await print(table(['phase', 'round trips', 'at most', ...DELAYS.map(delay => `ms at ${delay} ms`)], rows))
  if (!psqlThere) await print('\npsql: absent\n')
}
