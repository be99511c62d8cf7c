/**
 * `npm run bench [-- SECTION …]`: every figure is a ratio against a peer measured in the same run, alternating, with
 * the median of the pairs. It prints each section, and writes it into README.md beside this file; the others stay.
 * Nothing here is a test: machines differ, the ratios say what to expect of the program.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { UsageError } from '../../src/commands/usage.ts'
import { addresses } from './addresses.ts'
import { roundTrips } from './round-trips.ts'
import type { Section } from './section.ts'
import { soak } from './soak.ts'
import { startUp } from './start-up.ts'
import { watch } from './watch.ts'
import { writes } from './writes.ts'

const SECTIONS: Readonly<Record<string, Section>> = {
  'start-up': startUp,
  'round-trips': roundTrips,
  writes,
  soak,
  addresses,
  watch,
}

const README = new URL('README.md', import.meta.url)

/** Runs the sections named, or all. */
export async function bench(names: readonly string[], print: (text: string) => Promise<void>): Promise<void> {
  const unknown = names.filter(name => !Object.hasOwn(SECTIONS, name))
  if (unknown.length > 0)
    throw new UsageError(`no such section: ${unknown.join(', ')}; there are ${Object.keys(SECTIONS).join(', ')}`)
  const conditions = `Node ${process.versions.node}, ${cpus().length} cores, ${new Date().toISOString().slice(0, 10)}`
  for (const [name, section] of Object.entries(SECTIONS)) {
    if (names.length > 0 && !names.includes(name)) continue
    let text = ''
    const printAndKeep = (part: string) => {
      text += part
      return print(part)
    }
    // What loading costs is another thing on every Node.
    const title = name === 'start-up' ? `${name} on Node ${process.versions.node.split('.')[0]}` : name
    await printAndKeep(`## ${title}\n\n${conditions}\n\n`)
    await section(printAndKeep)
    await print('\n')
    writeFileSync(README, withSection(readFileSync(README, 'utf8'), title, text))
  }
}

/** The document with this section in its place. */
function withSection(document: string, name: string, text: string): string {
  const parts = document.split(/^(?=## )/m)
  const at = parts.findIndex(part => part.startsWith(`## ${name}\n`))
  if (at < 0) return `${document}\n${text}`
  const isLast = at === parts.length - 1
  return parts.with(at, isLast ? text : `${text}\n`).join('')
}
