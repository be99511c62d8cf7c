/** Which certificates name which servers: certificates that vary in their names only. */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { beforeAll, expect, test } from 'vitest'
import { type Authority, createAuthority, type IssueOptions } from '../../src/development/throwaway/authority.ts'
import { matchServerName } from '../../src/dial/server-name.ts'

let authority: Authority
beforeAll(async () => {
  authority = await createAuthority({ name: 'CA' })
})

const match = async (options: Partial<IssueOptions>, name: string) => {
  const { certificate } = await authority.issue({ commonName: 'node', ...options })
  return matchServerName(new X509Certificate(certificate), name)
}
const dns = (...dnsNames: string[]): Partial<IssueOptions> => ({ dnsNames })
const ip = (...ipAddresses: string[]): Partial<IssueOptions> => ({ ipAddresses })

const matches: readonly (readonly [Partial<IssueOptions>, string, string])[] = [
  [dns('db.internal'), 'db.internal', 'DNS name db.internal'],
  [dns('DB.Internal'), 'db.iNTERNAL', 'DNS name DB.Internal'],
  [dns('other', 'db.internal'), 'db.internal', 'DNS name db.internal'],
  [dns('db.internal'), 'db.internal.', 'DNS name db.internal'],
  [dns('localhost'), 'localhost', 'DNS name localhost'],
  [dns('my_db.internal'), 'my_db.internal', 'DNS name my_db.internal'],
  [dns('*.internal'), 'db.internal', 'wildcard *.internal'],
  [dns('*.Internal'), 'DB.internal', 'wildcard *.Internal'],
  [dns('*.db.internal'), 'a.db.internal', 'wildcard *.db.internal'],
  [dns('*.my_db.internal'), 'a_b.my_db.internal', 'wildcard *.my_db.internal'],
  [dns('*.xn--bcher-kva.internal'), 'a.xn--bcher-kva.internal', 'wildcard *.xn--bcher-kva.internal'],
  [dns('*.internal', 'db.internal'), 'db.internal', 'DNS name db.internal'],
  [dns('f*.internal', '*.internal'), 'foo.internal', 'wildcard *.internal'],
  [ip('::1'), '::1', 'IP address ::1'],
  [ip('fdaa:0:1::3'), 'FDAA:0000:1::3', 'IP address FDAA:0000:1::3'],
  [ip('10.0.0.1'), '10.0.0.1', 'IP address 10.0.0.1'],
  [{ ...dns('localhost'), ...ip('::2', '::1') }, '::1', 'IP address ::1'],
]
test.each(matches)('%j names %s', async (options, name, rule) => {
  expect(await match(options, name)).toEqual({ matched: true, rule })
})

const refused: readonly (readonly [Partial<IssueOptions>, string])[] = [
  [dns('other.internal'), 'db.internal'],
  [dns('internal'), 'db.internal'],
  [dns('db.internal'), 'internal'],
  [dns('db.internal.'), 'db.internal'],
  [dns('*.internal'), 'internal'],
  [dns('*.internal'), '.internal'],
  [dns('*.internal'), 'a.db.internal'],
  [dns('*.db.internal'), 'a.b.db.internal'],
  [dns('*.db.internal'), 'db.internal'],
  [dns('*.db.internal'), '.db.internal'],
  [dns('.db.internal'), 'a.db.internal'],
  [dns('db.internal'), '.internal'],
  [dns('f*.db.internal'), 'foo.db.internal'],
  [dns('*f.db.internal'), 'of.db.internal'],
  [dns('f*o.db.internal'), 'foo.db.internal'],
  [dns('**.internal'), 'db.internal'],
  [dns('xn--*.internal'), 'xn--db.internal'],
  [dns('a.*.internal'), 'a.db.internal'],
  [dns('*.*.internal'), 'a.db.internal'],
  [dns('*'), 'db'],
  [dns('*'), 'db.internal'],
  [dns('*.'), 'db'],
  [dns('*.internal'), '*.internal.x'],
  [dns('*.internal'), ''],
  [dns('*.internal'), '.'],
  // the names of a certificate are texts with a length: nothing inside one begins another, or ends it
  [dns('db.internal\0.evil.example'), 'db.internal'],
  [dns('*.internal\0.evil.example'), 'db.internal'],
  [dns('x, DNS:db.internal'), 'db.internal'],
  [dns('x, DNS:*.internal'), 'db.internal'],
  [dns('x", DNS:*.internal, DNS:"'), 'db.internal'],
  [dns('x\n*.internal'), 'db.internal'],
  [dns('db.internal'), 'db.internal\0.evil.example'],
  // the Kelvin sign, whose lower case is k
  [dns('*.link'), 'db.lin\u212a'],
  // the other kind of name
  [dns('::1', '10.0.0.1'), '::1'],
  [dns('::1', '10.0.0.1'), '10.0.0.1'],
  [dns('*.0.0.1'), '10.0.0.1'],
  [ip('::1'), '::2'],
  [ip('fe80::1'), 'fe80::1%eth0'],
  [ip('10.0.0.1'), '::ffff:10.0.0.1'],
  // the common name
  [{ commonName: 'db.internal' }, 'db.internal'],
  [{ commonName: 'db.internal', ...dns('x.internal') }, 'db.internal'],
  [{ commonName: 'db.internal', ...ip('::1') }, 'db.internal'],
  [{ commonName: '*.internal' }, 'db.internal'],
  [{ commonName: '::1' }, '::1'],
]
test.each(refused)('%j does not name %s', async (options, name) => {
  expect(await match(options, name)).toEqual({ matched: false, rule: isIP(name) ? 'no IP address' : 'no DNS name' })
})
