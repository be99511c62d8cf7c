/**
 * What a server's alert says of the client certificate's key, which only we know.
 *
 * TLS 1.2   a curve that is none of the server's groups is answered with illegal_parameter (RFC 8422, 5.1.1; OpenSSL)
 * TLS 1.3   a key that fits none of the server's signature algorithms is not shown at all (RFC 8446, 4.4.2.3): the
 *           server says that it got no certificate, as it does where something in between ends TLS
 */
import { X509Certificate } from 'node:crypto'
import { ProbeError } from '../failure/error.ts'

/**
 * The failure of a handshake, or of what follows it, with what our key has to do with it.
 * @param cert the certificate that was to be shown, PEM; null: none
 */
export function aboutOurKey(error: ProbeError, cert: string | null): ProbeError {
  const { origin, code, cause } = error
  if (cert === null || origin?.kind !== 'tls' || !origin.keysExchanged) return error
  const isWrongCurve = origin.alert === 'illegal_parameter'
  if (!isWrongCurve && code !== 'TLS_CLIENT_REQUIRED') return error
  const key = keyOf(cert)
  if (isWrongCurve && key.curve !== null)
    return new ProbeError('TLS_CLIENT_REJECTED', `${error.message}: it does not take the client certificate's key`, {
      ...{ cause, origin, evidence: error.evidence },
      hint: `the server does not take the curve of the client certificate's key (${key.curve}): reissue it with P-256 or RSA, or add the curve there (PostgreSQL: ssl_ecdh_curve, ssl_groups from 18 on)`,
    })
  if (isWrongCurve || key.isUsual) return error
  return error.with({
    hint: `the server did not get our certificate: it takes no key of this kind (${key.name}; reissue it with P-256 or RSA), or something in between ends TLS (connect to the .internal name directly)`,
  })
}

interface Key {
  /** of an EC key */
  readonly curve: string | null
  readonly name: string
  /** a kind that every server takes */
  readonly isUsual: boolean
}

function keyOf(cert: string): Key {
  const { asymmetricKeyType = 'unknown', asymmetricKeyDetails } = new X509Certificate(cert).publicKey
  const curve = asymmetricKeyDetails?.namedCurve ?? null
  const isUsual = asymmetricKeyType === 'rsa' || curve === 'prime256v1'
  return { curve, name: [asymmetricKeyType, ...(curve ? [curve] : [])].join(' '), isUsual }
}
