/** Nothing passes by mistake: servers that say what one wants to hear. */
import { describe, expect, it } from 'vitest'
import type { Engine } from '../../src/development/throwaway/index.ts'
import { makeCredentials } from '../helpers/clients.ts'
import { cockroachServer } from '../helpers/cockroach.ts'
import {
  type Case,
  describeFaults,
  expectNothingLeft,
  insertTrigger,
  isDelete,
  isInsert,
  isRead,
  type OnStatement,
  type ProxyFault,
  probeCase,
  sequenceOf,
  useBase,
} from '../helpers/faults.ts'
import { configOf } from '../helpers/probe.ts'
import { changed, error } from '../helpers/statement-faults.ts'
import { run, settings } from '../helpers/target.ts'
import { expectVerdict } from '../helpers/verdict.ts'
import { parse, query } from '../helpers/wire.ts'

const POSTGRESQL: readonly Engine[] = ['postgresql']

/** An insert that is nothing at all, with a fine tag. */
const SWALLOW = insertTrigger('RETURN NULL;')
const claimed: OnStatement = sql => (isInsert(sql) ? { tag: () => 'INSERT 0 1' } : undefined)

/** Catalogue questions that match are answered with no row. */
const empty =
  (question: RegExp): (() => ProxyFault) =>
  () => ({
    onStatement: sql => (question.test(sql) ? { row: () => undefined } : undefined),
  })

/** The question for the database is answered with another row: its name, and how many there are of it. */
const sayingOfDatabase = (row: (values: readonly (string | null)[]) => (string | null)[]) => (): ProxyFault => ({
  onStatement: sql => (sql.includes('current_database() AS name') ? { row } : undefined),
})

/** A statement of the simple protocol is answered as another one would be. */
const inPlaceOf =
  (statement: RegExp, other: string, tag: string): (() => ProxyFault) =>
  () => ({
    onClientMessage: message => (message.kind === 'Query' && statement.test(message.sql) ? query(other) : undefined),
    onStatement: sql => (statement.test(sql) ? { tag: () => tag } : undefined),
  })

/** Everything the writer does stays in a transaction that nobody commits: it finds its rows again, others do not. */
function memory(): ProxyFault {
  return {
    onClientMessage: message =>
      message.kind === 'Query' && /^SELECT 1 FROM /.test(message.sql) ? query(`BEGIN; ${message.sql}`) : undefined,
  }
}

/** dml's row is not there when it is read after its insert. */
function forgetful(): ProxyFault {
  let id: string | null | undefined
  return {
    onStatement(sql, params) {
      if (isInsert(sql) && sequenceOf(params) === -1) id = params[0]
      return id && isRead(sql) && params[0] === id ? { row: () => undefined } : undefined
    },
  }
}

/** A trigger that swallows the DELETE of these rows. */
const keepRows = (which: string): string => `
  CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF ${which} THEN RETURN NULL; END IF; RETURN OLD; END $$;
  CREATE TRIGGER meddle BEFORE DELETE ON public.connection_probe FOR EACH ROW EXECUTE FUNCTION public.keep()`

/** A trigger that takes the row away again as soon as it is there; the proxy answers its reads from memory. */
const vanishing = (sequence: number): Pick<Case, 'sql' | 'proxy'> => ({
  sql: `
    CREATE TABLE public.memory (LIKE public.connection_probe);
    ALTER TABLE public.memory OWNER TO root;
    CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
      BEGIN INSERT INTO public.memory VALUES (NEW.*); DELETE FROM public.connection_probe WHERE id = NEW.id; RETURN NULL; END $$;
    CREATE TRIGGER meddle AFTER INSERT ON public.connection_probe FOR EACH ROW WHEN (NEW.sequence = ${sequence})
      EXECUTE FUNCTION public.meddle();
    CREATE VIEW public.seen AS SELECT * FROM public.connection_probe UNION ALL SELECT * FROM public.memory;
    GRANT SELECT ON public.seen TO gateway_writer`,
  proxy: () => ({
    onClientMessage: message =>
      message.kind === 'Parse' && /^select /.test(message.sql)
        ? parse(
            message.name,
            message.sql.replace('from "connection_probe"', 'from "seen" as "connection_probe"'),
            message.types,
          )
        : undefined,
  }),
})

const CASES: readonly Case[] = [
  {
    fault: 'the row of the independent read is answered from memory: it was never there to be removed',
    engines: POSTGRESQL,
    ...vanishing(0),
    check: 'row-visible',
    code: 'ROW_NOT_VISIBLE',
    hint: 'something that answers from memory',
    evidence: { absent: [expect.any(String)] },
    rowsLeft: 'unfounded',
  },
  {
    fault: 'one of the sequential writes is answered from memory',
    engines: POSTGRESQL,
    ...vanishing(3),
    check: 'sequential-writes',
    code: 'ROW_NOT_VISIBLE',
    hint: 'something that answers from memory',
    evidence: { absent: [expect.any(String)] },
    rowsLeft: 'unfounded',
  },
  {
    fault: 'a trigger that swallows the DELETE of the sequential writes',
    engines: POSTGRESQL,
    sql: keepRows('OLD.sequence > 0'),
    check: 'sequential-writes',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
    rowsLeft: 'exactly',
    afterwards: 'DROP TRIGGER meddle ON public.connection_probe',
  },
  {
    fault: 'a trigger that swallows the DELETE of the row that is read independently',
    engines: POSTGRESQL,
    sql: keepRows('OLD.sequence = 0'),
    check: 'row-visible',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
    rowsLeft: 'exactly',
    afterwards: 'DROP TRIGGER meddle ON public.connection_probe',
  },
  {
    fault: 'every insert answered with success, and nothing stored',
    engines: POSTGRESQL,
    sql: SWALLOW,
    proxy: () => ({ onStatement: claimed }),
    options: { visibleWithinMs: 40 },
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
    evidence: { verb: 'INSERT' },
  },
  {
    fault: 'inserted values given back on the same connection, and to nobody else',
    // CockroachDB's readers wait for a transaction that is not committed: there the read comes to a timeout.
    engines: POSTGRESQL,
    proxy: memory,
    options: { visibleWithinMs: 40 },
    check: 'row-visible',
    code: 'ROW_NOT_VISIBLE',
  },
  {
    fault: 'an insert that is never committed, answered with success',
    engines: ['cockroachdb'],
    proxy: memory,
    options: { visibleWithinMs: 1000, deadlineMs: 12_000 },
    check: 'row-visible',
    code: expect.stringMatching(/^(READ_TIMEOUT|ROW_NOT_VISIBLE)$/),
    hint: '',
  },
  {
    fault: 'a row that is gone when it is read after its insert',
    proxy: forgetful,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
    evidence: { verb: 'INSERT' },
  },
  {
    fault: 'an UPDATE that is answered with success and changes nothing',
    proxy: () => ({ onStatement: sql => (/^update /.test(sql) ? { row: () => undefined } : undefined) }),
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
    evidence: { verb: 'UPDATE' },
  },
  {
    fault: 'an UPDATE that gives back the old row',
    engines: POSTGRESQL,
    sql: `CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
      CREATE TRIGGER meddle BEFORE UPDATE ON public.connection_probe FOR EACH ROW EXECUTE FUNCTION public.meddle()`,
    check: 'dml',
    code: 'ROW_MISMATCH',
    evidence: { differing: [expect.objectContaining({ column: 'payload' })] },
  },
  {
    fault: 'an UPDATE that says it wrote something else than is there',
    proxy: () => ({ onStatement: sql => (/^update /.test(sql) ? changed('payload', '{"changed": 1}') : undefined) }),
    check: 'dml',
    code: 'ROW_MISMATCH',
    evidence: { differing: [expect.objectContaining({ column: 'payload' })] },
  },
  {
    fault: 'a DELETE that is answered with success and removes nothing',
    engines: POSTGRESQL,
    sql: `CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
      CREATE TRIGGER meddle BEFORE DELETE ON public.connection_probe FOR EACH ROW EXECUTE FUNCTION public.meddle()`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
    evidence: { verb: 'DELETE' },
    rowsLeft: 'exactly',
    afterwards: 'DROP TRIGGER meddle ON public.connection_probe',
  },
  {
    fault: 'an UPDATE that a trigger takes back',
    engines: POSTGRESQL,
    sql: `CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE public.connection_probe SET payload = OLD.payload WHERE id = OLD.id; RETURN NULL; END $$;
      CREATE TRIGGER meddle AFTER UPDATE ON public.connection_probe FOR EACH ROW
        WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION public.meddle()`,
    check: 'dml',
    code: 'ROW_MISMATCH',
  },
  {
    fault: 'a DELETE that a trigger takes back',
    engines: POSTGRESQL,
    sql: `CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.connection_probe VALUES (OLD.*); RETURN NULL; END $$;
      CREATE TRIGGER meddle AFTER DELETE ON public.connection_probe FOR EACH ROW EXECUTE FUNCTION public.meddle()`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
    evidence: { verb: 'DELETE', back: [expect.any(String)] },
    rowsLeft: 'exactly',
    afterwards: 'DROP TRIGGER meddle ON public.connection_probe',
  },
  {
    fault: 'a DELETE whose rows are not given back, though they are removed',
    proxy: () => {
      let left = 1
      return { onStatement: sql => (isDelete(sql) && left-- > 0 ? { row: () => undefined } : undefined) }
    },
    check: 'dml',
    code: 'ROW_NOT_VISIBLE',
    hint: 'something that answers from memory',
    evidence: { absent: [expect.any(String)] },
    rowsLeft: 'unfounded',
  },
  {
    fault: 'no answer about the table is an answer: there is none',
    proxy: empty(/pg_catalog\.pg_attribute/),
    check: 'table',
    code: 'TABLE_MISSING',
  },
  {
    fault: 'no answer about the privileges',
    proxy: empty(/has_table_privilege/),
    check: 'table',
    code: 'CATALOGUE_FAILED',
  },
  {
    fault: 'no answer about the roles',
    proxy: empty(/pg_catalog\.pg_roles WHERE/),
    check: 'role',
    code: 'ADMIN_AT_RUNTIME',
  },
  {
    fault: 'no answer to who the user is',
    proxy: empty(/session_user/),
    check: 'role',
    code: 'CATALOGUE_FAILED',
  },
  {
    fault: 'no answer to which database this is',
    proxy: empty(/current_database\(\) AS name/),
    check: 'database',
    code: 'CATALOGUE_FAILED',
  },
  {
    fault: 'a session in another database than the configured one',
    proxy: sayingOfDatabase(([, found]) => ['another', found ?? null]),
    check: 'database',
    code: 'CATALOGUE_FAILED',
    message: /^the session is in database "another", not "/,
  },
  {
    fault: 'a session in a database that the catalogue does not list',
    proxy: sayingOfDatabase(([name]) => [name ?? null, '0']),
    check: 'database',
    code: 'DATABASE_MISSING',
    evidence: { exists: false },
  },
  {
    fault: 'every catalogue question answered with no row',
    proxy: empty(/pg_catalog|session_user|clock_timestamp|pg_backend_pid|session_id|privileges/),
    check: 'database',
    code: 'CATALOGUE_FAILED',
  },
  ...(['XX000', '42P01', '0A000', '22012'] as const).map(
    (code): Case => ({
      fault: `default privileges that are asked for, and answered with ${code}`,
      engines: POSTGRESQL,
      proxy: () => ({
        onStatement: (sql: string) => (sql.includes('pg_default_acl') ? error(code, 'no') : undefined),
      }),
      check: 'ddl-refused',
      code: 'CATALOGUE_FAILED' as const,
    }),
  ),
  {
    fault: 'no answer to which session this is',
    proxy: empty(/connection_probe\.session/),
    check: 'database',
    code: 'CATALOGUE_FAILED',
  },
  {
    fault: 'a CREATE TABLE that is answered with success',
    proxy: inPlaceOf(/^CREATE TABLE public\.connection_probe/, 'SELECT 1 WHERE false', 'CREATE TABLE'),
    check: 'ddl-refused',
    code: 'DDL_ALLOWED',
    evidence: { createTable: '00000', creatable: [] },
  },
  {
    fault: 'a CREATE TABLE that finds the name taken, where the catalogue says that nothing may be created',
    proxy: inPlaceOf(
      /^CREATE TABLE public\.connection_probe/,
      `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '42P07', MESSAGE = 'relation exists'; END $$`,
      'DO',
    ),
    engines: POSTGRESQL,
    check: 'ddl-refused',
    code: 'DDL_ALLOWED',
    evidence: { createTable: '42P07', creatable: [] },
  },
  {
    fault: 'a catalogue that says CREATE is allowed, where it is refused',
    proxy: inPlaceOf(/has_database_privilege/, `SELECT 'schema public'::text AS name`, 'SELECT 1'),
    check: 'ddl-refused',
    code: 'DDL_ALLOWED',
    evidence: { createTable: '42501', creatable: ['schema public'] },
  },
]

const base = useBase()
describeFaults('a server that says what one wants to hear', base, CASES)

describe('a server that answers every statement with success', () => {
  it('and with nothing else fails at its first use', async () => {
    const credentials = await makeCredentials()
    const { ca, cert = '', key = '' } = credentials.client('gateway_writer')
    await using server = await cockroachServer({ tls: credentials.server })
    const report = await run(configOf(settings({ port: server.port, pem: { ca, cert, key } })))
    expectVerdict(report, {
      check: 'database',
      code: 'CATALOGUE_FAILED',
    })
    expect(server.statements.filter(({ sql }) => /^\s*(insert|update|delete|create)/i.test(sql))).toEqual([])
  })
})

describe('a run without a fault', () => {
  it('passes, and shows what each check has seen', async () => {
    const { report, database } = await probeCase(base(), {})
    expectVerdict(report, {
      seen: {
        config: { role: 'writer', sslmode: 'verify-full' },
        tcp: { address: '::1' },
        database: { exists: true, database },
        role: { attributes: [], memberships: [], owned: [] },
        dml: { missing: [] },
        'ddl-refused': { createTable: '42501', creatable: [], excess: [], elsewhere: [] },
        'sequential-writes': { writes: 5, read: 5, retries: 0, settled: 0 },
        'statements-unnamed': { named: [] },
      },
    })
    await expectNothingLeft(base(), database, report)
  })
})
