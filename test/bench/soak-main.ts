/** The soak in a process of its own: the probe with nothing else loaded. Says when it is where, and its memory, MB. */
import { configOf, passingProbe } from '../helpers/probe.ts'

const writes = Number(process.env.WRITES)
const settledAfter = Number(process.env.SETTLED_AFTER)

const config = configOf(process.env, { options: { writes, deadlineMs: 1_800_000 } })
const resident = () => process.memoryUsage().rss / 1024 / 1024
/** What is left of the heap where nothing is garbage, MB. */
function live(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 1024 / 1024
}
let settled = 0
let most = 0
let liveAt = 0
let liveEnd = 0
await passingProbe(config, {
  progress: done => {
    if (done === settledAfter) {
      settled = resident()
      liveAt = live()
      process.stdout.write('settled\n')
    }
    if (done > settledAfter && done % 1000 === 0) most = Math.max(most, resident())
    if (done === writes) {
      liveEnd = live()
      process.stdout.write('written\n')
    }
  },
})
process.stdout.write(`${JSON.stringify({ settled, most, liveGrowth: liveEnd - liveAt })}\n`)
process.exit(0)
