/** What can happen to one statement, in words; the proxy does it (proxy.ts). */
import type { Fault } from './proxy.ts'

/** The server answers with an error and has not run the statement. */
export const error = (C: string, M: string): Fault => ({ execute: false, instead: { S: 'ERROR', V: 'ERROR', C, M } })

const CUTS = {
  /** the server never got it */
  before: { execute: false, instead: 'reset' },
  /** the server is still at it */
  during: { instead: 'reset', atOnce: true },
  /** the server has done it, the answer is lost */
  after: { instead: 'reset' },
  'closed after': { instead: 'close' },
} as const satisfies Record<string, Fault>

/** The connection ends around the statement. */
export const cut = (when: keyof typeof CUTS): Fault => CUTS[when]

/** What happens to the first statement that matches; the same one again is answered. */
export function once<T>(matches: (sql: string) => boolean, fault: T): (sql: string) => T | undefined {
  let done = false
  return sql => {
    if (done || !matches(sql)) return undefined
    done = true
    return fault
  }
}

/** Every row of the answer comes back with another value in this column. */
export const changed = (column: string, value: string): Fault => ({
  row: (values, columns) => values.map((old, at) => (columns[at]?.name === column ? value : old)),
})
