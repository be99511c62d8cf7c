/** What breaks on the private network, one fault each, and what the report must say of it. */
import type { Expected } from '../helpers/verdict.ts'
import type { Lab } from './lab.ts'
import { type App, records } from './names.ts'
import { addressOf, NOWHERE } from './network.ts'

export interface Fault extends Expected {
  readonly fault: string
  /** whose database is probed; default the deployment's */
  readonly app?: App
  /** what is done before the probe starts; every link and the resolver are mended after it */
  readonly given?: (lab: Lab) => Promise<unknown>
  /** after DEADLINE */
  readonly args?: readonly string[]
}

/**
 * One wait is a quarter of the deadline, 3 s. A kernel that gets the "no route" while connect() is still at work takes
 * note of it at the next SYN only, 1 s later (Linux, tcp_v6_err): on one machine the answer is that fast. What is left
 * after one such wait is enough for a whole run on a busy machine. Later arguments win.
 */
export const DEADLINE = ['--deadline', '12'] as const

/**
 * Bytes of the largest IPv6 packet that passes:
 * BARE_SYN      a SYN without options but for the segment size; the SSLRequest has 4 more
 * SSL_REQUEST   the SSLRequest with timestamps, and a SYN with the usual options
 * LEAST_MTU     what every IPv6 network must carry (RFC 8200, 5)
 */
const BARE_SYN = 64
const SSL_REQUEST = 80
const LEAST_MTU = 1280

export const FAULTS: readonly Fault[] = [
  {
    fault: 'the resolver is dead: nobody listens on its port',
    given: ({ resolver }) => resolver.serve(records(), 'dead'),
    code: 'DNS_FAILED',
    check: 'dns',
    message: /could not be reached/,
    hint: /fdaa::3/,
  },
  {
    fault: 'the resolver is silent',
    given: ({ resolver }) => resolver.serve(records(), 'silent'),
    code: 'DNS_TIMEOUT',
    check: 'dns',
    message: /did not answer in time|was not answered within/,
    hint: /resolv\.conf/,
  },
  {
    fault: 'the resolver answers later than the probe waits',
    given: ({ resolver }) => resolver.serve(records(), { lateMs: 30_000 }),
    code: 'DNS_TIMEOUT',
    check: 'dns',
    message: /did not answer in time|was not answered within/,
    hint: /resolv\.conf/,
  },
  {
    fault: 'the resolver answers with an error',
    given: ({ resolver }) => resolver.serve(records(), 'servfail'),
    code: 'DNS_FAILED',
    check: 'dns',
    message: /answered with an error/,
    hint: /fdaa::3/,
  },
  {
    fault: 'the only machine is stopped',
    app: 'stopped-machine',
    code: 'DNS_NO_AAAA',
    check: 'dns',
    message: /no usable IPv6 address/,
    hint: /^the machine exists but is not started: fly machine list -a stopped-machine/,
  },
  {
    fault: 'the application is in another organisation',
    app: 'other-organisation',
    code: 'DNS_NOT_FOUND',
    check: 'dns',
    message: /does not exist/,
    hint: /^no app "other-organisation" in this organisation/,
  },
  {
    fault: 'the server listens on IPv4 only',
    app: 'ipv4-only',
    code: 'TCP_REFUSED',
    check: 'tcp',
    message: /refuses the connection/,
    hint: /listening on an IPv4 address only/,
  },
  {
    fault: 'the server listens on another address of its machine',
    app: 'other-address',
    code: 'TCP_REFUSED',
    check: 'tcp',
    message: /refuses the connection/,
    hint: /nothing listens there/,
  },
  {
    fault: 'no route to the address: the machine has moved, the name has not',
    app: 'gone-machine',
    code: 'TCP_UNREACHABLE',
    check: 'tcp',
    message: /cannot be reached from here/,
    hint: /route/,
  },
  {
    fault: "the link to the database's network is down",
    given: ({ network }) => network.down('db1'),
    code: 'TCP_UNREACHABLE',
    check: 'tcp',
    message: /cannot be reached from here/,
    hint: /route/,
  },
  {
    fault: "the database machine's own link is down",
    given: ({ network }) => network.unplug('db1'),
    code: 'TCP_TIMEOUT',
    check: 'tcp',
    message: /did not answer within 3000 ms/,
    hint: /stopped, moved/,
  },
  {
    fault: "the application's own link is down: not even the resolver can be reached",
    given: ({ network }) => network.unplug('app'),
    code: 'DNS_FAILED',
    check: 'dns',
    message: /could not be reached/,
    hint: /fdaa::3/,
  },
  {
    fault: 'every packet to the server is lost',
    given: ({ network }) => network.silence('db1'),
    code: 'TCP_TIMEOUT',
    check: 'tcp',
    message: /did not answer within 3000 ms/,
    hint: /stopped, moved/,
  },
  {
    fault: 'every packet is lost after the TCP handshake',
    given: async ({ network }) => {
      await network.bareSyn()
      await network.narrow('db1', BARE_SYN)
    },
    code: 'TLS_TIMEOUT',
    check: 'tls',
    message: /the server did not answer the SSLRequest within 3000 ms/,
    hint: /packets lost on the way$/,
  },
  {
    fault: "every packet is lost after the server's answer to the SSLRequest",
    given: ({ network }) => network.narrow('db1', SSL_REQUEST),
    code: 'TLS_TIMEOUT',
    check: 'tls',
    message: /the TLS handshake did not end within 3000 ms/,
    hint: /path-MTU hole if .* else the server hangs$/,
  },
  {
    fault: "a path-MTU hole: the server's certificates do not get through, small packets do",
    given: ({ network }) => network.narrow('db1', LEAST_MTU),
    code: 'TLS_TIMEOUT',
    check: 'tls',
    message: /the TLS handshake did not end within 3000 ms/,
    hint: /^small packets pass, the certificates do not: a path-MTU hole/,
  },
  {
    fault: 'the machine has moved, and the resolver still has the old address',
    app: 'moving-machine',
    given: ({ resolver }) => resolver.serve([records({ 'moving-machine': [NOWHERE] }), records()]),
    code: 'TCP_UNREACHABLE',
    check: 'tcp',
    message: /cannot be reached from here/,
    hint: /route/,
  },
  {
    fault: 'one of two machines is down, and every one is to be tried',
    app: 'small-certificate',
    args: ['--all-addresses'],
    given: async ({ network, resolver }) => {
      await resolver.serve(records({ 'small-certificate': [addressOf('db3'), addressOf('db2')] }))
      await network.unplug('db3')
    },
    code: 'TCP_TIMEOUT',
    check: 'every-address',
    message: new RegExp(`\\[${addressOf('db3')}\\]:26257 did not answer`),
    hint: /stopped, moved/,
  },
]
