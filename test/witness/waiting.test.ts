/** When the row comes: before the witness waits, in the last second, twice, never; and what becomes of a wait that is cut short. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { ProbeError } from '../../src/failure/error.ts'
import type { Options } from '../../src/settings/config.ts'
import { pemOf } from '../helpers/clients.ts'
import { type Psql, startPsql } from '../helpers/psql.ts'
import { check, migrated, proxyTo, target } from '../helpers/target.ts'
import { expectVerdict } from '../helpers/verdict.ts'
import { newIds, printed, relayTo, runWitness } from '../helpers/witness.ts'

const engine = inject('engine')
let server: Throwaway
let psql: Psql
beforeAll(async () => {
  server = await migrated()
  psql = await startPsql(server)
})
afterAll(async () => {
  await psql?.end()
  await server?.stop()
})

const config = (options: Partial<Options> = {}, { port }: { readonly port: number } = server) =>
  target({ port }, pemOf(server, 'gateway_writer'), {
    ...{ deadlineMs: 20_000, waitMs: 10_000, visibleWithinMs: 5_000, ...options },
  })

describe('the row comes', () => {
  it('before the witness waits, and nothing is said of what to run', async () => {
    const ids = newIds(engine)
    await psql.run(printed(ids))
    const unsaid = async () => Promise.reject(new Error('it says what to run'))
    const report = await runWitness(config(), { ids, backEnd: unsaid })
    expectVerdict(report, { seen: { 'back-end-row': { looks: 1 }, 'back-end-visible': { looks: 1 } } })
  })

  it('in the last second of the wait', async () => {
    const ids = newIds(engine)
    let left = Number.POSITIVE_INFINITY
    let wrote: Promise<unknown> | undefined
    const waiting = (leftMs: number) => {
      left = leftMs
      if (leftMs < 1_000) wrote ??= psql.run(printed(ids))
    }
    const report = await runWitness(config({ waitMs: 1_300 }), { ids, waiting })
    expectVerdict(report, {})
    expect(left).toBeLessThan(1_000)
    await wrote
  })

  it('twice, by one session: the second is refused', async () => {
    const ids = newIds(engine)
    const said: string[] = []
    const backEnd = async () => said.push(await psql.run(printed(ids)), await psql.run(printed(ids)))
    expectVerdict(await runWitness(config(), { ids, backEnd }), { seen: { 'back-end-session': { ours: 0 } } })
    expect(said).toEqual(['', expect.stringMatching(/duplicate key/)])
  })

  it('never: the wait is over, and not before', async () => {
    const ids = newIds(engine)
    const from = performance.now()
    const report = await runWitness(config({ waitMs: 700 }), { ids })
    expect(performance.now() - from).toBeGreaterThan(700)
    expectVerdict(report, {
      check: 'back-end-row',
      code: 'WITNESS_NO_ROW',
      message: new RegExp(`^the row of run ${ids.runId} did not come within 0.7 s$`),
      evidence: { runId: ids.runId, rowId: ids.rowId, others: [] },
    })
    expect(report.attempts).toBe(1)
  })

  it('not at all, where nothing is waited for', async () => {
    const report = await runWitness(config({ waitMs: 0 }), { ids: newIds(engine) })
    expectVerdict(report, { check: 'back-end-row', code: 'WITNESS_NO_ROW' })
  })
})

describe('while it waits', () => {
  it('says how long still, ten times a second', async () => {
    const left: number[] = []
    await runWitness(config({ waitMs: 500 }), { ids: newIds(engine), waiting: ms => left.push(ms) })
    expect(left).toEqual(left.toSorted((one, other) => other - one))
    expect(left[0]).toBeLessThanOrEqual(500)
    expect(left.length).toBeLessThanOrEqual(6)
  })

  it('is interrupted at once, and removes the row that came meanwhile', async () => {
    const ids = newIds(engine)
    const controller = new AbortController()
    const interrupted = new ProbeError('INTERRUPTED', 'interrupted by SIGINT')
    const backEnd = async () => {
      controller.abort(interrupted)
      await psql.run(printed(ids))
    }
    const report = await runWitness(config(), { ids, backEnd, signal: controller.signal })
    expectVerdict(report, {
      check: 'back-end-row',
      code: 'INTERRUPTED',
      alsoBlocked: { 'back-end-session': 'back-end-row' },
    })
    const [row] = await server.runAsRoot(
      `SELECT count(*)::int4 AS n FROM public.connection_probe WHERE id = '${ids.rowId}'`,
      'uro',
    )
    expect(row?.n).toBe(0)
  })

  it('goes on with another session where its own is lost, and says what to run once', async () => {
    const ids = newIds(engine)
    const notes: string[] = []
    let announced = 0
    let isCut = false
    await using proxy = await relayTo(server, {
      onStatement(sql) {
        if (isCut || announced === 0 || !sql.includes(ids.rowId)) return undefined
        isCut = true
        psql.run(printed(ids))
        return { execute: false, instead: 'reset' }
      },
    })
    const backEnd = async () => void announced++
    const report = await runWitness(config({}, proxy), { ids, backEnd, note: text => notes.push(text) })
    expectVerdict(report, {})
    expect({ attempts: report.attempts, announced }).toEqual({ attempts: 2, announced: 1 })
    expect(notes).toEqual([expect.stringMatching(/^attempt 1: CONNECTION_LOST: .*; trying again$/)])
  })

  it('does not wait where a login without a certificate is possible: then a session says nothing', async () => {
    // Whoever comes without a certificate gets in with the writer's.
    await using proxy = await proxyTo(server, { credentials: () => pemOf(server, 'gateway_writer') })
    const report = await runWitness(config({}, proxy), { ids: newIds(engine) })
    expect(check(report, 'certificate-required').failure?.code).toBe('CERTLESS_LOGIN_ALLOWED')
    expect(check(report, 'back-end-row')).toMatchObject({ status: 'blocked', blockedBy: 'certificate-required' })
  })
})

describe('no row can come', () => {
  const asRoot = (sql: string) => server.runAsRoot(sql, 'uro')

  it.each(['INSERT', 'SELECT'])('without %s, and none is awaited', async verb => {
    await asRoot(`REVOKE ${verb} ON public.connection_probe FROM gateway_writer`)
    try {
      const backEnd = async () => Promise.reject(new Error('it says what to run'))
      expectVerdict(await runWitness(config(), { ids: newIds(engine), backEnd }), {
        check: 'back-end-row',
        code: 'DML_DENIED',
        hint: `GRANT ${verb} ON TABLE connection_probe TO gateway_writer`,
      })
    } finally {
      await asRoot(`GRANT ${verb} ON public.connection_probe TO gateway_writer`)
    }
  })

  it('to a role whose setting refuses every write, which the next step names', async () => {
    await asRoot('ALTER ROLE gateway_writer SET default_transaction_read_only = on')
    try {
      const ids = newIds(engine)
      await using readOnly = await startPsql(server)
      const backEnd = async () => expect(await readOnly.run(printed(ids))).toMatch(/in a read-only transaction/)
      expectVerdict(await runWitness(config({ waitMs: 300 }), { ids, backEnd }), {
        check: 'back-end-row',
        code: 'WITNESS_NO_ROW',
        hint: 'ALTER ROLE gateway_writer RESET default_transaction_read_only',
        evidence: { settings: ['default_transaction_read_only'] },
      })
    } finally {
      await asRoot('ALTER ROLE gateway_writer RESET default_transaction_read_only')
    }
  })
})

it('leaves a row that cannot be removed, and says how to', async () => {
  await server.runAsRoot('REVOKE DELETE ON public.connection_probe FROM gateway_writer', 'uro')
  const ids = newIds(engine)
  try {
    const report = await runWitness(config(), { ids, backEnd: () => psql.run(printed(ids)) })
    expectVerdict(report, {})
    const warning = report.warnings.find(({ code }) => code === 'ROWS_LEFT')
    expect(warning?.message).toContain(`DELETE FROM public.connection_probe WHERE id IN ('${ids.rowId}');`)
  } finally {
    await server.runAsRoot('GRANT DELETE ON public.connection_probe TO gateway_writer', 'uro')
    await server.runAsRoot('DELETE FROM public.connection_probe', 'uro')
  }
})
