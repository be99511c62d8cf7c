/**
 * What a run did and when, for the waterfall of the report: a line for each check, and below it one for each thing that
 * was waited for. Bounded, whatever happens: what has one name within one check is one line.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { type RecordSpan, roundMs } from '../budget.ts'

/** How long each of several took, ms. */
export interface Latency {
  readonly min: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** One line of the waterfall. */
export interface TimelineEntry {
  /** of a check its id, else what was done within it */
  readonly name: string
  /** the id of the check */
  readonly check: string
  /** from the beginning of the attempt (`startedAt` of the report), ms */
  readonly startMs: number
  /** of several, from the beginning of the first to the end of the last */
  readonly durationMs: number
  /** how many there were, and how long each of them took, where there were several */
  readonly count?: number
  readonly latencyMs?: Latency
}

/** When a check ran; one that was blocked did not: `startedAt` is null, `blockedBy` the check that blocks it. */
interface Ran {
  readonly check: { readonly id: string }
  readonly blockedBy: string | null
  readonly startedAt: number | null
  readonly durationMs: number
}

export interface Timeline {
  readonly record: RecordSpan
  /** From here on what is recorded belongs to this check. */
  enter(check: string): void
  /** The lines, by check, in the order in which they began. */
  entries(results: readonly Ran[]): readonly TimelineEntry[]
}

/** Lines at most, the checks' own not counted. */
const MOST_LINES = 200

/** All spans of one name within one check. */
interface Line {
  readonly name: string
  readonly check: string
  readonly from: number
  until: number
  /** µs of the first one */
  readonly first: number
  /** µs of each, where there are several: a histogram takes 160 kB */
  each: RecordableHistogram | null
}

/**
 * A timeline.
 * @param origin when the attempt began, on performance.now()'s clock, ms
 */
export function createTimeline(origin: number): Timeline {
  const lines = new Map<string, Line>()
  let current = ''
  return {
    enter(check) {
      current = check
    },
    record({ name, from, until, check = current }) {
      const key = `${check} ${name}`
      const micros = Math.max(1, Math.round((until - from) * 1000))
      const line = lines.get(key)
      if (line) addTo(line, micros, until)
      else if (lines.size < MOST_LINES)
        lines.set(key, { name: withoutArticle(name), check, from, until, first: micros, each: null })
    },
    entries(results) {
      // What was done for a check that was blocked in the end is what the one that blocks it came to.
      const ownerOf = (id: string): string => {
        const blocker = results.find(({ check }) => check.id === id)?.blockedBy ?? null
        return blocker === null ? id : ownerOf(blocker)
      }
      const all = [...lines.values()]
        .map(line => ({ ...line, check: ownerOf(line.check) }))
        .sort((a, b) => a.from - b.from)
      return results.flatMap(({ check: { id }, startedAt, durationMs }) => [
        ...(startedAt === null ? [] : [entry(id, id, startedAt, startedAt + durationMs, origin)]),
        ...all.filter(({ check }) => check === id).map(line => lineEntry(line, origin)),
      ])
    },
  }
}

/** What a histogram can hold, µs: longer than any wait. */
const HIGHEST = 1e9

function addTo(line: Line, micros: number, until: number): void {
  line.until = Math.max(line.until, until)
  if (!line.each) {
    line.each = createHistogram({ highest: HIGHEST })
    line.each.record(line.first)
  }
  line.each.record(Math.min(HIGHEST, micros))
}

/** Statements are named as a sentence has them: "the insert". */
const withoutArticle = (name: string): string => name.replace(/^the /, '')

const entry = (name: string, check: string, from: number, until: number, origin: number): TimelineEntry => ({
  name,
  check,
  startMs: roundMs(Math.max(0, from - origin)),
  durationMs: roundMs(until - from),
})

function lineEntry({ name, check, from, until, each }: Line, origin: number): TimelineEntry {
  const one = entry(name, check, from, until, origin)
  return each ? { ...one, count: each.count, latencyMs: latencyOf(each) } : one
}

/** What a histogram of µs says, ms with three decimals. */
export function latencyOf(each: RecordableHistogram): Latency {
  const ms = (micros: number): number => roundMs(micros / 1000)
  return {
    min: ms(each.count === 0 ? 0 : each.min),
    p50: ms(each.percentile(50)),
    p95: ms(each.percentile(95)),
    p99: ms(each.percentile(99)),
    max: ms(each.max),
  }
}
