/**
 * A TCP relay from [::1] to a target: a link that is slow, goes silent, comes back, or breaks.
 *
 * up, down   from the client to the target, and back
 * delay      each chunk leaves so long after it came; chunks do not wait for each other, their order is kept
 * hold       the link is down and will be back: bytes wait, as TCP would have them sent again
 * swallow    the link is a black hole: bytes are read and lost
 *
 * The TCP handshake is between client and relay and is not delayed: who counts round trips adds one for it.
 */
import net from 'node:net'
import { performance } from 'node:perf_hooks'
import { type Listener, listen } from './listen.ts'

export type Direction = 'up' | 'down'

/** A chunk on its way; `total` counts the connection's bytes in this direction, this chunk included. */
export interface Passing {
  readonly direction: Direction
  readonly bytes: Buffer
  readonly total: number
  /** 1 for the first connection */
  readonly connection: number
}

export interface RelayOptions {
  readonly target: { readonly host?: string; readonly port: number }
  /** where it listens; default a free one */
  readonly port?: number
  /** ms for each direction, or one number for both */
  readonly delayMs?: number | Readonly<Record<Direction, number>>
  /** Is asked for each chunk as it comes; what it answers happens before the chunk is passed on. */
  readonly onBytes?: (chunk: Passing) => 'close' | 'reset' | 'hold' | 'swallow' | undefined
}

export interface Relay extends Pick<Listener, 'host' | 'port' | 'connections' | 'open' | 'maxOpen'>, AsyncDisposable {
  /** bytes received from each side */
  readonly bytes: Readonly<Record<Direction, number>>
  hold(): void
  swallow(): void
  /** Ends `hold` and `swallow`; what was held is sent. */
  resume(): void
  /** Breaks every connection now, on both sides; new ones are served. */
  cut(how?: 'close' | 'reset'): void
}

type Link = 'up' | 'held' | 'swallowed'

/** One direction of one connection: what is under way, and when it is due. */
function lane(to: net.Socket, delayMs: number, linkIs: () => Link) {
  const queue: { due: number; bytes: Buffer | null }[] = []
  let timer: NodeJS.Timeout | NodeJS.Immediate | undefined

  /** Timers are whole milliseconds and never early enough; the last fraction is waited for by turning. */
  function schedule(): void {
    const first = queue[0]
    if (first === undefined || timer !== undefined) return
    const wait = first.due - performance.now()
    timer = wait >= 2 ? setTimeout(drain, Math.floor(wait - 1)) : setImmediate(drain)
  }
  function drain(): void {
    timer = undefined
    if (linkIs() === 'held') return
    for (let first = queue[0]; first !== undefined && first.due <= performance.now(); first = queue[0]) {
      queue.shift()
      if (linkIs() === 'swallowed' || !to.writable) continue
      if (first.bytes === null) to.end()
      else to.write(first.bytes)
    }
    schedule()
  }
  return {
    /** null is the end of this direction */
    push(bytes: Buffer | null): void {
      queue.push({ due: performance.now() + delayMs, bytes })
      if (delayMs === 0 && queue.length === 1) drain()
      else schedule()
    },
    drain: () => {
      if (timer === undefined) drain()
    },
    stop(): void {
      clearTimeout(timer as NodeJS.Timeout)
      clearImmediate(timer as NodeJS.Immediate)
      queue.length = 0
    },
  }
}

/** Starts a relay before `options.target` (host `::1` when absent). Disposing closes every socket on both sides. */
export async function relay(options: RelayOptions): Promise<Relay> {
  const { target, delayMs = 0, onBytes } = options
  const delay = typeof delayMs === 'number' ? { up: delayMs, down: delayMs } : delayMs
  const bytes = { up: 0, down: 0 }
  const pairs = new Set<{ client: net.Socket; server: net.Socket; drain: () => void }>()
  let link: Link = 'up'
  let connections = 0

  const listener = await listen(
    client => {
      connections += 1
      const connection = connections
      const server = net.connect({
        host: target.host ?? '::1',
        port: target.port,
        family: 6,
        noDelay: true,
        allowHalfOpen: true,
      })
      const lanes = { up: lane(server, delay.up, () => link), down: lane(client, delay.down, () => link) }
      const pair = {
        client,
        server,
        drain: () => {
          lanes.up.drain()
          lanes.down.drain()
        },
      }
      pairs.add(pair)
      const pass = (direction: Direction, from: net.Socket): void => {
        let total = 0
        from.on('data', chunk => {
          bytes[direction] += chunk.length
          total += chunk.length
          const act = onBytes?.({ direction, bytes: chunk, total, connection })
          if (act === 'close' || act === 'reset') return cutPair(pair, act)
          if (act !== undefined) link = act === 'hold' ? 'held' : 'swallowed'
          if (link !== 'swallowed') lanes[direction].push(chunk)
        })
        from.on('end', () => lanes[direction].push(null))
      }
      pass('up', client)
      pass('down', server)
      // a side that breaks off breaks the other one, unless the link is down and nobody could have noticed
      server.on('error', () => link === 'up' && client.resetAndDestroy())
      client.on('error', () => link === 'up' && server.resetAndDestroy())
      const closed = (): void => {
        if (!client.closed || !server.closed) return
        lanes.up.stop()
        lanes.down.stop()
        pairs.delete(pair)
      }
      client.on('close', closed)
      server.on('close', closed)
    },
    { allowHalfOpen: true, ...(options.port !== undefined && { port: options.port }) },
  )

  function cutPair({ client, server }: { client: net.Socket; server: net.Socket }, how: 'close' | 'reset'): void {
    for (const socket of [client, server]) how === 'reset' ? socket.resetAndDestroy() : socket.destroy()
  }

  return {
    host: listener.host,
    port: listener.port,
    get connections() {
      return listener.connections
    },
    get open() {
      return listener.open
    },
    get maxOpen() {
      return listener.maxOpen
    },
    bytes,
    hold: () => {
      link = 'held'
    },
    swallow: () => {
      link = 'swallowed'
    },
    resume: () => {
      link = 'up'
      for (const { drain } of pairs) drain()
    },
    cut: (how = 'reset') => {
      for (const pair of pairs) cutPair(pair, how)
    },
    async [Symbol.asyncDispose]() {
      const closing = [...pairs]
        .filter(({ server }) => !server.closed)
        .map(({ server }) => new Promise(resolve => server.once('close', resolve)))
      for (const { server } of pairs) server.destroy()
      await Promise.all([listener[Symbol.asyncDispose](), ...closing])
    },
  }
}
