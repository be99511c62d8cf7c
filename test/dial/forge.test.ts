/** A certificate whose signature is broken, and nothing else about it. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { expect, it } from 'vitest'
import { createAuthority } from '../../src/development/throwaway/authority.ts'
import { withBrokenSignature } from '../../src/dial/forge.ts'
import { parseCertificates } from '../../src/settings/certificate.ts'

it.each(['root', 'intermediate'])('of a certificate issued by the %s: the leaf alone, by one bit', async issuer => {
  const root = await createAuthority({ name: 'root' })
  const authority = issuer === 'root' ? root : await root.issueIntermediate({ name: 'middle' })
  const { chain, key } = await authority.issue({ commonName: 'gateway_writer', usages: ['clientAuth'] })
  const ca = new X509Certificate(authority.certificate)
  const [own, ...above] = parseCertificates(chain).certificates
  const [forged, ...rest] = parseCertificates(withBrokenSignature(chain)).certificates
  expect([own?.verify(ca.publicKey), forged?.verify(ca.publicKey)]).toEqual([true, false])
  expect([forged?.checkIssued(ca), forged?.checkPrivateKey(createPrivateKey(key))]).toEqual([true, true])
  expect(forged?.subject).toBe(own?.subject)
  // The signature stands last: all that is signed is as it was.
  expect(forged?.raw.subarray(0, -1)).toEqual(own?.raw.subarray(0, -1))
  expect((forged?.raw.at(-1) ?? 0) ^ (own?.raw.at(-1) ?? 0)).toBe(1)
  expect(rest.map(one => one.toString())).toEqual(above.map(one => one.toString()))
  expect(rest).toHaveLength(issuer === 'root' ? 0 : 1)
  expect(() => createSecureContext({ cert: withBrokenSignature(chain), key })).not.toThrow()
})
