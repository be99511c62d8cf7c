/** Writes that are refused, late, contended, ambiguous or cut off: never lost silently, never doubled, never left. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, inject, it } from 'vitest'
import type { Engine } from '../../src/development/throwaway/index.ts'
import type { Code } from '../../src/failure/codes.ts'
import type { CheckId, Report } from '../../src/report/report.ts'
import { clientOf } from '../helpers/clients.ts'
import {
  type Base,
  type Case,
  describeFaults,
  expectNothingLeft,
  idsIn,
  insertTrigger,
  isDelete,
  isFinalRead,
  isInsert,
  isRead,
  isSettling,
  onInsert,
  onRead,
  probeCase,
  sequenceOf,
  useBase,
} from '../helpers/faults.ts'
import type { Fault } from '../helpers/proxy.ts'
import type { Session } from '../helpers/sessions.ts'
import { cut, error, once } from '../helpers/statement-faults.ts'
import { migrated, probeServer } from '../helpers/target.ts'
import { check, expectVerdict } from '../helpers/verdict.ts'

const POSTGRESQL: readonly Engine[] = ['postgresql']

/** One wait is a quarter of it, and the server gives up a tenth of that earlier: enough on a busy machine. */
const SHORT = { deadlineMs: 5000 }

const OUT_OF_MEMORY = /^the server is out of memory/

const REFUSED: readonly Case[] = [
  {
    fault: 'a database that is read-only for the role',
    sql: 'ALTER ROLE gateway_writer SET default_transaction_read_only = on',
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'default_transaction_read_only is on',
    // PostgreSQL looks at the transaction first, CockroachDB at the privilege.
    mayFail: { 'ddl-refused': 'WRITE_REFUSED' },
    evidence: { sqlstate: '25006' },
  },
  {
    fault: 'a full disk',
    proxy: () => ({ onStatement: sql => (isInsert(sql) ? error('53100', 'could not extend file') : undefined) }),
    check: 'dml',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: '53100' },
    hint: /^the disk is full: fly ssh console -a /,
  },
  {
    fault: 'a full disk from the third of the sequential writes on',
    proxy: () => ({
      onStatement: (sql, params) => (isInsert(sql) && sequenceOf(params) >= 3 ? error('53100', 'full') : undefined),
    }),
    check: 'sequential-writes',
    code: 'WRITE_REFUSED',
    evidence: { writes: 2 },
    hint: /^the disk is full/,
  },
  {
    fault: 'a trigger that raises',
    engines: POSTGRESQL,
    sql: insertTrigger(`RAISE EXCEPTION 'not here';`),
    check: 'dml',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: 'P0001' },
    hint: /^a trigger on the table raised this error/,
  },
  ...(['54000', '42501', '23514'] as const).map(sqlstate => ({
    fault: `a trigger that raises with the SQLSTATE ${sqlstate}`,
    engines: POSTGRESQL,
    sql: insertTrigger(`RAISE EXCEPTION 'quota exceeded' USING ERRCODE = '${sqlstate}';`),
    check: 'dml' as const,
    code: sqlstate === '42501' ? ('DML_DENIED' as const) : ('WRITE_REFUSED' as const),
    evidence: { sqlstate },
    hint: /^a trigger on the table raised this error/,
  })),
  {
    fault: 'a unique index that is not declared',
    sql: 'CREATE UNIQUE INDEX one_run ON public.connection_probe (run_id)',
    check: 'sequential-writes',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: '23505', writes: 1 },
    hint: /^a UNIQUE constraint or index that .* DROP INDEX public\.one_run /,
  },
  {
    fault: 'a foreign key into a table that the role may not read',
    engines: ['cockroachdb'],
    sql: `CREATE TABLE public.runs (id uuid PRIMARY KEY);
      ALTER TABLE public.connection_probe ADD CONSTRAINT known_run FOREIGN KEY (run_id) REFERENCES public.runs (id)`,
    check: 'dml',
    code: 'DML_DENIED',
    evidence: { sqlstate: '42501' },
    hint: /^the role holds the four verbs on connection_probe, so what is denied is what the message names/,
  },
  {
    fault: 'a trigger that uses a table that the role may not',
    engines: POSTGRESQL,
    sql: `CREATE TABLE public.audit (id uuid); ${insertTrigger('INSERT INTO public.audit VALUES (NEW.id); RETURN NEW;')}`,
    check: 'dml',
    code: 'DML_DENIED',
    evidence: { sqlstate: '42501' },
    hint: /^the role holds the four verbs on connection_probe, so what is denied is what the message names/,
  },
  {
    fault: 'a foreign key that is not declared',
    sql: `CREATE TABLE public.runs (id uuid PRIMARY KEY); GRANT SELECT ON public.runs TO gateway_writer;
      ALTER TABLE public.connection_probe ADD CONSTRAINT known_run FOREIGN KEY (run_id) REFERENCES public.runs (id)`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: '23503' },
    hint: /^a FOREIGN KEY that .* DROP CONSTRAINT known_run$/,
  },
  {
    fault: 'an exclusion constraint that is not declared',
    engines: POSTGRESQL,
    sql: 'ALTER TABLE public.connection_probe ADD CONSTRAINT alone EXCLUDE USING hash (origin WITH =)',
    check: 'sequential-writes',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: '23P01', writes: 1 },
    hint: /^an EXCLUDE constraint that .* DROP CONSTRAINT alone$/,
  },
  ...(
    [
      ['a table that is gone', 'INSERT INTO public.gone VALUES (1); RETURN NEW;', '42P01'],
      ['a column that is gone', 'NEW.gone := 1; RETURN NEW;', '42703'],
      ['a function that is gone', 'PERFORM public.gone(); RETURN NEW;', '42883'],
    ] as const
  ).map(
    ([what, body, sqlstate]): Case => ({
      fault: `a trigger that uses ${what}`,
      engines: POSTGRESQL,
      sql: insertTrigger(body),
      check: 'dml',
      code: 'WRITE_REFUSED',
      evidence: { sqlstate },
      hint: /^a function that the table runs fails, a trigger as a rule/,
    }),
  ),
  ...(
    [
      [
        'a CHECK constraint',
        'n int CONSTRAINT "Only Few" CHECK (n < 0)',
        /ALTER TABLE public[.]audit DROP CONSTRAINT "Only Few"$/,
      ],
      [
        'a UNIQUE constraint',
        'n int CONSTRAINT one UNIQUE',
        /ALTER TABLE public[.]audit DROP CONSTRAINT one, or DROP INDEX/,
      ],
      [
        'a column without NULL',
        'n int, who text NOT NULL',
        /^a trigger on the table writes into public[.]audit, whose column who takes no NULL/,
      ],
    ] as const
  ).map(
    ([what, columns, hint]): Case => ({
      fault: `a trigger that writes into another table, which has ${what}`,
      engines: POSTGRESQL,
      sql: `CREATE TABLE public.audit (${columns}); INSERT INTO public.audit VALUES (${columns.includes('who') ? "1, ''" : columns.includes('CHECK') ? '-1' : '1'});
        ${insertTrigger('INSERT INTO public.audit VALUES (1); RETURN NEW;')}; ALTER FUNCTION public.meddle() SECURITY DEFINER`,
      check: 'dml',
      code: 'WRITE_REFUSED',
      hint,
    }),
  ),
  {
    fault: 'a trigger that writes into another table, which has no partition for it',
    engines: POSTGRESQL,
    sql: `CREATE TABLE public.audit (n int) PARTITION BY LIST (n);
      ${insertTrigger('INSERT INTO public.audit VALUES (1); RETURN NEW;')}; ALTER FUNCTION public.meddle() SECURITY DEFINER`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: /^a trigger on the table writes into public[.]audit, which is partitioned/,
  },
  {
    fault: 'a trigger that writes into another table, whose policies refuse it',
    engines: POSTGRESQL,
    sql: `CREATE TABLE public.audit (n int); ALTER TABLE public.audit ENABLE ROW LEVEL SECURITY;
      GRANT INSERT ON public.audit TO gateway_writer; ${insertTrigger('INSERT INTO public.audit VALUES (1); RETURN NEW;')}`,
    check: 'dml',
    code: 'DML_DENIED',
    hint: 'what is denied is what the message names',
  },
  {
    fault: 'a foreign key of another table that names the row',
    engines: POSTGRESQL,
    sql: `CREATE TABLE public.child (id uuid CONSTRAINT "Of Child" REFERENCES public.connection_probe (id) DEFERRABLE INITIALLY DEFERRED);
      ${insertTrigger('INSERT INTO public.child VALUES (NEW.id); RETURN NEW;')}; ALTER FUNCTION public.meddle() SECURITY DEFINER`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: /ALTER TABLE public[.]child DROP CONSTRAINT "Of Child"$/,
    afterwards: 'DROP TABLE public.child',
    rowsLeft: 'exactly',
  },
  {
    fault: 'a CHECK constraint whose name needs quotes',
    sql: `ALTER TABLE public.connection_probe ADD CONSTRAINT "No Origin" CHECK (origin = '')`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'ALTER TABLE public.connection_probe DROP CONSTRAINT "No Origin"',
  },
  {
    fault: 'a rule that rewrites the insert',
    engines: POSTGRESQL,
    sql: `CREATE TABLE public.kept (LIKE public.connection_probe);
      CREATE RULE elsewhere AS ON INSERT TO public.connection_probe DO INSTEAD INSERT INTO public.kept VALUES (NEW.*)`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: '0A000' },
    hint: /^a rule on the table rewrites the statement: .* DROP RULE NAME/,
  },
  {
    fault: 'row_security that is off for the role, and a policy',
    engines: POSTGRESQL,
    sql: `ALTER ROLE gateway_writer SET row_security = off; ALTER TABLE public.connection_probe ENABLE ROW LEVEL SECURITY;
      CREATE POLICY open ON public.connection_probe USING (true)`,
    check: 'dml',
    code: 'DML_DENIED',
    hint: /ALTER ROLE gateway_writer RESET row_security$/,
  },
  {
    fault: 'SQL memory that is used up',
    proxy: () => ({
      onStatement: once(isInsert, error('53200', 'root: memory budget exceeded: 10240 bytes requested')),
    }),
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: OUT_OF_MEMORY,
  },
  {
    fault: 'a catalogue that the role may not read',
    proxy: () => ({
      onStatement: once(sql => /^SELECT rolname/.test(sql), error('42501', 'permission denied for view pg_roles')),
    }),
    check: 'role',
    code: 'CATALOGUE_FAILED',
    hint: /^every role may look this up unless somebody took it away: as root GRANT/,
  },
  {
    fault: 'a publication that cannot tell which row is changed',
    engines: POSTGRESQL,
    sql: `ALTER TABLE public.connection_probe REPLICA IDENTITY NOTHING;
      DROP PUBLICATION IF EXISTS changes; CREATE PUBLICATION changes FOR TABLE public.connection_probe`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: '55000' },
    hint: /^the table is published .* REPLICA IDENTITY DEFAULT/,
    afterwards: 'ALTER TABLE public.connection_probe REPLICA IDENTITY DEFAULT',
    rowsLeft: 'exactly',
  },
  {
    fault: 'a limit on the rows that one transaction may write',
    engines: ['cockroachdb'],
    sql: 'ALTER ROLE gateway_writer SET transaction_rows_written_err = 1',
    check: 'sequential-writes',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: '54000' },
    hint: 'RESET transaction_rows_written_err',
    rowsLeft: 'exactly',
  },
  {
    fault: 'a limit on the rows that one transaction may write, as CockroachDB says it',
    proxy: () => ({
      onStatement: once(isDelete, error('54000', 'txn has written 20 rows, which is above the limit')),
    }),
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'RESET transaction_rows_written_err',
  },
  {
    fault: 'an event trigger that raises',
    engines: POSTGRESQL,
    sql: `CREATE FUNCTION public.meddle() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no DDL here'; END $$;
      CREATE EVENT TRIGGER meddle ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.meddle()`,
    check: 'ddl-refused',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: 'P0001' },
    hint: 'DROP EVENT TRIGGER',
  },
  {
    fault: 'a partitioned table without a partition for the row',
    engines: POSTGRESQL,
    sql: `ALTER TABLE public.connection_probe RENAME TO whole;
      CREATE TABLE public.connection_probe (LIKE public.whole INCLUDING ALL EXCLUDING INDEXES, PRIMARY KEY (id)) PARTITION BY HASH (id);
      ALTER TABLE public.connection_probe OWNER TO gateway_admin;
      GRANT SELECT, INSERT, UPDATE, DELETE ON public.connection_probe TO gateway_writer`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    evidence: { sqlstate: '23514' },
    hint: /^the table is partitioned, and none of its partitions takes the row/,
  },
  {
    fault: 'a trigger that swallows the row',
    engines: POSTGRESQL,
    sql: insertTrigger('RETURN NULL;'),
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
    evidence: { verb: 'INSERT' },
  },
  {
    fault: 'a trigger that puts the row into another table, which this one shows',
    engines: POSTGRESQL,
    sql: `CREATE TABLE public.part () INHERITS (public.connection_probe);
      ALTER TABLE public.part OWNER TO gateway_admin;
      GRANT SELECT, INSERT, UPDATE, DELETE ON public.part TO gateway_writer;
      ${insertTrigger('INSERT INTO public.part VALUES (NEW.*); RETURN NULL;')}`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
  },
  {
    fault: 'an error after the row has landed',
    proxy: onInsert(0, { instead: { S: 'ERROR', C: 'XX000', M: 'internal error' } }),
    check: 'row-visible',
    code: 'WRITE_REFUSED',
  },
  {
    fault: 'an insert that a proxy on the way sends twice',
    proxy: onInsert(0, { instead: { S: 'ERROR', C: '23505', M: 'duplicate key value' } }),
    check: 'row-visible',
    code: 'WRITE_REFUSED',
  },
  {
    fault: 'no such table any more',
    proxy: onInsert(0, error('42P01', 'relation "connection_probe" does not exist')),
    check: 'row-visible',
    code: 'TABLE_MISSING',
  },
]

const RESTART = error('40001', 'restart transaction')
/** A proxy with a fault for the first statement that matches. */
const proxyOnce = (matches: (sql: string) => boolean, fault: Fault = RESTART): Case['proxy'] & {} => {
  return () => ({ onStatement: once(matches, fault) })
}

const CONTENDED: readonly Case[] = [
  {
    fault: 'a serialization failure, once',
    proxy: onInsert(0, error('40001', 'restart transaction: TransactionRetryWithProtoRefreshError')),
    seen: { 'row-visible': { retries: 1, settled: null } },
  },
  {
    fault: 'a serialization failure, three times over',
    proxy: onInsert(2, error('40001', 'restart transaction'), 3),
    seen: { 'sequential-writes': { retries: 3, writes: 5, read: 5 } },
  },
  {
    fault: 'serialization failures without end',
    proxy: onInsert(0, error('40001', 'restart transaction'), 100),
    check: 'row-visible',
    code: 'WRITE_CONTENDED',
    evidence: { sqlstate: '40001', retries: 6 },
  },
  ...(
    [
      ['the select of the row', isRead],
      ['the select of all rows', isFinalRead],
      ['the update', sql => /^update /.test(sql)],
      ['CREATE TABLE', sql => /^CREATE TABLE /.test(sql)],
      ['a catalogue query', sql => /has_table_privilege/.test(sql)],
    ] satisfies [string, (sql: string) => boolean][]
  ).map(([what, matches]) => ({ fault: `a serialization failure, once, of ${what}`, proxy: proxyOnce(matches) })),
  {
    fault: 'an update of unknown outcome',
    proxy: proxyOnce(sql => /^update /.test(sql), { instead: { S: 'ERROR', C: '40003', M: 'result is ambiguous' } }),
  },
  {
    fault: 'serialization failures without end of the select of the row',
    proxy: onRead(0, () => error('40001', 'restart transaction')),
    check: 'row-visible',
    code: 'READ_FAILED',
    evidence: { sqlstate: '40001', retries: 6 },
  },
]

const AMBIGUOUS: readonly Case[] = [
  {
    fault: 'an ambiguous result, and the row is there',
    proxy: onInsert(0, { instead: { S: 'ERROR', C: '40003', M: 'result is ambiguous' } }),
    seen: { 'row-visible': { settled: 'landed' } },
  },
  {
    fault: 'an ambiguous result, and the row is not there',
    proxy: onInsert(3, error('40003', 'result is ambiguous')),
    seen: { 'sequential-writes': { settled: 1, writes: 5, read: 5 } },
  },
]

const LATE: readonly Case[] = [
  {
    fault: 'an insert that takes longer than the statement timeout',
    engines: POSTGRESQL,
    sql: insertTrigger('IF NEW.sequence = 0 THEN PERFORM pg_sleep(5); END IF; RETURN NEW;'),
    options: SHORT,
    check: 'row-visible',
    code: 'WRITE_TIMEOUT',
    evidence: { sqlstate: '57014' },
  },
  {
    fault: 'a lock that another session holds',
    engines: POSTGRESQL,
    meanwhile: (base, database) => lockTable(base, database),
    options: SHORT,
    check: 'dml',
    code: 'WRITE_TIMEOUT',
    evidence: { sqlstate: expect.stringMatching(/^(55P03|57014)$/) },
  },
  {
    fault: 'a lock that another session holds against readers, too',
    engines: POSTGRESQL,
    meanwhile: (base, database) => lockTable(base, database, 'ACCESS EXCLUSIVE'),
    options: { deadlineMs: 10_000 },
    check: 'dml',
    code: 'WRITE_TIMEOUT',
  },
  {
    fault: 'a lock that was waited for too long',
    proxy: onInsert(0, error('55P03', 'canceling statement due to lock timeout')),
    check: 'row-visible',
    code: 'WRITE_TIMEOUT',
    evidence: { sqlstate: '55P03' },
  },
  {
    fault: 'a server that is silent after the insert, which it has done',
    hint: "not even the server's own timeout came back",
    proxy: onInsert(0, { instead: 'silent' }),
    options: SHORT,
    check: 'row-visible',
    code: 'WRITE_TIMEOUT',
    evidence: { outcome: 'the row had been written' },
  },
]

const lost = (
  fault: string,
  sequence: number,
  how: Parameters<typeof cut>[0],
  outcome: string,
  more: Partial<Case> = {},
): Case => {
  return {
    fault,
    proxy: onInsert(sequence, cut(how)),
    check: sequence === 0 ? 'row-visible' : 'sequential-writes',
    code: 'CONNECTION_LOST',
    evidence: { outcome },
    ...more,
  }
}

const LOST: readonly Case[] = [
  lost('the connection cut before the insert arrived', 0, 'before', 'the row had not been written'),
  lost('the connection cut after the insert, before its answer', 0, 'after', 'the row had been written'),
  lost('the connection closed after the insert, before its answer', 0, 'closed after', 'the row had been written'),
  lost('the connection cut in the middle of the sequential writes', 3, 'after', 'the row had been written'),
  {
    fault: 'both connections cut, of which the second is found so by the removal of the rows',
    proxy() {
      const isCut = { insert: false, removal: false }
      return {
        onStatement(sql, params) {
          if (isInsert(sql) && sequenceOf(params) === 3) isCut.insert = true
          else if (!isCut.insert || isCut.removal || !isDelete(sql)) return undefined
          else isCut.removal = true
          return cut('before')
        },
      }
    },
    check: 'sequential-writes',
    code: 'CONNECTION_LOST',
  },
  {
    fault: 'a pooler that lost the server behind it once the row had landed',
    proxy: onInsert(0, { instead: { S: 'FATAL', C: '08P01', M: 'server conn crashed?' } }),
    check: 'row-visible',
    code: 'CONNECTION_LOST',
    evidence: { outcome: 'the row had been written' },
  },
  lost('the connection lost before a slow insert lands', 0, 'during', 'the row had been written', {
    engines: POSTGRESQL,
    sql: insertTrigger(`PERFORM pg_sleep(0.4); RETURN NEW;`),
  }),
  {
    fault: 'the node shut down under the insert',
    proxy: onInsert(0, error('57P01', 'server is shutting down')),
    check: 'row-visible',
    code: 'SERVER_DRAINING',
    evidence: { outcome: 'the row had not been written' },
  },
]

/** A trigger that runs this body, as root, before the first insert of row-visible's row and before no other. PostgreSQL. */
const firstInsert = (body: string): string => `
  CREATE SEQUENCE public.inserts;
  CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    IF NEW.sequence = 0 AND nextval('public.inserts') = 1 THEN ${body} END IF; RETURN NEW; END $$;
  CREATE TRIGGER meddle BEFORE INSERT ON public.connection_probe FOR EACH ROW EXECUTE FUNCTION public.meddle()`

const GONE: readonly Case[] = [
  {
    fault: 'a transaction that its timeout ends, and the session with it',
    engines: POSTGRESQL,
    sql: `ALTER ROLE gateway_writer SET transaction_timeout = '500ms'; ${firstInsert('PERFORM pg_sleep(3);')}`,
    check: 'row-visible',
    code: 'CONNECTION_LOST',
    hint: 'transaction_timeout',
    sqlstate: '25P04',
    evidence: { outcome: 'the row had not been written' },
  },
  {
    fault: 'a session that an administrator ends',
    engines: POSTGRESQL,
    sql: firstInsert('PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(3);'),
    check: 'row-visible',
    code: 'SERVER_DRAINING',
    sqlstate: '57P01',
    evidence: { outcome: 'the row had not been written' },
  },
  ...(
    [
      // Of a conflict with recovery PostgreSQL says so; not to be tried again: the session is gone.
      ['40001', 'the select of the row', 'CONNECTION_LOST', 'dml', isRead],
      ['53200', 'the select of all rows', 'CONNECTION_LOST', 'sequential-writes', isFinalRead],
      // Neither is the refusal asked for.
      ['42501', 'CREATE TABLE', 'CONNECTION_LOST', 'ddl-refused', sql => /^CREATE TABLE /.test(sql)],
      ['57P04', 'a catalogue query', 'DATABASE_MISSING', 'ddl-refused', sql => /aclexplode|table_privileges/.test(sql)],
    ] satisfies [string, string, Code, CheckId, (sql: string) => boolean][]
  ).map(([C, what, code, check, matches]): Case => {
    const instead = { S: 'FATAL', V: 'FATAL', C, M: 'the session ends' }
    return {
      fault: `FATAL ${C} in answer to ${what}`,
      proxy: proxyOnce(matches, { execute: false, instead }),
      check,
      code,
      sqlstate: C,
      ...(C === '53200' && { hint: OUT_OF_MEMORY }),
    }
  }),
]

/** A session of root's that lets others read the table and not write it. */
async function lockTable({ server, root }: Base, database: string, mode = 'EXCLUSIVE'): Promise<AsyncDisposable> {
  const sql = root(database)
  await sql.unsafe(`BEGIN; LOCK TABLE public.connection_probe IN ${mode} MODE`)
  expect(server.engine).toBe('postgresql')
  return sql
}

const base = useBase()
describeFaults('a write refused', base, REFUSED)
describeFaults('a write contended', base, CONTENDED)
describeFaults('a write of unknown outcome', base, AMBIGUOUS)
describeFaults('a write too late', base, LATE)
describeFaults('a connection lost in a write', base, LOST)
describeFaults('a session that the server ends', base, GONE)

it.runIf(inject('engine') === 'postgresql')(
  'a crash of another session ends ours, and the server says so',
  async () => {
    await using server = await migrated({ engine: 'postgresql' })
    await server.runAsRoot(firstInsert('PERFORM pg_sleep(3);'))
    // The throwaway server commits asynchronously: without it the crash may take the table with it.
    await server.runAsRoot('CHECKPOINT')
    const probing = probeServer(server, { options: { writes: 5 } })
    await using other = clientOf(server, 'root', server.database)
    const [victim] = await other`SELECT pg_backend_pid() AS pid`
    const sleeping = () => other`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'`
    while ((await sleeping()).length === 0) await sleep(20)
    process.kill(Number(victim?.pid), 'SIGKILL')
    expectVerdict(await probing, {
      check: 'row-visible',
      code: 'SERVER_UNAVAILABLE',
      sqlstate: '57P02',
      evidence: { outcome: 'the row had not been written' },
    })
  },
)

describe('a write whose outcome cannot be settled', () => {
  /** From this insert on nobody gets in any more; before it everything but the writes has come to its end. */
  function gone(sequence: number, executed: boolean, others: 'stay' | 'go'): Case['proxy'] & {} {
    return () => {
      let closed = false
      let refused = 0
      let removed = (): void => undefined
      const othersDone = new Promise<void>(resolve => {
        removed = resolve
      })
      const sessions = new Set<Session>()
      return {
        onAccept(session) {
          if (!closed) return void sessions.add(session)
          // the second dial comes a pause later, when everybody has had their answers
          if (others === 'go' && ++refused === 2) for (const other of sessions) other.end()
          return 'reset'
        },
        async onStatement(sql, params) {
          if (isDelete(sql)) removed() // dml's, which comes last of the others
          if (!isInsert(sql) || sequenceOf(params) !== sequence) return undefined
          await othersDone
          closed = true
          return { execute: executed, instead: 'reset' }
        },
      }
    }
  }

  const ambiguous = (report: Report) =>
    expectVerdict(report, {
      check: 'sequential-writes',
      code: 'WRITE_AMBIGUOUS',
      hint: 'the statement in the warning ROWS_LEFT',
      evidence: { first: 'CONNECTION_LOST', settling: expect.stringMatching(/^(TCP|TLS)_/) },
    })

  it.each([
    { executed: true, what: 'is there' },
    { executed: false, what: 'is not there' },
  ])('is WRITE_AMBIGUOUS, and ROWS_LEFT has the statement: the row $what', async ({ executed }) => {
    const one = { proxy: gone(2, executed, 'go'), options: { deadlineMs: 5000 } }
    const { report, database } = await probeCase(base(), one)
    ambiguous(report)
    // rows 0 and 1 are there for certain, row 2 perhaps
    await expectNothingLeft(base(), database, report, executed ? 'exactly' : 'perhaps')
  })

  it('is settled after all, and nothing left, where the other connection lives on', async () => {
    const one = { proxy: gone(2, true, 'stay'), options: { deadlineMs: 5000 } }
    const { report, database } = await probeCase(base(), one)
    ambiguous(report)
    await expectNothingLeft(base(), database, report)
  })

  it('is not settled by reading: the same row is inserted again', async () => {
    const one = { proxy: onInsert(0, cut('after')) }
    const { statements } = await probeCase(base(), one)
    const first = statements.find(({ sql, params }) => isInsert(sql) && sequenceOf(params) === 0)
    const again = statements.filter(({ sql }) => isSettling(sql))
    expect(again.map(({ params }) => params)).toEqual([first?.params])
  })
})

describe('rows', () => {
  it('are removed by primary key only, each of them once', async () => {
    const { report, statements } = await probeCase(base(), { proxy: () => ({}) })
    const written = statements.filter(({ sql }) => isInsert(sql)).map(({ params }) => params[0])
    const deletes = statements.filter(({ sql }) => isDelete(sql))
    expect(deletes.every(({ sql }) => /^DELETE FROM public\.connection_probe WHERE id IN \(/.test(sql))).toBe(true)
    expect(deletes.flatMap(({ sql }) => idsIn(sql)).sort()).toEqual(written.sort())
    expect(check(report, 'sequential-writes').evidence).toMatchObject({ writes: 5, read: 5 })
  })
})
