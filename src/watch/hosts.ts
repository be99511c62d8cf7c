/**
 * The Host header. A page that somebody's browser has open can have its own name answer with our address (DNS rebinding),
 * and would then read what we serve: so only an address is served that the connection really came to, and names that
 * were given.
 */
import { isIPv6 } from 'node:net'

/** `Host: NAME`, `ADDRESS` or `[ADDRESS]`, each with `:PORT` or without (RFC 9110, 7.2). */
const HOST = /^(?:\[([^[\]]+)\]|([^[\]:]+))(?::\d{1,5})?$/

/** A name or an address in one spelling, without brackets and zone. */
export function oneSpelling(host: string): string {
  const text = host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/%.*$/s, '')
    .replace(/\.$/, '')
    .toLowerCase()
  if (!isIPv6(text)) return text
  const short = new URL(`http://[${text}]`).hostname.slice(1, -1)
  // An IPv4 client of a socket for both.
  const [, wrapped = short] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text) ?? []
  return wrapped
}

/**
 * Whether a request for this host is served.
 * @param host the header
 * @param local the address that the connection came to
 * @param names in one spelling
 */
export function isServed(host: string, local: string, names: ReadonlySet<string>): boolean {
  const [, address, name] = HOST.exec(host) ?? []
  const asked = address ?? name
  if (asked === undefined) return false
  const plain = oneSpelling(asked)
  return plain === oneSpelling(local) || names.has(plain)
}
