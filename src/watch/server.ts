/**
 * The HTTP server: GET and HEAD of a few paths. Whoever reaches it is nobody: what is sent in is limited, answered with a
 * few words of our own, and never repeated.
 */
import { once } from 'node:events'
import type http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { isServed, oneSpelling } from './hosts.ts'

export interface Answer {
  readonly status: number
  /** the media type */
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}

/** What is served, by path. */
export type Paths = Readonly<Record<string, () => Answer>>

export interface ServeOptions {
  /** an IPv6 address; `::` is every address, those of IPv4, too */
  readonly address: string
  /** 0: any that is free */
  readonly port: number
  /** names and addresses by which it may be asked for, besides the address that a connection comes to */
  readonly hosts: readonly string[]
  readonly limits?: Partial<Limits>
}

/** How long a client may take, ms; and how many there may be. */
interface Limits {
  /** to send the head of a request, from the beginning of the connection or the first byte */
  readonly headersTimeout: number
  /** to send all of it */
  readonly requestTimeout: number
  /** until the next request */
  readonly keepAliveTimeout: number
  /** to take the answer */
  readonly answerMs: number
  readonly connections: number
}

const LIMITS: Limits = {
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 5_000,
  answerMs: 10_000,
  connections: 256,
}

export interface Served {
  /** where it listens, as a URL has it: `[::1]:9464` */
  readonly authority: string
  /** Ends it and every connection, at once. */
  close(): Promise<void>
}

const MOST_HEADER_BYTES = 8 * 1024
const MOST_REQUESTS_PER_CONNECTION = 1000

const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
} as const

/** A few words, in plain text. */
export const words = (status: number, text: string, headers: Answer['headers'] = {}): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${text}\n`,
  headers,
})

const CLOSE = { Connection: 'close' } as const

/**
 * Serves these paths.
 * Rejects with what the system says where it cannot listen there.
 */
export async function serve(paths: Paths, { address, port, hosts, limits }: ServeOptions): Promise<Served> {
  const names = new Set(hosts.map(oneSpelling))
  const { answerMs, connections: most, ...timeouts } = { ...LIMITS, ...limits }
  const connectionsCheckingInterval = Math.min(1_000, timeouts.headersTimeout)
  const connections = boundedConnections(most)
  const answer = (request: http.IncomingMessage, response: http.ServerResponse) => {
    const { socket } = request
    connections.use(socket)
    const tooSlow = setTimeout(() => socket.destroy(), answerMs)
    response.once('close', () => clearTimeout(tooSlow))
    const { status, type, body, headers } = answerTo(request, paths, names)
    response.writeHead(status, {
      ...HEADERS,
      ...headers,
      'Content-Type': type,
      'Content-Length': Buffer.byteLength(body),
    })
    response.end(body)
  }
  const options = { ...timeouts, connectionsCheckingInterval, maxHeaderSize: MOST_HEADER_BYTES }
  // Whatever a file of src/ imports of Node at its head, every command of the single file loads.
  const { createServer } = await import('node:http')
  const server = createServer(options, answer)
  server.maxRequestsPerSocket = MOST_REQUESTS_PER_CONNECTION
  // A request that waits to be told to send its body is told no more than any other.
  server.on('checkContinue', answer).on('connection', (socket: Socket) => connections.add(socket))
  server.listen({ host: address, port })
  await once(server, 'listening')
  // What goes wrong with one connection is that connection's end.
  server.on('error', () => undefined)
  const bound = server.address() as AddressInfo
  return {
    authority: `[${bound.address}]:${bound.port}`,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** So many connections: one more ends the one that has been quiet longest, so that nobody can keep others out. */
function boundedConnections(most: number) {
  const open = new Set<Socket>()
  return {
    add(socket: Socket) {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      const [quietest] = open
      if (open.size > most) quietest?.destroy()
    },
    /** It has asked for something: it is the last of them. */
    use(socket: Socket) {
      if (open.delete(socket)) open.add(socket)
    },
  }
}

function answerTo(request: http.IncomingMessage, paths: Paths, names: ReadonlySet<string>): Answer {
  const { method, url = '', headers, headersDistinct, socket } = request
  const { host: hosts = [] } = headersDistinct
  const [host = ''] = hosts
  if (hosts.length !== 1 || !isServed(host, socket.localAddress ?? '', names))
    return words(421, 'not served under this name: --host NAME allows another one', CLOSE)
  if (method !== 'GET' && method !== 'HEAD') return words(405, 'only GET and HEAD', { Allow: 'GET, HEAD', ...CLOSE })
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0')
    return words(400, 'a request has no body here', CLOSE)
  const path = url.replace(/\?.*$/s, '')
  const answer = Object.hasOwn(paths, path) ? paths[path] : undefined
  return answer ? answer() : words(404, `there is ${Object.keys(paths).join(' ')}`, CLOSE)
}
