/** At most so many connections at once per address (contract: Settings). */
const PER_ADDRESS = 4

export interface Slots {
  /** Resolves when a connection to the address may be opened, with the function that gives the place back. */
  acquire(address: string): Promise<() => void>
}

/** Places for connections, first come first served. */
export function createSlots(limit = PER_ADDRESS): Slots {
  const taken = new Map<string, number>()
  const waiting = new Map<string, (() => void)[]>()
  return {
    async acquire(address) {
      const inUse = taken.get(address) ?? 0
      if (inUse < limit) taken.set(address, inUse + 1)
      else await new Promise<void>(go => waiting.set(address, [...(waiting.get(address) ?? []), go]))
      let released = false
      return () => {
        if (released) return
        released = true
        const [next, ...rest] = waiting.get(address) ?? []
        waiting.set(address, rest)
        if (next) next()
        else taken.set(address, (taken.get(address) ?? 1) - 1)
      }
    },
  }
}
