/** The soak in a process of its own: the probe with nothing else loaded. Says when it is where, and its memory, MB. */
import { configOf, passingProbe } from '../helpers/probe.ts'

const writes = Number(process.env.WRITES)
const settledAfter = Number(process.env.SETTLED_AFTER)

const config = configOf(process.env, { options: { writes, deadlineMs: 1_800_000 } })
const megabytes = (bytes: number) => bytes / 1024 / 1024

/** Memory where nothing is garbage: what V8 has not collected yet is up to 20 MB, and says nothing of a leak. */
function collected() {
  globalThis.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  return { resident: megabytes(rss), live: megabytes(heapUsed) }
}
let settled = collected()
let end = settled
let highest = 0
await passingProbe(config, {
  progress: done => {
    if (done % 100 === 0) highest = Math.max(highest, megabytes(process.memoryUsage.rss()))
    if (done === settledAfter) {
      settled = collected()
      process.stdout.write('settled\n')
    }
    if (done === writes) {
      end = collected()
      process.stdout.write('written\n')
    }
  },
})
process.stdout.write(`${JSON.stringify({ settled, end, highest })}\n`)
process.exit(0)
