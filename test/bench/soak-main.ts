/** The soak in a process of its own: the probe with nothing else loaded. Says when it is where, and its memory, MB. */

import { probe } from '../../src/checks/attempts.ts'
import { loadConfig } from '../../src/settings/config.ts'

const writes = Number(process.env.WRITES)
const settledAfter = Number(process.env.SETTLED_AFTER)

const loaded = loadConfig({ role: 'writer', env: process.env, options: { writes, deadlineMs: 1_800_000 } })
if (!loaded.ok) throw loaded.error
const resident = () => process.memoryUsage().rss / 1024 / 1024
let settled = 0
let most = 0
const report = await probe(loaded.config, {
  signal: new AbortController().signal,
  note: () => undefined,
  program: 'bench',
  progress: done => {
    if (done === settledAfter) {
      settled = resident()
      process.stdout.write('settled\n')
    }
    if (done > settledAfter && done % 1000 === 0) most = Math.max(most, resident())
    if (done === writes) process.stdout.write('written\n')
  },
})
if (report.verdict !== 'pass') throw new Error(`${report.failure?.code}: ${report.failure?.message}`)
process.stdout.write(`${JSON.stringify({ settled, most })}\n`)
process.exit(0)
