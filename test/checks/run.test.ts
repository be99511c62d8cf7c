/** The runner, on checks that are made up: what is handed on, what is blocked by what, and what is done at the end. */
import { beforeAll, describe, expect, test } from 'vitest'
import { type Budget, startBudget } from '../../src/budget.ts'
import { type AnyCheck, type Context, defineCheck, StillLost } from '../../src/checks/check.ts'
import { type Result, runChecks } from '../../src/checks/run.ts'
import { createTimeline } from '../../src/checks/timeline.ts'
import { openEvidence, ProbeError } from '../../src/failure/error.ts'
import { diallerOf } from '../../src/session/path.ts'
import { openSession, type Session } from '../../src/session/postgres.ts'
import { makeCredentials } from '../helpers/clients.ts'
import { scriptedServer } from '../helpers/scripted.ts'
import { type Credentials, targetOf } from '../hostile/bounds.ts'

let credentials: Credentials
beforeAll(async () => {
  credentials = await makeCredentials()
})

const never = (): AbortSignal => new AbortController().signal

/** Runs checks that go to nobody, unless a port is given. */
async function runOn(checks: readonly AnyCheck[], budget: Budget = startBudget(20_000, never()), port = 1) {
  const config = targetOf({ port }, credentials)
  const dialler = diallerOf({ config, budget })
  const nothing = () => undefined
  return await runChecks(checks, {
    ...{ config, budget, dialler, runId: 'run', unremoved: new Set<string>() },
    ...{ warn: nothing, note: nothing, progress: nothing, reached: nothing, timeline: createTimeline(0) },
  })
}

const common = { layer: 'write', criterion: null, title: 'it holds' } as const

type Needs = Readonly<Record<string, AnyCheck>>

/** A check that finds its own id, unless it does something else. */
const made = (id: string, needs: Needs = {}, run?: (context: Context) => unknown) =>
  defineCheck({
    ...{ ...common, id, needs },
    async run(context) {
      await run?.(context)
      return { evidence: { id }, found: id }
    },
  })

const throwing = (error: Error) => () => {
  throw error
}
const failure = (code: 'WRITE_REFUSED' | 'CONNECTION_LOST' | 'INTERRUPTED' = 'WRITE_REFUSED'): ProbeError =>
  new ProbeError(code, `it is ${code}`, { evidence: { seen: code } })

/** "id status", and by what where it is blocked. */
const said = (results: readonly Result[]): string[] =>
  results.map(({ check, status, blockedBy }) => [check.id, status, ...(blockedBy ? [blockedBy] : [])].join(' '))

describe('a check that passes', () => {
  test('hands on what it found, by the name under which it is needed, and to no other', async () => {
    const got: unknown[] = []
    const one = defineCheck({ ...common, id: 'one', needs: {}, run: async () => ({ evidence: {}, found: { n: 1 } }) })
    const two = made('two')
    const both = defineCheck({
      ...{ ...common, id: 'both', needs: { first: one, two } },
      async run(_, found) {
        got.push(found)
        return { evidence: { n: found.first.n }, found: {} }
      },
    })
    const results = await runOn([one, two, made('other'), both])
    expect(got).toEqual([{ first: { n: 1 }, two: 'two' }])
    expect(said(results)).toEqual(['one passed', 'two passed', 'other passed', 'both passed'])
    expect(results.map(({ evidence }) => openEvidence(evidence))).toEqual([
      {},
      { id: 'two' },
      { id: 'other' },
      { n: 1 },
    ])
  })

  test('may find nothing', async () => {
    const one = defineCheck({ ...common, id: 'one', needs: {}, run: async () => ({ evidence: {}, found: undefined }) })
    expect(said(await runOn([one, made('two', { one })]))).toEqual(['one passed', 'two passed'])
  })

  test('takes the time that it took, or that it says it took elsewhere', async () => {
    const slow = made('slow', {}, () => new Promise(resolve => setTimeout(resolve, 30)))
    const said = defineCheck({
      ...{ ...common, id: 'said', needs: {} },
      run: async () => ({ evidence: {}, found: {}, tookMs: 4321 }),
    })
    const [first, second] = await runOn([slow, said])
    expect(first?.durationMs).toBeGreaterThan(25)
    expect(second?.durationMs).toBe(4321)
  })
})

describe('a check that fails', () => {
  test('blocks what needs it, also through others, each by its own need', async () => {
    const one = made('one', {}, throwing(failure()))
    const two = made('two', { one })
    const three = made('three', { two })
    const results = await runOn([one, two, three, made('four', { two, one }), made('five')])
    expect(said(results)).toEqual([
      'one failed',
      'two blocked one',
      'three blocked two',
      'four blocked two',
      'five passed',
    ])
    expect(results.map(({ failure }) => failure?.code)).toEqual(['WRITE_REFUSED', ...Array(4).fill(undefined)])
    expect(results.map(({ evidence }) => openEvidence(evidence))).toEqual([
      { seen: 'WRITE_REFUSED' },
      ...[{}, {}, {}],
      { id: 'five' },
    ])
    expect(results.slice(1, 4).map(({ durationMs }) => durationMs)).toEqual([0, 0, 0])
  })

  test('does not run what it blocks', async () => {
    const ran: string[] = []
    const one = made('one', {}, throwing(failure()))
    await runOn([one, made('two', { one }, () => ran.push('two')), made('three', {}, () => ran.push('three'))])
    expect(ran).toEqual(['three'])
  })

  test('may say so without throwing, with the time that it took elsewhere', async () => {
    const one = defineCheck({
      ...{ ...common, id: 'one', needs: {} },
      run: async () => ({ error: failure(), tookMs: 17 }),
    })
    const [result, other] = await runOn([one, made('two', { one })])
    expect(result).toMatchObject({ status: 'failed', durationMs: 17, failure: { code: 'WRITE_REFUSED' } })
    expect(other).toMatchObject({ status: 'blocked', blockedBy: 'one' })
  })

  test('lost the session that the next one wants: that one is blocked by it', async () => {
    const ask = (context: Context) => {
      throw new StillLost(context.lostIn() ?? 'nobody')
    }
    const results = await runOn([
      made('before', {}, ({ lostIn }) => expect(lostIn()).toBeNull()),
      made('one', {}, throwing(failure('CONNECTION_LOST'))),
      made('two', {}, throwing(failure())),
      made('three', {}, ask),
    ])
    expect(said(results)).toEqual(['before passed', 'one failed', 'two failed', 'three blocked one'])
  })
})

describe('a run that is over', () => {
  test('by an interruption: what it ended in fails, and the rest is blocked by that', async () => {
    const controller = new AbortController()
    const interrupt = () => {
      controller.abort(failure('INTERRUPTED'))
      throw controller.signal.reason
    }
    const early = made('early', {}, throwing(failure()))
    const two = made('two', {}, interrupt)
    const checks = [early, two, made('three', { two }), made('four'), made('five', { early })]
    expect(said(await runOn(checks, startBudget(20_000, controller.signal)))).toEqual([
      ...['early failed', 'two failed', 'three blocked two', 'four blocked two'],
      // A need that failed by itself says more than that there was no time for it.
      'five blocked early',
    ])
  })

  test('by its deadline, too', async () => {
    const late = async () => {
      await new Promise(resolve => setTimeout(resolve, 60))
      throw failure()
    }
    const checks = [made('one', {}, late), made('two'), made('three')]
    const budget = startBudget(50, never())
    expect(said(await runOn(checks, budget))).toEqual(['one failed', 'two blocked one', 'three blocked one'])
  })

  test('is not over by a failure', async () => {
    const checks = [made('one', {}, throwing(failure())), made('two')]
    expect(said(await runOn(checks))).toEqual(['one failed', 'two passed'])
  })
})

describe('the steps for the end', () => {
  const steps =
    (done: string[], ...names: string[]) =>
    (context: Context) => {
      for (const name of names) context.atEnd(async () => void done.push(name))
    }

  test('are taken when all checks are through, the last one first', async () => {
    const done: string[] = []
    const checks = [made('one', {}, steps(done, 'a', 'b')), made('two', {}, steps(done, 'c')), made('three')]
    await runOn([...checks, made('four', {}, () => expect(done).toEqual([]))])
    expect(done).toEqual(['c', 'b', 'a'])
  })

  test('one after the other', async () => {
    const done: string[] = []
    const one = made('one', {}, ({ atEnd }) => {
      atEnd(async () => void done.push('second'))
      atEnd(async () => {
        await new Promise(resolve => setTimeout(resolve, 20))
        done.push('first')
      })
    })
    await runOn([one])
    expect(done).toEqual(['first', 'second'])
  })

  test('also after a failure', async () => {
    const done: string[] = []
    const one = made('one', {}, context => {
      steps(done, 'a')(context)
      throw failure()
    })
    expect(said(await runOn([one]))).toEqual(['one failed'])
    expect(done).toEqual(['a'])
  })

  test('also over a bug, with which the run rejects as it was thrown, and goes no further', async () => {
    const done: string[] = []
    const bug = new TypeError('undefined is not a function')
    const checks = [
      made('one', {}, steps(done, 'a', 'b')),
      made('two', {}, throwing(bug)),
      made('three', {}, () => done.push('three')),
    ]
    await expect(runOn(checks)).rejects.toBe(bug)
    expect(done).toEqual(['b', 'a'])
  })
})

describe('the sessions of a run', () => {
  /** Opens a session as `database` does. */
  const opening = (kept: Session[]) => async (context: Context) => {
    const [endpoint] = (await context.dialler.lookUp()).endpoints
    if (!endpoint) throw new Error('no address')
    const session = await openSession(await context.dialler.open(endpoint), context.budget)
    context.sessions.push(session)
    kept.push(session)
  }

  test.each([
    ['', undefined],
    [', after a failure', failure()],
    [', over a bug', new TypeError('undefined is not a function')],
  ])('are ended when the steps are taken%s', async (_name, error) => {
    await using server = await scriptedServer({ tls: credentials.server })
    const kept: Session[] = []
    let living: boolean | undefined
    const checks = [
      made('one', {}, opening(kept)),
      made('two', {}, async context => {
        context.atEnd(async () => {
          living = kept.every(session => !session.isLost())
        })
        if (error) throw error
      }),
    ]
    await runOn(checks, startBudget(20_000, never()), server.port).catch(thrown => expect(thrown).toBe(error))
    expect(kept).toHaveLength(1)
    // Steps still have them: the rows are removed on them.
    expect(living).toBe(true)
    expect(kept.map(session => session.isLost())).toEqual([true])
    await server.until(({ open }) => open === 0)
  })

  test('one that is lost in a check is that one’s matter', async () => {
    await using server = await scriptedServer({ tls: credentials.server, onStatement: () => 'reset' })
    const kept: Session[] = []
    const lostIn: (string | null)[] = []
    const ask = async ({ sessions }: Context) => {
      await sessions[0]?.ask('a question', 'SELECT 1')
    }
    const look = (context: Context) => void lostIn.push(context.lostIn())
    const checks = [
      made('one', {}, opening(kept)),
      made('two', {}, look),
      made('three', {}, ask),
      made('four', {}, look),
    ]
    const results = await runOn(checks, startBudget(20_000, never()), server.port)
    expect(said(results)).toEqual(['one passed', 'two passed', 'three failed', 'four passed'])
    expect(lostIn).toEqual([null, 'three'])
  })
})
