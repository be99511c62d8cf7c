/**
 * Whose session wrote the row. Each case is a back end that is not quite one, and what the witness makes of it: psql
 * stands in for it, on a real server, which lists its sessions itself. Where the list is what differs (an address that no
 * server here has), a proxy changes what it says, and nothing else.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { addressOf } from '../../src/checks/witness/back-end-session.ts'
import type { Engine, Throwaway } from '../../src/development/throwaway/index.ts'
import type { Options } from '../../src/settings/config.ts'
import { clientOf, pemOf } from '../helpers/clients.ts'
import type { ProxyFault } from '../helpers/faults.ts'
import { pooler } from '../helpers/pooler.ts'
import type { Fault } from '../helpers/proxy.ts'
import { type Psql, type PsqlOptions, startPsql } from '../helpers/psql.ts'
import { migrated, namesOf, target, tlsOf } from '../helpers/target.ts'
import { type Expected, expectVerdict } from '../helpers/verdict.ts'
import { query } from '../helpers/wire.ts'
import { type Ids, newIds, printed, relayTo, runWitness } from '../helpers/witness.ts'

const engine = inject('engine')
let server: Throwaway
let root: ReturnType<typeof clientOf>
/** psql is used again: most of the time of a case is its start */
const idle: Psql[] = []
beforeAll(async () => {
  server = await migrated(engine === 'postgresql' ? { listen: ['::1', '127.0.0.1'] } : {})
  root = clientOf(server, 'root', 'uro')
})
afterAll(async () => {
  await Promise.all(idle.map(psql => psql.end()))
  await root?.end({ timeout: 1 })
  await server?.stop()
})

interface Case extends Expected {
  readonly by: string
  readonly engines?: readonly Engine[]
  /** what the back end does, with as many clients as it likes; they stay until the verdict, unless it ends them */
  readonly backEnd: (client: (options?: PsqlOptions) => Promise<Psql>, ids: Ids) => Promise<unknown>
  /** before the witness starts, not while it waits */
  readonly before?: true
  readonly options?: Partial<Options>
  readonly app?: string
  /** AAAA records */
  readonly names?: Readonly<Record<string, readonly string[]>>
  /** what a proxy between the witness and the server does */
  readonly proxy?: (ids: Ids) => ProxyFault
  /** where it is there afterwards; it is removed otherwise */
  readonly left?: true
}

async function witnessed(one: Case) {
  const ids = newIds(engine)
  const clients: { readonly psql: Psql; readonly ofItsOwn: boolean }[] = []
  const client = async (options: PsqlOptions = {}) => {
    const ofItsOwn = Object.keys(options).length > 0
    const psql = (ofItsOwn ? undefined : idle.pop()) ?? (await startPsql(server, options))
    clients.push({ psql, ofItsOwn })
    return psql
  }
  await using proxy = one.proxy ? await relayTo(server, one.proxy(ids)) : undefined
  const { app = null, names, options } = one
  const config = target(proxy ?? server, pemOf(server, 'gateway_writer'), {
    ...{ deadlineMs: 20_000, waitMs: 5_000, visibleWithinMs: 5_000, ...options },
    ...(names && { names: { ...namesOf(names), servers: ['[::1]:9'] } }),
  })
  try {
    if (one.before) await one.backEnd(client, ids)
    const backEnd = one.before ? undefined : () => one.backEnd(client, ids)
    const report = await runWitness(config, { ids, app, ...(backEnd && { backEnd }) })
    const left = await root.unsafe(
      `SELECT id::text FROM public.connection_probe WHERE id = '${ids.rowId}' OR run_id = '${ids.runId}'`,
    )
    return { ids, report, left }
  } finally {
    await Promise.all(
      clients.map(async ({ psql, ofItsOwn }) => {
        if (psql.ended) return
        if (ofItsOwn) return psql.end()
        await psql.run('SELECT 1; DEALLOCATE ALL;')
        idle.push(psql)
      }),
    )
  }
}

function cases(all: readonly Case[]): void {
  const here = all.filter(({ engines }) => !engines || engines.includes(engine))
  it.concurrent.each(here)('$by', async one => {
    const { report, left } = await witnessed(one)
    expect({ command: report.command, criteria: report.criteria }).toEqual({ command: 'witness', criteria: [] })
    expectVerdict(report, one)
    expect(left).toHaveLength(one.left ? 1 : 0)
    expect(report.warnings.map(({ code }) => code)).not.toContain('ROWS_LEFT')
  })
}

/** What is printed, run in psql over IPv6. */
const runs =
  (from: string | RegExp = '', to = '', options: PsqlOptions = {}): Case['backEnd'] =>
  async (client, ids) =>
    (await client(options)).run(printed(ids, from, to))

const unknown = (evidence: object = {}, more: Partial<Expected> = {}): Expected => ({
  check: 'back-end-session',
  code: 'WITNESS_UNKNOWN_SESSION',
  evidence,
  ...more,
})
const session = (code: Expected['code'], more: Partial<Expected> = {}): Expected => ({
  check: 'back-end-session',
  ...(code && { code }),
  ...more,
})

/** The last statement of the session that does not look for the row writes it, and gives what was asked for. */
const ownWrite = (ids: Ids): ProxyFault => ({
  onClientMessage: message =>
    message.kind === 'Query' && message.sql.includes('array_position(')
      ? query(printed(ids, /;$/, " RETURNING 'connection_probe'::regclass::oid::text AS oid, 'public' AS schema"))
      : undefined,
})

/** The name of the session that an INSERT is run in, as what is printed says it. */
const SESSION = engine === 'cockroachdb' ? /'session', [^,]*,/ : /'session', CAST\([^)]*\) AS text\),/
/** All of the payload. */
const PAYLOAD = /jsonb_build_object.*\)(?=;)/
/** A column more: written_at, or written_by. */
const withColumn = (ids: Ids, name: string, value: string) =>
  printed(ids, ') SELECT ', `, ${name}) SELECT `).replace(/;$/, `, ${value};`)

describe('a row is witnessed that is written', () => {
  cases([
    {
      by: 'by what is printed',
      backEnd: runs(),
      seen: {
        'back-end-row': { writtenBy: 'gateway_writer', origin: 'the back end, by sql' },
        'back-end-session': {
          ...{ address: '::1', user: 'gateway_writer', ours: 0, notInserting: 0 },
          ...(engine === 'cockroachdb' && { mutualTls: expect.stringMatching(/^not listed: .* other addresses/) }),
        },
        'back-end-visible': { limitMs: 5000, visibleMs: expect.any(Number), onRecordMs: expect.any(Number) },
        'back-end-unnamed': { named: 0, toldBy: expect.stringMatching(/^told by the client/) },
      },
    },
    {
      by: 'before the first look, by a session that is still there',
      backEnd: runs(),
      before: true,
      seen: { 'back-end-visible': { looks: 1 } },
    },
    {
      by: 'with a payload of its own, by a client that says that no statement is named',
      backEnd: runs(PAYLOAD, `CAST('{"named": 0}' AS jsonb)`),
      seen: {
        'back-end-session': { claimed: null },
        'back-end-unnamed': { named: 0, toldBy: expect.stringMatching(/^told by the client/) },
      },
    },
    {
      by: 'while colleagues are connected as the same user, one of them looking at the row',
      async backEnd(client, ids) {
        const [idle, looking] = [await client(), await client()]
        await idle.run('SELECT 1;')
        await (await client()).run(printed(ids))
        await looking.run(`SELECT id FROM connection_probe WHERE id = '${ids.rowId}';`)
      },
      seen: { 'back-end-session': { notInserting: 1, ours: 0 } },
    },
    {
      by: 'and tried again by another session, which is as right',
      async backEnd(client, ids) {
        for (const psql of [await client(), await client()]) await psql.run(printed(ids))
      },
      seen: { 'back-end-session': { more: [{ address: '::1', user: 'gateway_writer' }] } },
    },
    {
      by: 'in lower case, under a comment, by hand',
      async backEnd(client, { rowId, runId }) {
        const values = `'${rowId}', '${runId}', 7, 'me', '{"named": "0"}'`
        await (await client()).run(
          `/* traced */\ninsert\n into "connection_probe"(id, run_id, sequence, origin, payload) values (${values});`,
        )
      },
    },
    {
      by: 'from a machine of the app, however its address is written',
      backEnd: runs(),
      app: 'uro',
      names: { 'uro.internal': ['fdaa::7', '0:0:0:0:0:0:0:1'] },
      seen: { 'back-end-session': { machines: ['fdaa::7', '0:0:0:0:0:0:0:1'] } },
    },
  ])
})

describe('it is not known whose session wrote the row', () => {
  cases([
    {
      by: 'whose session is gone',
      async backEnd(client, ids) {
        const psql = await client()
        await psql.run(printed(ids))
        await psql.end()
      },
      ...unknown({ sessions: [], ours: 0, notInserting: 0 }),
    },
    {
      by: 'whose session is gone, although a colleague asks for the row by its id',
      async backEnd(client, ids) {
        const [psql, colleague] = [await client(), await client()]
        await psql.run(printed(ids))
        await colleague.run(
          `/* INSERT INTO connection_probe */ SELECT * FROM connection_probe WHERE id = '${ids.rowId}';`,
        )
        await psql.end()
      },
      ...unknown({ sessions: [], notInserting: 1 }),
    },
    {
      by: 'whose session has gone on to another statement',
      async backEnd(client, ids) {
        const psql = await client()
        await psql.run(`BEGIN; ${printed(ids)}`)
        await psql.run('COMMIT;')
      },
      ...unknown({ sessions: [] }),
    },
    {
      by: 'that is old, and says that it is new',
      async backEnd(client, ids) {
        const psql = await client()
        await psql.run(withColumn(ids, 'written_at', `now() + interval '0.2 seconds'`))
        await psql.end()
      },
      before: true,
      ...unknown({ sessions: [] }),
    },
    {
      by: 'by gateway_admin, who says that it was gateway_writer',
      async backEnd(client, ids) {
        await (await client({ user: 'gateway_admin' })).run(withColumn(ids, 'written_by', `'gateway_writer'`))
      },
      ...unknown({ sessions: [] }),
    },
    {
      by: 'with the payload of an example, by a session that is gone',
      async backEnd(client, ids) {
        const psql = await client()
        await psql.run(
          printed(ids, PAYLOAD, `CAST('{"session": "4242", "client": "[::1]:41470", "named": 0}' AS jsonb)`),
        )
        await psql.end()
      },
      ...unknown({ sessions: [], claimed: '4242' }),
    },
    {
      by: 'with the payload of an example, by a session that is listed',
      backEnd: runs(PAYLOAD, `CAST('{"session": "4242", "client": "[::1]:41470", "named": 0}' AS jsonb)`),
      ...unknown({ sessions: [{ address: '::1' }], claimed: '4242' }, { hint: 'its payload was copied' }),
    },
    {
      by: 'with the session of a colleague in its payload, by one that is gone',
      async backEnd(client, ids) {
        const [psql, colleague] = [await client(), await client()]
        const name = engine === 'cockroachdb' ? `current_setting('session_id')` : 'pg_backend_pid()::text'
        const its = (await colleague.run(`SELECT ${name};`)).trim()
        await psql.run(printed(ids, SESSION, `'session', '${its}',`))
        await psql.end()
      },
      ...unknown({ sessions: [] }),
    },
    {
      by: 'by a session that is gone, and tried again by one that is right',
      async backEnd(client, ids) {
        const [psql, again] = [await client(), await client()]
        await psql.run(printed(ids))
        await psql.end()
        expect(await again.run(printed(ids))).toMatch(/duplicate key/)
      },
      ...unknown({ sessions: [{ address: '::1' }] }, { hint: 'another client wrote the row' }),
    },
    {
      by: 'by hand, by a session that is gone, and tried again by one that began after it',
      engines: ['cockroachdb'],
      async backEnd(client, ids) {
        const psql = await client()
        const values = `'${ids.rowId}', '${ids.runId}', 7, 'me', '{"named": 0}'`
        await psql.run(`INSERT INTO connection_probe (id, run_id, sequence, origin, payload) VALUES (${values});`)
        await psql.run('SELECT pg_sleep(1);')
        await psql.end()
        await (await client({ database: 'uro' })).run(printed(ids))
      },
      before: true,
      ...unknown({ sessions: [{ address: '::1' }] }, { message: /began when the row was there already/, hint: /gone/ }),
    },
    {
      by: "on the witness's own session",
      backEnd: async () => undefined,
      proxy: ownWrite,
      ...unknown({ sessions: [], ours: 1 }, { message: /on this program's own session/ }),
    },
  ])
})

const listing = (change: (values: readonly (string | null)[]) => readonly (string | null)[]) => (): ProxyFault => ({
  onStatement: (sql): Fault | undefined =>
    /pg_stat_activity|SHOW SESSIONS/.test(sql) ? { row: values => change(values.map(value => value)) } : undefined,
})

describe('the session is not the one that it should be', () => {
  cases([
    {
      by: 'gateway_admin',
      backEnd: runs('', '', { user: 'gateway_admin' }),
      ...session('WITNESS_ROLE', { message: /^the row was written by gateway_admin, not by gateway_writer$/ }),
    },
    {
      by: 'gateway_writer, who says that it is gateway_admin',
      async backEnd(client, ids) {
        await (await client()).run(withColumn(ids, 'written_by', `'gateway_admin'`))
      },
      ...session('WITNESS_ROLE', { message: /although its session is$/, evidence: { writtenBy: 'gateway_admin' } }),
    },
    {
      by: 'of another user, by the list',
      backEnd: runs(),
      proxy: listing(([name = null, , ...rest]) => [name, 'gateway_reader', ...rest]),
      ...session('WITNESS_ROLE', { message: /is gateway_reader's, not gateway_writer's$/ }),
    },
    {
      by: 'from IPv4',
      engines: ['postgresql'],
      backEnd: runs('', '', { hostaddr: '127.0.0.1' }),
      ...session('WITNESS_NOT_IPV6', { evidence: { address: '127.0.0.1' } }),
    },
    // Whichever of the two began first, and so stands first in the list.
    ...[['127.0.0.1', '::1'] as const, ['::1', '127.0.0.1'] as const].map(
      (addresses): Case => ({
        by: `from IPv4 and from IPv6, of two that began in the order ${addresses.join(', ')}`,
        engines: ['postgresql'],
        async backEnd(client, ids) {
          const clients = [await client({ hostaddr: addresses[0] }), await client({ hostaddr: addresses[1] })]
          for (const psql of clients) await psql.run(printed(ids, SESSION, ''))
        },
        ...session('WITNESS_NOT_IPV6', { evidence: { address: '127.0.0.1' } }),
      }),
    ),
    ...['127.0.0.1:4242', '[::ffff:7f00:1]:4242', null].map(
      (client): Case => ({
        by: `listed as from ${JSON.stringify(client)}`,
        backEnd: runs(),
        proxy: listing(([name = null, user = null, , ...rest]) => [name, user, client, ...rest]),
        ...session('WITNESS_NOT_IPV6'),
      }),
    ),
    {
      by: 'listed as without TLS',
      engines: ['postgresql'],
      backEnd: runs(),
      proxy: listing(values => [...values.slice(0, -2), null, null]),
      ...session('CERTLESS_LOGIN_ALLOWED', {
        message: /came without TLS$/,
        hint: 'lets gateway_writer in without TLS',
      }),
    },
    {
      by: 'listed as without a certificate',
      engines: ['postgresql'],
      backEnd: runs(),
      proxy: listing(values => [...values.slice(0, -1), null]),
      ...session('CERTLESS_LOGIN_ALLOWED', { message: /came without a certificate$/, hint: /./ }),
    },
    {
      by: 'elsewhere than the app',
      backEnd: runs(),
      app: 'uro',
      names: { 'uro.internal': ['fdaa::7'] },
      ...session('WITNESS_ELSEWHERE', {
        evidence: { address: '::1', machines: ['fdaa::7'] },
        hint: 'no release, console or --skip-dns-registration machine',
      }),
    },
    {
      by: 'of an app that does not exist',
      backEnd: runs(),
      app: 'uro',
      names: {},
      ...session('DNS_FAILED', {
        hint: /^the row is there, only --app uro cannot be decided: .* dig AAAA uro[.]internal/,
      }),
    },
  ])
})

describe('the row is there, and not as it should be', () => {
  cases([
    {
      by: 'late by its own word',
      async backEnd(client, ids) {
        await (await client()).run(withColumn(ids, 'written_at', `now() - interval '7 seconds'`))
      },
      ...{ check: 'back-end-visible', code: 'ROW_LATE', message: /first seen 7\.\d\d s after it was written/ },
    },
    {
      by: 'late by the record of the server, whatever it says itself',
      async backEnd(client, ids) {
        await (await client()).run(withColumn(ids, 'written_at', `now() + interval '0.3 seconds'`))
        await (await client()).run('SELECT pg_sleep(0.4);')
      },
      before: true,
      options: { visibleWithinMs: 300 },
      ...{
        check: 'back-end-visible',
        code: 'ROW_LATE',
        message: /there at the first look$/,
        hint: /^start npm run witness first/,
      },
    },
    ...[`now() + interval '1 hour'`, `'infinity'`].map(
      (at): Case => ({
        by: `from the future, ${at}`,
        async backEnd(client, ids) {
          await (await client()).run(withColumn(ids, 'written_at', `CAST(${at} AS timestamptz)`))
        },
        ...{ check: 'back-end-visible', code: 'ROW_LATE', hint: /^the client set written_at/ },
        ...(at === `'infinity'` && { engines: ['postgresql'] as const }),
      }),
    ),
    {
      by: 'from a session that holds a named statement',
      async backEnd(client, ids) {
        const psql = await client()
        await psql.run('PREPARE ecto_34 AS SELECT 1;')
        await psql.run(printed(ids))
      },
      ...{
        check: 'back-end-unnamed',
        code: 'STATEMENTS_NAMED',
        evidence: { named: 1 },
        message: /holds 1 named prepared statement$/,
        hint: /^prepare: :unnamed in /,
      },
    },
    ...['"named"', '{"named": null}', '{"named": -1}'].map(
      (payload): Case => ({
        by: `with the payload ${payload}`,
        backEnd: runs(PAYLOAD, `CAST('${payload}' AS jsonb)`),
        ...{ check: 'back-end-unnamed', code: 'ROW_MISMATCH', hint: /unchanged/ },
      }),
    ),
  ])
})

describe('the row does not come', () => {
  cases([
    {
      by: 'but one with the run id and another id',
      backEnd: runs(/(?<=SELECT CAST\(')[^']*/, '11111111-2222-4333-8444-555555555555'),
      options: { waitMs: 300 },
      left: true,
      ...{ check: 'back-end-row', code: 'WITNESS_NO_ROW', evidence: { others: ['another id'] }, hint: /--run-id / },
    },
    {
      by: 'but one with the id and another run id',
      backEnd: runs(/(?<=uuid\), CAST\(')[^']*/, '11111111-2222-4333-8444-555555555555'),
      options: { waitMs: 300 },
      left: true,
      ...{ check: 'back-end-row', code: 'WITNESS_NO_ROW', evidence: { others: ['another run'] }, hint: /--run-id / },
    },
  ])
})

describe('through a pooler', () => {
  /** A pooler that gives its clients sessions by `route`. */
  const pooled = (route: Parameters<typeof pooler>[0]['route']) =>
    pooler({
      ...{ upstream: { port: server.port }, route, tls: tlsOf(server) },
      credentials: () => pemOf(server, 'gateway_writer'),
    })
  const config = (names?: Readonly<Record<string, readonly string[]>>) =>
    target(server, pemOf(server, 'gateway_writer'), {
      ...{ deadlineMs: 20_000, waitMs: 5_000, visibleWithinMs: 5_000 },
      ...(names && { names: namesOf(names) }),
    })

  it('the session is the one of the pooler, whose address is not a machine of the app', async () => {
    const ids = newIds(engine)
    await using between = await pooled(() => 'one')
    await using psql = await startPsql(server, { port: between.port })
    const names = { 'uro.internal': ['fdaa::7'] }
    const report = await runWitness(config(names), { ids, app: 'uro', backEnd: () => psql.run(printed(ids)) })
    expectVerdict(report, session('WITNESS_ELSEWHERE', { hint: 'a proxy or pooler stands in between' }))
  })

  it('a session that is given to another client is not known any more', async () => {
    const ids = newIds(engine)
    await using between = await pooled(() => 'one')
    await using psql = await startPsql(server, { port: between.port })
    await using other = await startPsql(server, { port: between.port })
    const backEnd = async () => {
      await psql.run(printed(ids))
      await other.run('SELECT 2;')
    }
    expectVerdict(await runWitness(config(), { ids, backEnd }), unknown({ sessions: [] }))
  })
})

it.each([
  ['that has no machine is said before the row is awaited', {}, 'no machine of --app uro is found (DNS_FAILED: '],
  ['that has one is not remarked upon', { 'uro.internal': ['::1'] }, ''],
])('an app %s', async (_, records, begins) => {
  const ids = newIds(engine)
  const said: string[] = []
  const config = target(server, pemOf(server, 'gateway_writer'), {
    ...{ deadlineMs: 20_000, waitMs: 1, names: { ...namesOf(records), servers: ['[::1]:9'] } },
  })
  const backEnd = async () => void said.push('what to run')
  await runWitness(config, { ids, app: 'uro', backEnd, note: text => said.push(text) })
  const [first = '', ...rest] = said
  expect(first.startsWith(begins)).toBe(true)
  expect([...(begins === '' ? [first] : []), ...rest]).toEqual(['what to run'])
})

it.each([
  ['[::1]:34494', '::1'],
  ['[fe80::1%eth0]:34494', 'fe80::1%eth0'],
  ['[fdaa:0:1::3]', 'fdaa:0:1::3'],
  ['fdaa:0:1::3', 'fdaa:0:1::3'],
  ['10.0.0.1:34494', '10.0.0.1'],
  ['10.0.0.1', '10.0.0.1'],
  ['', null],
  [null, null],
])('the address of %j is %j', (client, address) => {
  expect(addressOf(client)).toBe(address)
})
