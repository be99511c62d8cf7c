/** One connection serves many sequential writes, and the server holds no named statement of it afterwards. */
import { createHistogram } from 'node:perf_hooks'
import { inArray } from 'drizzle-orm'
import { type Evidence, ProbeError } from '../failure/error.ts'
import { connectionProbe, type ProbeRow } from '../schema.ts'
import { ifKnown } from '../session/if-known.ts'
import type { Session } from '../session/postgres.ts'
import { retried } from '../session/retry.ts'
import type { Check } from './check.ts'
import { KEPT_SETTING } from './facts.ts'
import { compare, newRow, rowAndSession } from './row-visible.ts'

/** Rows verified and removed at a time, so that memory stays flat however many are written. */
const BATCH = 1000

/** Reads a batch back in one select and compares each row. */
async function verify(session: Session, wrote: readonly ProbeRow[]): Promise<void> {
  const ids = wrote.map(({ id }) => id)
  const select = () =>
    session.run('read', 'the select of all rows', db =>
      db.select(rowAndSession(session)).from(connectionProbe).where(inArray(connectionProbe.id, ids)),
    )
  const { value } = await retried(session.budget, select)
  const read = value.map(({ session: name, ...row }) => {
    session.answeredBy(name, 'the select of all rows')
    return row
  })
  const byId = new Map(read.map(row => [row.id, row]))
  const absent = wrote.filter(({ id }) => !byId.has(id))
  if (absent.length > 0)
    throw new ProbeError(
      'ROW_NOT_VISIBLE',
      `${absent.length} of ${wrote.length} rows that were written are not there`,
      {
        evidence: { absent: absent.slice(0, 10).map(({ id, sequence }) => ({ id, sequence })) },
      },
    )
  for (const row of wrote) {
    const found = byId.get(row.id)
    if (found) compare(row, found)
  }
}

export const sequentialWrites: Check = {
  id: 'sequential-writes',
  async run(context) {
    const { writes, keep } = context.config.options
    const facts = await context.facts()
    const writer = await context.writer()
    const clock = await facts.clock
    const latency = createHistogram()
    let batch: ProbeRow[] = []
    let retries = 0
    let settled = 0
    let read = 0
    let writingMs = 0
    const figures = (): Evidence => ({
      writes: latency.count,
      read,
      retries,
      settled,
      latencyMs: {
        min: round(latency.count === 0 ? 0 : latency.min),
        p50: round(latency.percentile(50)),
        p95: round(latency.percentile(95)),
        p99: round(latency.percentile(99)),
        max: round(latency.max),
      },
      session: writer.name(),
    })
    try {
      for (let sequence = 1; sequence <= writes; sequence++) {
        const row = newRow(context, sequence, clock)
        const from = performance.now()
        const written = await context.ledger.insert(writer, row)
        const ms = performance.now() - from
        writingMs += ms
        latency.record(Math.max(1, Math.round(ms * 1000)))
        retries += written.retries
        if (written.settled) settled++
        batch.push(row)
        context.progress(sequence, writes)
        if (batch.length === BATCH || sequence === writes) {
          const ids = batch.map(({ id }) => id)
          await verify(writer, batch)
          read += batch.length
          if (!keep) await context.ledger.remove(writer, ids)
          batch = []
        }
      }
      return { evidence: { ...figures(), perSecond: Math.round(writes / (writingMs / 1000)) } }
    } catch (error) {
      if (error instanceof ProbeError) Object.assign(error.evidence, figures(), { ...error.evidence })
      throw error
    }
  },
}

/** Microseconds to ms with three decimals. */
const round = (micros: number): number => Math.round(micros) / 1000

/** What stands in between where a session does not keep what is set in it. */
const RESET =
  'something in between (a pooler, a proxy) resets the session between statements (DISCARD ALL): connect to the .internal name and the port of the database itself'

/** What was set in the session when it was proved to be ours (facts.ts), as far as it is still there. */
async function keptSetting(session: Session): Promise<string | null> {
  const asked = session.ask<{ kept: string | null }>(
    'the question whether the session keeps its settings',
    `SELECT current_setting('${KEPT_SETTING}', true) AS kept`,
  )
  return (await ifKnown(asked, []))[0]?.kept ?? null
}

export const statementsUnnamed: Check = {
  id: 'statements-unnamed',
  async run(context) {
    const writer = await context.writer()
    // CockroachDB lists the unnamed statement too, with an empty name.
    const question = 'the question for prepared statements'
    const { sessionName } = writer.engine
    const [rows, kept] = await Promise.all([
      writer.ask<{ name: string | null; session: string }>(
        question,
        `SELECT NULL AS name, ${sessionName} AS session
         UNION ALL
         SELECT name::text, ${sessionName} FROM pg_catalog.pg_prepared_statements WHERE name <> '' LIMIT 21`,
      ),
      keptSetting(writer),
    ])
    if (rows.length === 0) throw new ProbeError('CATALOGUE_FAILED', `${question} was answered with no row`)
    for (const { session } of rows) writer.answeredBy(session, question)
    // A reset takes named statements with it, so that none is found: what this is the check of is not told then.
    if (kept !== writer.token)
      throw new ProbeError(
        'CONNECTION_REPLACED',
        `the session was reset: ${KEPT_SETTING}, which was set in it, is gone`,
        {
          evidence: { missing: KEPT_SETTING },
          hint: RESET,
        },
      )
    const named = rows.flatMap(({ name }) => name ?? []).sort()
    if (named.length > 0)
      throw new ProbeError(
        'STATEMENTS_NAMED',
        `the server holds ${named.length} named prepared statements of this session`,
        {
          evidence: { named },
        },
      )
    return { evidence: { named } }
  },
}
