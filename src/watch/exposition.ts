/**
 * The Prometheus text format, version 0.0.4.
 *
 * family   one metric: # HELP, # TYPE, and its samples
 * sample   a line `name{label="value"} number`
 *
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/
 */

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export type Labels = Readonly<Record<string, string>>

export interface Sample {
  /** what follows the family's name */
  readonly suffix?: '_bucket' | '_sum' | '_count'
  readonly labels?: Labels
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly samples: readonly Sample[]
}

/** Families as text. */
export const exposition = (families: readonly Family[]): string =>
  families
    .flatMap(({ name, type, help, samples }) => [
      `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n`,
      `# TYPE ${name} ${type}\n`,
      ...samples.map(({ suffix = '', labels = {}, value }) => `${name}${suffix}${inBraces(labels)} ${number(value)}\n`),
    ])
    .join('')

function inBraces(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escaped = (value: string): string => value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')

const number = (value: number): string => (value === Number.POSITIVE_INFINITY ? '+Inf' : String(value))

export interface Histogram {
  observe(value: number): void
  samples(labels?: Labels): readonly Sample[]
}

/** @param bounds the upper bounds of its buckets, ascending; the last bucket has none */
export function createHistogram(bounds: readonly number[]): Histogram {
  const limits = [...bounds, Number.POSITIVE_INFINITY]
  const counts = limits.map(() => 0)
  let sum = 0
  let count = 0
  return {
    observe(value) {
      sum += value
      count += 1
      // Buckets are cumulative.
      for (const [at, limit] of limits.entries()) if (value <= limit) counts[at] = (counts[at] ?? 0) + 1
    },
    samples: (labels = {}) => [
      ...limits.map((limit, at): Sample => {
        return { suffix: '_bucket', labels: { ...labels, le: number(limit) }, value: counts[at] ?? 0 }
      }),
      { suffix: '_sum', labels, value: sum },
      { suffix: '_count', labels, value: count },
    ],
  }
}
