/** At most so many connections at once per address and port (contract: Settings). */
const PER_ADDRESS = 4

export interface Slots {
  /** Resolves when a connection to the endpoint may be opened, with the function that gives the place back. */
  acquire(endpoint: string): Promise<() => void>
}

/** Places for connections, first come first served. */
export function createSlots(limit = PER_ADDRESS): Slots {
  const taken = new Map<string, number>()
  const waiting = new Map<string, (() => void)[]>()
  return {
    async acquire(endpoint) {
      const inUse = taken.get(endpoint) ?? 0
      if (inUse < limit) taken.set(endpoint, inUse + 1)
      else await new Promise<void>(go => waiting.set(endpoint, [...(waiting.get(endpoint) ?? []), go]))
      let released = false
      return () => {
        if (released) return
        released = true
        const [next, ...rest] = waiting.get(endpoint) ?? []
        waiting.set(endpoint, rest)
        if (next) next()
        else taken.set(endpoint, (taken.get(endpoint) ?? 1) - 1)
      }
    },
  }
}
