/**
 * The probe in a process that has no file descriptor left when it comes to dial (tcp.test.ts). Prints the report.
 * The lookup is the last step before, so that is where they are used up; they are given back once the dial has failed.
 */
import { closeSync, openSync } from 'node:fs'
import { configOf, runProbe } from '../helpers/probe.ts'
// The probe loads its checks and the driver while it dials, and what is being loaded gives descriptors back.
import '../../src/checks/index.ts'
import '../../src/row/index.ts'

const held: number[] = []
const useUp = (): void => {
  try {
    for (;;) held.push(openSync('/dev/null', 'r'))
  } catch {
    // EMFILE: none is left
  }
}

const lookup = async (): Promise<string[]> => {
  useUp()
  return ['::1']
}
const report = await runProbe(configOf(process.env, { names: { lookup, servers: null } }))
for (const fd of held) closeSync(fd)
process.stdout.write(JSON.stringify(report))
