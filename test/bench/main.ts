/**
 * `npm run bench [-- SECTION …]`: every figure is a ratio against a peer measured in the same run, alternating, with
 * the median of the pairs. Nothing here is a test: machines differ, the ratios say what to expect of the program.
 */
import { addresses } from './addresses.ts'
import { roundTrips } from './round-trips.ts'
import type { Section } from './section.ts'
import { soak } from './soak.ts'
import { startUp } from './start-up.ts'
import { writes } from './writes.ts'

const SECTIONS: Readonly<Record<string, Section>> = {
  'start-up': startUp,
  'round-trips': roundTrips,
  writes,
  soak,
  addresses,
}

/** Runs the sections named, or all. */
export async function bench(names: readonly string[], print: (text: string) => Promise<void>): Promise<void> {
  const unknown = names.filter(name => !Object.hasOwn(SECTIONS, name))
  if (unknown.length > 0)
    throw new Error(`no such section: ${unknown.join(', ')}; there are ${Object.keys(SECTIONS).join(', ')}`)
  for (const [name, section] of Object.entries(SECTIONS)) {
    if (names.length > 0 && !names.includes(name)) continue
    await print(`\n### ${name}\n\n`)
    await section(print)
  }
}
