/** The timeline of a run: what belongs to which check, on one clock, and bounded whatever happens. */
import { describe, expect, it } from 'vitest'
import { createTimeline } from '../../src/checks/timeline.ts'

const ran = (id: string, startedAt: number, durationMs = 0) => ({
  ...{ check: { id }, startedAt, durationMs },
  blockedBy: null,
})
const blocked = (id: string, blockedBy: string) => ({ check: { id }, startedAt: null, durationMs: 0, blockedBy })

describe('a timeline', () => {
  it('has a line for each check that ran, and below it what was done within it, in the order in which it began', () => {
    const { enter, record, entries } = createTimeline(1000)
    enter('tcp')
    record({ name: 'startup', from: 1030, until: 1040, check: 'session' })
    record({ name: 'TCP connect', from: 1010, until: 1015 })
    enter('database')
    record({ name: 'the second query', from: 1052, until: 1060 })
    record({ name: 'the first query', from: 1050, until: 1061.00049 })
    expect(
      entries([ran('tcp', 1010, 5), ran('session', 1030, 10), ran('database', 1040, 25), blocked('role', 'database')]),
    ).toEqual([
      { name: 'tcp', check: 'tcp', startMs: 10, durationMs: 5 },
      { name: 'TCP connect', check: 'tcp', startMs: 10, durationMs: 5 },
      { name: 'session', check: 'session', startMs: 30, durationMs: 10 },
      { name: 'startup', check: 'session', startMs: 30, durationMs: 10 },
      { name: 'database', check: 'database', startMs: 40, durationMs: 25 },
      { name: 'first query', check: 'database', startMs: 50, durationMs: 11 },
      { name: 'second query', check: 'database', startMs: 52, durationMs: 8 },
    ])
  })

  it('has one line for what is done many times, with how often and how long one took', () => {
    const { enter, record, entries } = createTimeline(0)
    enter('sequential-writes')
    for (let at = 0; at < 1000; at++)
      record({ name: 'the insert', from: at * 10, until: at * 10 + (at === 999 ? 8 : 2) })
    const [, insert] = entries([ran('sequential-writes', 0, 9998)])
    expect(insert).toMatchObject({ name: 'insert', startMs: 0, durationMs: 9998, count: 1000 })
    expect(insert?.latencyMs?.p50).toBeCloseTo(2, 1)
    expect(insert?.latencyMs?.p99).toBeCloseTo(2, 1)
    expect(insert?.latencyMs?.max).toBeCloseTo(8, 1)
  })

  it('gives what was done for a check that is blocked to the one that blocks it', () => {
    const { record, entries } = createTimeline(0)
    record({ name: 'TLS handshake', from: 0, until: 1, check: 'tls' })
    record({ name: 'startup', from: 1, until: 2, check: 'session' })
    record({ name: 'a query', from: 2, until: 3, check: 'database' })
    const found = entries([ran('tls', 0, 1), blocked('session', 'tls'), blocked('database', 'session')])
    expect(found.map(({ name, check }) => `${name} of ${check}`)).toEqual([
      'tls of tls',
      'TLS handshake of tls',
      'startup of tls',
      'a query of tls',
    ])
  })

  it('keeps what is of one name apart by the check', () => {
    const { enter, record, entries } = createTimeline(0)
    for (const id of ['dml', 'row-visible']) {
      enter(id)
      record({ name: 'the insert', from: 0, until: 1 })
    }
    expect(entries([ran('dml', 0), ran('row-visible', 0)]).filter(({ name }) => name === 'insert')).toHaveLength(2)
  })

  it('is bounded, however many names there are', () => {
    const { enter, record, entries } = createTimeline(0)
    enter('certificate-bound')
    for (let at = 0; at < 10_000; at++) record({ name: `startup as role${at}`, from: at, until: at + 1 })
    expect(entries([ran('certificate-bound', 0)])).toHaveLength(201)
  })

  it('takes a wait of any length', () => {
    const { enter, record, entries } = createTimeline(0)
    enter('dml')
    for (const until of [0, 1e-7, 5e6, 5e6]) record({ name: 'a wait', from: 0, until })
    expect(entries([ran('dml', 0)])[1]).toMatchObject({ count: 4, durationMs: 5e6 })
  })
})
