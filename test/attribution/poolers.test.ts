/**
 * Poolers: what takes the client's login, and runs its statements on sessions of its own choice. A pool of sessions is
 * no connection, so a run behind one must fail, at the first check whose statement met another session, by that
 * statement's own answer. Real sessions and real answers; only who gets which is the pooler's (helpers/pooler.ts).
 *
 * Each case runs before PostgreSQL, whose BackendKeyData names the session, and before what says that it is CockroachDB,
 * whose BackendKeyData does not.
 */
import { describe, expect, inject, it } from 'vitest'
import type { Engine } from '../../src/development/throwaway/index.ts'
import type { CheckId } from '../../src/report/report.ts'
import type { Options } from '../../src/settings/config.ts'
import { asCockroach } from '../helpers/as-cockroach.ts'
import { expectNothingLeft, isFinalRead, isInsert, useBase } from '../helpers/faults.ts'
import { type PoolerOptions, pooler, type Unit } from '../helpers/pooler.ts'
import { configOf } from '../helpers/probe.ts'
import { run, settings, tlsOf } from '../helpers/target.ts'
import { type Expected, expectVerdict } from '../helpers/verdict.ts'

type Pooling = Omit<PoolerOptions, 'upstream' | 'credentials' | 'tls'>

interface Case {
  readonly fault: string
  /** made anew for each run */
  readonly pooler: () => Pooling
  readonly expected: Expected
  /** where CockroachDB's BackendKeyData, which names no session, lets it come further */
  readonly onCockroach?: Expected
  readonly options?: Partial<Options>
  /** only where DISCARD ALL takes the settings of the session with it: not on CockroachDB 22.1 */
  readonly discards?: true
}

/** The check whose statement met another session, and which statement it was. */
const replaced = (id: CheckId, evidence: object, hint?: string): Expected => ({
  check: id,
  code: 'CONNECTION_REPLACED',
  evidence,
  ...(hint !== undefined && { hint }),
})

const isWrite = (sql: string): boolean => /^(insert|update|delete|create) /i.test(sql)

/** The path dials the first connection, the independent one is dialled when that one stands, the refused logins follow. */
const WRITER = 1
const READER = 2

/** One backend for each client and, of those, for each `which`. */
const perClient =
  (which: (unit: Unit) => string | number = () => ''): Pooling['route'] =>
  unit =>
    `${unit.client.id} ${which(unit)}`

/** A client's session until the first unit that `when` is true of, and another one from then on. */
function reconnecting(when: (unit: Unit) => boolean): Pooling {
  const replaced = new Set<number>()
  return {
    route: unit => {
      if (when(unit)) replaced.add(unit.client.id)
      return `${unit.client.id} ${replaced.has(unit.client.id) ? 'again' : ''}`
    },
  }
}

const withoutOptions = ({ startup = {} }: Unit['client']): Record<string, string> => {
  const { options: _, ...rest } = startup
  return rest
}

const CASES: readonly Case[] = [
  {
    fault: 'selects on one session, writes on another, which the client is told of first',
    pooler: () => ({ route: perClient(({ sql }) => (isWrite(sql) ? 'writes' : 'reads')) }),
    expected: replaced('dml', { statement: 'the insert of row -1' }),
    onCockroach: replaced('dml', { statement: 'the select of a row' }),
  },
  {
    fault: 'selects on one session, and the client is told of the one for writes',
    pooler: () => ({ route: perClient(({ sql, number }) => (number < 0 || isWrite(sql) ? 'writes' : 'reads')) }),
    expected: replaced('database', { statement: 'the session query' }),
    onCockroach: replaced('dml', { statement: 'the select of a row' }),
  },
  {
    fault: 'two sessions in turn, a statement each',
    pooler: () => ({ route: perClient(({ number }) => Math.max(0, number) % 2) }),
    expected: replaced('dml', { statement: 'the select of a row' }),
  },
  {
    fault: 'two sessions for both clients in turn, a statement each',
    pooler: () => {
      let units = 0
      return {
        route: ({ client, number }) =>
          client.id > READER ? `${client.id}` : number < 0 ? `shared ${client.id}` : `shared ${1 + (units++ % 2)}`,
      }
    },
    expected: replaced('dml', {}),
  },
  {
    fault: 'another session for two writes in the middle',
    pooler: () => ({
      route: perClient(({ sql, inserts }) => (isInsert(sql) && (inserts === 4 || inserts === 5) ? 'other' : '')),
    }),
    expected: replaced('sequential-writes', { statement: 'the insert of row 3', writes: 2 }),
  },
  {
    fault: 'one session for both clients, that of the first',
    pooler: () => ({
      route: ({ client }) => (client.id <= READER ? 'one' : `${client.id}`),
      logsIn: ({ id }) => id !== READER,
    }),
    expected: replaced('row-visible', { session: expect.any(String) }),
  },
  {
    fault: 'one session for both clients, with the startup options of whoever has it',
    pooler: () => ({
      route: ({ client }) => (client.id <= READER ? 'one' : `${client.id}`),
      logsIn: ({ id }) => id !== READER,
      before: ({ client }) =>
        `SET connection_probe.session = '${/_probe\.session=(\w+)/.exec(client.startup?.options ?? '')?.[1]}'`,
    }),
    expected: replaced('row-visible', { session: expect.any(String) }),
  },
  {
    fault: 'one session for both clients, that of the second',
    pooler: () => ({
      route: ({ client }) => (client.id <= READER ? 'one' : `${client.id}`),
      logsIn: ({ id }) => id !== WRITER,
    }),
    expected: replaced('database', { setting: 'connection_probe.session' }, 'a pooler, a proxy'),
  },
  {
    fault: 'another session from the third write on',
    pooler: () => reconnecting(({ sql, inserts }) => isInsert(sql) && inserts === 4),
    expected: replaced('sequential-writes', { statement: 'the insert of row 3', writes: 2 }),
  },
  {
    fault: 'another session between the last write and the select of all rows',
    pooler: () => reconnecting(({ sql }) => isFinalRead(sql)),
    expected: replaced('sequential-writes', { statement: 'the select of all rows', writes: 5 }),
  },
  {
    fault: 'another session between the last write and the select of more rows than one statement removes',
    pooler: () => reconnecting(({ sql }) => isFinalRead(sql)),
    options: { writes: 501 },
    expected: replaced('sequential-writes', { statement: 'the select of all rows', writes: 501 }),
  },
  {
    fault: 'another session between the writes and the prepared statements query',
    pooler: () => reconnecting(({ sql }) => sql.includes('pg_prepared_statements')),
    expected: replaced('statements-unnamed', { statement: 'the prepared statements query' }),
  },
  {
    fault: 'simple queries on one session, extended ones on another',
    pooler: () => ({ route: perClient(({ protocol }) => protocol) }),
    expected: replaced('dml', { statement: 'the insert of row -1' }),
    onCockroach: replaced('dml', { statement: 'the removal of the rows' }),
  },
  {
    fault: 'a session given back between Parse and Bind',
    pooler: () => ({
      splitAtFlush: true,
      route: perClient(({ protocol, number }) => (protocol === 'simple' ? 'simple' : number % 2)),
    }),
    expected: replaced('dml', { sqlstate: '26000' }),
  },
  {
    fault: 'a session that is reset between two statements',
    pooler: () => ({ route: perClient(), before: () => 'DISCARD ALL' }),
    expected: replaced('statements-unnamed', { missing: 'connection_probe.kept' }, 'DISCARD ALL'),
    discards: true,
  },
  {
    fault: 'the independent connection on a session that was there before it',
    pooler: () => ({
      route: perClient(),
      startup: client => (client.id === READER ? withoutOptions(client) : (client.startup ?? {})),
    }),
    expected: replaced('row-visible', { missing: 'connection_probe.session' }, 'a pooler, a proxy'),
  },
  {
    fault: 'a session of the user for whoever says that name, certificate or not',
    pooler: () => ({
      route: ({ client }) =>
        client.id <= READER || client.startup?.user !== 'gateway_writer' ? `${client.id}` : `${WRITER}`,
    }),
    expected: {
      check: 'certificate-required',
      code: 'CERTLESS_LOGIN_ALLOWED',
    },
  },
]

const base = useBase()

/** Runs the probe through the pooler, on a server that is this engine or says that it is. */
async function probeBehind(engine: Engine, { pooler: pooling, options }: Case) {
  const { server, restore, pem } = base()
  const database = await restore()
  await using upstream = engine === server.engine ? undefined : await asCockroach(server)
  await using pool = await pooler({
    upstream: { port: upstream?.port ?? server.port },
    tls: tlsOf(server),
    credentials: ({ sslRequested, peerName }) => {
      if (!sslRequested) return undefined
      return peerName === undefined ? { ca: pem('gateway_writer').ca } : pem(peerName)
    },
    ...pooling(),
  })
  const report = await run(
    configOf(settings({ port: pool.port, database, pem: pem('gateway_writer') }), {
      options: { writes: 5, visibleWithinMs: 5000, ...options },
    }),
  )
  return { report, database }
}

describe.each<Engine>(inject('engine') === 'cockroachdb' ? ['cockroachdb'] : ['postgresql', 'cockroachdb'])(
  'behind a pooler, before %s',
  engine => {
    const isDiscarding = inject('engine') === 'postgresql'
    it('passes where the pooler has a session of its own for each client, and leaves it alone', async () => {
      const { report, database } = await probeBehind(engine, {
        fault: 'none',
        pooler: () => ({ route: perClient() }),
        expected: {},
      })
      expectVerdict(report, {})
      await expectNothingLeft(base(), database, report)
    })

    it.each(CASES.filter(({ discards }) => !discards || isDiscarding))('$fault', async one => {
      const { report, database } = await probeBehind(engine, one)
      expectVerdict(report, (engine === 'cockroachdb' && one.onCockroach) || one.expected)
      await expectNothingLeft(base(), database, report)
    })
  },
)
