/**
 * A bracketed TCP server that knows its sockets: what the scriptable server, the proxy and the relay stand on.
 *
 * open      sockets accepted and not yet closed on our side
 * maxOpen   the most that were open at once
 */
import { once } from 'node:events'
import net from 'node:net'

export interface Listener extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** connections accepted so far */
  readonly connections: number
  readonly open: number
  readonly maxOpen: number
  /** Ends every open connection now; the listener goes on accepting. */
  cut(how?: 'close' | 'reset'): void
}

export interface ListenOptions {
  /** an IPv6 literal; default `::1` */
  readonly host?: string
  /** default 0: one that is free */
  readonly port?: number
  /** a client that ends its side can still be spoken to */
  readonly allowHalfOpen?: boolean
}

/**
 * Listens and hands every connection to `serve`.
 * Disposing destroys every socket and waits until all of them and the listener are closed.
 */
export async function listen(serve: (socket: net.Socket) => void, options: ListenOptions = {}): Promise<Listener> {
  const { host = '::1', port = 0, allowHalfOpen = false } = options
  const sockets = new Set<net.Socket>()
  let connections = 0
  let maxOpen = 0
  const server = net.createServer({ noDelay: true, allowHalfOpen }, socket => {
    connections += 1
    sockets.add(socket)
    maxOpen = Math.max(maxOpen, sockets.size)
    socket.on('error', () => {}) // the peer may do as it likes; 'close' follows
    socket.on('close', () => sockets.delete(socket))
    serve(socket)
  })
  server.listen({ host, port, ipv6Only: true })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not a TCP address')
  return {
    host,
    port: address.port,
    get connections() {
      return connections
    },
    get open() {
      return sockets.size
    },
    get maxOpen() {
      return maxOpen
    },
    cut(how = 'reset') {
      for (const socket of sockets) how === 'reset' ? socket.resetAndDestroy() : socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
