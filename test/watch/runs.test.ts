/** What one run leaves for the next: settings read anew, refused logins tried seldom, old rows swept, rows that were left. */
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Issued } from '../../src/development/throwaway/authority.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import type { Report } from '../../src/report/report.ts'
import { createRuns, type Runs } from '../../src/watch/runs.ts'
import { pemOf } from '../helpers/clients.ts'
import { isDelete } from '../helpers/faults.ts'
import { days } from '../helpers/pki.ts'
import { type Relay, relay } from '../helpers/relay.ts'
import { check, migrated, proxyTo, settings } from '../helpers/target.ts'

let server: Throwaway
let link: Relay
let certsDir: string
beforeAll(async () => {
  server = await migrated({ engine: 'postgresql' })
})
afterAll(() => server.stop())

beforeEach(async () => {
  link = await relay({ target: { port: server.port } })
  certsDir = mkdtempSync(join(tmpdir(), 'watch-certs-'))
  cpSync(server.certsDir, certsDir, { recursive: true })
})
afterEach(async () => {
  rmSync(certsDir, { recursive: true })
  await link[Symbol.asyncDispose]()
  await server.runAsRoot(
    'TRUNCATE connection_probe; GRANT SELECT, INSERT, UPDATE, DELETE ON connection_probe TO gateway_writer',
  )
})

/** Runs on a clock that the test sets. */
function runs(port = link.port, env: NodeJS.ProcessEnv = {}, deadlineMs = 30_000) {
  let now = 0
  const { next }: Runs = createRuns(
    {
      env: { ...settings({ port }), COCKROACH_CERTS_DIR: certsDir, ...env },
      options: { writes: 2, deadlineMs },
      program: 'connection-probe test',
      note: () => undefined,
    },
    () => now,
  )
  return {
    next: () => next(new AbortController().signal),
    at(seconds: number) {
      now = seconds * 1000
    },
  }
}

/** How many connections something opened. */
async function connections<T>(work: () => Promise<T>): Promise<[number, T]> {
  const before = link.connections
  const value = await work()
  return [link.connections - before, value]
}

const rows = async () => Number((await server.runAsRoot('SELECT count(*) AS n FROM connection_probe'))[0]?.n)
const triedAt = (report: Report) =>
  (['certificate-required', 'certificate-verified', 'certificate-bound'] as const).map(
    id => check(report, id).evidence.lastTried,
  )

/** Two sessions, and the logins that are refused. */
const ALL = 7
const SESSIONS = 2

describe('the refused logins', () => {
  test('are tried at first, then after ten minutes; in between the report says when they were', async () => {
    const { next, at } = runs()
    const [first, report] = await connections(next)
    expect([first, report.verdict]).toEqual([ALL, 'pass'])
    at(599)
    const [second, carried] = await connections(next)
    expect([second, carried.verdict]).toEqual([SESSIONS, 'pass'])
    expect(triedAt(carried)).toEqual(triedAt(report))
    expect(triedAt(report)).toEqual(Array(3).fill(expect.stringMatching(/^\d{4}-.*Z$/)))
    const { durationMs, evidence, status } = check(carried, 'certificate-verified')
    expect({ durationMs, status }).toEqual({ durationMs: 0, status: 'passed' })
    expect(evidence).toEqual(check(report, 'certificate-verified').evidence)
    at(600)
    expect((await connections(next))[0]).toBe(ALL)
    at(1199)
    expect((await connections(next))[0]).toBe(SESSIONS)
  })

  test('are tried in the run after one that failed, and not again while it goes on to fail', async () => {
    const { next } = runs()
    await next()
    await server.runAsRoot('REVOKE DELETE ON connection_probe FROM gateway_writer')
    const [during, report] = await connections(next)
    expect([during, report.failure?.code]).toEqual([SESSIONS, 'DML_DENIED'])
    expect((await connections(next))[0]).toBe(ALL)
    expect((await connections(next))[0]).toBe(SESSIONS)
    await server.runAsRoot('GRANT DELETE ON connection_probe TO gateway_writer')
    const [after, passed] = await connections(next)
    expect([after, passed.verdict]).toEqual([SESSIONS, 'pass'])
  })

  test('are tried as soon as the server is back', async () => {
    const { next } = runs(link.port, {}, 4_000)
    const before = await next()
    process.kill(server.pid, 'SIGSTOP')
    try {
      for (const _ of [1, 2]) expect((await next()).failure?.code).toBe('TLS_TIMEOUT')
    } finally {
      process.kill(server.pid, 'SIGCONT')
    }
    const [opened, report] = await connections(next)
    expect([opened, report.verdict]).toEqual([ALL, 'pass'])
    expect(triedAt(report)).not.toEqual(triedAt(before))
  })

  test('are tried in every run while one of them is let in', async () => {
    await using open = await migrated({ engine: 'postgresql', hba: ['hostssl all all all trust'] })
    cpSync(open.certsDir, certsDir, { recursive: true })
    const { next } = runs(open.port)
    for (const _ of [1, 2, 3])
      expect(check(await next(), 'certificate-required').failure?.code).toBe('CERTLESS_LOGIN_ALLOWED')
  })

  test('are tried at once with another certificate', async () => {
    const { next } = runs()
    await next()
    renew(await server.authority.issue({ commonName: 'gateway_writer', usages: ['clientAuth'] }))
    const [opened, report] = await connections(next)
    expect([opened, report.verdict]).toEqual([ALL, 'pass'])
    expect((await connections(next))[0]).toBe(SESSIONS)
  })

  test('carry their warning over', async () => {
    const hba = ['hostssl all all all cert', 'hostnossl all all all scram-sha-256']
    await using chatty = await migrated({ engine: 'postgresql', hba })
    cpSync(chatty.certsDir, certsDir, { recursive: true })
    const { next } = runs(chatty.port)
    const [first, second] = [await next(), await next()]
    const codes = ({ warnings }: Report) => warnings.map(({ code }) => code)
    expect(codes(first)).toContain('PLAINTEXT_ACCEPTED')
    expect(codes(second)).toEqual(codes(first))
  })
})

/** Puts another certificate of the writer into the directory. */
function renew({ chain, key }: Issued): void {
  writeFileSync(join(certsDir, 'client.gateway_writer.crt'), chain)
  writeFileSync(join(certsDir, 'client.gateway_writer.key'), key, { mode: 0o600 })
}

describe('the files that the settings name', () => {
  test('are read for each run: one that expires fails it, a renewed one passes the next', async () => {
    const { next } = runs()
    expect((await next()).verdict).toBe('pass')
    const expired = { commonName: 'gateway_writer', notBefore: days(-2), notAfter: days(-1) }
    renew(await server.authority.issue({ ...expired, usages: ['clientAuth'] }))
    const failed = await next()
    expect(failed.failure).toMatchObject({ layer: 'config', code: 'CERT_EXPIRED' })
    expect(failed.checks.filter(({ status }) => status === 'blocked')).toHaveLength(failed.checks.length - 1)
    renew(await server.authority.issue({ commonName: 'gateway_writer', usages: ['clientAuth'] }))
    expect((await next()).verdict).toBe('pass')
  })

  test.each([
    ['is gone', () => rmSync(join(certsDir, 'client.gateway_writer.crt')), 'CERT_UNREADABLE'],
    ['is open to others', () => chmodSync(join(certsDir, 'client.gateway_writer.key'), 0o644), 'KEY_PERMISSIONS'],
    [
      'is half written',
      () => writeFileSync(join(certsDir, 'ca.crt'), '-----BEGIN CERTIFICATE-----\nMII'),
      'CERT_INVALID',
    ],
  ])('one that %s fails the run, and the next one passes when it is right again', async (_what, spoil, code) => {
    const { next } = runs()
    spoil()
    expect((await next()).failure?.code).toBe(code)
    cpSync(server.certsDir, certsDir, { recursive: true })
    chmodSync(join(certsDir, 'client.gateway_writer.key'), 0o600)
    expect((await next()).verdict).toBe('pass')
  })
})

describe('rows', () => {
  const OLD = `INSERT INTO connection_probe (id, run_id, sequence, origin, payload, written_at)
    VALUES (gen_random_uuid(), gen_random_uuid(), 1, 'long ago', '{}', now() - INTERVAL '2 days')`

  test('that are old are swept once an hour', async () => {
    const { next, at } = runs()
    await server.runAsRoot(OLD)
    await next()
    expect(await rows()).toBe(0)
    await server.runAsRoot(OLD)
    at(3599)
    await next()
    expect(await rows()).toBe(1)
    at(3600)
    await next()
    expect(await rows()).toBe(0)
  })

  test('that could not be removed are removed by the next run that can', async () => {
    let isBroken = true
    await using proxy = await proxyTo(server, {
      onStatement: sql => (isBroken && isDelete(sql) ? { execute: false, instead: 'reset' } : undefined),
    })
    const { ca, cert, key } = pemOf(server, 'gateway_writer')
    const pem = { CRDB_CA_CRT: ca, CRDB_CLIENT_WRITER_CRT: cert, CRDB_CLIENT_WRITER_KEY: key }
    const { next } = runs(proxy.port, { COCKROACH_CERTS_DIR: '', ...pem })
    const failed = await next()
    expect(failed.verdict).toBe('fail')
    expect(await rows()).toBeGreaterThan(0)
    isBroken = false
    await next()
    expect(await rows()).toBe(0)
  })
})
