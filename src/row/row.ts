/** One typed row: made, and held against what comes back of it. */
import { randomInt, randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { ProbeError } from '../failure/error.ts'
import type { NewProbeRow, ProbeRow } from '../schema.ts'
import type { ProbeConfig } from '../settings/config.ts'

/** A value of each JSON type, and of text what has to be escaped. */
const LIST = [1, 2.5, true, null, 'ü…"\\']

/** machine@region on Fly, else the host's name. */
const originText = ({ origin }: ProbeConfig): string =>
  origin.machine ? `${origin.machine}@${origin.region ?? '?'}` : origin.hostname

/** A row as the probe writes it: the id is always its own. */
export type WrittenRow = NewProbeRow & { readonly id: string }

/**
 * A new row. `clock` is the server's own time (text, UTC), so that a wrong clock here does not make rows look old; its
 * microseconds are replaced by others that end in no zero, so that none are lost unnoticed.
 */
export function makeRow(config: ProbeConfig, runId: string, sequence: number, clock: string): WrittenRow {
  const second = /^[^.+]*/.exec(clock)?.[0] ?? clock
  const micros = String(randomInt(99_999)).padStart(5, '0') + String(randomInt(1, 10))
  return {
    id: randomUUID(),
    runId,
    sequence,
    origin: originText(config),
    writtenBy: config.user,
    payload: { probe: 'connection-probe', nested: { list: LIST, sequence } },
    writtenAt: `${second}.${micros}+00`,
  }
}

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
function isSame(column: keyof NewProbeRow, wrote: WrittenRow, read: ProbeRow): boolean {
  if (wrote[column] === read[column]) return true
  if (column === 'payload') return !isDeeperThan(DEEP, read.payload) && isDeepStrictEqual(wrote.payload, read.payload)
  return column === 'writtenAt' && microseconds(String(wrote.writtenAt)) === microseconds(String(read.writtenAt))
}

/** The columns that were written in which what was read differs; one that was left to its default is not compared. */
const differences = (wrote: WrittenRow, read: ProbeRow): { column: string; wrote: unknown; read: unknown }[] =>
  (Object.keys(wrote) as (keyof NewProbeRow)[])
    .filter(column => !isSame(column, wrote, read))
    .map(column => ({ column, wrote: wrote[column], read: read[column] }))

/** @throws ProbeError ROW_MISMATCH if a value came back different */
export function compare(wrote: WrittenRow, read: ProbeRow): void {
  const differing = differences(wrote, read)
  if (differing.length > 0)
    throw new ProbeError(
      'ROW_MISMATCH',
      `the row came back different in ${differing.map(({ column }) => column).join(', ')}`,
      { evidence: { differing } },
    )
}
