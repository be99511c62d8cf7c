/** The waterfall as bars of characters. */
import { type Line, line, type Palette } from './lines.ts'
import { duration, plain, timings } from './plain.ts'
import type { Report } from './report.ts'
import { type Row, waterfall } from './waterfall.ts'

/** How wide it is where there is no terminal. */
const LOG_COLUMNS = 100
/** Of the names, at most; what is longer is cut. */
const LONGEST_NAME = 42
const TIME_WIDTH = 8

/** A title, and a line for each entry: its name, how long it took, and its bar on the time axis. */
export function barLines(report: Report, columns: number | null, paint: Palette): Line[] {
  const { rows, totalMs } = waterfall(report)
  if (rows.length === 0) return []
  const width = columns ?? LOG_COLUMNS
  const names = rows.map(row => `${row.isCheck ? '' : '  '}${plain(row.entry.name, 100)}`)
  const nameWidth = Math.min(LONGEST_NAME, Math.floor(width / 2), Math.max(...names.map(name => name.length)))
  const room = Math.max(4, width - nameWidth - TIME_WIDTH - 4)
  const barLine = (row: Row, name: string): Line[] => {
    const { durationMs } = row.entry
    const each = timings(row.entry)
    const shown = name.length > nameWidth ? `${name.slice(0, nameWidth - 1)}…` : name.padEnd(nameWidth)
    const from = Math.min(room - 1, Math.floor(row.from * room))
    const length = Math.min(room - from, Math.max(1, Math.round(row.width * room)))
    const drawn = (row.status === 'failed' ? paint.red : paint.green)('█'.repeat(length))
    const first = `${row.isCheck ? paint.bold(shown) : shown} ${duration(durationMs).padStart(TIME_WIDTH)}  ${' '.repeat(from)}`
    const several = each === null ? [] : [line('    ', paint.dim(each))]
    return [line(`${first}${row.isCheck ? drawn : paint.dim('█'.repeat(length))}`), ...several]
  }
  return [
    line('', paint.bold(`what was done when, over ${duration(totalMs)}`)),
    ...rows.flatMap((row, at) => barLine(row, names[at] ?? '')),
  ]
}
