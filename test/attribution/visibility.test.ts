/** The row that was written is not seen, seen late, or not the row that was written. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Engine } from '../../src/development/throwaway/index.ts'
import { EXPECTED_COLUMNS } from '../../src/schema.ts'
import { BLOCKED_BY, type Case, describeFaults, insertTrigger, onRead, useBase } from '../helpers/faults.ts'
import { changed, error } from '../helpers/statement-faults.ts'

const POSTGRESQL: readonly Engine[] = ['postgresql']

const SEEN: readonly Case[] = [
  {
    fault: 'late',
    // each read is answered this late, ms: after the limit, long before reading is given up
    proxy: onRead(0, () => ({ after: sleep(120) })),
    options: { visibleWithinMs: 80 },
    top: 'visibility ROW_LATE',
    failed: { 'row-visible': 'ROW_LATE' },
    blocked: BLOCKED_BY.row,
    evidence: { 'row-visible': { limitMs: 80, reads: 1 } },
  },
  {
    fault: 'seen by a second look only, and in time',
    proxy: firstLooks(2),
    evidence: { 'row-visible': { reads: 3 } },
  },
  {
    fault: 'never',
    proxy: onRead(0, () => ({ row: () => undefined })),
    options: { visibleWithinMs: 40 },
    top: 'visibility ROW_NOT_VISIBLE',
    failed: { 'row-visible': 'ROW_NOT_VISIBLE' },
    blocked: BLOCKED_BY.row,
    evidence: { 'row-visible': { limitMs: 40, reads: expect.any(Number) } },
  },
  {
    fault: 'not before the deadline, which is nearer than the limit',
    proxy: onRead(0, () => ({ row: () => undefined })),
    options: { visibleWithinMs: 60_000, deadlineMs: 4000 },
    top: 'run DEADLINE',
    failed: { 'row-visible': 'DEADLINE' },
    // What comes after has what the row leaves of the deadline, 200 ms: on a busy machine it is not enough.
    mayFail: { 'ddl-refused': 'DEADLINE' },
    blocked: BLOCKED_BY.row,
    evidence: { 'row-visible': { limitMs: 60_000 } },
  },
  {
    fault: 'the read refused',
    proxy: onRead(0, () => error('XX000', 'internal error')),
    top: 'visibility READ_FAILED',
    failed: { 'row-visible': 'READ_FAILED' },
    blocked: BLOCKED_BY.row,
    evidence: { 'row-visible': { sqlstate: 'XX000' } },
  },
  {
    fault: 'a read that the server gives up',
    proxy: onRead(0, () => error('57014', 'query execution canceled due to statement timeout')),
    top: 'visibility READ_TIMEOUT',
    failed: { 'row-visible': 'READ_TIMEOUT' },
    blocked: BLOCKED_BY.row,
    evidence: { 'row-visible': { sqlstate: '57014' } },
  },
  {
    fault: 'a read that is never answered',
    hint: "not even the server's own timeout came back",
    proxy: onRead(0, () => ({ instead: 'silent' })),
    options: { deadlineMs: 4000 },
    top: 'visibility READ_TIMEOUT',
    failed: { 'row-visible': 'READ_TIMEOUT' },
    blocked: BLOCKED_BY.row,
  },
  {
    fault: 'a session that the server ends because it lay idle',
    proxy: onRead(0, () => error('57P05', 'terminating connection due to idle-session timeout')),
    top: 'write CONNECTION_LOST',
    failed: { 'row-visible': 'CONNECTION_LOST' },
    blocked: BLOCKED_BY.row,
    hint: 'idle_session_timeout',
    evidence: { 'row-visible': { sqlstate: '57P05' } },
  },
  {
    fault: 'the connection lost under the read',
    proxy: onRead(0, () => ({ instead: 'reset' })),
    top: 'write CONNECTION_LOST',
    failed: { 'row-visible': 'CONNECTION_LOST' },
    blocked: BLOCKED_BY.row,
  },
]

/** So many reads of the row find nothing, the next one does. */
function firstLooks(blind: number): Case['proxy'] & {} {
  return () => {
    let left = blind
    return onRead(0, () => (left-- > 0 ? { row: () => undefined } : undefined))()
  }
}

const mismatch = (column: string): Partial<Case> => ({
  top: 'visibility ROW_MISMATCH',
  evidence: { 'row-visible': { differing: [expect.objectContaining({ column })] } },
  blocked: BLOCKED_BY.row,
})

/** A value of each type that is well formed and not what was written. */
const OTHER_VALUES: Readonly<Record<string, string>> = {
  id: '00000000-0000-4000-8000-000000000000',
  run_id: '00000000-0000-4000-8000-000000000000',
  sequence: '1',
  origin: 'somewhere else',
  written_by: 'gateway_admin',
  payload: '{"probe": "connection-probe"}',
  written_at: '2026-01-01 00:00:00.123456+00',
}

const camel = (name: string): string => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())

/** JSON of the server's that no recursion ends well in. */
const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`

const NESTED: readonly Case[] = [33, 4_000, 100_000].map(levels => ({
  fault: `a payload nested ${levels} deep`,
  proxy: onRead(0, () => changed('payload', nested(levels))),
  failed: { 'row-visible': 'ROW_MISMATCH' },
  ...mismatch('payload'),
}))

const ALTERED: readonly Case[] = EXPECTED_COLUMNS.map(({ name }) => ({
  fault: `another value read in ${name}`,
  proxy: onRead(0, () => changed(name, OTHER_VALUES[name] ?? '')),
  failed: { 'row-visible': 'ROW_MISMATCH' },
  ...mismatch(camel(name)),
}))

/** What a trigger does to every row shows in dml's, which is the first. */
const meddled = (fault: string, body: string, column: string): Case => ({
  fault,
  engines: POSTGRESQL,
  sql: insertTrigger(`${body} RETURN NEW;`),
  top: 'visibility ROW_MISMATCH',
  failed: { dml: 'ROW_MISMATCH' },
  blocked: BLOCKED_BY.dml,
  evidence: { dml: { differing: [expect.objectContaining({ column })] } },
})

const MEDDLED: readonly Case[] = [
  meddled('microseconds truncated', `NEW.written_at := date_trunc('milliseconds', NEW.written_at);`, 'writtenAt'),
  meddled('a time an hour off', `NEW.written_at := NEW.written_at + interval '1 hour';`, 'writtenAt'),
  meddled('a time that no clock shows', `NEW.written_at := '290000-01-01 00:00:00+00';`, 'writtenAt'),
  meddled('a key more in the JSON', `NEW.payload := NEW.payload || '{"more": 1}';`, 'payload'),
  meddled(
    'a number changed deep in the JSON',
    `NEW.payload := jsonb_set(NEW.payload, '{nested,list,1}', '2.4');`,
    'payload',
  ),
  meddled('the sequence off by one', 'NEW.sequence := NEW.sequence + 1;', 'sequence'),
  meddled('written by somebody else', `NEW.written_by := 'gateway_admin';`, 'writtenBy'),
  meddled('white space after the origin', `NEW.origin := NEW.origin || ' ';`, 'origin'),
]

const base = useBase()
describeFaults('when the row is seen', base, SEEN)
describeFaults('the row read is another', base, [...ALTERED, ...NESTED])
describeFaults('the row stored is another', base, MEDDLED)
