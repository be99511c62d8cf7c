/**
 * A run of the probe: opens the path, runs the checks (each as soon as the one it needs has passed), removes its rows,
 * and returns a report. It never prints, and never throws for what the target does.
 */
import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Budget, startBudget } from './budget.ts'
import { type AddressOutcome, tryAddresses } from './checks/addresses.ts'
import { Blocked, type Check, type CheckContext } from './checks/check.ts'
import { askFacts, type Facts } from './checks/facts.ts'
import { ALL_CHECKS } from './checks/index.ts'
import { createLedger } from './checks/ledger.ts'
import { cleanUp, newSession, sweep } from './checks/rows.ts'
import { pathWarnings } from './checks/warnings.ts'
import type { ProbeConfig } from './config.ts'
import { engineName, engineOf } from './engine.ts'
import { CODES } from './failure/codes.ts'
import { ProbeError } from './failure/failure.ts'
import { assembleReport, CHECKS, type CheckId, type CheckResult, type Report, type Warning } from './report/report.ts'
import { asFailure, type Login, type OpenContext, open } from './session/open.ts'
import { type Candidate, endpoint, openPath, type Path, reopen } from './session/path.ts'
import { openSession, type Session } from './session/session.ts'
import { createSlots } from './session/slots.ts'

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
  for (let attempts = 1; ; attempts++) {
    const report = await attempt(config, hooks, attempts)
    const failed = report.checks.filter(check => check.status === 'failed')
    const curable = failed.length > 0 && failed.every(({ failure }) => failure && CODES[failure.code].waitable)
    if (!curable || hooks.signal.aborted || performance.now() + ATTEMPT_PAUSE_MS >= until) return report
    hooks.note(`attempt ${attempts}: ${report.failure?.code}: ${report.failure?.message}; trying again`)
    await sleep(ATTEMPT_PAUSE_MS, undefined, { signal: hooks.signal }).catch(() => undefined)
  }
}

const INDEPENDENT: Omit<Login, 'user'> = { certificate: true, tls: true }

async function attempt(config: ProbeConfig, hooks: ProbeHooks, attempts: number): Promise<Report> {
  const startedAt = new Date()
  const from = performance.now()
  const budget = startBudget(config.options.deadlineMs, hooks.signal)
  const opening: OpenContext = { config, budget, slots: createSlots() }
  const login: Login = { ...INDEPENDENT, user: config.user }
  const sessions: Session[] = []
  const warnings: Warning[] = [...config.warnings]

  // The second connection is dialled as soon as the first one's TCP stands, so that it costs no time of its own.
  const second = secondConnection(opening, login)
  const path = await openPath(opening, login, candidate => second.dial(candidate))
  second.keepOnly(path.opened && !path.opened.failure ? endpoint(path.opened) : null)

  const own = async (session: Promise<Session>): Promise<Session> => {
    sessions.push(await session)
    return session
  }
  const writer = once(() => own(sessionOf(path, budget)))
  let reading = once(() => own(second.session()))
  // A reader that one check lost is replaced for the next: what broke it is that one's matter.
  const reader = async (): Promise<Session> => {
    const current = reading
    if ((await current()).isLost() && reading === current) reading = once(() => own(newSession(opening, path, login)))
    return reading()
  }
  const facts = once(async (): Promise<Facts> => {
    const { startup } = path.opened ?? {}
    if (!startup) throw new Error('facts were asked for without a session')
    return askFacts(await writer(), engineOf(startup), config.user, config.database)
  })
  const ledger = createLedger(async () => {
    const { socket, startup, address } = await reopen(opening, candidatesFrom(path), login)
    if (!socket || !startup) throw new Error('a session without a socket')
    return openSession(socket, startup, address, budget)
  })
  const runId = randomUUID()
  const results = new Map<CheckId, Promise<CheckResult>>()
  const context: CheckContext = {
    ...opening,
    runId,
    path,
    writer,
    reader,
    facts,
    ledger,
    addresses: once(
      async (): Promise<readonly AddressOutcome[]> =>
        config.options.allAddresses ? tryAddresses(context, opening, login) : [],
    ),
    settled: async id => void (await results.get(id)),
    warn: (code, message) => warnings.push({ code, message }),
    progress: hooks.progress,
  }
  for (const check of ALL_CHECKS) results.set(check.id, runCheck(check, context, results))
  const settled = await Promise.allSettled(results.values())
  // What has been found is final; rows and connections go now, whatever it was.
  const clean = await cleanUp(context, opening, login, sessions)
  if (clean) warnings.push(clean)
  const checks = settled.map(result => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
  warnings.push(...pathWarnings(path))
  if (checks.every(({ status }) => status === 'passed') && !hooks.signal.aborted)
    await sweep(context, sessions, hooks.note)
  await Promise.all([...sessions.map(session => session.close()), second.close()])

  const [host] = config.hosts
  const at = path.opened?.host ?? host
  return assembleReport({
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
    durationMs: round(performance.now() - from),
    attempts,
    checks,
    warnings,
  })
}

/** Runs one check once what it needs is decided. Rejects only for a bug. */
async function runCheck(
  check: Check,
  context: CheckContext,
  results: ReadonlyMap<CheckId, Promise<CheckResult>>,
): Promise<CheckResult> {
  const meta = CHECKS.find(({ id }) => id === check.id)
  if (!meta) throw new Error(`check ${check.id} is not in the report's list`)
  const { id, layer, criterion, title, needs } = meta
  const result = { id, layer, criterion, title, durationMs: 0, evidence: {}, failure: null, blockedBy: null }
  // Every check yields first, so that the map of results is complete when one looks another up.
  const needed = await (needs === null ? Promise.resolve(null) : results.get(needs))
  if (needed && needed.status !== 'passed') return { ...result, status: 'blocked', blockedBy: needed.id }
  const from = performance.now()
  try {
    const outcome = await check.run(context)
    if (outcome instanceof Blocked) return { ...result, status: 'blocked', blockedBy: outcome.by }
    const durationMs = round(outcome.durationMs ?? performance.now() - from)
    return { ...result, status: 'passed', durationMs, evidence: outcome.evidence }
  } catch (error) {
    const { evidence, ...failure } = { evidence: asFailure(error).evidence, ...asFailure(error).toFailure() }
    return { ...result, status: 'failed', durationMs: round(performance.now() - from), evidence, failure }
  }
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000

/** A function whose work is done once, by whoever asks first. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= work()
    return made
  }
}

/** The candidates, the one in use first. */
function candidatesFrom({ candidates, opened }: Path): Candidate[] {
  const isInUse = (candidate: Candidate) => opened !== null && endpoint(candidate) === endpoint(opened)
  return [...candidates.filter(isInUse), ...candidates.filter(candidate => !isInUse(candidate))]
}

async function sessionOf(path: Path, budget: Budget): Promise<Session> {
  const { socket, startup, address } = path.opened ?? {}
  if (!socket || !startup || !address) throw new Error('a session was asked for, and the path has none')
  return openSession(socket, startup, address, budget)
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
    async session(): Promise<Session> {
      const opened = await dialled.get(kept ?? '')?.opened
      if (!opened) throw new Error('a second session was asked for, and none was dialled')
      if (opened.failure) throw opened.failure
      if (!opened.socket || !opened.startup) throw new Error('a session without a socket')
      const { socket, startup, address } = opened
      return openSession(socket, startup, address, context.budget)
    },
    close: async () => void (await Promise.all([...dialled.keys()].map(release))),
  }
}
