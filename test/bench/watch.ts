/** An hour of `npm run watch` before a target in all kinds of trouble: its memory, what it has open, a scrape, its idling. */
import { setTimeout as sleep } from 'node:timers/promises'
import { troubledTarget } from '../helpers/troubles.ts'
import { startWatchProcess, type WatchProcess } from '../helpers/watch-process.ts'
import { getPage, metric } from '../helpers/watching.ts'
import { median, migratedServer, table } from './bed.ts'
import type { Section } from './section.ts'

const MINUTES = 60
/** Memory is compared with what it is after so many runs; a scrape is timed before. */
const SETTLED_AFTER = 200
const SCRAPED_AFTER = 20
/** A trouble begins so long after the one before it has ended, ms. */
const PEACE_MS = 60_000

/** Every run ends in one of two counters. */
const runsIn = (body: string): number =>
  ['pass', 'fail'].reduce(
    (sum, verdict) => sum + (metric(body, `connection_probe_runs_total{verdict="${verdict}"}`) ?? 0),
    0,
  )

async function timedScrape({ url }: WatchProcess): Promise<number> {
  const from = performance.now()
  await getPage(`${url}/metrics`)
  return performance.now() - from
}

/** The share of a processor that it takes between two runs, percent. */
async function idleShare(watching: WatchProcess): Promise<number> {
  const [windows, ms] = [10, 3_000]
  let seconds = 0
  for (let at = 0; at < windows; at++) {
    const before = runsIn((await getPage(`${watching.url}/metrics`)).body)
    await watching.untilMetrics(body => runsIn(body) > before)
    await sleep(500)
    const from = watching.cpuSeconds()
    await sleep(ms)
    seconds += watching.cpuSeconds() - from
  }
  return (seconds / ((windows * ms) / 1000)) * 100
}

export const watch: Section = async print => {
  await using server = await migratedServer({ engine: 'postgresql' })
  await using target = await troubledTarget(server)
  const program = ['--import', './src/loader.mjs', 'src/cli.ts']
  await using watching = await startWatchProcess(program, ['--every', '5', '--deadline', '4'], target.env)
  const endsAt = performance.now() + MINUTES * 60_000
  await watching.untilMetrics(body => runsIn(body) >= SCRAPED_AFTER)
  const scrapes: number[] = []
  for (let at = 0; at < 50; at++) scrapes.push(await timedScrape(watching))
  const idle = await idleShare(watching)
  const descriptors = watching.descriptors()
  let [settled, most, runs, troubles] = [0, 0, 0, 0]
  const sampling = setInterval(async () => {
    runs = runsIn((await getPage(`${watching.url}/metrics`)).body)
    const resident = watching.residentMb()
    if (runs < SETTLED_AFTER) settled = resident
    else most = Math.max(most, resident)
  }, 5_000)
  for (let at = 0; performance.now() < endsAt; at++) {
    const { name, begin, end } = target.troubles[at % target.troubles.length] ?? {}
    if (!begin || !end) break
    await watching.until('pass')
    await begin()
    await watching.until('fail')
    await end()
    await watching.until('pass')
    troubles += 1
    process.stderr.write(
      `${new Date().toISOString()} ${runs} runs, ${watching.residentMb().toFixed(1)} MB, after the target was ${name}\n`,
    )
    await sleep(PEACE_MS)
  }
  clearInterval(sampling)
  const left = [await target.rows(), watching.descriptors() - descriptors]
  const { code, tookMs } = await watching.stop()
  await print(
    table(
      ['', 'value'],
      [
        [`runs in ${MINUTES} minutes, with ${troubles} troubles`, String(runs)],
        [`resident memory after ${SETTLED_AFTER} runs, MB (at most 130)`, settled.toFixed(1)],
        ['growth to its highest afterwards, MB (at most 10)', (most - settled).toFixed(1)],
        [`a scrape after ${SCRAPED_AFTER} runs, median of 50, ms (at most 20)`, median(scrapes).toFixed(1)],
        ['processor between two runs, percent (at most 0.5)', idle.toFixed(2)],
        ['rows left, descriptors more than at first', left.join(', ')],
        ['exit code, and ms from SIGTERM to it', `${code}, ${tookMs.toFixed(0)}`],
      ],
    ),
  )
}
