/** The options of watch besides those of the probe. */
import { isIPv6 } from 'node:net'
import type { Flags, Values } from './command.ts'
import { LONGEST_SECONDS, numeric } from './probe-options.ts'
import { quoted, UsageError } from './usage.ts'

export const WATCH_FLAGS = {
  every: { type: 'string', value: 'SECONDS', does: 'from the beginning of one run to the next, at least 5 (60)' },
  listen: {
    type: 'string',
    value: '[ADDRESS]:PORT',
    does: 'where it serves: [::] is every address, :PORT alone is [::1]:PORT ([::1]:9464)',
  },
  host: {
    type: 'string',
    value: 'NAME',
    multiple: true,
    does: 'a name by which it may be asked for, besides its address; may be repeated',
  },
} as const satisfies Flags

/** What they say. */
export interface WatchArguments {
  readonly everyMs: number
  readonly listen: { readonly address: string; readonly port: number; readonly hosts: readonly string[] }
}

const DEFAULTS = { everySeconds: 60, address: '::1', port: 9464 } as const
const LEAST_SECONDS = 5

/**
 * The values of these options.
 * @throws UsageError
 */
export function watchArguments(flags: Values<typeof WATCH_FLAGS>): WatchArguments {
  const seconds = numeric(flags, 'every', LEAST_SECONDS, false, LONGEST_SECONDS) ?? DEFAULTS.everySeconds
  const { listen, host = [] } = flags
  const { address, port } = listen === undefined ? DEFAULTS : parseListen(listen)
  const bad = host.find(name => !isHost(name))
  if (bad !== undefined)
    throw new UsageError(`--host wants the name or the address of a Host header, without a port, not ${quoted(bad)}`)
  return { everyMs: Math.round(seconds * 1000), listen: { address, port, hosts: host } }
}

function parseListen(text: string): { address: string; port: number } {
  const [, address = DEFAULTS.address, digits = ''] = /^(?:\[([^[\]]*)\])?:(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === '' || port > 65535 || !isIPv6(address))
    throw new UsageError(
      `--listen wants [ADDRESS]:PORT with an IPv6 address in brackets, as in [::1]:9464 or [::]:9464, not ${quoted(text)}`,
    )
  return { address, port }
}

/** A name, or an address of either kind, with brackets or without. */
const isHost = (text: string): boolean =>
  /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?$/i.test(text) || isIPv6(text.replace(/^\[(.*)\]$/, '$1'))
