/** One connection serves many sequential writes, and the server holds no named statement of it afterwards. */
import { createHistogram } from 'node:perf_hooks'
import { inArray } from 'drizzle-orm'
import type { Engine } from '../database/engine.ts'
import { type Evidence, ProbeError } from '../failure/failure.ts'
import { connectionProbe, type ProbeRow } from '../schema.ts'
import { retried } from '../session/retried.ts'
import type { Session } from '../session/session.ts'
import type { Check } from './check.ts'
import { only } from './facts.ts'
import { compare, newRow } from './row-visible.ts'

/** Rows verified and removed at a time, so that memory stays flat however many are written. */
const BATCH = 1000

/** Reads a batch back in one select and compares each row. */
async function verify(session: Session, wrote: readonly ProbeRow[]): Promise<void> {
  const ids = wrote.map(({ id }) => id)
  const select = () =>
    session.run('read', 'the select of all rows', db =>
      db.select().from(connectionProbe).where(inArray(connectionProbe.id, ids)),
    )
  const { value: read } = await retried(session.budget, select)
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

/** How often the server is asked, along with a write, which session this is. */
const ASKED = 4

/** The server's name for the session that answers now, held against what it was. */
async function sameSession(session: Session, { sessionIdentity }: Engine, before: string): Promise<void> {
  const question = 'the question for the session'
  const rows = await session.ask<Record<string, string>>(question, sessionIdentity)
  const now = Object.values(only(rows, question))[0] ?? ''
  if (now !== before) throw replaced(before, now)
}

const replaced = (before: string, after: string): ProbeError =>
  new ProbeError('CONNECTION_REPLACED', `the session was ${before}, and then another one answered: ${after}`, {
    evidence: { before, after },
  })

export const sequentialWrites: Check = {
  id: 'sequential-writes',
  async run(context) {
    const { writes, keep } = context.config.options
    const facts = await context.facts()
    const writer = await context.writer()
    const [before, clock] = await Promise.all([facts.identity, facts.clock])
    const { engine } = facts
    const every = Math.ceil(writes / ASKED)
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
      session: before,
    })
    try {
      // Who let us in and who answers are one process; a pooler has numbers of its own.
      if (engine.identityIsProcessId && writer.processId !== null && before !== String(writer.processId))
        throw replaced(`process ${writer.processId} (BackendKeyData)`, before)
      for (let sequence = 1; sequence <= writes; sequence++) {
        const row = newRow(context, sequence, clock)
        const from = performance.now()
        // Before the insert, so that the two leave together; the insert is let end first, whatever it comes to.
        const asked = sequence % every === 0 ? sameSession(writer, engine, before) : undefined
        asked?.catch(() => undefined)
        const written = await context.ledger.insert(writer, row)
        await asked
        const ms = performance.now() - from
        writingMs += ms
        latency.record(Math.max(1, Math.round(ms * 1000)))
        retries += written.retries
        if (written.settled) settled++
        batch.push(row)
        context.progress(sequence, writes)
        if (batch.length === BATCH && sequence < writes) {
          await verify(writer, batch)
          read += batch.length
          if (!keep)
            await context.ledger.remove(
              writer,
              batch.map(({ id }) => id),
            )
          batch = []
        }
      }
      // The question and the select leave together.
      await Promise.all([sameSession(writer, engine, before), verify(writer, batch)])
      read += batch.length
      return { evidence: { ...figures(), perSecond: Math.round(writes / (writingMs / 1000)) } }
    } catch (error) {
      if (error instanceof ProbeError) Object.assign(error.evidence, figures(), { ...error.evidence })
      throw error
    }
  },
}

/** Microseconds to ms with three decimals. */
const round = (micros: number): number => Math.round(micros) / 1000

export const statementsUnnamed: Check = {
  id: 'statements-unnamed',
  async run(context) {
    const writer = await context.writer()
    // CockroachDB lists the unnamed statement too, with an empty name.
    const rows = await writer.ask<{ name: string }>(
      'the question for prepared statements',
      `SELECT name::text AS name FROM pg_catalog.pg_prepared_statements WHERE name <> '' ORDER BY name LIMIT 20`,
    )
    const named = rows.map(({ name }) => name)
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
