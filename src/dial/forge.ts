/** A client certificate that no CA has signed: ours, its signature broken. What takes it verifies no chain. */
import { pemBlocks } from '../settings/pem.ts'

/**
 * The same chain, and in the certificate that stands first (the client's own) one bit of the CA's signature changed.
 * Everything else is as it was, the public key too, so that our own key still fits it.
 * @param chain PEM, the client's certificate first, then its intermediates
 */
export function withBrokenSignature(chain: string): string {
  const [leaf] = pemBlocks(chain).blocks.filter(({ label }) => label === 'CERTIFICATE')
  if (!leaf) throw new Error('a chain without a certificate')
  const der = Buffer.from(leaf.text.replace(/-----[^-]+-----/g, ''), 'base64')
  // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue } (RFC 5280, 4.1): it ends in it.
  der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1)
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  const forged = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
  return chain.replace(leaf.text, () => forged)
}
