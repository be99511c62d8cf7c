/** Keys and signatures for authority.ts, in WebCrypto's words. */
import { webcrypto } from 'node:crypto'

/** The algorithms a certificate may be made with. */
export type KeyAlgorithm = 'ECDSA P-256' | 'ECDSA P-384' | 'ECDSA P-521' | 'RSA 2048' | 'RSA 3072' | 'Ed25519'

const rsa = (modulusLength: number) => ({
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength,
  publicExponent: new Uint8Array([1, 0, 1]), // 65537
})

const PARAMETERS = {
  'ECDSA P-256': { name: 'ECDSA', namedCurve: 'P-256' },
  'ECDSA P-384': { name: 'ECDSA', namedCurve: 'P-384' },
  'ECDSA P-521': { name: 'ECDSA', namedCurve: 'P-521' },
  'RSA 2048': rsa(2048),
  'RSA 3072': rsa(3072),
  Ed25519: { name: 'Ed25519' },
} as const satisfies Record<KeyAlgorithm, object>

/** A new key pair; RSA takes a few hundred ms, the others a few. */
export async function makeKeys(algorithm: KeyAlgorithm = 'ECDSA P-256'): Promise<webcrypto.CryptoKeyPair> {
  const keys = await webcrypto.subtle.generateKey(PARAMETERS[algorithm], true, ['sign', 'verify'])
  return keys as webcrypto.CryptoKeyPair
}

/** How this key signs: with SHA-256 unless another hash is asked for, except Ed25519, which has a hash of its own. */
export function signatureOf(
  key: webcrypto.CryptoKey,
  hash = 'SHA-256',
): { name: string; hash: string } | { name: string } {
  const { name } = key.algorithm
  return name === 'Ed25519' ? { name } : { name, hash }
}

/** The private key as PKCS#8 in PEM. */
export async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  const base64 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${base64.replace(/.{64}(?=.)/g, '$&\n')}\n-----END PRIVATE KEY-----\n`
}

/**
 * @peculiar/x509, loaded at first use (0.2 s). Its dependency injection asks for the metadata proposal of `Reflect`
 * at import, though nothing of what we use keeps metadata; these stand-ins spare a dependency.
 */
export async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  if (!('getMetadata' in Reflect)) {
    const nothing = () => undefined
    const decorator = () => () => undefined
    Object.assign(Reflect, {
      getMetadata: nothing,
      getOwnMetadata: nothing,
      defineMetadata: nothing,
      metadata: decorator,
    })
  }
  return import('@peculiar/x509')
}
