import { getEventListeners } from 'node:events'
import { describe, expect, test, vi } from 'vitest'
import { type Budget, pause, remainingMs, startBudget, within } from '../src/budget.ts'
import { ProbeError } from '../src/failure/error.ts'

const wait = { code: 'TLS_TIMEOUT', what: 'the server did not answer' } as const
const forever = () => new Promise<never>(() => undefined)
const interruption = new ProbeError('INTERRUPTED', 'interrupted by SIGINT')

/** A budget, and what can interrupt it. */
function budgetOf(deadlineMs: number): { budget: Budget; controller: AbortController } {
  const controller = new AbortController()
  return { budget: startBudget(deadlineMs, controller.signal), controller }
}

const listeners = ({ signal }: Budget): number => getEventListeners(signal, 'abort').length

/** How a wait ends: its code, its message, and what its own signal was aborted with. */
async function outcome(budget: Budget, work: (signal: AbortSignal) => Promise<unknown> = forever) {
  let own: AbortSignal | undefined
  const error = await within(budget, wait, signal => {
    own = signal
    return work(signal)
  }).then(
    value => ({ value }),
    (rejected: unknown) => rejected,
  )
  return { error, code: error instanceof ProbeError ? error.code : null, reason: own?.reason }
}

describe('a budget', () => {
  test.each([
    [30_000, 5000],
    [20_000, 5000],
    [8000, 2000],
    [1, 0.25],
  ])('of %i ms gives one wait %d ms', (deadlineMs, waitMs) => {
    expect(budgetOf(deadlineMs).budget.waitMs).toBe(waitMs)
  })

  test('is never less than nothing', () => {
    const { budget } = budgetOf(1)
    expect(remainingMs({ ...budget, endsAt: performance.now() - 5 })).toBe(0)
  })
})

describe('a wait', () => {
  test('gives what the work gives, and keeps no timer and no listener', async () => {
    const { budget } = budgetOf(60_000)
    expect(await within(budget, wait, async () => 7)).toBe(7)
    expect(listeners(budget)).toBe(0)
  })

  test('rejects with what the work rejects with, also where it throws before it waits', async () => {
    const { budget } = budgetOf(60_000)
    const error = new Error('own')
    await expect(within(budget, wait, () => Promise.reject(error))).rejects.toBe(error)
    const throws = () => {
      throw error
    }
    await expect(within(budget, wait, throws)).rejects.toBe(error)
    expect(listeners(budget)).toBe(0)
  })

  test('that overruns its own limit says which, and lets the work go', async () => {
    const { budget } = budgetOf(80)
    const { code, error, reason } = await outcome(budget)
    expect(code).toBe('TLS_TIMEOUT')
    expect(String(error)).toContain('the server did not answer within 20 ms')
    expect(reason).toBe(error)
    expect(listeners(budget)).toBe(0)
    expect(remainingMs(budget)).toBeGreaterThan(0)
  })

  test('is the deadline’s fault only where less of it is left than one wait may take', async () => {
    const { budget } = budgetOf(400)
    const late = { ...budget, endsAt: performance.now() + 30 }
    const { code, error } = await outcome(late)
    expect(code).toBe('DEADLINE')
    expect(String(error)).toContain('the deadline passed while the server did not answer')
    const enough = { ...budget, endsAt: performance.now() + 150 }
    expect((await outcome(enough)).code).toBe('TLS_TIMEOUT')
  })

  test('after the deadline does not begin to last', async () => {
    const { budget } = budgetOf(60_000)
    const from = performance.now()
    expect((await outcome({ ...budget, endsAt: from - 1 })).code).toBe('DEADLINE')
    expect(performance.now() - from).toBeLessThan(500)
  })

  test('ends with the interruption, whether the work notices or not', async () => {
    const { budget, controller } = budgetOf(60_000)
    const ending = outcome(budget)
    controller.abort(interruption)
    expect(await ending).toMatchObject({ error: interruption, reason: interruption })
    expect(listeners(budget)).toBe(0)
    expect((await outcome(budget)).error).toBe(interruption)
  })

  test('is not begun once the run is interrupted', async () => {
    const { budget, controller } = budgetOf(60_000)
    controller.abort(interruption)
    let begun = false
    await within(budget, wait, async () => {
      begun = true
    }).catch(() => undefined)
    expect(begun).toBe(false)
  })

  test('that ends late changes nothing', async () => {
    const { budget } = budgetOf(20)
    let end: (value: string) => void = () => undefined
    const { code } = await outcome(budget, () => new Promise<string>(resolve => (end = resolve)))
    end('too late')
    expect(code).toBe('TLS_TIMEOUT')
  })

  test('without any time left sets no negative timer, which newer Nodes warn of on stderr', async () => {
    const timers = vi.spyOn(globalThis, 'setTimeout')
    try {
      await outcome(budgetOf(0).budget)
      expect(timers.mock.calls.map(([, ms = 0]) => ms).filter(ms => ms < 0)).toEqual([])
      expect(timers).toHaveBeenCalled()
    } finally {
      timers.mockRestore()
    }
  })

  test('many at once are no leak and no warning', async () => {
    const { budget } = budgetOf(60_000)
    const warnings: Error[] = []
    const warned = (warning: Error) => void warnings.push(warning)
    process.on('warning', warned)
    await Promise.all(Array.from({ length: 200 }, () => within(budget, wait, () => new Promise(setImmediate))))
    await new Promise(setImmediate)
    process.off('warning', warned)
    expect(warnings).toEqual([])
    expect(listeners(budget)).toBe(0)
  })
})

describe('a pause', () => {
  test('is no longer than the budget, and over at once when the run is interrupted', async () => {
    const { budget, controller } = budgetOf(60_000)
    const from = performance.now()
    await pause(30_000, { ...budget, endsAt: from + 20 })
    expect(performance.now() - from).toBeLessThan(5000)
    const paused = pause(30_000, budget)
    controller.abort(interruption)
    await paused
    await pause(30_000, budget)
    expect(performance.now() - from).toBeLessThan(5000)
    expect(listeners(budget)).toBe(0)
  })
})
