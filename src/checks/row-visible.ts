/**
 * A row written on one connection is read on another, independently dialled one, within the limit, equal in every
 * column. The clock runs from handing the INSERT to the driver to the reply that shows the row.
 */
import { randomInt, randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { eq, getTableColumns } from 'drizzle-orm'
import { pause, remainingMs, roundMs } from '../budget.ts'
import { type Evidence, ProbeError } from '../failure/error.ts'
import { connectionProbe, type NewProbeRow, type ProbeRow } from '../schema.ts'
import type { Session } from '../session/postgres.ts'
import { retried } from '../session/retry.ts'
import type { Check, CheckContext } from './check.ts'
import { type Held, proveOwnSession } from './facts.ts'
import { answeredBy, byId } from './ledger.ts'

/** Reading goes on for so many times the limit, so that late is told from never. */
const PATIENCE = 5
/** Left for the rest of the report when the deadline is nearer than the patience, ms. */
const RESERVE_MS = 200

/** The verbs without which no row could be written, seen and removed again. */
export const canWrite = ({ verbs, usage }: Held): boolean =>
  usage && (['INSERT', 'SELECT', 'DELETE'] as const).every(verb => verbs.includes(verb))

/**
 * A timestamptz text as PostgreSQL and CockroachDB print it in UTC ("2026-11-22 20:07:00.12345+00"), in integer µs;
 * null for what is none, or beyond what a clock here could show.
 */
export function microseconds(text: string): bigint | null {
  const match = /^(\d{4,})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:\+00(?::?00)?|Z)$/.exec(text)
  if (!match) return null
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number)
  const ms = Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second)
  return Number.isNaN(ms) ? null : BigInt(ms) * 1000n + BigInt((match[7] ?? '').padEnd(6, '0'))
}

/** Nothing that is written here is nested deeper than this, by far. */
const DEEP = 32

/** Whether a JSON value is nested deeper than so many levels. Not by recursion: it may be nested without end. */
function isDeeperThan(levels: number, value: unknown): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > levels) return true
    level = level.flatMap(one => (typeof one === 'object' && one !== null ? Object.values(one) : []))
  }
  return false
}

/** Whether a value came back as it was written: times as integer microseconds, JSON deeply. */
function isSame(column: keyof ProbeRow, wrote: ProbeRow, read: ProbeRow): boolean {
  // The usual case, and of many thousand rows: a text that equals is a time that equals, too.
  if (wrote[column] === read[column]) return true
  if (column === 'payload') return !isDeeperThan(DEEP, read.payload) && isDeepStrictEqual(wrote.payload, read.payload)
  return column === 'writtenAt' && microseconds(wrote.writtenAt) === microseconds(String(read.writtenAt))
}

const COLUMNS = Object.keys(getTableColumns(connectionProbe)) as (keyof ProbeRow)[]

/** The columns in which what was read differs from what was written. */
export const differences = (wrote: ProbeRow, read: ProbeRow): { column: string; wrote: unknown; read: unknown }[] =>
  COLUMNS.filter(column => !isSame(column, wrote, read)).map(column => ({
    column,
    wrote: wrote[column],
    read: read[column],
  }))

/** Rejects with ROW_MISMATCH if a value came back different. */
export function compare(wrote: ProbeRow, read: ProbeRow): void {
  const differing = differences(wrote, read)
  if (differing.length > 0)
    throw new ProbeError(
      'ROW_MISMATCH',
      `the row came back different in ${differing.map(({ column }) => column).join(', ')}`,
      { evidence: { differing } },
    )
}

/** machine@region on Fly, else the host's name. */
function originText({ origin }: CheckContext['config']): string {
  return origin.machine ? `${origin.machine}@${origin.region ?? '?'}` : origin.hostname
}

/** A value of each JSON type, and of text what has to be escaped. */
const LIST = [1, 2.5, true, null, 'ü…"\\']

/**
 * A new row. `clock` is the server's own time (text, UTC), so that a wrong clock here does not make rows look old; its
 * microseconds are replaced by others that end in no zero, so that none are lost unnoticed.
 */
export function newRow(context: Pick<CheckContext, 'config' | 'runId'>, sequence: number, clock: string): ProbeRow {
  const second = /^[^.+]*/.exec(clock)?.[0] ?? clock
  const micros = String(randomInt(99_999)).padStart(5, '0') + String(randomInt(1, 10))
  return {
    id: randomUUID(),
    runId: context.runId,
    sequence,
    origin: originText(context.config),
    writtenBy: context.config.user,
    payload: { probe: 'connection-probe', nested: { list: LIST, sequence } },
    writtenAt: `${second}.${micros}+00`,
  }
}

/** The columns of a row, and the session that reads it. */
export const rowAndSession = ({ engine }: Session) => ({ ...getTableColumns(connectionProbe), ...answeredBy(engine) })

/** Selects a row by id. */
export async function readRow(reader: Session, id: string): Promise<ProbeRow | null> {
  const [found] = await reader.run('read', 'the select', db =>
    db.select(rowAndSession(reader)).from(connectionProbe).where(eq(connectionProbe.id, id)),
  )
  if (!found) return null
  const { session, ...row } = found
  reader.answeredBy(session, 'the select of a row')
  return row
}

/** When a row that is not there is given up, on performance.now()'s clock: late must be told from never. */
const patientUntil = ({ config, budget }: Pick<CheckContext, 'config' | 'budget'>, startedAt: number): number =>
  Math.min(startedAt + PATIENCE * config.options.visibleWithinMs, performance.now() + remainingMs(budget) - RESERVE_MS)

/** Reads until the row is there, or time is up. */
async function look(
  context: Pick<CheckContext, 'config' | 'budget'>,
  reader: Session,
  id: string,
  startedAt: number,
): Promise<{ read: ProbeRow | null; reads: number; retries: number }> {
  const { budget } = context
  const until = patientUntil(context, startedAt)
  let retries = 0
  for (let reads = 1; ; reads++) {
    const found = await retried(budget, () => readRow(reader, id))
    retries += found.retries
    if (found.value || performance.now() >= until) return { read: found.value, reads, retries }
    await pause(Math.min(50, 2 ** reads), budget)
  }
}

/** Looks until these rows are there for a reader, or time is up; one round trip a look. Resolves with those that are not. */
export async function notThere(
  context: Pick<CheckContext, 'config' | 'budget'>,
  reader: Session,
  ids: readonly string[],
): Promise<readonly string[]> {
  const { budget } = context
  const until = patientUntil(context, performance.now())
  let left = ids
  for (let looks = 1; left.length > 0; looks++) {
    const what = 'the select of the rows'
    const sql = `SELECT id::text AS id, ${reader.engine.sessionName} AS session FROM ${byId(left)}`
    const { value } = await retried(budget, () => reader.send<{ id: string; session: string }>('read', what, sql))
    for (const { session } of value) reader.answeredBy(session, what)
    const found = new Set(value.map(({ id }) => id))
    left = left.filter(id => !found.has(id))
    if (performance.now() >= until) break
    if (left.length > 0) await pause(Math.min(50, 2 ** looks), budget)
  }
  return left
}

/** Writes on one session, reads on the other, and says how long it took. */
export async function writeAndRead(
  context: Pick<CheckContext, 'config' | 'budget' | 'ledger'>,
  writer: Session,
  reader: Session,
  row: NewProbeRow & ProbeRow,
): Promise<Evidence> {
  const limit = context.config.options.visibleWithinMs
  const startedAt = performance.now()
  // While the row is written; the writer's own was asked before.
  const proof = proveOwnSession(reader)
  proof.catch(() => undefined)
  const { retries, settled } = await context.ledger.insert(writer, row)
  const writtenMs = performance.now() - startedAt
  const { read, reads, retries: readRetries } = await look(context, reader, row.id, startedAt)
  const visibleMs = performance.now() - startedAt
  const evidence = {
    writtenMs: roundMs(writtenMs),
    visibleMs: roundMs(visibleMs),
    limitMs: limit,
    reads,
    retries,
    readRetries,
    settled,
    id: row.id,
  }
  const waited = `${Math.round(visibleMs)} ms`
  if (read && reader.name() === writer.name())
    throw new ProbeError(
      'CONNECTION_REPLACED',
      'the independent read was not independent: both connections end in one session',
      { evidence: { ...evidence, session: reader.name() } },
    )
  await proof
  if (!read && visibleMs < limit)
    throw new ProbeError('DEADLINE', `the deadline came after ${waited} of waiting for the row`, { evidence })
  if (!read)
    throw new ProbeError(
      'ROW_NOT_VISIBLE',
      `the row that was written was not there for another connection within ${waited}`,
      { evidence },
    )
  try {
    compare(row, read)
  } catch (error) {
    if (error instanceof ProbeError) Object.assign(error.evidence, evidence)
    throw error
  }
  if (visibleMs > limit)
    throw new ProbeError(
      'ROW_LATE',
      `the row was visible after ${Math.round(visibleMs)} ms, the limit is ${limit} ms`,
      {
        evidence,
      },
    )
  return { ...evidence, writtenBy: read.writtenBy, origin: read.origin }
}

export const rowVisible: Check = {
  id: 'row-visible',
  async run(context) {
    const facts = await context.facts()
    const [writer, reader, clock] = await Promise.all([context.writer(), context.reader(), facts.clock])
    const row = newRow(context, 0, clock)
    const evidence = await writeAndRead(context, writer, reader, row)
    if (!context.config.options.keep) await context.ledger.remove(writer, [row.id])
    return { evidence }
  },
}
