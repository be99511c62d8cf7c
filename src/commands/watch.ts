/** `npm run watch`: the probe again and again, and what it finds as a page and as metrics. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Report } from '../report/report.ts'
import type { Options } from '../settings/config.ts'
import { defineCommand, EXIT, type Program } from './command.ts'
import { type Delivery, PROBE_FLAGS, probeArguments } from './probe-options.ts'
import { UsageError } from './usage.ts'
import { WATCH_FLAGS, watchArguments } from './watch-options.ts'

/** Rows that a run writes in a row, unless --writes says more: as few as the check needs. */
const WRITES = 2

export const watch = defineCommand({
  group: 'run',
  does: 'keeps proving, and shows it as a page and as metrics; needs what the probe needs',
  words: [],
  flags: { ...WATCH_FLAGS, ...PROBE_FLAGS },
  development: false,
  async run({ flags }, program) {
    // From here on SIGTERM ends it in order, with 0.
    const signal = program.interruption()
    const { everyMs, listen } = watchArguments(flags)
    const { delivery, options: more } = probeArguments(flags)
    const { format } = delivery
    if (format !== 'text' && format !== 'json') throw new UsageError('watch prints lines: --format text or json')
    const options = { writes: WRITES, ...more }
    const { DEFAULT_OPTIONS } = await import('../settings/config.ts')
    if (await areRefused(options, program)) return EXIT.usage
    const { boundLookups } = await import('./lookups.ts')
    boundLookups({ options: { ...DEFAULT_OPTIONS, ...options } })
    const [{ watch }, { changeLine }] = await Promise.all([import('../watch/watch.ts'), import('../watch/change.ts')])
    const lines = unhurried(program)
    const changed: Parameters<typeof watch>[0]['changed'] = change => lines.print(changeLine(change, format === 'json'))
    const ran = await reportFiles(delivery, program)
    const { name, note } = program
    const given = { env: process.env, program: name, note, signal }
    try {
      await watch({ ...given, everyMs, listen, options, ran, changed })
    } catch (error) {
      throw cannotListen(error) ?? error
    }
    await lines.end()
    return EXIT.ok
  },
})

/** Settings that only a start with others can cure. A file may come or be renewed: then a run says so, and goes on. */
const isForGood = (code: string | null): boolean => code?.startsWith('CONFIG_') === true

/** Whether the settings are refused for good; then that was said, as the probe says it. */
async function areRefused(options: Partial<Options>, program: Program): Promise<boolean> {
  const { loadConfig } = await import('../settings/config.ts')
  const loaded = loadConfig({ role: 'writer', env: process.env, options })
  if (loaded.ok || !loaded.error.problems?.some(({ code }) => isForGood(code))) return false
  const [{ refuseSettings }, { checksOf }] = await Promise.all([
    import('./refused-settings.ts'),
    import('../checks/index.ts'),
  ])
  // stdout has lines of changes, and nothing else.
  const toStderr = {
    ...program,
    colour: false,
    columns: null,
    print: async (text: string) => program.note(text.trimEnd()),
  }
  const run = { command: 'probe', runId: null, checks: async () => checksOf(false) } as const
  await refuseSettings(loaded, { ...run, program: toStderr, delivery: { format: 'text', verbose: false, files: [] } })
  return true
}

/** Lines that wait for their reader, at most, and how long they do at the end, ms. */
const MOST_LINES = 1000
const LINES_MS = 300

/** Prints lines, and nobody waits for them: a reader of stdout that has stopped reading stops nothing else. */
function unhurried({ print }: Program) {
  let printed: Promise<void> = Promise.resolve()
  let waiting = 0
  return {
    print(line: string): void {
      if (waiting >= MOST_LINES) return
      waiting += 1
      printed = printed
        .then(() => print(line))
        .then(() => {
          waiting -= 1
        })
    },
    end: () => Promise.race([printed, sleep(LINES_MS)]),
  }
}

/** Where it cannot listen, what the system says of it. */
function cannotListen(error: unknown): UsageError | null {
  if (!(error instanceof Error) || !('syscall' in error) || error.syscall !== 'listen') return null
  return new UsageError(`cannot listen there: ${error.message}`)
}

/** Writes the last report to the files that were asked for; says so once where that fails, until it does not. */
async function reportFiles(delivery: Delivery, program: Program): Promise<(report: Report) => Promise<void>> {
  const { writeFiles } = await import('./deliver.ts')
  let wereWhole = true
  return async report => {
    const areWhole = await writeFiles(report, delivery, program)
    if (wereWhole && !areWhole) program.note('the report could not be written to every --output; trying again')
    wereWhole = areWhole
  }
}
