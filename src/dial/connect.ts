/** Opening a TCP connection to one IPv6 address. Never to any other family: the address is a literal. */
import net from 'node:net'
import { type Budget, within } from '../budget.ts'
import { classifyConnect } from '../failure/classify.ts'
import { CODES } from '../failure/codes.ts'
import { ProbeError } from '../failure/error.ts'
import { hasIPv6, IPV6_OFF, LINK_LOCAL, zoneProblem } from './own-host.ts'

const SAYS: Readonly<Record<string, string>> = {
  TCP_REFUSED: 'refuses the connection',
  TCP_UNREACHABLE: 'cannot be reached from here',
  TCP_RESET: 'resets the connection',
  TCP_TIMEOUT: 'does not answer',
}

const NO_IPV6 = 'cannot be reached: this host has no IPv6 address, not even ::1'

/** Without a route of its own a host says so at once; later it was somebody on the way. */
const ELSEWHERE =
  'this host has a route, and a router on the way or the last link has none: the machine moved or is down: fly machine list -a {app}'

/**
 * Connects to `[address]:port`.
 * Rejects with a TCP_ code; the errno is in the cause.
 */
export function connect(address: string, port: number, budget: Budget): Promise<net.Socket> {
  const problem = zoneProblem(address)
  if (problem)
    return Promise.reject(new ProbeError('TCP_UNREACHABLE', `[${address}]:${port} ${problem}`, { hint: LINK_LOCAL }))
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
          const isOff = code === 'TCP_UNREACHABLE' && !hasIPv6()
          const isElsewhere = code === 'TCP_UNREACHABLE' && !isAtOnce
          const says = isOff ? NO_IPV6 : (SAYS[code] ?? `fails with ${error.code}`)
          reject(
            new ProbeError(code, `[${address}]:${port} ${says}`, {
              cause: error,
              origin: { kind: 'system', errno: error.code ?? '' },
              hint: (isOff ? IPV6_OFF : isElsewhere ? ELSEWHERE : CODES[code].hint).replaceAll('{address}', address),
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
