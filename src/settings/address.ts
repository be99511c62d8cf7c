/**
 * IP addresses in every notation that getaddrinfo takes for one. Compared are bytes, never texts: `::ffff:127.0.0.1`,
 * `::FFFF:7f00:1` and `0:0:0:0:0:ffff:7f00:1` are one address.
 */
import { isIPv6 } from 'node:net'

/** The 16 bytes of an IPv6 literal (a zone id such as `%eth0` is ignored, brackets are not); null if it is none. */
export function ipv6Bytes(address: string): Uint8Array | null {
  if (!isIPv6(address) || !/^[^%]*(%[\w.:-]+)?$/.test(address)) return null
  const text = withoutZone(address)
  const colon = text.lastIndexOf(':')
  const tail = text.slice(colon + 1)
  const bytes = (tail.includes('.') ? dottedQuad(tail) : null) ?? []
  const [head = '', rest] = (bytes.length > 0 ? text.slice(0, colon + 1).replace(/([^:]):$/, '$1') : text).split('::')
  const left = groups(head)
  const right = [...groups(rest ?? ''), ...bytes]
  return Uint8Array.from([...left, ...new Array<number>(16 - left.length - right.length).fill(0), ...right])
}

const groups = (text: string): number[] =>
  text === ''
    ? []
    : text.split(':').flatMap(group => {
        const value = Number.parseInt(group, 16)
        return [value >> 8, value & 0xff]
      })

const dottedQuad = (text: string): number[] => text.split('.').map(Number)

/** A literal without its zone id: `fe80::1%eth0` → `fe80::1`. */
export const withoutZone = (address: string): string => address.replace(/%.*$/s, '')

/** Prefixes of /96 whose addresses only wrap IPv4: mapped (RFC 4291 2.5.5.2) and NAT64 (RFC 6052 2.1). */
const WRAPPERS = [
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
  [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
] as const

/** Whether an IPv6 literal only wraps an IPv4 address (::ffff:0:0/96, 64:ff9b::/96), however it is written. */
export function isWrappedIPv4(address: string): boolean {
  const bytes = ipv6Bytes(address)
  return bytes !== null && WRAPPERS.some(prefix => prefix.every((byte, index) => bytes[index] === byte))
}

/** Whether an IPv6 literal is a link-local one (fe80::/10) without a zone id: it means another machine on each link. */
export function needsZone(address: string): boolean {
  const [first = 0, second = 0] = ipv6Bytes(address) ?? []
  return first === 0xfe && (second & 0xc0) === 0x80 && !address.includes('%')
}

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
