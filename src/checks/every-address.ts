/**
 * `--all-addresses`: a session, a write and an independent read through every address but the one in use, which the
 * other checks go through; a few at a time. Each row must be there for the reader through the address in use as well,
 * since two databases may answer to one name.
 */
import { asProbeError, type Facts, ProbeError } from '../failure/error.ts'
import type { Rows } from '../row/index.ts'
import type { Session } from '../session/postgres.ts'
import { type Endpoint, otherThan } from '../settings/config.ts'
import { type Context, defineCheck } from './check.ts'
import { database, type Sessions } from './database.ts'
import { dml } from './dml.ts'
import { dns } from './dns.ts'
import { proveOwnSession } from './own-session.ts'
import { patientUntil, rowVisible, writeAndRead } from './row-visible.ts'
import { tcp } from './tcp.ts'

/** Addresses tried at the same time, each with two connections. */
const CONCURRENCY = 4

interface AddressOutcome {
  readonly endpoint: Endpoint
  readonly error: ProbeError | null
  readonly facts: Facts
  /** the row that was written through it and read through it, by id */
  readonly row: string | null
}

/** What is needed to go through another address. */
interface Through {
  readonly context: Context
  readonly sessions: Sessions
  readonly rows: Rows
}

export const everyAddress = defineCheck({
  id: 'every-address',
  layer: 'visibility',
  criterion: null,
  needs: { rowVisible, dml, database, tcp, dns },
  title: 'every address of the host takes a row that the others see',
  async run(context, { dml: { rows }, database: { sessions, opened }, tcp: { tried }, dns: { endpoints } }) {
    const through = { context, sessions, rows }
    const others = otherThan(opened, endpoints)
    const outcomes = await compareThere(through, await atOnce(others, endpoint => tryAddress(through, endpoint)))
    const inUse = tried.filter(({ address, port }) => address === opened.address && port === opened.host.port)
    const addresses = [...inUse, ...outcomes.map(({ facts }) => facts)]
    const error = outcomes.find(outcome => outcome.error)?.error
    if (error) throw error.with({ evidence: { addresses } })
    if (!context.config.options.keep)
      await rows.remove(
        await sessions.reader(),
        outcomes.flatMap(({ row }) => row ?? []),
      )
    return { evidence: { addresses }, found: {} }
  },
})

/** Does the work for each, so many at a time, and gives what it came to in their order. */
async function atOnce<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at] as T)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  return results
}

const NOT_ONE =
  'two databases answer to one name (two clusters, or a node that never joined): fly machine list, and as root on each SELECT * FROM crdb_internal.gossip_nodes'

/**
 * Whether what was written through the others is there for the reader through the address in use. A row that is not
 * is removed where it was written: it would not be found from here.
 */
async function compareThere(through: Through, outcomes: readonly AddressOutcome[]): Promise<readonly AddressOutcome[]> {
  const { context, sessions, rows } = through
  const ids = outcomes.flatMap(({ row }) => row ?? [])
  if (ids.length === 0) return outcomes
  const reader = await sessions.reader()
  const missing = await rows.missingRows(reader, ids, patientUntil(context, performance.now()))
  return Promise.all(
    outcomes.map(async outcome => {
      const { row, endpoint, facts } = outcome
      if (row === null || !missing.includes(row)) return outcome
      const says = `a row written through ${endpoint.address} is missing for a reader through ${reader.address}: these are not one database`
      const where = { writtenThrough: endpoint.address, readThrough: reader.address, id: row }
      const error = new ProbeError('ROW_NOT_VISIBLE', says, { evidence: where, hint: NOT_ONE })
      if (!context.config.options.keep) await removeThrough(through, endpoint, row)
      return { ...outcome, error, facts: { ...facts, outcome: error.code } }
    }),
  )
}

/** Removes a row through an address. What fails is left to the end of the run, and named then. */
async function removeThrough({ sessions, rows }: Through, endpoint: Endpoint, id: string): Promise<void> {
  try {
    const session = await sessions.another(undefined, endpoint)
    await rows.remove(session, [id]).finally(() => session.close())
  } catch (error) {
    asProbeError(error)
  }
}

async function tryAddress({ context, sessions, rows }: Through, endpoint: Endpoint): Promise<AddressOutcome> {
  const { address, host } = endpoint
  const from = performance.now()
  const outcome = (error: ProbeError | null, more: Facts = {}, row: string | null = null): AddressOutcome => ({
    endpoint,
    error,
    facts: {
      address,
      port: host.port,
      outcome: error?.code ?? 'written and read',
      durationMs: Math.round(performance.now() - from),
      ...more,
    },
    row,
  })
  const opened = await Promise.allSettled([1, 2].map(() => sessions.another(undefined, endpoint)))
  const open = opened.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))
  try {
    const failed = opened.find(one => one.status === 'rejected')
    if (failed) throw failed.reason
    const [writer, reader] = open as [Session, Session]
    await proveOwnSession(writer)
    const row = rows.make(0)
    const { writtenMs, visibleMs } = await writeAndRead(context, rows, { writer, reader, row })
    return outcome(null, { writtenMs, visibleMs }, row.id)
  } catch (error) {
    return outcome(named(asProbeError(error), address))
  } finally {
    await Promise.all(open.map(session => session.close()))
  }
}

/** The same failure, with the address in front. */
const named = (error: ProbeError, address: string): ProbeError =>
  error.message.includes(address) ? error : error.with({ message: `through ${address}: ${error.message}` })
