/**
 * Runs the probe again and again until it is told to stop, and serves what it finds.
 *
 * period   from the beginning of one run to that of the next; a run that takes longer has the next begin a whole number
 *          of periods later, never beside it
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { checksOf } from '../checks/index.ts'
import type { Code } from '../failure/codes.ts'
import { failureLine, redact } from '../failure/error.ts'
import { LONGEST_WARNING, plain } from '../report/plain.ts'
import type { Report } from '../report/report.ts'
import { DEFAULT_OPTIONS, type Options } from '../settings/config.ts'
import { type Change, messageOf, type State } from './change.ts'
import { createHistory, staleAfter } from './history.ts'
import { createMetrics } from './metrics.ts'
import { pagesOf } from './pages.ts'
import { createRuns, type Runs } from './runs.ts'
import { type ServeOptions, serve } from './server.ts'

export interface WatchOptions {
  readonly everyMs: number
  readonly listen: ServeOptions
  readonly env: NodeJS.ProcessEnv
  readonly options: Partial<Options>
  /** name and version, as reports carry them */
  readonly program: string
  /** aborted when it is to end */
  readonly signal: AbortSignal
  /** Writes a line for a person who watches. */
  readonly note: (text: string) => void
  /** Takes the report of a run that has ended; awaited. */
  readonly ran: (report: Report) => Promise<void>
  /** Tells of a change of the verdict, of the beginning and of the end. */
  readonly changed: (change: Change) => void
}

/** Resolves when it was told to stop and has. Rejects with what the system says where it cannot listen, and for a bug. */
export async function watch({ everyMs, listen, signal, changed, ran, ...given }: WatchOptions): Promise<void> {
  const { program, note } = given
  const options = { ...DEFAULT_OPTIONS, ...given.options }
  const history = createHistory(staleAfter(everyMs, options.waitMs + options.deadlineMs))
  const checks = checksOf(options.allAddresses).map(({ id }) => id)
  const metrics = createMetrics(program, checks)
  const served = await serve(pagesOf(history, metrics, { everyMs, program }), listen)
  const log = createLog(changed)
  try {
    log.become('started', `${program} on http://${served.authority}/, a run every ${everyMs / 1000} s`)
    const say = (text: string) => note(plain(redact(text), 1000))
    const { next } = createRuns({ ...given, note: say })
    for await (const report of each({ everyMs, signal, note }, next)) {
      const before = history.last()?.failure
      history.record(report)
      metrics.record(report)
      await ran(report)
      log.become(report.verdict, messageOf(report), report.failure?.code)
      if (before && report.failure && before.code !== report.failure.code)
        say(`still failing, now with ${failureLine(report.failure)}`)
    }
  } finally {
    await served.close()
  }
  log.become('ended', messageOfEnd(signal))
}

const messageOfEnd = ({ reason }: AbortSignal): string =>
  plain(reason instanceof Error ? reason.message : 'told to end')

/**
 * Reports of runs, the first one at once, until the signal is aborted. The run that this ends has no report; what it
 * could not remove is said.
 */
async function* each(
  { everyMs, signal, note }: Pick<WatchOptions, 'everyMs' | 'signal' | 'note'>,
  next: Runs['next'],
): AsyncGenerator<Report> {
  let due = performance.now()
  let report: Report | null = null
  while (!signal.aborted) {
    report = await untilAborted(signal, next)
    if (signal.aborted) break
    yield report
    const now = performance.now()
    due += everyMs * Math.max(1, Math.ceil((now - due) / everyMs))
    await sleep(due - now, undefined, { signal }).catch(() => undefined)
  }
  for (const { code, message } of report?.warnings ?? [])
    if (code === 'ROWS_LEFT') note(plain(`! ${code}: ${message}`, LONGEST_WARNING))
}

/** A signal of the run's own: one that lives as long as the program would keep what each run hung on it. */
async function untilAborted<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const own = new AbortController()
  const abort = () => own.abort(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    return await work(own.signal)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Says what it became, where that is anything new. */
function createLog(changed: WatchOptions['changed']) {
  let state: State | null = null
  return {
    become(to: State, message: string, code: Code | null = null): void {
      if (to === state) return
      const from = state
      state = to
      changed({ time: new Date().toISOString(), from, to, code, message })
    },
  }
}
