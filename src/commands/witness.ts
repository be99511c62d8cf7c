/** `npm run witness`: waits for a row that the back end writes, and says whose session wrote it. */
import type { Engine } from '../database/engine.ts'
import { commandLine, separator } from '../invocation.ts'
import type { Loaded, ProbeConfig } from '../settings/config.ts'
import { type Asked, defineCommand, EXIT, type Flags, type Program } from './command.ts'
import { PROBE_FLAGS, probeArguments, REPORT_FLAGS } from './probe-options.ts'
import { rewrittenLine } from './terminal.ts'
import { quoted, UsageError } from './usage.ts'

/** How long the row is awaited, s, unless --wait says otherwise. */
const WAIT_SECONDS = 120
/** What may be printed alone. */
const PRINTS = ['elixir', 'sql'] as const

const FLAGS = {
  ...REPORT_FLAGS,
  wait: { type: 'string', value: 'SECONDS', does: `how long the row is awaited (${WAIT_SECONDS})` },
  app: { type: 'string', value: 'APP', does: 'the app whose machines the row must come from (any)' },
  'run-id': { type: 'string', value: 'UUID', does: 'the id that the row must carry (a new one)' },
  print: { type: 'string', value: 'elixir|sql', does: 'print what to run in the back end, and nothing else' },
  deadline: PROBE_FLAGS.deadline,
  'certs-dir': PROBE_FLAGS['certs-dir'],
} as const satisfies Flags

export const witness = defineCommand({
  group: 'run',
  does: "proves the back end's own connection, by a row that it writes",
  words: [],
  flags: FLAGS,
  development: false,
  async run({ flags }, program) {
    const { delivery, options } = probeArguments(flags)
    const { runId, app, print } = await witnessArguments(flags)
    const { loadConfig } = await import('../settings/config.ts')
    const given = { waitMs: WAIT_SECONDS * 1000, ...options }
    const loaded = loadConfig({ role: 'writer', env: process.env, options: given })
    if (print) return printAlone(loaded, { print, runId }, program)
    if (!loaded.ok) {
      const { user } = loaded.target
      const checks = async () => (await import('../checks/witness/index.ts')).witnessChecksFor(app, user ?? undefined)
      const { refuseSettings } = await import('./refused-settings.ts')
      return refuseSettings(loaded, { command: 'witness', runId, checks, delivery, program })
    }
    const { reportAndPrint } = await import('./prove.ts')
    const { witness } = await import('../checks/attempts.ts')
    const { config } = loaded
    const line = waitingLine(program)
    const run = { delivery, program, signal: program.interruption(), line }
    return reportAndPrint(config, run, hooks => {
      const announce = async (engine: Engine['id']) => {
        const { instructions } = await import('./back-end.ts')
        const ids = { engine, ...(await idsOf(runId)) }
        program.note(instructions(ids, { app, waitMs: config.options.waitMs }))
      }
      return witness(config, { ...hooks, announce, waiting: line.show }, { runId, app })
    })
  },
})

/** What says nothing where nothing is awaited. */
const FOR_REPORT = [...(Object.keys(REPORT_FLAGS) as (keyof typeof REPORT_FLAGS)[]), 'wait', 'app'] as const

/** A UUID of any version (RFC 9562). */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** The name of a Fly app is a label of a host name. */
const APP = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i

/** The values of the options that no other command has. @throws UsageError */
async function witnessArguments(flags: Asked<typeof FLAGS>['flags']) {
  const { app = null, print = null, 'run-id': given } = flags
  if (given !== undefined && !UUID.test(given)) throw new UsageError(`--run-id wants a UUID, not ${quoted(given)}`)
  if (app !== null && !APP.test(app))
    throw new UsageError(`--app wants the name of an app, without .internal, not ${quoted(app)}`)
  const wanted = PRINTS.find(name => name === print) ?? null
  if (print !== null && wanted === null) throw new UsageError(`--print wants elixir or sql, not ${quoted(print)}`)
  const unused = FOR_REPORT.find(name => print !== null && flags[name] !== undefined)
  if (unused) throw new UsageError(`--print waits for no row and makes no report: leave out --${unused}`)
  const { randomUUID } = await import('node:crypto')
  return { app, print: wanted, runId: given?.toLowerCase() ?? randomUUID() }
}

/** The ids that the row carries. */
async function idsOf(runId: string) {
  const { rowIdOf } = await import('../checks/witness/row-id.ts')
  return { runId, rowId: rowIdOf(runId) }
}

/**
 * Prints what to run in the back end, for the engine that answers. Where none does it is for CockroachDB, which the back
 * end has: on another engine the statement is refused, and no row comes.
 */
async function printAlone(
  loaded: Loaded,
  { print, runId }: { readonly print: (typeof PRINTS)[number]; readonly runId: string },
  program: Program,
): Promise<number> {
  const signal = program.interruption()
  const found = loaded.ok ? await engineAt(loaded.config, signal) : { engine: null, why: loaded.error.code }
  if (signal.aborted) return EXIT.interrupted
  if (found.engine === null) program.note(`no database was asked what it is (${found.why}): this is for CockroachDB`)
  const { elixirExpression } = await import('./back-end.ts')
  const { sqlStatement } = await import('../database/witness-statement.ts')
  const ids = { engine: found.engine ?? ('cockroachdb' as const), ...(await idsOf(runId)) }
  await program.print(`${print === 'elixir' ? elixirExpression(ids) : sqlStatement(ids)}\n`)
  if (print === 'sql') program.note('its session must stay open for some seconds afterwards, in psql: \\! sleep 3')
  program.note(`its row is awaited by: ${commandLine('witness')}${separator()}--run-id ${runId}`)
  return EXIT.ok
}

/** The engine that answers a login, or why none does. */
async function engineAt(config: ProbeConfig, signal: AbortSignal) {
  const [{ startBudget }, { diallerOf }, { engineOf }, { asProbeError }, { boundLookups }] = await Promise.all([
    import('../budget.ts'),
    import('../session/path.ts'),
    import('../database/engine.ts'),
    import('../failure/error.ts'),
    import('./lookups.ts'),
  ])
  boundLookups(config)
  const dialler = diallerOf({ config, budget: startBudget(config.options.deadlineMs, signal) })
  try {
    const { endpoints } = await dialler.lookUp()
    const { opened, second } = await dialler.openPath(endpoints)
    await second?.abandon()
    opened.socket?.destroy()
    if (opened.startup && !opened.error) return { engine: engineOf(opened.startup).id }
    return { engine: null, why: opened.error?.code }
  } catch (error) {
    return { engine: null, why: asProbeError(error).code }
  }
}

/** What is awaited and how long still, on a terminal only; it is written anew each second. */
function waitingLine({ draw }: Program): { show: (leftMs: number) => void; clear: () => void } {
  const line = rewrittenLine(draw)
  let shown: number | null = null
  return {
    show(leftMs) {
      const left = Math.ceil(leftMs / 1000)
      if (left === shown) return
      shown = left
      line.show(`waiting for the row of the back end, ${left} s left`)
    },
    clear() {
      shown = null
      line.clear()
    },
  }
}
