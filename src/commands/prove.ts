/** A run with right settings, as `probe`, `start` and `witness` make it: progress on stderr, the report on stdout. */
import { type ProbeHooks, probe } from '../checks/attempts.ts'
import { redact } from '../failure/error.ts'
import { plain } from '../report/plain.ts'
import type { Report, WarningCode } from '../report/report.ts'
import type { ProbeConfig } from '../settings/config.ts'
import { EXIT, type Program } from './command.ts'
import { deliver } from './deliver.ts'
import { boundLookups } from './lookups.ts'
import type { Delivery } from './probe-options.ts'
import { rewrittenLine } from './terminal.ts'

interface Run {
  readonly delivery: Delivery
  readonly program: Program
  readonly signal: AbortSignal
  /** what the report says of the target besides what it finds out */
  readonly remark?: string
  /** warnings that are no news there */
  readonly expected?: readonly WarningCode[]
}

/** Probes and prints the report; returns the exit code. */
export async function probeAndPrint(config: ProbeConfig, run: Run): Promise<number> {
  const line = progressLine(run.program.draw)
  return reportAndPrint(config, { ...run, line }, hooks => probe(config, { ...hooks, progress: line.show }))
}

/** What every run is given. */
export type RunHooks = Pick<ProbeHooks, 'signal' | 'note' | 'program'>

/** Has a run made and prints its report; returns the exit code. `line` is cleared before anything else is said. */
export async function reportAndPrint(
  config: ProbeConfig,
  { delivery, program, signal, remark, expected = [], line }: Run & { readonly line: { clear(): void } },
  make: (hooks: RunHooks) => Promise<Report>,
): Promise<number> {
  boundLookups(config)
  const note = (text: string) => {
    line.clear()
    program.note(plain(redact(text), 1000))
  }
  const report = await make({ signal, note, program: program.name })
  line.clear()
  const warnings = report.warnings.filter(({ code }) => !expected.includes(code))
  await deliver({ ...report, warnings }, delivery, program, remark)
  if (signal.aborted) return EXIT.interrupted
  return report.verdict === 'pass' ? EXIT.ok : EXIT.failed
}

/** How far the writes are, on a terminal only. */
function progressLine(draw: Program['draw']): { show: (done: number, total: number) => void; clear: () => void } {
  const { show, clear } = rewrittenLine(draw)
  // From the first write on: what came before says nothing of the rate.
  let startedAt = 0
  let shownAt = 0
  return {
    clear,
    show(done, total) {
      const now = performance.now()
      if (startedAt === 0) startedAt = now
      if (done === total) clear()
      else if (now - startedAt > 100 && now - shownAt > 100) {
        shownAt = now
        const rate = ((done - 1) / (now - startedAt)) * 1000
        const left = Math.ceil((total - done) / rate)
        show(`${done} of ${total} writes, ${Math.round(rate)} per second, ${left} s left`)
      }
    },
  }
}
