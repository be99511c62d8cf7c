/**
 * A run of the probe: dials, has the checks run on what answered, and returns a report. It never prints, and never
 * throws for what the target does.
 *
 * The checks bring the driver and Drizzle along, whose loading takes longer than most dials: both go on at once.
 */
import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { roundMs, startBudget } from '../budget.ts'
import { engineName } from '../database/engine.ts'
import { CODES } from '../failure/codes.ts'
import { ProbeError } from '../failure/error.ts'
import { assembleReport, type Report } from '../report/report.ts'
import { createSlots, type Login, type OpenContext, type Opened, open } from '../session/open.ts'
import { type Candidate, endpoint, openPath } from '../session/path.ts'
import type { ProbeConfig } from '../settings/config.ts'

// Begun here and awaited when the path is open.
import('./index.ts').catch(() => undefined)

export interface ProbeHooks {
  /** aborted with a ProbeError INTERRUPTED when the run is to end */
  readonly signal: AbortSignal
  /** for a person watching */
  readonly note: (text: string) => void
  readonly progress: (done: number, total: number) => void
  readonly program: string
}

/** Between attempts, ms. */
const ATTEMPT_PAUSE_MS = 1_000

/** Runs attempts until one passes, one fails for a cause that waiting cannot cure, or `--wait` is over. */
export async function probe(config: ProbeConfig, hooks: ProbeHooks): Promise<Report> {
  const until = performance.now() + config.options.waitMs
  let inherited: readonly string[] = []
  for (let attempts = 1; ; attempts++) {
    const { report, left } = await attempt(config, hooks, attempts, inherited)
    inherited = left
    const failed = report.checks.filter(check => check.status === 'failed')
    const curable = failed.length > 0 && failed.every(({ failure }) => failure && CODES[failure.code].waitable)
    if (!curable || hooks.signal.aborted || performance.now() + ATTEMPT_PAUSE_MS >= until) return report
    hooks.note(`attempt ${attempts}: ${report.failure?.code}: ${report.failure?.message}; trying again`)
    await sleep(ATTEMPT_PAUSE_MS, undefined, { signal: hooks.signal }).catch(() => undefined)
  }
}

/** One attempt, and the rows that it and those before it could not remove. */
async function attempt(
  config: ProbeConfig,
  hooks: ProbeHooks,
  attempts: number,
  inherited: readonly string[],
): Promise<{ report: Report; left: readonly string[] }> {
  const startedAt = new Date()
  const from = performance.now()
  const budget = startBudget(config.options.deadlineMs, hooks.signal)
  const opening: OpenContext = { config, budget, slots: createSlots() }
  const login: Login = { user: config.user, certificate: 'own', tls: true }

  // The second connection is dialled as soon as the first one's TCP stands, so that it costs no time of its own.
  const second = secondConnection(opening, login)
  const path = await openPath(opening, login, candidate => second.dial(candidate))
  second.keepOnly(path.opened && !path.opened.failure ? endpoint(path.opened) : null)
  const runId = randomUUID()
  const { runChecks } = await import('./index.ts')
  const input = { ...opening, ...hooks, login, path, runId, inherited, second: second.opened }
  const { checks, warnings, left } = await runChecks(input)
  await second.close()

  const [host] = config.hosts
  const at = path.opened?.host ?? host
  const report = assembleReport({
    program: hooks.program,
    runId,
    target: {
      host: at.host,
      port: at.port,
      database: config.database,
      user: config.user,
      tlsName: at.tlsName,
      address: path.opened?.stages.tcp?.failure === null ? path.opened.address : null,
      engine: engineName(path.opened?.startup ?? null),
    },
    origin: config.origin,
    startedAt: startedAt.toISOString(),
    durationMs: roundMs(performance.now() - from),
    attempts,
    checks,
    warnings: [...config.warnings, ...warnings],
  })
  return { report, left }
}

/** The independently dialled connection: one for each address whose TCP stood, all but the one in use let go again. */
function secondConnection(context: OpenContext, login: Login) {
  const dialled = new Map<string, { opened: ReturnType<typeof open>; abort: AbortController }>()
  let kept: string | null = null
  const release = async (at: string) => {
    const connection = dialled.get(at)
    dialled.delete(at)
    connection?.abort.abort(new ProbeError('INTERRUPTED', 'this connection is not needed'))
    const opened = await connection?.opened.catch(() => null)
    opened?.socket?.destroy()
  }
  return {
    dial(candidate: Candidate) {
      const abort = new AbortController()
      const signal = AbortSignal.any([context.budget.signal, abort.signal])
      setMaxListeners(0, signal)
      const opened = open({ ...context, budget: { ...context.budget, signal } }, candidate, login)
      opened.catch(() => undefined)
      dialled.set(endpoint(candidate), { opened, abort })
    },
    /** Lets every connection go but the one to the address in use. */
    keepOnly(inUse: string | null) {
      kept = inUse
      for (const other of dialled.keys()) if (other !== inUse) void release(other)
    },
    async opened(): Promise<Opened> {
      const opened = await dialled.get(kept ?? '')?.opened
      if (!opened) throw new Error('a second session was asked for, and none was dialled')
      return opened
    },
    close: async () => void (await Promise.all([...dialled.keys()].map(release))),
  }
}
