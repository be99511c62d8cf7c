/**
 * IP addresses in every notation that getaddrinfo takes for one. Node compares them by their bytes, never as texts:
 * `::ffff:127.0.0.1`, `::FFFF:7f00:1` and `0:0:0:0:0:ffff:7f00:1` are one address.
 */
import { BlockList, isIPv6 } from 'node:net'

/** Whether a text is an IPv6 literal, with a zone id such as `%eth0` or without; brackets are not part of it. */
export const isIPv6Literal = (text: string): boolean => isIPv6(text) && /^[^%]*(%[\w.:-]+)?$/.test(text)

/** A literal without its zone id: `fe80::1%eth0` → `fe80::1`. */
export const withoutZone = (address: string): string => address.replace(/%.*$/s, '')

/** Addresses that only wrap IPv4 ones: mapped (RFC 4291 2.5.5.2) and NAT64 (RFC 6052 2.1). */
const WRAPPERS = new BlockList()
WRAPPERS.addSubnet('::ffff:0:0', 96, 'ipv6')
WRAPPERS.addSubnet('64:ff9b::', 96, 'ipv6')

/** Whether an IPv6 literal only wraps an IPv4 address, however it is written. */
export const isWrappedIPv4 = (address: string): boolean => WRAPPERS.check(address, 'ipv6')

/** Whether two IPv6 literals are one address, however each is written; zone ids count. */
export function sameAddress(one: string, other: string): boolean {
  if (!isIPv6(one) || !isIPv6(other) || zoneOf(one) !== zoneOf(other)) return false
  const list = new BlockList()
  list.addAddress(withoutZone(one), 'ipv6')
  return list.check(withoutZone(other), 'ipv6')
}

const LINK_LOCAL = new BlockList()
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6')

/** Whether an IPv6 literal, with a zone id or without, is a link-local one. */
export const isLinkLocal = (address: string): boolean => LINK_LOCAL.check(withoutZone(address), 'ipv6')

/** Whether an IPv6 literal is a link-local one without a zone id: it means another machine on each link. */
export const needsZone = (address: string): boolean => !address.includes('%') && isLinkLocal(address)

/** The zone id of a literal, '' where it has none: `fe80::1%eth0` → `eth0`. */
export const zoneOf = (address: string): string => address.slice(withoutZone(address).length + 1)

/**
 * Whether getaddrinfo takes a text for an IPv4 address without asking DNS: one to four numbers, each decimal, octal
 * or hexadecimal, the last one filling the bytes that are left (inet_aton(3)): `127.0.0.1`, `127.1`, `0x7f000001`,
 * `017700000001`, `2130706433`. A trailing dot does not make it a name.
 */
export function isIPv4Notation(text: string): boolean {
  const parts = text.replace(/\.$/, '').split('.')
  if (parts.length > 4) return false
  const values = parts.map(part => {
    if (/^0x[0-9a-f]*$/i.test(part)) return Number.parseInt(part.slice(2) || '0', 16)
    if (/^0[0-7]*$/.test(part)) return Number.parseInt(part, 8)
    return /^[1-9][0-9]*$/.test(part) ? Number(part) : Number.NaN
  })
  const last = values.pop() ?? Number.NaN
  return values.every(value => value <= 0xff) && last < 256 ** (4 - values.length)
}

/** Whether a text is a name that DNS can be asked for: letters, digits, `-`, `_`, dots, at most 253 (RFC 1035 2.3.4). */
export function isHostName(text: string): boolean {
  const labels = text.replace(/\.$/, '').split('.')
  const numericEnd = /^(0x[0-9a-f]*|[0-9]+)$/i.test(labels.at(-1) ?? '')
  return (
    text.length <= 253 &&
    !numericEnd &&
    labels.every(label => label.length <= 63 && /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/i.test(label))
  )
}
