import { describe, expect, test } from 'vitest'
import { createHistogram, exposition } from '../../src/watch/exposition.ts'

describe('the Prometheus text format', () => {
  test('a family: HELP, TYPE, and a line for each sample', () => {
    const samples = [{ value: 2 }, { labels: { a: 'b', c: 'd' }, value: 0.5 }]
    expect(exposition([{ name: 'x_total', type: 'counter', help: 'Xs.', samples }])).toBe(
      '# HELP x_total Xs.\n# TYPE x_total counter\nx_total 2\nx_total{a="b",c="d"} 0.5\n',
    )
  })

  test('what would end a line or a label is escaped', () => {
    const samples = [{ labels: { a: 'one "two"\nC:\\' }, value: Number.POSITIVE_INFINITY }]
    expect(exposition([{ name: 'x', type: 'gauge', help: 'a\\b\nc', samples }])).toBe(
      '# HELP x a\\\\b\\nc\n# TYPE x gauge\nx{a="one \\"two\\"\\nC:\\\\"} +Inf\n',
    )
  })

  test('a histogram: cumulative buckets, a bound belongs to its bucket, the sum and the count', () => {
    const histogram = createHistogram([0.1, 1])
    for (const value of [0.1, 0.2, 1, 5]) histogram.observe(value)
    const text = exposition([{ name: 'h', type: 'histogram', help: '', samples: histogram.samples({ x: 'y' }) }])
    expect(text.split('\n').slice(2, -1)).toEqual([
      'h_bucket{x="y",le="0.1"} 1',
      'h_bucket{x="y",le="1"} 3',
      'h_bucket{x="y",le="+Inf"} 4',
      'h_sum{x="y"} 6.3',
      'h_count{x="y"} 4',
    ])
  })

  test('a histogram that has seen nothing has its zeros', () => {
    expect(
      createHistogram([1])
        .samples()
        .map(({ value }) => value),
    ).toEqual([0, 0, 0, 0])
  })
})
