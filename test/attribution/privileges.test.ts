/** The writer holds too little, or is or may more than it should: each in every form there is. */
import { describe, expect, inject, it } from 'vitest'
import type { Engine } from '../../src/development/throwaway/index.ts'
import type { Code } from '../../src/failure/codes.ts'
import type { CheckId } from '../../src/report/report.ts'
import { clientOf } from '../helpers/clients.ts'
import { type Case, describeFaults, insertTrigger, probeCase, useBase } from '../helpers/faults.ts'
import { configOf } from '../helpers/probe.ts'
import { run, settings } from '../helpers/target.ts'
import { check, expectVerdict } from '../helpers/verdict.ts'

const POSTGRESQL: readonly Engine[] = ['postgresql']
const COCKROACHDB: readonly Engine[] = ['cockroachdb']

const VERBS = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] as const

/** UPDATE is the one verb that no row needs to be written, seen and removed. */
const MISSING: readonly Case[] = VERBS.map(verb => ({
  fault: `no ${verb}`,
  sql: `REVOKE ${verb} ON public.connection_probe FROM gateway_writer`,
  check: 'dml',
  code: 'DML_DENIED',
  evidence: { missing: [verb], held: VERBS.filter(held => held !== verb) },
}))

/** What another table keeps the user from, though it holds all four verbs. */
const KEPT: readonly Case[] = [
  {
    fault: 'a foreign key of another table onto this one',
    engines: COCKROACHDB,
    sql: 'CREATE TABLE public.kids (id uuid PRIMARY KEY REFERENCES public.connection_probe (id))',
    check: 'dml',
    code: 'DML_DENIED',
    message: /SELECT privilege on relation kids/,
    hint: 'or a foreign key of that table onto this one',
    rowsLeft: 'exactly',
    afterwards: 'DROP TABLE public.kids',
  },
]

/** A role that is more than a writer. */
const admin = (fault: string, sql: string | undefined, evidence: object, more: Partial<Case> = {}): Case => ({
  fault,
  ...(sql && { sql }),
  check: 'role',
  code: 'ADMIN_AT_RUNTIME',
  evidence,
  ...more,
})

const DDL: Partial<Record<CheckId, Code>> = { 'ddl-refused': 'DDL_ALLOWED' }
const EXCESS: Partial<Record<CheckId, Code>> = { 'ddl-refused': 'GRANT_EXCESS' }

const option = (name: string, engines?: readonly Engine[]): Case =>
  admin(
    `the role option ${name}`,
    `ALTER ROLE gateway_writer WITH ${name}`,
    { attributes: [name] },
    engines && { engines },
  )

/** What else can be owned on PostgreSQL: kind, how it is made, name. */
const OWNED = [
  ['FUNCTION', "CREATE FUNCTION public.one() RETURNS int LANGUAGE sql AS 'SELECT 1'", 'public.one()'],
  ['DOMAIN', 'CREATE DOMAIN public.age AS int', 'public.age'],
  ['TEXT SEARCH CONFIGURATION', 'CREATE TEXT SEARCH CONFIGURATION public.words (COPY = simple)', 'public.words'],
  ['LARGE OBJECT', 'SELECT lo_create(4711)', '4711'],
  ['PUBLICATION', 'DROP PUBLICATION IF EXISTS owned; CREATE PUBLICATION owned', 'owned'],
] as const

const ADMINISTRATORS: readonly Case[] = [
  admin(
    'a superuser',
    'ALTER ROLE gateway_writer SUPERUSER',
    { attributes: ['SUPERUSER'] },
    {
      engines: POSTGRESQL,
      also: DDL,
    },
  ),
  admin(
    'a member of admin',
    'GRANT admin TO gateway_writer',
    { memberships: ['admin'] },
    { engines: COCKROACHDB, also: DDL, hint: /^as root: REVOKE admin FROM gateway_writer$/ },
  ),
  admin(
    'a member of a member of admin',
    'GRANT admin TO gateway_reader; GRANT gateway_reader TO gateway_writer',
    { memberships: ['gateway_reader'], attributes: expect.arrayContaining(['SUPERUSER']) },
    { engines: COCKROACHDB, also: DDL, hint: /^as root: REVOKE gateway_reader FROM gateway_writer$/ },
  ),
  admin(
    'a member of gateway_admin',
    'GRANT gateway_admin TO gateway_writer',
    { memberships: ['gateway_admin'] },
    {
      also: DDL,
    },
  ),
  admin(
    'a member of gateway_reader',
    'GRANT gateway_reader TO gateway_writer',
    { memberships: ['gateway_reader'] },
    { hint: /^as root: REVOKE gateway_reader FROM gateway_writer$/ },
  ),
  admin(
    'a member of a role that runs programs on the server',
    'GRANT pg_execute_server_program TO gateway_writer',
    { memberships: ['pg_execute_server_program'] },
    { engines: POSTGRESQL },
  ),
  option('CREATEROLE'),
  option('CREATEDB', POSTGRESQL),
  option('BYPASSRLS', POSTGRESQL),
  option('REPLICATION', POSTGRESQL),
  option('CONTROLJOB', COCKROACHDB),
  option('VIEWACTIVITY', COCKROACHDB),
  admin(
    'the owner of connection_probe',
    'GRANT CREATE ON SCHEMA public TO gateway_writer; ALTER TABLE public.connection_probe OWNER TO gateway_writer; REVOKE CREATE ON SCHEMA public FROM gateway_writer',
    { owned: ['table public.connection_probe'] },
    { mayFail: EXCESS },
  ),
  admin(
    'the owner of another table',
    'CREATE SCHEMA other; CREATE TABLE other.t (n int); ALTER TABLE other.t OWNER TO gateway_writer',
    { owned: ['table other.t'] },
    { engines: POSTGRESQL, also: DDL },
  ),
  admin(
    'the owner of a schema',
    'CREATE SCHEMA other; ALTER SCHEMA other OWNER TO gateway_writer',
    { owned: ['schema other'] },
    { also: DDL },
  ),
  admin(
    'the owner of a type, which it may not make',
    `GRANT CREATE ON SCHEMA public TO gateway_writer; CREATE TYPE public.mood AS ENUM ('a', 'b');
     ALTER TYPE public.mood OWNER TO gateway_writer; REVOKE CREATE ON SCHEMA public FROM gateway_writer`,
    { owned: ['type public.mood'] },
    { hint: /^as root, in this database: REASSIGN OWNED BY gateway_writer TO gateway_admin$/ },
  ),
  ...OWNED.map(([kind, sql, name]) =>
    admin(
      `the owner of a ${kind}`,
      `${sql}; ALTER ${kind} ${name} OWNER TO gateway_writer`,
      { owned: [expect.stringContaining(name)] },
      {
        engines: POSTGRESQL,
        hint: /REASSIGN OWNED BY gateway_writer TO gateway_admin$/,
      },
    ),
  ),
  {
    ...admin('the owner of the database', undefined, { owned: ['database uro'] }, { engines: POSTGRESQL, also: DDL }),
    sql: database => `ALTER DATABASE ${database} OWNER TO gateway_writer`,
  },
  admin(
    'gateway_admin itself',
    undefined,
    { currentUser: 'gateway_admin' },
    {
      user: 'gateway_admin',
      also: DDL,
    },
  ),
  admin(
    'root itself',
    undefined,
    { currentUser: 'root' },
    {
      user: 'root',
      also: DDL,
    },
  ),
  admin(
    'a session that runs as somebody else',
    `GRANT gateway_reader TO gateway_writer; ALTER ROLE gateway_writer SET role = gateway_reader;
     GRANT SELECT, INSERT, UPDATE, DELETE ON public.connection_probe TO gateway_reader`,
    { currentUser: 'gateway_reader', sessionUser: 'gateway_writer' },
    { engines: POSTGRESQL, hint: /ALTER ROLE gateway_writer RESET role/ },
  ),
]

const creates = (fault: string, sql: Case['sql'] & {}, where: RegExp): Case => ({
  fault,
  sql,
  check: 'ddl-refused',
  code: 'DDL_ALLOWED',
  evidence: { creatable: [expect.stringMatching(where)], elsewhere: [] },
  hint: /^as root, in this database: REVOKE CREATE ON (SCHEMA|DATABASE) \w+ FROM gateway_writer, public;/,
})

const CREATE: readonly Case[] = ['gateway_writer', 'public'].flatMap(who => [
  {
    ...creates(`CREATE on schema public to ${who}`, `GRANT CREATE ON SCHEMA public TO ${who}`, /^schema public$/),
    evidence: { createTable: '42P07', creatable: ['schema public'], elsewhere: [] },
    hint: /^as root: REVOKE CREATE ON SCHEMA public FROM gateway_writer, public;/,
  },
  creates(
    `CREATE on another schema to ${who}`,
    `CREATE SCHEMA other; GRANT USAGE, CREATE ON SCHEMA other TO ${who}`,
    /^schema other$/,
  ),
  // In a pattern of LIKE, pg_temp_% stands for this one as well.
  creates(
    `CREATE on a schema that is called almost like a temporary one to ${who}`,
    `CREATE SCHEMA pgatemp_1; GRANT CREATE ON SCHEMA pgatemp_1 TO ${who}`,
    /^schema pgatemp_1$/,
  ),
  ...['information_schema', 'pg_catalog'].map(schema => ({
    ...creates(
      `CREATE on ${schema} to ${who}`,
      `GRANT CREATE ON SCHEMA ${schema} TO ${who}`,
      new RegExp(`^schema ${schema}$`),
    ),
    engines: POSTGRESQL,
  })),
  creates(
    `CREATE on the database to ${who}`,
    database => `GRANT CREATE ON DATABASE ${database} TO ${who}`,
    /^database /,
  ),
])

const excess = (fault: string, sql: string, sentence: string, more: Partial<Case> = {}): Case => ({
  fault,
  sql,
  check: 'ddl-refused',
  code: 'GRANT_EXCESS',
  evidence: { createTable: '42501', excess: [sentence], elsewhere: [] },
  ...more,
})

const elsewhere = (fault: string, privilege: string, who: string, more: Partial<Case> = {}): Case => ({
  fault,
  sql: `CREATE SCHEMA other; CREATE TABLE other.t (n int); GRANT ${privilege} ON other.t TO ${who}`,
  check: 'ddl-refused',
  code: 'DDL_ALLOWED',
  hint: /^as (root|gateway_admin), in this database: (REVOKE|ALTER DEFAULT PRIVILEGES FOR) .* FROM (gateway_writer|public)$/,
  evidence: { createTable: '42501', excess: [], elsewhere: [`${privilege} on other.t to ${who}`] },
  ...more,
})

/** Privileges on tables beyond the four verbs, by engine. */
const BEYOND: readonly { privilege: string; engines: readonly Engine[] }[] = [
  ...['TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'].map(privilege => ({ privilege, engines: POSTGRESQL })),
  ...['DROP', 'CREATE', 'ZONECONFIG'].map(privilege => ({ privilege, engines: COCKROACHDB })),
]

const GRANTS: readonly Case[] = [
  ...BEYOND.flatMap(({ privilege, engines }) =>
    ['gateway_writer', 'public'].flatMap(who => [
      excess(
        `${privilege} on connection_probe to ${who}`,
        `GRANT ${privilege} ON public.connection_probe TO ${who}`,
        `${privilege} on public.connection_probe to ${who}`,
        { engines },
      ),
      elsewhere(`${privilege} on another table to ${who}`, privilege, who, { engines }),
    ]),
  ),
  excess(
    'REFERENCES on a column',
    'GRANT REFERENCES (id) ON public.connection_probe TO gateway_writer',
    'REFERENCES (id) on public.connection_probe to gateway_writer',
    { engines: POSTGRESQL },
  ),
  excess(
    'one verb with grant option',
    'GRANT SELECT ON public.connection_probe TO gateway_writer WITH GRANT OPTION',
    'SELECT on public.connection_probe to gateway_writer with grant option',
    {
      hint: /^as gateway_admin: REVOKE GRANT OPTION FOR SELECT ON TABLE public\.connection_probe FROM gateway_writer$/,
    },
  ),
]

const other = (fault: string, sql: Case['sql'] & {}, what: RegExp, engines?: readonly Engine[]): Case => ({
  fault,
  sql,
  ...(engines && { engines }),
  check: 'ddl-refused',
  code: 'DDL_ALLOWED',
  hint: /^as (root|gateway_admin), in this database: (REVOKE|ALTER DEFAULT PRIVILEGES FOR) .* FROM (gateway_writer|public)$/,
  evidence: { createTable: '42501', creatable: [], elsewhere: [expect.stringMatching(what)] },
})

/** Privileges on what is no table, grant options, and what the next table would bring along. */
const OTHERS: readonly Case[] = [
  other(
    'CONNECT on the database with grant option',
    database => `GRANT CONNECT ON DATABASE ${database} TO gateway_writer WITH GRANT OPTION`,
    /^CONNECT on database \w+ to gateway_writer with grant option$/,
  ),
  other(
    'USAGE on schema public with grant option',
    'GRANT USAGE ON SCHEMA public TO gateway_writer WITH GRANT OPTION',
    /^USAGE on schema public to gateway_writer with grant option$/,
  ),
  other(
    'a verb on another table with grant option',
    'CREATE SCHEMA other; CREATE TABLE other.t (n int); GRANT SELECT ON other.t TO gateway_writer WITH GRANT OPTION',
    /^SELECT on other\.t to gateway_writer with grant option$/,
  ),
  other(
    'a function with grant option',
    `CREATE FUNCTION public.one() RETURNS int LANGUAGE sql AS 'SELECT 1';
     GRANT EXECUTE ON FUNCTION public.one() TO gateway_writer WITH GRANT OPTION`,
    /^EXECUTE on function one\(\) to gateway_writer with grant option$/,
    POSTGRESQL,
  ),
  other(
    'a language with grant option',
    'GRANT USAGE ON LANGUAGE sql TO gateway_writer WITH GRANT OPTION',
    /^USAGE on language sql to gateway_writer with grant option$/,
    POSTGRESQL,
  ),
  other(
    'a wrapper of foreign servers',
    `DROP FOREIGN DATA WRAPPER IF EXISTS files CASCADE; CREATE FOREIGN DATA WRAPPER files;
      GRANT USAGE ON FOREIGN DATA WRAPPER files TO gateway_writer`,
    /^USAGE on foreign data wrapper files to gateway_writer$/,
    POSTGRESQL,
  ),
  other(
    "one of the server's own functions",
    'GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO gateway_writer',
    /^EXECUTE on function pg_read_file\(text\) to gateway_writer$/,
    POSTGRESQL,
  ),
  other(
    "a table of the server's own",
    'GRANT SELECT ON pg_catalog.pg_authid TO gateway_writer',
    /^SELECT on pg_catalog\.pg_authid to gateway_writer$/,
    POSTGRESQL,
  ),
  other(
    'a parameter of the server',
    'GRANT ALTER SYSTEM ON PARAMETER work_mem TO gateway_writer',
    /^ALTER SYSTEM on parameter work_mem to gateway_writer$/,
    POSTGRESQL,
  ),
  other(
    'TRUNCATE on every table that gateway_admin makes next',
    'ALTER DEFAULT PRIVILEGES FOR ROLE gateway_admin GRANT TRUNCATE ON TABLES TO gateway_writer',
    /^TRUNCATE on every table that gateway_admin makes to gateway_writer \(default privileges\)$/,
    POSTGRESQL,
  ),
  other(
    'a verb with grant option on every table that root makes next in schema public',
    'ALTER DEFAULT PRIVILEGES FOR ROLE root IN SCHEMA public GRANT SELECT ON TABLES TO gateway_writer WITH GRANT OPTION',
    /^SELECT on every table that root makes to gateway_writer with grant option \(default privileges\)$/,
    POSTGRESQL,
  ),
  ...['DROP', 'ZONECONFIG'].flatMap(privilege =>
    ['gateway_writer', 'public'].map(who =>
      other(
        `${privilege} on the database to ${who}`,
        database => `GRANT ${privilege} ON DATABASE ${database} TO ${who}`,
        new RegExp(`^${privilege} on database \\w+ to ${who}$`),
        COCKROACHDB,
      ),
    ),
  ),
  other(
    'everything on every table that anybody makes next',
    'ALTER DEFAULT PRIVILEGES FOR ALL ROLES GRANT ALL ON TABLES TO gateway_writer',
    /^ALL on all tables that anybody makes to gateway_writer \(default privileges\)$/,
    COCKROACHDB,
  ),
  other(
    'DROP on every table that root makes next, to everybody',
    'ALTER DEFAULT PRIVILEGES FOR ROLE root GRANT DROP ON TABLES TO public',
    /^DROP on all tables that root makes to public \(default privileges\)$/,
    COCKROACHDB,
  ),
]

/** Faults that the privileges do not show: the policy hides from the user what it may read. */
const HIDDEN: readonly Case[] = [
  {
    fault: 'row-level security without a policy',
    engines: POSTGRESQL,
    sql: 'ALTER TABLE public.connection_probe ENABLE ROW LEVEL SECURITY',
    check: 'dml',
    code: 'DML_DENIED',
    hint: 'no policy lets gateway_writer SELECT, INSERT, UPDATE, DELETE',
    evidence: { policies: [] },
  },
  {
    fault: 'row-level security with a policy that refuses our rows',
    engines: POSTGRESQL,
    sql: `ALTER TABLE public.connection_probe ENABLE ROW LEVEL SECURITY;
      CREATE POLICY everything ON public.connection_probe USING (true);
      CREATE POLICY "not ours" ON public.connection_probe AS RESTRICTIVE FOR INSERT WITH CHECK (origin = 'x')`,
    check: 'dml',
    code: 'DML_DENIED',
    hint: 'policy not ours (RESTRICTIVE, INSERT) lets some rows through only. As its owner: ALTER TABLE public.connection_probe DISABLE ROW LEVEL SECURITY, or DROP POLICY "not ours"',
    evidence: { policies: ['everything (PERMISSIVE, ALL)', 'not ours (RESTRICTIVE, INSERT)'] },
  },
  {
    fault: 'row-level security that lets rows in and hides them',
    engines: POSTGRESQL,
    sql: `ALTER TABLE public.connection_probe ENABLE ROW LEVEL SECURITY;
      CREATE POLICY inwards ON public.connection_probe FOR INSERT WITH CHECK (true)`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'no policy lets gateway_writer SELECT, UPDATE, DELETE',
    evidence: { policies: ['inwards (PERMISSIVE, INSERT)'] },
    rowsLeft: 'exactly',
  },
  {
    fault: 'row-level security that forgets DELETE',
    engines: POSTGRESQL,
    sql: `ALTER TABLE public.connection_probe ENABLE ROW LEVEL SECURITY;
      CREATE POLICY r ON public.connection_probe FOR SELECT TO gateway_writer USING (true);
      CREATE POLICY c ON public.connection_probe FOR INSERT TO gateway_writer WITH CHECK (true);
      CREATE POLICY u ON public.connection_probe FOR UPDATE TO gateway_writer USING (true)`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'no policy lets gateway_writer DELETE.',
    rowsLeft: 'exactly',
  },
  {
    fault: 'row-level security with a policy for every row, and a trigger that refuses them',
    engines: POSTGRESQL,
    sql: `ALTER TABLE public.connection_probe ENABLE ROW LEVEL SECURITY;
      CREATE POLICY everything ON public.connection_probe USING (true);
      CREATE POLICY narrow ON public.connection_probe FOR INSERT WITH CHECK (origin = 'x');
      ${insertTrigger('RETURN NULL;')}`,
    check: 'dml',
    code: 'WRITE_REFUSED',
    hint: 'a trigger, a rule',
  },
]

/** What looks like an excess and is none. */
const NO_FAULT: readonly Case[] = [
  {
    fault: 'the four verbs on another table are no excess',
    sql: 'CREATE SCHEMA other; CREATE TABLE other.t (n int); GRANT SELECT, INSERT, UPDATE, DELETE ON other.t TO gateway_writer',
  },
  {
    fault: 'the four verbs on every table that gateway_admin makes next are no excess',
    engines: POSTGRESQL,
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE gateway_admin GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO gateway_writer',
  },
  {
    fault: 'the four verbs on every table that anybody makes next are no excess',
    engines: COCKROACHDB,
    sql: 'ALTER DEFAULT PRIVILEGES FOR ALL ROLES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO gateway_writer',
  },
  {
    fault: 'a CockroachDB of many roles and schemas',
    engines: COCKROACHDB,
    sql: [...Array(40).keys()].map(n => `CREATE ROLE IF NOT EXISTS many_${n}; CREATE SCHEMA many_${n}`).join('; '),
  },
  {
    fault: 'everything on what the user itself makes is no excess: it can make nothing',
    engines: POSTGRESQL,
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE gateway_reader GRANT ALL ON TABLES TO gateway_writer',
  },
  {
    fault: 'a temporary table of the user is no verdict',
    engines: POSTGRESQL,
    async meanwhile({ server }, database) {
      const sql = clientOf(server, 'gateway_writer', database)
      await sql.unsafe('CREATE TEMPORARY TABLE mine (n int)')
      return sql
    },
  },
]

const base = useBase()
describeFaults('too little', base, [...MISSING, ...KEPT])
describeFaults('an administrator at run time', base, ADMINISTRATORS)
describeFaults('more than DML', base, CREATE)
describeFaults('grants in excess', base, GRANTS)
describeFaults('grants on what is no table, grant options, default privileges', base, OTHERS)
describeFaults('rows hidden', base, HIDDEN)
describeFaults('no fault', base, NO_FAULT)

describe('what is blocked says by what', () => {
  it('row-visible by dml, certificate-bound by role', async () => {
    const denied = await probeCase(base(), { sql: 'REVOKE DELETE ON public.connection_probe FROM gateway_writer' })
    expect(check(denied.report, 'row-visible').blockedBy).toBe('dml')
    expect(await base().count(denied.database)).toBe(0)
    const admin = await probeCase(base(), { user: 'gateway_admin' })
    expect(check(admin.report, 'certificate-bound').blockedBy).toBe('role')
  })

  it('nothing is written unless it can be removed', async () => {
    const one = { sql: 'REVOKE DELETE ON public.connection_probe FROM gateway_writer', proxy: () => ({}) }
    const { report, statements } = await probeCase(base(), one)
    const hint = /^npm run migrate, or as gateway_admin: GRANT DELETE ON TABLE connection_probe TO gateway_writer$/
    expectVerdict(report, { check: 'dml', code: 'DML_DENIED', hint })
    expect(statements.filter(({ sql }) => /^(insert|update|delete)/i.test(sql))).toEqual([])
  })
})

const SET: readonly (readonly [string, (readonly Engine[])?])[] = [
  ['default_transaction_read_only = on'],
  ["statement_timeout = '80ms'"],
  ['search_path = other'],
  ['transaction_rows_written_err = 1', COCKROACHDB],
]

/** Faults, as what root has run; each on its engines. The next step, typed as it stands, ends the failure. */
const TYPED: readonly Omit<Case, 'check' | 'code'>[] = [
  {
    fault: 'a type of its own',
    sql: `GRANT CREATE ON SCHEMA public TO gateway_writer; CREATE TYPE public.mood AS ENUM ('a', 'b');
      ALTER TYPE public.mood OWNER TO gateway_writer; REVOKE CREATE ON SCHEMA public FROM gateway_writer`,
  },
  {
    fault: 'an extension and an event trigger of its own',
    engines: POSTGRESQL,
    sql: `ALTER ROLE gateway_writer SUPERUSER; SET ROLE gateway_writer; CREATE EXTENSION IF NOT EXISTS pg_trgm; RESET ROLE;
      CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
      CREATE EVENT TRIGGER "its own" ON sql_drop EXECUTE FUNCTION public.no(); ALTER EVENT TRIGGER "its own" OWNER TO gateway_writer`,
  },
  { fault: 'a membership in admin', engines: COCKROACHDB, sql: 'GRANT admin TO gateway_writer' },
  { fault: 'ALL on the table', sql: 'GRANT ALL ON TABLE public.connection_probe TO gateway_writer' },
  {
    fault: 'privileges on other tables',
    sql: `CREATE SCHEMA "Other"; CREATE TABLE "Other"."T" (n int); GRANT ALL ON "Other"."T" TO gateway_writer;
      GRANT SELECT ON "Other"."T" TO public`,
  },
  {
    fault: 'a type with grant option',
    sql: `CREATE TYPE public.mood AS ENUM ('a'); GRANT USAGE ON TYPE public.mood TO gateway_writer WITH GRANT OPTION`,
  },
  {
    fault: 'grant options on the database, the schema, a procedure, a parameter',
    engines: POSTGRESQL,
    sql: database => `GRANT CONNECT ON DATABASE ${database} TO gateway_writer WITH GRANT OPTION;
      GRANT USAGE ON SCHEMA public TO gateway_writer WITH GRANT OPTION;
      CREATE PROCEDURE public.nothing() LANGUAGE sql AS ''; GRANT EXECUTE ON PROCEDURE public.nothing() TO gateway_writer WITH GRANT OPTION;
      GRANT SET ON PARAMETER work_mem TO gateway_writer`,
  },
  {
    fault: 'CREATE on schema public alone',
    engines: POSTGRESQL,
    sql: 'GRANT CREATE ON SCHEMA public TO gateway_writer',
  },
  {
    fault: "a wrapper, one of the server's functions and one of its tables",
    engines: POSTGRESQL,
    sql: `DROP FOREIGN DATA WRAPPER IF EXISTS files CASCADE; CREATE FOREIGN DATA WRAPPER files;
      GRANT USAGE ON FOREIGN DATA WRAPPER files TO gateway_writer WITH GRANT OPTION;
      GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO gateway_writer;
      GRANT SELECT ON pg_catalog.pg_authid TO gateway_writer`,
  },
  {
    fault: 'DROP on the database, and a grant option on it and on the schema',
    engines: COCKROACHDB,
    sql: database => `GRANT DROP ON DATABASE ${database} TO public;
      GRANT CONNECT ON DATABASE ${database} TO gateway_writer WITH GRANT OPTION;
      GRANT USAGE ON SCHEMA public TO gateway_writer WITH GRANT OPTION`,
  },
  {
    fault: 'default privileges of gateway_admin, of root and of everybody',
    engines: COCKROACHDB,
    sql: `GRANT gateway_admin TO root; ALTER DEFAULT PRIVILEGES FOR ROLE gateway_admin GRANT ALL ON TABLES TO gateway_writer;
      ALTER DEFAULT PRIVILEGES FOR ROLE gateway_admin GRANT DROP ON TABLES TO public; REVOKE gateway_admin FROM root;
      ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO gateway_writer;
      ALTER DEFAULT PRIVILEGES FOR ALL ROLES GRANT ALL ON TYPES TO gateway_writer`,
  },
  {
    fault: 'default privileges of gateway_admin, everywhere and in a schema',
    engines: POSTGRESQL,
    sql: `ALTER DEFAULT PRIVILEGES FOR ROLE gateway_admin GRANT ALL ON TABLES TO gateway_writer;
      ALTER DEFAULT PRIVILEGES FOR ROLE gateway_admin IN SCHEMA public GRANT SELECT ON TABLES TO gateway_writer WITH GRANT OPTION;
      ALTER DEFAULT PRIVILEGES FOR ROLE gateway_admin GRANT CREATE ON SCHEMAS TO public`,
  },
  ...['ROLE ALL', 'ROLE gateway_writer IN DATABASE', 'DATABASE'].flatMap(place =>
    SET.filter((_, at) => at === 0 || place !== 'DATABASE').map(
      ([setting, engines]): Omit<Case, 'check' | 'code'> => ({
        fault: `${setting} set for ${place}`,
        ...(engines && { engines }),
        sql: database => `ALTER ${place.replace(/DATABASE$/, `DATABASE ${database}`)} SET ${setting}`,
      }),
    ),
  ),
]

describe('the next step, typed as it stands', () => {
  const engine = inject('engine')

  /** Runs what a text says after "as ROLE", as that role, a statement at a time. */
  async function typed(text: string, database: string): Promise<void> {
    const said = [
      ...text.matchAll(
        /\b[Aa]s (\w+)(?:, in this database)?:? ((?:ALTER|GRANT|REVOKE|REASSIGN|SET) .+?)(?=; then |$)/g,
      ),
    ]
    expect(said).not.toEqual([])
    for (const [, role = '', statements = ''] of said) {
      await using sql = clientOf(base().server, role, database)
      for (const statement of statements.split('; ')) await sql.unsafe(statement)
    }
  }

  for (const one of TYPED.filter(({ engines }) => !engines || engines.includes(engine)))
    it(one.fault, async () => {
      const { report, database } = await probeCase(base(), one)
      try {
        const timeout = report.warnings.find(({ code }) => code === 'ROLE_TIMEOUT')
        const text = report.failure?.hint ?? timeout?.message ?? ''
        await typed(text, database)
        const config = configOf(
          settings({ port: base().server.port, user: 'gateway_writer', database, pem: base().pem('gateway_writer') }),
        )
        const again = await run(config)
        expectVerdict(again, {})
        expect(again.warnings.map(({ code }) => code)).not.toContain('ROLE_TIMEOUT')
      } finally {
        await using root = base().root(database)
        await root.unsafe('SET default_transaction_read_only = off')
        await root.unsafe('ALTER ROLE ALL RESET ALL')
      }
    })
})

describe("a timeout of the role's own, which the probe overrides", () => {
  const warningsOf = async (set: (database: string) => string) => {
    const meanwhile = async ({ server }: ReturnType<typeof base>, database: string) => {
      await server.runAsRoot(set(database), database)
      return {
        [Symbol.asyncDispose]: async () => {
          const places = ['ROLE gateway_writer', `DATABASE ${database}`, 'DATABASE postgres']
          for (const place of places)
            for (const name of ['statement_timeout', 'lock_timeout'])
              await server.runAsRoot(`ALTER ${place} RESET ${name}`, database)
        },
      }
    }
    const { report } = await probeCase(base(), { meanwhile })
    expectVerdict(report, {})
    return report.warnings.flatMap(({ code, message }) => (code === 'ROLE_TIMEOUT' ? [message] : []))
  }

  it('is warned of where it is shorter, the one that holds', async () => {
    const set = (database: string) =>
      `ALTER ROLE gateway_writer SET statement_timeout = '80ms'; ALTER DATABASE ${database} SET statement_timeout = '1h'; ALTER DATABASE ${database} SET lock_timeout = 900`
    expect(await warningsOf(set)).toEqual([
      expect.stringMatching(
        /^statement_timeout is 80ms for gateway_writer .* ALTER ROLE gateway_writer RESET statement_/,
      ),
      expect.stringMatching(/^lock_timeout is 900/),
    ])
  })

  it('is nothing to say where it is longer, off, or for another database', async () => {
    const set = (database: string) =>
      `ALTER DATABASE ${database} SET statement_timeout = '30s'; ALTER DATABASE ${database} SET lock_timeout = 0; ALTER DATABASE postgres SET statement_timeout = 5`
    expect(await warningsOf(set)).toEqual([])
  })
})
