/** The table is not what src/ declares, or cannot be touched: which of the two it is, is never confused. */
import { type Case, describeFaults, tableWith, useBase } from '../helpers/faults.ts'
import { configOf } from '../helpers/probe.ts'
import { error } from '../helpers/statement-faults.ts'
import { statementsOf } from '../helpers/statements.ts'
import { run, settings } from '../helpers/target.ts'

const mismatch = (fault: string, sql: Case['sql'], difference: string, more: Partial<Case> = {}): Case => ({
  fault,
  ...(sql && { sql }),
  check: 'table',
  code: 'TABLE_MISMATCH',
  evidence: { differences: [difference] },
  ...more,
})

/** A second table of that name, which the bare name finds first. */
const OTHER = `CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO gateway_writer;
  CREATE TABLE other.connection_probe (n int); GRANT SELECT ON other.connection_probe TO gateway_writer`

const ANOTHER = 'the bare name connection_probe finds other.connection_probe, not public.connection_probe (search_path)'

const NOTHING: AsyncDisposable = { [Symbol.asyncDispose]: async () => undefined }

/** The probe has run before: CockroachDB keeps plans, and asks again for the privileges of what is in them. */
const AGAIN: Case['meanwhile'] = async ({ server, pem }, database) => {
  await run(configOf(settings({ port: server.port, database, pem: pem('gateway_writer') })))
  return NOTHING
}

/** A search path on which the schema of the other table comes first. */
const FIRST = 'ALTER ROLE gateway_writer SET search_path = other, public'

/** A database that no other case gets. */
const ANEW = 'SELECT 1'

/** Run as root where hash-sharded indexes may be made: CockroachDB 22.1 wants it set in the session. */
const hashSharded =
  (sql: string): NonNullable<Case['meanwhile']> =>
  async (base, database) => {
    await using root = base.root(database)
    for (const statement of ['SET experimental_enable_hash_sharded_indexes = on', ...statementsOf(sql)])
      await root.unsafe(statement)
    return NOTHING
  }

const ALL_OF_HIDDEN = 'SELECT id, run_id, sequence, origin, written_by, payload, written_at FROM public.hidden'

const CASES: readonly Case[] = [
  {
    fault: 'no table',
    sql: 'DROP TABLE public.connection_probe',
    check: 'table',
    code: 'TABLE_MISSING',
    table: false,
  },
  {
    ...mismatch('a table that a job keeps offline', 'DROP TABLE public.connection_probe', 'it is offline: importing'),
    proxy: () => ({
      onStatement: sql =>
        sql === 'SELECT 1 FROM public."connection_probe" LIMIT 0'
          ? error('XXUUU', 'relation "connection_probe" is offline: importing')
          : undefined,
    }),
    hint: 'as root SHOW JOBS; wait until the job ends, or RESUME JOB ID, or CANCEL JOB ID; do not migrate',
    table: false,
  },
  {
    fault: 'a table of that name in another schema only',
    sql: `DROP TABLE public.connection_probe; ${OTHER}`,
    check: 'table',
    code: 'TABLE_MISSING',
    table: false,
  },
  {
    ...mismatch('a renamed column', 'ALTER TABLE public.connection_probe RENAME COLUMN origin TO source', ''),
    evidence: { differences: ['column origin is missing', 'column source (text) is not declared'] },
  },
  mismatch(
    'an added column',
    'ALTER TABLE public.connection_probe ADD COLUMN extra text',
    'column extra (text) is not declared',
  ),
  mismatch('a dropped column', 'ALTER TABLE public.connection_probe DROP COLUMN payload', 'column payload is missing'),
  mismatch(
    'a column of another type',
    tableWith('"sequence" bigint', '"sequence" smallint'),
    'column sequence is smallint, not bigint',
  ),
  mismatch('a nullable column', tableWith('"origin" text NOT NULL', '"origin" text'), 'column origin is nullable'),
  mismatch(
    'an identity column',
    tableWith('"sequence" bigint NOT NULL', '"sequence" bigint NOT NULL GENERATED ALWAYS AS IDENTITY'),
    'column sequence is generated',
  ),
  mismatch(
    'a computed column, stored',
    tableWith(
      '"written_by" text DEFAULT current_user NOT NULL',
      '"written_by" text NOT NULL GENERATED ALWAYS AS (origin) STORED',
    ),
    'column written_by is generated',
  ),
  mismatch(
    'a computed column, virtual',
    tableWith('"sequence" bigint NOT NULL', '"sequence" bigint NOT NULL AS (7) VIRTUAL'),
    'column sequence is generated',
    { engines: ['cockroachdb'] },
  ),
  mismatch(
    'no primary key',
    'ALTER TABLE public.connection_probe DROP CONSTRAINT connection_probe_pkey',
    'column id is not part of the primary key',
    { engines: ['postgresql'] },
  ),
  mismatch(
    'another primary key',
    tableWith('"sequence" bigint NOT NULL', '"sequence" bigint NOT NULL, PRIMARY KEY (id, sequence)').replace(
      '"id" uuid PRIMARY KEY',
      '"id" uuid',
    ),
    'column sequence is part of the primary key',
  ),
  {
    fault: 'a hash-sharded index',
    sql: ANEW,
    meanwhile: hashSharded('CREATE INDEX sharded ON public.connection_probe (run_id) USING HASH'),
    engines: ['cockroachdb'],
  },
  {
    ...mismatch('a hash-sharded primary key', ANEW, 'column crdb_internal_id_shard_16 (integer) is not declared'),
    meanwhile: hashSharded(tableWith('"id" uuid PRIMARY KEY', '"id" uuid PRIMARY KEY USING HASH')),
    engines: ['cockroachdb'],
  },
  mismatch(
    'a column that is only called like that of a hash-sharded index',
    'ALTER TABLE public.connection_probe ADD COLUMN crdb_internal_run_id_shard_16 bigint NOT NULL',
    'column crdb_internal_run_id_shard_16 (bigint) is not declared',
  ),
  ...(
    [
      ['view', `VIEW public.connection_probe AS ${ALL_OF_HIDDEN}`],
      ['materialized view', `MATERIALIZED VIEW public.connection_probe AS ${ALL_OF_HIDDEN}`],
      ['sequence', 'SEQUENCE public.connection_probe'],
      ['type', 'TYPE public.connection_probe AS (n int)', ['postgresql']],
    ] as const
  ).map(
    ([kind, made, engines]): Case => ({
      ...mismatch(
        `a ${kind} of that name`,
        `ALTER TABLE public.connection_probe RENAME TO hidden; CREATE ${made}`,
        `it is a ${kind}, not a table`,
      ),
      hint: `as root DROP ${kind.toUpperCase()} public.connection_probe, or rename it; then npm run migrate`,
      table: false,
      ...(engines && { engines }),
    }),
  ),
  {
    ...mismatch(
      'a view of that name, where a search path is set, too',
      `ALTER TABLE public.connection_probe RENAME TO hidden; CREATE VIEW public.connection_probe AS ${ALL_OF_HIDDEN};
        ALTER ROLE gateway_writer SET search_path = public`,
      'it is a view, not a table',
    ),
    hint: 'as root DROP VIEW public.connection_probe, or rename it; then npm run migrate',
    table: false,
  },
  mismatch(
    'another table found first by the bare name, by the role',
    `${OTHER}; ALTER ROLE gateway_writer SET search_path = other, public`,
    ANOTHER,
    {
      hint: /^the table is right, but the search path hides it\. As root: ALTER ROLE gateway_writer RESET search_path$/,
    },
  ),
  mismatch(
    'another table found first by the bare name, by the database',
    database => `${OTHER}; ALTER DATABASE ${database} SET search_path = other, public`,
    ANOTHER,
    { hint: /^the table is right, but the search path hides it\. As root: ALTER DATABASE \w+ RESET search_path$/ },
  ),
  mismatch(
    'another table found first by the bare name, in a schema called like the role',
    OTHER.replaceAll('other', 'gateway_writer'),
    ANOTHER.replace('other', 'gateway_writer'),
    { hint: 'ALTER ROLE gateway_writer SET search_path = public' },
  ),
  mismatch(
    'a search path on which the table is not',
    'ALTER ROLE gateway_writer SET search_path = other',
    'the bare name connection_probe finds no table (search_path)',
    {
      hint: /^the table is right, but the search path hides it\. As root: ALTER ROLE gateway_writer RESET search_path$/,
    },
  ),
  mismatch(
    'another table found first by the bare name, without a grant on it, when it is probed again',
    `${OTHER}; REVOKE ALL ON other.connection_probe FROM gateway_writer; ${FIRST}`,
    ANOTHER,
    { hint: /^the table is right, but the search path hides it/, meanwhile: AGAIN },
  ),
  mismatch(
    'another table found first by the bare name, in a schema without USAGE',
    `${OTHER}; REVOKE USAGE ON SCHEMA other FROM gateway_writer; ${FIRST}`,
    ANOTHER,
    { hint: /^the table is right, but the search path hides it/, engines: ['cockroachdb'] },
  ),
  {
    fault: 'PostgreSQL looks for a bare name in no schema without USAGE',
    sql: `${OTHER}; REVOKE USAGE ON SCHEMA other FROM gateway_writer; ${FIRST}`,
    engines: ['postgresql'],
  },
  {
    fault: 'another table that the bare name finds later',
    sql: `${OTHER}; ALTER ROLE gateway_writer SET search_path = public, other`,
  },
  mismatch(
    'an index of that name found first by the bare name',
    `${OTHER}; ALTER TABLE other.connection_probe RENAME TO hidden;
     CREATE INDEX connection_probe ON other.hidden (n); ${FIRST}`,
    ANOTHER,
    { hint: /^the table is right, but the search path hides it/, engines: ['postgresql'] },
  ),
  {
    fault: 'an index hides no table of its name on CockroachDB',
    sql: `${OTHER}; CREATE INDEX connection_probe ON other.connection_probe (n);
      ALTER TABLE other.connection_probe RENAME TO other.hidden; ${FIRST}`,
    engines: ['cockroachdb'],
  },
  ...[undefined, AGAIN].map(
    (meanwhile): Case => ({
      fault: `a table without any grant does not look like a missing one${meanwhile ? ', probed again' : ''}`,
      sql: 'REVOKE ALL ON public.connection_probe FROM gateway_writer',
      check: 'dml',
      code: 'DML_DENIED',
      evidence: { held: [], missing: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] },
      ...(meanwhile && { meanwhile }),
    }),
  ),
  {
    fault: 'a table without SELECT, probed again',
    sql: 'REVOKE SELECT ON public.connection_probe FROM gateway_writer',
    check: 'dml',
    code: 'DML_DENIED',
    evidence: { missing: ['SELECT'] },
    meanwhile: AGAIN,
  },
  {
    fault: 'no USAGE on schema public',
    sql: 'REVOKE USAGE ON SCHEMA public FROM gateway_writer, public',
    check: 'dml',
    code: 'DML_DENIED',
    hint: 'GRANT USAGE ON SCHEMA public TO gateway_writer',
    evidence: { missing: ['USAGE on schema public'] },
  },
]

describeFaults('the table', useBase(), CASES)
