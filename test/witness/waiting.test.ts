/** When the row comes: before the witness waits, in the last second, twice, never; and what becomes of a wait that is cut short. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { ProbeError } from '../../src/failure/error.ts'
import type { Options } from '../../src/settings/config.ts'
import { pemOf } from '../helpers/clients.ts'
import { type Psql, startPsql } from '../helpers/psql.ts'
import { check, migrated, proxyTo, target } from '../helpers/target.ts'
import { type Expected, expectVerdict } from '../helpers/verdict.ts'
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

const LATE: Expected = { check: 'back-end-visible', code: 'ROW_LATE', message: /was first seen/ }
const UNKNOWN: Expected = {
  check: 'back-end-session',
  code: 'WITNESS_UNKNOWN_SESSION',
  hint: /^run what npm run witness prints/,
}

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
    let said = ''
    const backEnd = async () => {
      // At once: what is seen is removed soon.
      said = await psql.run(`${printed(ids)}\n${printed(ids)}`)
    }
    expectVerdict(await runWitness(config(), { ids, backEnd }), { seen: { 'back-end-session': { ours: 0 } } })
    expect(said).toMatch(/duplicate key/)
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

  it.each<readonly [string, number, Expected]>([
    ['and finds the row', 10_000, {}],
    // The row is older than the limit by then; it was the command that was away.
    ['and says that nobody looked meanwhile', 500, { ...LATE, hint: /^nobody looked .* its session was lost/ }],
  ])('goes on with another session where its own is lost, %s', async (_, visibleWithinMs, expected) => {
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
    const note = (text: string) => notes.push(text)
    const report = await runWitness(config({ visibleWithinMs }, proxy), { ids, backEnd, note })
    expectVerdict(report, expected)
    expect({ attempts: report.attempts, announced }).toEqual({ attempts: 2, announced: 1 })
    expect(notes).toEqual([expect.stringMatching(/^attempt 1: CONNECTION_LOST: .*; trying again$/)])
  })

  it.each<readonly [string, number, boolean, Expected]>([
    ['its session is listed still', 300, true, { ...LATE, hint: /^nobody looked for the row in the 0\.\d s before/ }],
    [
      'its session may be gone',
      2_600,
      false,
      { ...UNKNOWN, hint: /^nobody looked for the row in the [23]\.\d s before/ },
    ],
    ['its session was not held', 50, false, UNKNOWN],
  ])('is kept from looking when the row comes, %s', async (_, keptMs, stays, expected) => {
    const ids = newIds(engine)
    let isAwaited = false
    let isKept = false
    await using proxy = await relayTo(server, {
      async onStatement(sql) {
        if (isKept || !isAwaited || !sql.includes(ids.rowId)) return undefined
        isKept = true
        const client = stays ? psql : await startPsql(server)
        await client.run(printed(ids))
        if (!stays) await client.end()
        await sleep(keptMs)
        return undefined
      },
    })
    const backEnd = async () => {
      isAwaited = true
    }
    const options = stays ? { visibleWithinMs: 200 } : {}
    expectVerdict(await runWitness(config(options, proxy), { ids, backEnd }), expected)
  })

  it('sees a row late that was looked for all the time', async () => {
    const ids = newIds(engine)
    let left = 8
    await using proxy = await relayTo(server, {
      onStatement: sql => (sql.includes(ids.rowId) && left-- > 0 ? { row: () => undefined } : undefined),
    })
    const backEnd = () => psql.run(printed(ids))
    const report = await runWitness(config({ visibleWithinMs: 100 }, proxy), { ids, backEnd })
    expectVerdict(report, { ...LATE, hint: /^run it again; if it stays late/ })
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

  it.runIf(engine === 'postgresql')('policies that keep from UPDATE and DELETE alone keep no row away', async () => {
    await asRoot(`ALTER TABLE public.connection_probe ENABLE ROW LEVEL SECURITY;
                  CREATE POLICY one ON public.connection_probe FOR SELECT TO gateway_writer USING (true);
                  CREATE POLICY two ON public.connection_probe FOR INSERT TO gateway_writer WITH CHECK (true)`)
    try {
      const report = await runWitness(config({ waitMs: 300 }), { ids: newIds(engine), backEnd: async () => undefined })
      const hint = report.checks.find(({ id }) => id === 'back-end-row')?.failure?.hint
      expect(report.failure?.code).toBe('WITNESS_NO_ROW')
      expect(hint).not.toContain('row-level security')
    } finally {
      await asRoot(`DROP POLICY one ON public.connection_probe; DROP POLICY two ON public.connection_probe;
                    ALTER TABLE public.connection_probe DISABLE ROW LEVEL SECURITY`)
    }
  })

  it.runIf(engine === 'postgresql').each([
    // Who may not insert, and who is not shown what came.
    ['FOR SELECT TO gateway_writer USING (true)', 'no policy lets gateway_writer INSERT, UPDATE, DELETE'],
    ['FOR INSERT TO gateway_writer WITH CHECK (true)', 'no policy lets gateway_writer SELECT, UPDATE, DELETE'],
  ])('where row-level security is on, with one policy %s', async (policy, hint) => {
    await asRoot(`ALTER TABLE public.connection_probe ENABLE ROW LEVEL SECURITY;
                  CREATE POLICY one ON public.connection_probe ${policy}`)
    try {
      const ids = newIds(engine)
      expectVerdict(await runWitness(config({ waitMs: 300 }), { ids, backEnd: () => psql.run(printed(ids)) }), {
        ...{ check: 'back-end-row', code: 'WITNESS_NO_ROW', hint, evidence: { policies: [expect.any(String)] } },
      })
    } finally {
      await asRoot(`DROP POLICY one ON public.connection_probe;
                    ALTER TABLE public.connection_probe DISABLE ROW LEVEL SECURITY;
                    DELETE FROM public.connection_probe`)
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
