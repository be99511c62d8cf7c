import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startThrowaway, type Throwaway } from '../../src/development/throwaway/index.ts'
import { makeCredentials, postgresClient } from './clients.ts'
import { type Fault, faultyProxy, type ProxyOptions } from './proxy.ts'
import type { Session } from './sessions.ts'

let target: Throwaway
let credentials: Awaited<ReturnType<typeof makeCredentials>>
beforeAll(async () => {
  ;[target, credentials] = await Promise.all([startThrowaway({ engine: 'postgresql' }), makeCredentials()])
  await target.runAsRoot('create table public.t (n int primary key); grant all on public.t to gateway_writer')
}, 60_000)
afterAll(() => target?.stop())

/** Upstream as whoever the client's certificate names; without one, without one. */
function upstreamCredentials({ peerName }: Session) {
  const pem = (name: string) => readFileSync(join(target.certsDir, name), 'utf8')
  const ca = pem('ca.crt')
  if (peerName === undefined) return { ca }
  return { ca, cert: pem(`client.${peerName}.crt`), key: pem(`client.${peerName}.key`) }
}

const proxy = (more: Partial<ProxyOptions> = {}) =>
  faultyProxy({ upstream: target, tls: credentials.server, credentials: upstreamCredentials, ...more })
const client = (server: { port: number }, name: string | undefined = 'gateway_writer') =>
  postgresClient(server.port, credentials.client(name))

const rows = async (n: number): Promise<number> =>
  (await target.runAsRoot(`select n from public.t where n = ${n}`)).length

/** A fault for the first `times` statements that begin with these words. */
function fault(words: string, what: Fault, times = 1) {
  let left = times
  return (sql: string): Fault | undefined => (sql.startsWith(words) && left-- > 0 ? what : undefined)
}

describe('without a fault', () => {
  test('relays both protocols, transactions and errors, as the user of the certificate', async () => {
    await using server = await proxy()
    await using sql = client(server)
    expect((await sql`select current_user as me, ${7}::int + 1 as n`)[0]).toEqual({ me: 'gateway_writer', n: 8 })
    await sql.begin(async tx => {
      await tx`insert into public.t values (${1})`
    })
    await expect(sql`insert into public.t values (${1})`).rejects.toMatchObject({ code: '23505' })
    await expect(sql`select * from no_such_table where n = ${1}`).rejects.toMatchObject({ code: '42P01' })
    expect((await sql`select n from public.t`).count).toBe(1)
    expect(server.statements.map(({ sql: text }) => text.trim().split(' ')[0])).toEqual([
      'select',
      'begin',
      'insert',
      'commit',
      'insert',
      'select',
    ])
  })

  test('takes a client without a certificate, or without TLS, to a server that refuses it', async () => {
    await using server = await proxy()
    await using bare = postgresClient(server.port, credentials.client())
    await expect(bare`select 1`).rejects.toMatchObject({ code: '28000', routine: 'ClientAuthentication' })
    await using open = await proxy({ credentials: () => undefined })
    await using plain = postgresClient(open.port, false)
    await expect(plain`select 1`).rejects.toMatchObject({ code: '28000' })
  })

  test('can let in who should be refused', async () => {
    const writer = { peerName: 'gateway_writer' } as Session
    await using server = await proxy({ credentials: () => upstreamCredentials(writer) })
    await using sql = postgresClient(server.port, credentials.client())
    expect((await sql`select current_user as me`)[0]).toEqual({ me: 'gateway_writer' })
  })
})

describe('with a fault', () => {
  const ambiguous = { S: 'ERROR', V: 'ERROR', C: '40003', M: 'result is ambiguous', R: 'x' }
  const retry = { S: 'ERROR', V: 'ERROR', C: '40001', M: 'restart transaction', R: 'x' }

  test('an error twice, then the statement runs', async () => {
    await using server = await proxy({ onStatement: fault('insert', { execute: false, instead: retry }, 2) })
    await using sql = client(server)
    const insert = () => sql`insert into public.t values (${10})`
    await expect(insert()).rejects.toMatchObject({ code: '40001' })
    expect(await rows(10)).toBe(0)
    await expect(insert()).rejects.toMatchObject({ code: '40001' })
    expect((await insert()).count).toBe(1)
    expect(server.connections).toBe(1)
  })

  test('an error instead of COMMIT, which ends the transaction in either protocol', async () => {
    await using server = await proxy({ onStatement: fault('commit', { execute: false, instead: retry }, 2) })
    await using sql = client(server)
    await expect(sql.begin(tx => tx.unsafe('insert into public.t values (11)'))).rejects.toMatchObject({
      code: '40001',
    })
    await sql.unsafe('begin; insert into public.t values (11)')
    await expect(sql.unsafe('commit')).rejects.toMatchObject({ code: '40001' })
    expect((await sql.unsafe('select 1 as n'))[0]).toEqual({ n: 1 })
    await sql.end()
    expect(await rows(11)).toBe(0)
  })

  test('an ambiguous error after the row is there', async () => {
    await using server = await proxy({ onStatement: fault('insert', { instead: ambiguous }) })
    await using sql = client(server)
    await expect(sql`insert into public.t values (${12})`).rejects.toMatchObject({ code: '40003' })
    expect(await rows(12)).toBe(1)
    expect((await sql`select ${1}::int as n`)[0]).toEqual({ n: 1 })
  })

  for (const simple of [false, true]) {
    for (const how of ['close', 'reset'] as const) {
      const insert = (server: { port: number }, n: number) => {
        const sql = client(server)
        const query = simple
          ? sql.unsafe(`insert into public.t values (${n})`)
          : sql`insert into public.t values (${n})`
        return query.finally(() => sql.end({ timeout: 0 }))
      }
      const base = 100 + (simple ? 10 : 0) + (how === 'close' ? 0 : 20)
      test(`${how} before a ${simple ? 'simple' : 'bound'} statement, after it, and while it runs`, async () => {
        await using before = await proxy({ onStatement: fault('insert', { execute: false, instead: how }) })
        await expect(insert(before, base)).rejects.toThrow()
        expect(await rows(base)).toBe(0)
        await using after = await proxy({ onStatement: fault('insert', { instead: how }) })
        await expect(insert(after, base + 1)).rejects.toThrow()
        expect(await rows(base + 1)).toBe(1)

        await using during = await proxy({ onStatement: fault('insert', { instead: how, atOnce: true }) })
        await target.runAsRoot(`create or replace function public.slow() returns trigger language plpgsql as
          $$ begin perform pg_sleep(1.2); return new; end $$;
          create or replace trigger slow before insert on public.t for each row execute function public.slow()`)
        await expect(insert(during, base + 2)).rejects.toThrow()
        expect(await rows(base + 2)).toBe(0)
        await expect.poll(() => rows(base + 2), { timeout: 8000 }).toBe(1)
        await target.runAsRoot('drop trigger slow on public.t')
      })
    }
  }

  test('a value changed, a row left out, a tag changed', async () => {
    await using server = await proxy({
      onStatement: sql =>
        sql.includes('changed')
          ? { row: values => values.map(value => `${value}0`), tag: tag => `${tag}0` }
          : sql.includes('left out')
            ? { row: () => undefined }
            : undefined,
    })
    await using sql = client(server)
    const changed = await sql`select ${4}::int as changed`
    expect([changed[0], changed.count]).toEqual([{ changed: 40 }, 10])
    expect([...(await sql`select ${4}::int as "left out"`)]).toEqual([])
  })

  test('late before and after, and never', async () => {
    const before = deferred()
    const after = deferred()
    let done = false
    await using server = await proxy({
      onStatement: sql =>
        sql.startsWith('insert') ? { before: before.promise, after: after.promise } : { instead: 'silent' },
    })
    await using sql = client(server)
    const insert = sql`insert into public.t values (${13})`.then(() => {
      done = true
    })
    await server.until(s => s.statements.length === 1)
    expect(await rows(13)).toBe(0)
    before.resolve()
    await expect.poll(() => rows(13)).toBe(1)
    expect(done).toBe(false)
    after.resolve()
    await insert
    const never = sql`select 1`.catch((error: { code: string }) => error.code)
    await server.until(s => s.statements.length === 2)
    expect(server.open).toBe(1)
    await sql.end({ timeout: 0 })
    expect(await never).toBe('CONNECTION_DESTROYED')
    await server.until(s => s.open === 0)
  })
})

function deferred() {
  let resolve: () => void = () => {}
  const promise = new Promise<void>(done => {
    resolve = done
  })
  return { promise, resolve }
}
