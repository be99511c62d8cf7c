/** Migrations: applied once, whoever runs them and whatever breaks, and held against src/ afterwards. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { type Migrated, migrate } from '../../src/database/migrate.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import type { Code } from '../../src/failure/codes.ts'
import { opened } from '../../src/report/evidence.ts'
import { GRANTS } from '../../src/schema.ts'
import { loadConfig } from '../../src/settings/config.ts'
import { clientOf, pemOf } from '../helpers/clients.ts'
import { EXPECTED_COLUMNS } from '../helpers/declared.ts'
import { TAGS } from '../helpers/migrations.ts'
import { faultyProxy } from '../helpers/proxy.ts'
import { cut, error } from '../helpers/statement-faults.ts'
import { statementsOf } from '../helpers/statements.ts'
import { cli, startServer } from '../helpers/target.ts'

const NAME = 'crdb.test.internal'
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

let server: Throwaway
let root: ReturnType<typeof clientOf>
let proxied: { readonly cert: string; readonly key: string }

beforeAll(async () => {
  server = await startServer({ dnsNames: [NAME] })
  root = clientOf(server, 'root')
  const { chain, key } = await server.authority.issue({ commonName: 'node', ipAddresses: ['::1'] })
  proxied = { cert: chain, key }
})
afterAll(async () => {
  await root?.end({ timeout: 1 })
  await server?.stop()
})
/** As after the bootstrap: never migrated. */
async function unmigrate(): Promise<void> {
  await root.unsafe('DROP SCHEMA IF EXISTS drizzle CASCADE')
  await root.unsafe('DROP TABLE IF EXISTS public.connection_probe')
}
beforeEach(unmigrate)

/** The deployed back end's variables, for a server on this port under this name. */
function environment(port = server.port, host = '[::1]'): NodeJS.ProcessEnv {
  const { ca, cert, key } = pemOf(server, 'gateway_admin')
  return {
    MIGRATION_DATABASE_URL: `postgresql://gateway_admin@${host}:${port}/${server.database}?sslmode=verify-full`,
    CRDB_CA_CRT: ca,
    CRDB_CLIENT_ADMIN_CRT: cert,
    CRDB_CLIENT_ADMIN_KEY: key,
  }
}

function migrateAt(port?: number, deadlineMs = 20_000): Promise<Migrated> {
  const loaded = loadConfig({ role: 'admin', env: environment(port), options: { deadlineMs } })
  if (!loaded.ok) throw loaded.error
  return migrate(loaded.config, new AbortController().signal)
}

/** The proxy before the server, as which gateway_admin logs in. */
const proxy = (onStatement: Parameters<typeof faultyProxy>[0]['onStatement'] & {}) =>
  faultyProxy({ upstream: server, tls: proxied, credentials: () => pemOf(server, 'gateway_admin'), onStatement })

const journal = (): Promise<Record<string, unknown>[]> =>
  root.unsafe('SELECT hash, created_at::text AS created_at FROM drizzle.__drizzle_migrations ORDER BY created_at').then(
    rows => [...rows],
    () => [],
  )
const hasTable = async (): Promise<boolean> =>
  (await root.unsafe(`SELECT 1 FROM pg_catalog.pg_tables WHERE tablename = 'connection_probe'`)).length > 0

const MADE_AGAIN =
  'CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public; GRANT CREATE ON SCHEMA public TO gateway_admin'

describe('migrate', () => {
  it('applies drizzle/ to an empty database, which then is what src/ declares, and has nothing to do again', async () => {
    const { applied, failure, evidence: sealed, engine, address } = await migrateAt()
    const evidence = opened(sealed)
    expect({ applied, failure, address }).toEqual({ applied: TAGS, failure: null, address: '::1' })
    expect(engine).toContain(server.engine === 'cockroachdb' ? 'CockroachDB' : 'PostgreSQL')
    expect(evidence.columns).toEqual(EXPECTED_COLUMNS.map(({ name, type }) => `connection_probe.${name} ${type}`))
    const held = (evidence.grants as { grantee: string; privilege: string }[])
      .filter(({ grantee }) => GRANTS.some(({ role }) => role === grantee))
      .map(({ grantee, privilege }) => `${grantee} ${privilege}`)
    expect(held.sort()).toEqual(
      GRANTS.flatMap(({ role, privileges }) => privileges.map(verb => `${role} ${verb}`)).sort(),
    )
    const before = await journal()
    expect(before).toHaveLength(TAGS.length)
    expect(await migrateAt()).toMatchObject({ applied: [], failure: null })
    expect(await journal()).toEqual(before)
  })

  it.each<{ fault: string; sql: string; undo?: string; code: Code; says: string; next?: string }>([
    {
      fault: 'a verb taken away again',
      sql: 'REVOKE INSERT ON public.connection_probe FROM gateway_writer',
      code: 'DML_DENIED',
      says: 'gateway_writer lacks INSERT',
      next: 'as gateway_admin: GRANT INSERT ON TABLE connection_probe TO gateway_writer',
    },
    {
      fault: 'a verb with grant option',
      sql: 'GRANT SELECT ON public.connection_probe TO gateway_writer WITH GRANT OPTION',
      code: 'GRANT_EXCESS',
      says: 'SELECT with grant option',
      next: 'as gateway_admin: REVOKE GRANT OPTION FOR SELECT ON TABLE connection_probe FROM gateway_writer',
    },
    {
      fault: 'a verb to PUBLIC',
      sql: 'GRANT SELECT ON public.connection_probe TO public',
      code: 'GRANT_EXCESS',
      says: 'public holds SELECT',
    },
    ...['', ' WITH GRANT OPTION'].map(option => ({
      fault: `GRANT ALL${option}`,
      sql: `GRANT ALL ON public.connection_probe TO gateway_writer${option}`,
      code: 'GRANT_EXCESS' as const,
      says: 'gateway_writer holds ',
    })),
    {
      fault: 'a column that src/ does not declare',
      sql: 'ALTER TABLE public.connection_probe ADD COLUMN extra text',
      code: 'TABLE_MISMATCH',
      says: 'column extra (text) is not declared',
      next: 'undo the differences',
    },
    {
      fault: 'a sequence in the place of the table',
      sql: 'DROP TABLE public.connection_probe; CREATE SEQUENCE public.connection_probe',
      undo: 'DROP SEQUENCE public.connection_probe',
      code: 'TABLE_MISMATCH',
      says: 'is not what src/ declares: it is a sequence, not a table',
      next: 'as root DROP SEQUENCE public.connection_probe',
    },
    {
      fault: 'a table that is gone, though the journal has it',
      sql: 'DROP TABLE public.connection_probe',
      code: 'TABLE_MISSING',
      says: 'no table public.connection_probe',
      next: 'DELETE FROM drizzle.__drizzle_migrations',
    },
    {
      fault: 'a migration that the migrator would pass over',
      sql: `DELETE FROM drizzle.__drizzle_migrations WHERE created_at = (SELECT min(created_at) FROM drizzle.__drizzle_migrations)`,
      code: 'WRITE_REFUSED',
      says: 'but not 0000_connection_probe',
    },
    ...['ROLE gateway_admin', 'ROLE ALL'].map(whose => ({
      fault: `${whose} that may only read`,
      sql: `DROP SCHEMA drizzle CASCADE; DROP TABLE public.connection_probe;
        ALTER ${whose} SET default_transaction_read_only = on`,
      undo: `ALTER ${whose} RESET default_transaction_read_only`,
      code: 'WRITE_REFUSED' as const,
      says: 'read-only transaction',
      next: 'as root ALTER ROLE {role} RESET default_transaction_read_only; ALTER ROLE ALL RESET',
    })),
    // CockroachDB drops no schema public.
    ...(inject('engine') === 'postgresql' ? [MADE_AGAIN] : []).map(made => ({
      fault: 'a schema public that is gone',
      sql: 'DROP SCHEMA drizzle CASCADE; DROP SCHEMA public CASCADE',
      undo: made,
      code: 'WRITE_REFUSED' as const,
      says: 'no schema has been selected',
      next: `as root ${made}; then migrate again`,
    })),
    {
      fault: 'a journal that is gone, though the table is there',
      sql: 'DROP SCHEMA drizzle CASCADE',
      code: 'WRITE_REFUSED',
      says: 'already exists',
      next: 'DROP TABLE connection_probe',
    },
    {
      fault: 'a type in the way of the table',
      sql: `DROP SCHEMA drizzle CASCADE; DROP TABLE public.connection_probe;
        CREATE TYPE public.connection_probe AS ENUM ('one')`,
      undo: 'DROP TYPE public.connection_probe',
      code: 'WRITE_REFUSED',
      says: 'already exists',
      next: 'DROP TYPE public.connection_probe; then migrate again',
    },
    ...['VIEW', 'MATERIALIZED VIEW'].map(kind => ({
      fault: `a ${kind} in the way of the table`,
      sql: `DROP SCHEMA drizzle CASCADE; DROP TABLE public.connection_probe;
        CREATE ${kind} public.connection_probe AS SELECT 1 AS n`,
      undo: `DROP ${kind} public.connection_probe`,
      code: 'WRITE_REFUSED' as const,
      says: 'already exists',
      next: `as root DROP ${kind} public.connection_probe`,
    })),
  ])('finds $fault', async ({ sql, undo, code, says, next }) => {
    expect((await migrateAt()).failure).toBeNull()
    try {
      for (const statement of statementsOf(sql)) await root.unsafe(statement)
      const { failure, applied } = await migrateAt()
      expect(failure).toMatchObject({ code, message: expect.stringContaining(says) })
      if (next) expect(failure?.hint).toContain(next)
      expect(applied).toEqual([])
      const [, typed] = /as gateway_admin: (.*)/.exec(failure?.hint ?? '') ?? []
      if (typed === undefined) return
      await using admin = clientOf(server, 'gateway_admin')
      for (const statement of statementsOf(typed)) await admin.unsafe(statement)
      expect((await migrateAt()).failure).toBeNull()
    } finally {
      for (const statement of statementsOf(undo ?? '')) await root.unsafe(statement)
    }
  })

  it.each<readonly [where: string, path: string]>([
    ['another schema only', 'other'],
    ['another schema first, with a table of that name', 'other, public'],
  ])('makes the table in public where the search path of gateway_admin has %s', async (_where, path) => {
    try {
      for (const sql of [
        'CREATE SCHEMA other',
        'GRANT CREATE, USAGE ON SCHEMA other TO gateway_admin',
        ...(path === 'other' ? [] : ['CREATE TABLE other.connection_probe (n int)']),
        `ALTER ROLE gateway_admin SET search_path = ${path}`,
      ])
        await root.unsafe(sql)
      expect(await migrateAt()).toMatchObject({ applied: TAGS, failure: null })
      expect(await root.unsafe('SELECT 1 FROM public.connection_probe')).toHaveLength(0)
      expect(await migrateAt()).toMatchObject({ applied: [], failure: null })
    } finally {
      await root.unsafe('DROP SCHEMA IF EXISTS other CASCADE')
      await root.unsafe('ALTER ROLE gateway_admin RESET search_path')
    }
  })

  it.each<readonly [how: string, grant: string, who: 'gateway_admin' | 'root']>([
    ['', 'GRANT ALL ON TABLES TO gateway_writer', 'gateway_admin'],
    [' IN SCHEMA public', 'GRANT ALL ON TABLES TO gateway_writer', 'gateway_admin'],
    ['', `GRANT ${inject('engine') === 'cockroachdb' ? 'DROP' : 'TRUNCATE'} ON TABLES TO public`, 'gateway_admin'],
    ...(inject('engine') === 'cockroachdb'
      ? [[' FOR ALL ROLES IN SCHEMA public', 'GRANT ALL ON TABLES TO gateway_writer', 'root'] as const]
      : []),
  ])('says of DEFAULT PRIVILEGES%s %s that these granted it', async (how, grant, who) => {
    await using admin = clientOf(server, 'gateway_admin')
    const as = { gateway_admin: admin, root }
    try {
      await as[who].unsafe(`ALTER DEFAULT PRIVILEGES${how} ${grant}`)
      const { failure, applied } = await migrateAt()
      expect({ code: failure?.code, applied }).toEqual({ code: 'GRANT_EXCESS', applied: TAGS })
      expect(failure?.hint).toMatch(/^default privileges granted it .* FOR ALL ROLES as well/)
      // What is printed, typed: the table is right, and so is the next one.
      const typed = statementsOf(/as gateway_admin: (.*?) \(/.exec(failure?.hint ?? '')?.[1] ?? '')
      for (const statement of typed) await admin.unsafe(statement)
      if (who === 'root')
        for (const statement of typed.slice(-2))
          await root.unsafe(statement.replace('PRIVILEGES', 'PRIVILEGES FOR ALL ROLES'))
      expect(await migrateAt()).toMatchObject({ applied: [], failure: null })
      await unmigrate()
      expect(await migrateAt()).toMatchObject({ applied: TAGS, failure: null })
    } finally {
      await as[who].unsafe(`ALTER DEFAULT PRIVILEGES${how} REVOKE ALL ON TABLES FROM gateway_writer, public`)
    }
  })

  it('is refused where gateway_admin may not create, leaves nothing half done, and succeeds once it may', async () => {
    await root.unsafe('REVOKE CREATE ON SCHEMA public FROM gateway_admin')
    const { failure } = await migrateAt()
    expect(failure).toMatchObject({ code: 'DML_DENIED', layer: 'privilege', sqlstate: '42501' })
    expect([await journal(), await hasTable()]).toEqual([[], false])
    await root.unsafe('GRANT CREATE ON SCHEMA public TO gateway_admin')
    expect(await migrateAt()).toMatchObject({ applied: TAGS, failure: null })
  })

  it('says of a table that a job keeps offline that it is, and not how to make it anew', async () => {
    await using importing = await proxy(sql => {
      if (sql === 'SELECT 1 FROM public."connection_probe" LIMIT 0')
        return error('XXUUU', 'relation "connection_probe" is offline: importing')
      if (sql.startsWith('CREATE TABLE "connection_probe"'))
        return error('42P07', 'relation "uro.public.connection_probe" already exists')
      return undefined
    })
    const offline = {
      code: 'TABLE_MISMATCH',
      message: 'public.connection_probe is not what src/ declares: it is offline: importing',
      hint: expect.stringContaining('do not migrate and drop nothing before that'),
    }
    await migrateAt()
    // The catalogue hides such a table.
    await root.unsafe('DROP TABLE public.connection_probe')
    expect((await migrateAt(importing.port)).failure).toMatchObject(offline)
    await root.unsafe('DROP SCHEMA drizzle CASCADE')
    expect((await migrateAt(importing.port)).failure).toMatchObject(offline)
  })

  it('says what is granted to others, besides', async () => {
    await migrateAt()
    await root.unsafe('GRANT SELECT ON public.connection_probe TO gateway_reader')
    const { others, failure } = await migrateAt()
    expect([failure, others]).toEqual([null, { connection_probe: ['SELECT to gateway_reader'] }])
    const { stderr } = await cli(['migrate'], environment())
    expect(stderr).toBe('other grants on connection_probe: SELECT to gateway_reader\n')
  })

  it('says with --status what is pending, and its SQL, and applies nothing', async () => {
    const before = await cli(['migrate', '--status'], environment())
    expect(before).toMatchObject({ code: 1, stderr: '' })
    expect(before.stdout).toMatch(
      /^pending +0000_connection_probe\n {4}CREATE TABLE "connection_probe" \(\n {6}"id" uuid/,
    )
    expect(before.stdout).toMatch(/\npending +0001_grants\n(?: {4}.*\n)* {4}GRANT SELECT, INSERT/)
    expect(before.stdout).toMatch(/\npending \([^\n]+ at ::1\)\n$/)
    expect([await journal(), await hasTable()]).toEqual([[], false])
    await migrateAt()
    const { code, stdout, stderr } = await cli(['migrate', '--status'], environment())
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^applied +0000_connection_probe\napplied +0001_grants\nas src\/ declares: /)
    expect(stdout).toContain('connection_probe (7 columns, 3 defaults, 1 key)')
    expect(stdout).toMatch(/\nup to date \([^\n]+\)\n$/)
  })

  it.each<readonly [string, string, RegExp]>([
    [
      'a file that was edited after it was applied',
      "UPDATE drizzle.__drizzle_migrations SET hash = 'other' WHERE created_at = (SELECT min(created_at) FROM drizzle.__drizzle_migrations)",
      /^changed +0000_connection_probe \(its file was edited/,
    ],
    [
      'a migration of another version',
      "INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('abc', 1999999999999)",
      /\nunknown +2033-05-18T/,
    ],
    [
      'a migration that the migrator would pass over',
      'DELETE FROM drizzle.__drizzle_migrations WHERE created_at = (SELECT min(created_at) FROM drizzle.__drizzle_migrations)',
      /^skipped +0000_connection_probe/,
    ],
  ])('finds with --status %s: diverged', async (_what, change, says) => {
    await migrateAt()
    await root.unsafe(change)
    const { code, stdout } = await cli(['migrate', '--status'], environment())
    expect(code).toBe(1)
    expect(stdout).toMatch(says)
    expect(stdout).toMatch(/\ndiverged \(/)
    // Nobody can apply an edited file again; what it makes is verified, so migrate only says so.
    if (!_what.includes('edited')) return
    const again = await cli(['migrate'], environment())
    expect([again.code, again.stderr]).toEqual([
      0,
      expect.stringContaining('! 0000_connection_probe (its file was edited'),
    ])
  })

  it('prints the same as JSON', async () => {
    const status = await cli(['migrate', '--status', '--format', 'json'], environment())
    expect([status.code, JSON.parse(status.stdout)]).toMatchObject([
      1,
      {
        schemaVersion: 1,
        command: 'migrate',
        status: true,
        state: 'pending',
        verdict: 'fail',
        failure: null,
        applied: [],
      },
    ])
    expect(
      JSON.parse(status.stdout).migrations.map(({ tag, state }: { tag: string; state: string }) => [tag, state]),
    ).toEqual(TAGS.map(tag => [tag, 'pending']))
    const applied = await cli(['migrate', '--format', 'json'], environment())
    expect([applied.code, JSON.parse(applied.stdout)]).toMatchObject([
      0,
      { state: 'up to date', verdict: 'pass', applied: TAGS, target: { address: '::1', user: 'gateway_admin' } },
    ])
    await root.unsafe('REVOKE INSERT ON public.connection_probe FROM gateway_writer')
    const failed = await cli(['migrate', '--format', 'json'], environment())
    expect([failed.code, JSON.parse(failed.stdout)]).toMatchObject([
      1,
      { verdict: 'fail', failure: { code: 'DML_DENIED' } },
    ])
    const refused = await cli(['migrate', '--format', 'json'], {})
    expect([refused.code, JSON.parse(refused.stdout)]).toMatchObject([2, { failure: { code: 'CONFIG_MISSING' } }])
  })

  it('tries again with --wait while waiting can cure it, and no longer', async () => {
    const from = performance.now()
    const refused = await cli(['migrate', '--wait', '1.5'], environment(1))
    expect(performance.now() - from).toBeGreaterThan(1000)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/^attempt 1: tcp TCP_REFUSED: [^\n]*; trying again\n/)
    const denied = await cli(['migrate', '--wait', '60', '--deadline', '20'], {
      ...environment(),
      MIGRATION_DATABASE_URL: `postgresql://gateway_admin@[::1]:${server.port}/nope?sslmode=verify-full`,
    })
    expect(denied.stderr).not.toContain('trying again')
    expect(denied.stderr).toContain('DATABASE_MISSING')
  })

  it('warns where another source of certificates is begun', async () => {
    const { code, stderr } = await cli(['migrate'], { ...environment(), PGSSLKEY: '/nowhere/client.key' })
    expect(code).toBe(0)
    expect(stderr).toMatch(/^! CERT_SOURCE_INCOMPLETE: PGSSLKEY without PGSSLROOTCERT and PGSSLCERT: [^\n]*\n$/)
  })

  // CockroachDB has no LOCK TABLE.
  if (inject('engine') === 'postgresql')
    it('is told of a lock by the server, before its own time is over', async () => {
      await migrateAt()
      await using locked = clientOf(server, 'root')
      await locked.unsafe('BEGIN; LOCK TABLE drizzle.__drizzle_migrations')
      const { failure } = await migrateAt(undefined, 3000)
      expect(failure).toMatchObject({ layer: 'write', code: 'WRITE_TIMEOUT' })
      expect(failure?.hint).toContain('another session holds a lock')
    })

  it('run twice at the same time succeeds twice and applies once', async () => {
    const runs = await Promise.all([migrateAt(), migrateAt(), migrateAt()])
    expect(runs.map(({ failure }) => failure)).toEqual([null, null, null])
    expect(runs.flatMap(({ applied }) => applied).sort()).toEqual(TAGS)
    expect(await journal()).toHaveLength(TAGS.length)
  })
})

describe('a migration that another one overtakes', () => {
  it('says that there was nothing to do for it', async () => {
    let overtaken = (): void => undefined
    const other = new Promise<void>(resolve => {
      overtaken = resolve
    })
    await using slow = await proxy(sql => (/^begin/i.test(sql) ? { before: other } : undefined))
    const late = migrateAt(slow.port)
    await slow.until(({ statements }) => statements.some(({ sql }) => /^begin/i.test(sql)))
    expect(await migrateAt()).toMatchObject({ applied: TAGS, failure: null })
    overtaken()
    expect(await late).toMatchObject({ applied: [], failure: null })
    expect(await journal()).toHaveLength(TAGS.length)
  })
})

describe('a migration that is cut off', () => {
  it.each(['before', 'after'] as const)(
    '%s each of its statements leaves nothing half done, and the next one succeeds',
    async when => {
      let count = 0
      let cutAt = 0
      await using server = await proxy(() => (++count === cutAt ? cut(when) : undefined))
      expect(await migrateAt(server.port)).toMatchObject({ applied: TAGS, failure: null })
      const statements = count
      expect(statements).toBeGreaterThan(8)
      for (cutAt = 1; cutAt <= statements; cutAt++) {
        await unmigrate()
        count = 0
        const { failure, applied } = await migrateAt(server.port)
        expect({ cutAt, code: failure?.code }).toEqual({ cutAt, code: 'CONNECTION_LOST' })
        const done = await hasTable()
        // Where the answer to COMMIT is lost, it does not know of what it has done.
        if (applied.length > 0) expect({ done, applied }).toEqual({ done: true, applied: TAGS })
        expect(await journal()).toHaveLength(done ? TAGS.length : 0)
        expect(await migrateAt()).toMatchObject({ applied: done ? [] : TAGS, failure: null })
        expect(await journal()).toHaveLength(TAGS.length)
      }
    },
  )
})

describe('npm run migrate and npx drizzle-kit migrate', () => {
  /** drizzle-kit's driver needs a name (it splits a host at every colon); here this one is at ::1, whatever the machine's hosts are. */
  const lookup = `import dns from 'node:dns'
    const { lookup } = dns
    dns.lookup = (host, options, callback) => lookup(host === '${NAME}' ? '::1' : host, options, callback)`
  const named = (): NodeJS.ProcessEnv => ({
    ...environment(server.port, NAME),
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(lookup)}`,
  })
  /** With a variable that the driver would read, and fail at. */
  const kit = (): Promise<{ code: unknown; said: string }> =>
    new Promise(resolve => {
      const { PATH, HOME } = process.env
      const env = { PATH, HOME, PGTARGETSESSIONATTRS: 'any', ...named() }
      execFile(join(ROOT, 'node_modules/.bin/drizzle-kit'), ['migrate'], { cwd: ROOT, env }, (error, stdout, stderr) =>
        resolve({ code: error ? error.code : 0, said: stdout + stderr }),
      )
    })

  it('are the same: after either the other has nothing to do, and the journal is the same', async () => {
    const ours = await cli(['migrate'], named())
    expect(ours).toMatchObject({ code: 0, stdout: expect.stringContaining(`applied ${TAGS.join(', ')}`) })
    const before = await journal()
    expect(before).toHaveLength(TAGS.length)
    expect((await kit()).code).toBe(0)
    expect(await journal()).toEqual(before)

    await unmigrate()
    const { code, said } = await kit()
    expect(code, said).toBe(0)
    expect(await journal()).toEqual(before)
    expect(await migrateAt()).toMatchObject({ applied: [], failure: null })
    expect(await journal()).toEqual(before)
  })
})
