/**
 * Whether a certificate names a server (RFC 9525, section 6; libpq's verify-full).
 *
 * name         DNS SANs only; `*` stands for one whole left-most label: `*.internal` names `db.internal`, and
 *              neither `internal` nor `a.db.internal`; `f*.internal` and `*` name nothing
 * IP literal   IP SANs only, compared as bytes
 * CN           never, also where there is no SAN (RFC 9525, 2)
 *
 * `tls.checkServerIdentity` follows none of this: it takes `f*.internal` and the CN, refuses `*.internal`, and in some
 * releases of Node 22 and 24 refuses every IPv6 literal.
 */
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { namesOf } from '../settings/certificate.ts'

/** `rule` is what decided: the name in the certificate that matched, or the kind of which none did. */
export interface NameMatch {
  readonly matched: boolean
  readonly rule: string
}

/** Labels of letters, digits, `-` and `_`: whatever else a certificate holds (NUL, comma, quote) names nothing. */
const DNS_NAME = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i

/** Compares a host name (a dot at its end is dropped) or an IP literal without a zone. Never throws. */
export function matchServerName(certificate: X509Certificate, name: string): NameMatch {
  if (isIP(name)) {
    // checkIP throws for a zone, which no certificate can hold.
    const address = name.includes('%') ? undefined : certificate.checkIP(name)
    return address === undefined
      ? { matched: false, rule: 'no IP address' }
      : { matched: true, rule: `IP address ${address}` }
  }
  const wanted = name.replace(/\.$/, '')
  if (!DNS_NAME.test(wanted)) return { matched: false, rule: 'no DNS name' }
  // Whole names are OpenSSL's to compare. Its wildcards need two labels after the star, and take no `_`: those are ours.
  const whole = certificate.checkHost(wanted, { subject: 'never', wildcards: false })
  if (whole !== undefined) return { matched: true, rule: `DNS name ${whole}` }
  const wildcard = namesOf(certificate).dns.find(pattern => wildcardMatches(pattern, wanted))
  return wildcard === undefined
    ? { matched: false, rule: 'no DNS name' }
    : { matched: true, rule: `wildcard ${wildcard}` }
}

/** RFC 9525, 6.3: the star is the whole left-most label, and stands for exactly one. */
function wildcardMatches(pattern: string, name: string): boolean {
  const [, parent = ''] = /^\*\.(.*)$/s.exec(pattern) ?? []
  const [, above] = /^[^.]+\.(.+)$/.exec(name) ?? []
  return DNS_NAME.test(parent) && parent.toLowerCase() === above?.toLowerCase()
}
