/** Hands a report to its readers: to stdout in one form, and to files in theirs. */
import type { Report } from '../report/report.ts'
import type { Program } from './command.ts'
import type { Delivery } from './probe-options.ts'
import { rendererOf } from './renderer.ts'

/** Prints a report and writes it to the files that were asked for; `remark` is said of the target in people's forms. */
export async function deliver(report: Report, to: Delivery, program: Program, remark?: string): Promise<void> {
  const { colour, columns } = program
  const render = await rendererOf(to.format)
  await program.print(render(report, { colour, columns, verbose: to.verbose, remark }))
  await writeFiles(report, to, program, remark)
}

/** Writes a report to those files; returns whether each of them was written whole. */
export async function writeFiles(
  report: Report,
  { files, verbose }: Delivery,
  { unwritten }: Program,
  remark?: string,
): Promise<boolean> {
  let areWhole = true
  for (const { path, format } of files) {
    const render = await rendererOf(format)
    const { writeWhole } = await import('./write-whole.ts')
    const errno = writeWhole(path, render(report, { colour: false, verbose, remark }))
    if (errno === null) continue
    unwritten(`--output ${path} could not be written (${errno})`)
    areWhole = false
  }
  return areWhole
}
