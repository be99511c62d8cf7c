/** What this host has of IPv6, by its own interfaces. */
import { networkInterfaces } from 'node:os'
import { isLinkLocal, needsZone, zoneOf } from '../settings/address.ts'

/** Whether any interface has an IPv6 address; where IPv6 is switched off not even the loopback has one. */
export const hasIPv6 = (): boolean =>
  Object.values(networkInterfaces()).some(addresses => addresses?.some(({ family }) => family === 'IPv6'))

/** What to do where it has none. */
export const IPV6_OFF =
  'IPv6 is switched off on this host, or no interface is up: ip -6 addr shows no address; sysctl net.ipv6.conf.all.disable_ipv6 must be 0 (a container gets IPv6 from its network)'

/** What to do about a link-local address. */
export const LINK_LOCAL =
  'a link-local address holds on one link only: let the name resolve to the private address (fdaa::…), or set hostaddr to it; where it must be fe80::…, %25eth0 behind it names an interface of ip -6 addr'

/**
 * What is wrong with a link-local address on this host; null if nothing is. The kernel refuses one without a zone
 * (EINVAL), but from Node 22 on libuv takes the first interface that has such an address, and so it does for a zone that
 * is no interface's name: a timeout, or a server that is another one's neighbour.
 */
export function zoneProblem(address: string): string | null {
  if (needsZone(address)) return 'is a link-local address without a zone, and cannot be reached'
  if (!isLinkLocal(address)) return null
  const zone = zoneOf(address)
  return zone in networkInterfaces() ? null : `has the zone ${zone}, which names no interface of this host that is up`
}
