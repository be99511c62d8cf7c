/** Opening a TCP connection to one IPv6 address. Never to any other family: the address is a literal. */
import net from 'node:net'
import { type Budget, within } from '../budget.ts'
import { classifyConnect } from '../failure/classify.ts'
import { CODES } from '../failure/codes.ts'
import { ProbeError } from '../failure/error.ts'
import { needsZone } from '../settings/address.ts'

const SAYS: Readonly<Record<string, string>> = {
  TCP_REFUSED: 'refuses the connection',
  TCP_UNREACHABLE: 'cannot be reached from here',
  TCP_RESET: 'resets the connection',
  TCP_TIMEOUT: 'does not answer',
}

/** Without a route of its own a host says so at once; later it was somebody on the way. */
const ELSEWHERE =
  'this host has a route, and a router on the way or the last link has none: the machine moved or is down: fly machine list -a {app}'

/** What to do about fe80::/10 without a zone. */
const NEEDS_ZONE = 'a link-local address needs the interface that leads to it: {address}%eth0 (in a URL %25eth0)'

/**
 * Connects to `[address]:port`.
 * Rejects with a TCP_ code; the errno is in the cause.
 */
export function connect(address: string, port: number, budget: Budget): Promise<net.Socket> {
  // The kernel refuses it (EINVAL), but from Node 22 on libuv takes the first interface that has such an address: a
  // timeout, or a server that is another one's neighbour.
  if (needsZone(address))
    return Promise.reject(
      new ProbeError(
        'TCP_UNREACHABLE',
        `[${address}]:${port} is a link-local address without a zone, and cannot be reached`,
        { hint: NEEDS_ZONE.replaceAll('{address}', address) },
      ),
    )
  const wait = { code: 'TCP_TIMEOUT', what: `[${address}]:${port} did not answer` } as const
  return within(
    budget,
    wait,
    signal =>
      new Promise((resolve, reject) => {
        const socket = net.connect({ host: address, port, family: 6, autoSelectFamily: false, noDelay: true })
        // connect(2) itself refuses before any other event of the loop, however busy the machine is.
        let isAtOnce = true
        setImmediate(() => {
          isAtOnce = false
        })
        const failed = (error: NodeJS.ErrnoException) => {
          const code = classifyConnect(error.code)
          const elsewhere = code === 'TCP_UNREACHABLE' && !isAtOnce
          reject(
            new ProbeError(code, `[${address}]:${port} ${SAYS[code] ?? `fails with ${error.code}`}`, {
              cause: error,
              origin: { kind: 'system', errno: error.code ?? '' },
              hint: (elsewhere ? ELSEWHERE : CODES[code].hint).replaceAll('{address}', address),
            }),
          )
        }
        socket.once('error', failed)
        signal.addEventListener('abort', () => socket.destroy(), { once: true })
        socket.once('connect', () => {
          // From here on whoever reads the socket listens for its end; an error nobody waits for is not a crash.
          socket.on('error', () => undefined)
          socket.off('error', failed)
          resolve(socket)
        })
      }),
  )
}
