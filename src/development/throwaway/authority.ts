/**
 * A certificate authority made at run time: for the throwaway server, and for every certificate that a fault needs.
 *
 * leaf          a certificate that `issue` made: server, client, or a deliberately wrong one
 * chain         a certificate followed by the intermediates above it, the root left out: what a server sends
 * usages        the extended key usages; `null` = no such extension, `[]` is not a certificate
 */
import type { webcrypto } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { type KeyAlgorithm, loadX509, makeKeys, pemOfKey, signatureOf } from './keys.ts'

export type { KeyAlgorithm } from './keys.ts'

/** A certificate and its key, in PEM; `key` is PKCS#8. */
export interface Issued {
  readonly certificate: string
  readonly key: string
  /** the certificate followed by its intermediates; the same as `certificate` below a root */
  readonly chain: string
}

/** When a certificate is valid (default: from an hour ago, for the issuer's span) and what its key is. */
export interface Validity {
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** default ECDSA P-256 */
  readonly keyAlgorithm?: KeyAlgorithm
  /** what its issuer signs it with; default SHA-256 */
  readonly hash?: 'SHA-1'
}

interface AuthorityOptions extends Validity {
  /** the CA's common name */
  readonly name: string
  /** what its leaves may be for; left out by default */
  readonly usages?: readonly Usage[]
}

export interface IssueOptions extends Validity {
  /** '': an empty subject */
  readonly commonName: string
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly emails?: readonly string[]
  /** default both; `null` leaves the extension out */
  readonly usages?: readonly Usage[] | null
}

/** `stepUp` is Netscape's Server Gated Cryptography, which OpenSSL still takes for serverAuth. */
export type Usage = 'serverAuth' | 'clientAuth' | 'stepUp'

/** A CA: a root, or an intermediate below one. */
export interface Authority extends Issued {
  readonly name: string
  issue(options: IssueOptions): Promise<Issued>
  /** A CA below this one. Its leaves carry it in `chain`; a server that sends `certificate` alone forgets it. */
  issueIntermediate(options: AuthorityOptions): Promise<Authority>
}

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** days from now; the leaves' lifetime must be shorter than the CA's (CockroachDB refuses it otherwise) */
const LIFETIME = { authority: 3650 * DAY, intermediate: 3000 * DAY, leaf: 365 * DAY } as const

/** RFC 5280, 4.2.1.12; the last one is Netscape's */
const USAGE_OID = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  stepUp: '2.16.840.1.113730.4.1',
} as const satisfies Record<Usage, string>

/** A self-signed root CA. Two of the same name are still two authorities: each has a key of its own. */
export async function createAuthority(options: AuthorityOptions): Promise<Authority> {
  const keys = await makeKeys(options.keyAlgorithm)
  const self: Issuer = { name: options.name, keys, chain: '' }
  const certificate = await sign(self, keys, {
    ...options,
    commonName: options.name,
    authority: true,
    lifetime: LIFETIME.authority,
  })
  return authorityOf(self, certificate, certificate)
}

interface Issuer {
  readonly name: string
  readonly keys: webcrypto.CryptoKeyPair
  /** what leaves append to themselves: '' for a root */
  readonly chain: string
}

async function authorityOf(issuer: Issuer, certificate: string, chain: string): Promise<Authority> {
  return {
    name: issuer.name,
    certificate,
    chain,
    key: await pemOfKey(issuer.keys.privateKey),
    async issue(options) {
      const keys = await makeKeys(options.keyAlgorithm)
      const leaf = await sign(issuer, keys, { ...options, authority: false, lifetime: LIFETIME.leaf })
      return { certificate: leaf, key: await pemOfKey(keys.privateKey), chain: leaf + issuer.chain }
    },
    async issueIntermediate(options) {
      const keys = await makeKeys(options.keyAlgorithm)
      const request = { ...options, commonName: options.name, authority: true, lifetime: LIFETIME.intermediate }
      const intermediate = await sign(issuer, keys, request)
      const chain = intermediate + issuer.chain
      return authorityOf({ name: options.name, keys, chain }, intermediate, chain)
    },
  }
}

interface Request extends IssueOptions {
  readonly authority: boolean
  /** ms from now, where `notAfter` is not given */
  readonly lifetime: number
}

async function sign(issuer: Issuer, keys: webcrypto.CryptoKeyPair, request: Request): Promise<string> {
  const x509 = await loadX509()
  const { KeyUsageFlags } = x509
  const { usages = request.authority ? null : (['serverAuth', 'clientAuth'] as const) } = request
  const names = [
    ...(request.dnsNames ?? []).map(value => ({ type: 'dns' as const, value })),
    ...(request.ipAddresses ?? []).map(value => ({ type: 'ip' as const, value: plainIp(value) })),
    ...(request.emails ?? []).map(value => ({ type: 'email' as const, value })),
  ]
  const extensions: InstanceType<typeof x509.Extension>[] = [
    await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey),
    new x509.BasicConstraintsExtension(request.authority, undefined, true),
    request.authority
      ? new x509.KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)
      : new x509.KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
  ]
  if (usages !== null) extensions.push(new x509.ExtendedKeyUsageExtension(usages.map(usage => USAGE_OID[usage])))
  if (names.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(names))
  const certificate = await x509.X509CertificateGenerator.create({
    subject: request.commonName === '' ? [] : [{ O: ['connection-probe'] }, { CN: [request.commonName] }],
    issuer: [{ O: ['connection-probe'] }, { CN: [issuer.name] }],
    notBefore: request.notBefore ?? new Date(Date.now() - HOUR),
    notAfter: request.notAfter ?? new Date(Date.now() + request.lifetime),
    publicKey: keys.publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: signatureOf(issuer.keys.privateKey, request.hash),
    extensions,
  })
  return `${certificate.toString('pem')}\n`
}

/** Without a zone (`fe80::1%eth0`) and in one spelling. */
function plainIp(address: string): string {
  const plain = address.replace(/%.*$/, '')
  return isIPv6(plain) ? new URL(`http://[${plain}]`).hostname.slice(1, -1) : plain
}
