/** The row that was written is not seen, seen late, or not the row that was written. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Engine } from '../../src/development/throwaway/index.ts'
import { EXPECTED_COLUMNS } from '../helpers/declared.ts'
import { type Case, describeFaults, insertTrigger, onRead, useBase } from '../helpers/faults.ts'
import { changed, error } from '../helpers/statement-faults.ts'

const POSTGRESQL: readonly Engine[] = ['postgresql']

const SEEN: readonly Case[] = [
  {
    fault: 'late',
    // each read is answered this late, ms: after the limit, long before reading is given up
    proxy: onRead(0, () => ({ after: sleep(240) })),
    options: { visibleWithinMs: 160 },
    check: 'row-visible',
    code: 'ROW_LATE',
    hint: 'the server is slow, not the link',
    evidence: { limitMs: 160, reads: 1 },
  },
  {
    fault: 'late by the link alone',
    roundTripMs: 30,
    options: { visibleWithinMs: 100, writes: 2 },
    check: 'row-visible',
    code: 'ROW_LATE',
    hint: /^4 round trips of [3-9]\d ms on the link are \d{3} of the \d{3} ms, more than the limit alone: no server is fast enough/,
    evidence: { limitMs: 100, reads: 1, roundTripMs: expect.any(Number), linkMs: expect.any(Number) },
  },
  {
    fault: 'late by a link that leaves the server some time',
    roundTripMs: 150,
    proxy: onRead(0, () => ({ after: sleep(150) })),
    options: { visibleWithinMs: 700, writes: 2 },
    check: 'row-visible',
    code: 'ROW_LATE',
    hint: 'the link is slow, not the server',
  },
  {
    fault: 'not seen before the deadline, which the round trips alone take',
    roundTripMs: 60,
    options: { deadlineMs: 4000, writes: 50, keep: true },
    afterwards: 'DELETE FROM public.connection_probe',
    check: 'sequential-writes',
    code: 'DEADLINE',
    hint: /^a run with 50 writes takes about 145 round trips, of \d\d ms each on this link: \d+ s\. Run it in the region/,
  },
  {
    fault: 'seen by a second look only, and in time',
    proxy: firstLooks(2),
    seen: { 'row-visible': { reads: 3 } },
  },
  {
    fault: 'never',
    proxy: onRead(0, () => ({ row: () => undefined })),
    options: { visibleWithinMs: 40 },
    check: 'row-visible',
    code: 'ROW_NOT_VISIBLE',
    evidence: { limitMs: 40, reads: expect.any(Number) },
  },
  {
    fault: 'never, since a policy hides it',
    engines: POSTGRESQL,
    sql: `ALTER TABLE public.connection_probe ENABLE ROW LEVEL SECURITY;
      CREATE POLICY hides ON public.connection_probe USING (sequence <> 0) WITH CHECK (true)`,
    options: { visibleWithinMs: 40 },
    check: 'row-visible',
    code: 'ROW_NOT_VISIBLE',
    hint: 'policy hides (PERMISSIVE, ALL) lets some rows through only',
    rowsLeft: 'exactly',
  },
  {
    fault: 'not before the deadline, which is nearer than the limit',
    proxy: onRead(0, () => ({ row: () => undefined })),
    options: { visibleWithinMs: 60_000, deadlineMs: 4000 },
    check: 'row-visible',
    code: 'DEADLINE',
    // What comes after has what the row leaves of the deadline, 200 ms: on a busy machine it is not enough.
    mayFail: { 'ddl-refused': 'DEADLINE' },
    evidence: { limitMs: 60_000 },
  },
  {
    fault: 'the read refused',
    proxy: onRead(0, () => error('XX000', 'internal error')),
    check: 'row-visible',
    code: 'READ_FAILED',
    evidence: { sqlstate: 'XX000' },
  },
  {
    fault: 'a read that the server gives up',
    proxy: onRead(0, () => error('57014', 'query execution canceled due to statement timeout')),
    check: 'row-visible',
    code: 'READ_TIMEOUT',
    evidence: { sqlstate: '57014' },
  },
  {
    fault: 'a read that is never answered',
    hint: "not even the server's own timeout came back",
    proxy: onRead(0, () => ({ instead: 'silent' })),
    options: { deadlineMs: 4000 },
    check: 'row-visible',
    code: 'READ_TIMEOUT',
  },
  {
    fault: 'a session that the server ends because it lay idle',
    proxy: onRead(0, () => error('57P05', 'terminating connection due to idle-session timeout')),
    check: 'row-visible',
    code: 'CONNECTION_LOST',
    hint: 'idle_session_timeout',
    evidence: { sqlstate: '57P05' },
  },
  {
    fault: 'the connection lost under the read',
    proxy: onRead(0, () => ({ instead: 'reset' })),
    check: 'row-visible',
    code: 'CONNECTION_LOST',
  },
]

/** A role that reads the past; besides, what this proxy does. */
function inThePast(proxy: Case['proxy'] & {} = () => ({})): Case['proxy'] & {} {
  const setting = 'default_transaction_use_follower_reads'
  return () => {
    const { onStatement } = proxy()
    return {
      onStatement: (sql, params, more) =>
        sql.includes(setting) ? changed(setting, 'on') : onStatement?.(sql, params, more),
    }
  }
}

/** What a role that reads the past looks like: the next step names the setting. */
const PAST: readonly Case[] = [
  {
    fault: 'late',
    proxy: inThePast(onRead(0, () => ({ after: sleep(240) }))),
    options: { visibleWithinMs: 160 },
    check: 'row-visible',
    code: 'ROW_LATE',
  },
  {
    fault: 'never',
    proxy: inThePast(onRead(0, () => ({ row: () => undefined }))),
    options: { visibleWithinMs: 40 },
    check: 'row-visible',
    code: 'ROW_NOT_VISIBLE',
  },
  {
    fault: 'before the table was made',
    proxy: inThePast(),
    sql: 'DROP TABLE public.connection_probe',
    check: 'table',
    code: 'TABLE_MISSING',
    table: false,
  },
].map(one => ({
  ...(one as Case),
  hint: 'As root: ALTER ROLE gateway_writer RESET default_transaction_use_follower_reads',
  evidence: { settings: ['default_transaction_use_follower_reads'] },
}))

/** So many reads of the row find nothing, the next one does. */
function firstLooks(blind: number): Case['proxy'] & {} {
  return () => {
    let left = blind
    return onRead(0, () => (left-- > 0 ? { row: () => undefined } : undefined))()
  }
}

const mismatch = (column: string): Partial<Case> => ({
  check: 'row-visible',
  code: 'ROW_MISMATCH',
  evidence: { differing: [expect.objectContaining({ column })] },
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
  ...mismatch('payload'),
}))

const ALTERED: readonly Case[] = EXPECTED_COLUMNS.map(({ name }) => ({
  fault: `another value read in ${name}`,
  proxy: onRead(0, () => changed(name, OTHER_VALUES[name] ?? '')),
  ...mismatch(camel(name)),
}))

/** What a trigger does to every row shows in dml's, which is the first. */
const meddled = (fault: string, body: string, column: string): Case => ({
  fault,
  engines: POSTGRESQL,
  sql: insertTrigger(`${body} RETURN NEW;`),
  check: 'dml',
  code: 'ROW_MISMATCH',
  evidence: { differing: [expect.objectContaining({ column })] },
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
describeFaults('the role reads the past', base, PAST)
describeFaults('the row read is another', base, [...ALTERED, ...NESTED])
describeFaults('the row stored is another', base, MEDDLED)
