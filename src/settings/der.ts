/**
 * What a DER file holds (X.690), told by its outermost fields; nothing is decoded further.
 *
 * certificate             SEQUENCE { SEQUENCE { [0] version or INTEGER serialNumber, … }, … }      RFC 5280, 4.1
 * private key             SEQUENCE { INTEGER 0 or 1, … }: PKCS #8, PKCS #1, SEC 1
 * encrypted private key   SEQUENCE { SEQUENCE { OID, … }, OCTET STRING }                           RFC 5958, 3
 * PKCS #12                SEQUENCE { INTEGER 3, … }                                                RFC 7292, 4
 * PKCS #7                 SEQUENCE { OID 1.2.840.113549.1.7.2, … }                                 RFC 2315, 7
 */

export type DerKind = 'certificate' | 'private key' | 'encrypted private key' | 'PKCS #12' | 'PKCS #7' | 'other'

const SEQUENCE = 0x30
const INTEGER = 0x02
const OCTET_STRING = 0x04
const OID = 0x06
const VERSION = 0xa0
const SIGNED_DATA = '2a864886f70d010702'

interface Field {
  readonly tag: number
  /** where its content begins and ends */
  readonly from: number
  readonly to: number
}

/** The field at an offset; null where there is none that ends inside. */
function fieldAt(bytes: Buffer, at: number): Field | null {
  const [tag, first] = [bytes[at], bytes[at + 1]]
  if (tag === undefined || first === undefined) return null
  const size = first < 0x80 ? 0 : first & 0x7f
  if (size > 4 || at + 2 + size > bytes.length) return null
  const length = size === 0 ? first & 0x7f : bytes.readUIntBE(at + 2, size)
  const from = at + 2 + size
  return from + length <= bytes.length ? { tag, from, to: from + length } : null
}

/** What these bytes are; null where they are no DER of one SEQUENCE. */
export function derKind(bytes: Buffer): DerKind | null {
  const whole = fieldAt(bytes, 0)
  if (whole?.tag !== SEQUENCE || whole.to !== bytes.length) return null
  const first = fieldAt(bytes, whole.from)
  if (first?.tag === INTEGER) {
    const version = bytes.subarray(first.from, first.to).toString('hex')
    if (version === '03') return 'PKCS #12'
    return version === '00' || version === '01' ? 'private key' : 'other'
  }
  if (first?.tag === OID) return bytes.toString('hex', first.from, first.to) === SIGNED_DATA ? 'PKCS #7' : 'other'
  if (first?.tag !== SEQUENCE) return 'other'
  const inner = fieldAt(bytes, first.from)?.tag
  if (inner === OID && fieldAt(bytes, first.to)?.tag === OCTET_STRING) return 'encrypted private key'
  return inner === VERSION || inner === INTEGER ? 'certificate' : 'other'
}

/** What PEM text is without its first and last line: what its base64 holds; null where it is something else. */
export const bareBase64Kind = (text: string): DerKind | null =>
  /^[A-Za-z0-9+/\s]{40,}={0,2}\s*$/.test(text) ? derKind(Buffer.from(text, 'base64')) : null

/** What to do about a PEM text that lacks its line breaks, or its first and last line, or is cut off. */
export const AGAIN = {
  hint: 'set it again from the file, in double quotes: "$(cat FILE)"',
  fileHint: 'copy that file again, whole: each block from its line -----BEGIN to its line -----END',
} as const

/** What to do where one of the two stands in the place of the other. */
export const GIVE = {
  certificate: 'give the certificate here; a key has a setting of its own',
  'private key': 'give the key here: client.{user}.key',
} as const

const CERTIFICATE_COMMANDS: Partial<Record<DerKind, string>> = {
  certificate: 'openssl x509 -inform DER -in FILE -out NEWFILE',
  'PKCS #12': 'openssl pkcs12 -in FILE -nokeys -out NEWFILE',
  'PKCS #7': 'openssl pkcs7 -inform DER -in FILE -print_certs -out NEWFILE',
}

const KEY_COMMANDS: Partial<Record<DerKind, string>> = {
  'private key': 'openssl pkey -inform DER -in FILE -out NEWFILE',
  'encrypted private key': 'openssl pkcs8 -inform DER -in FILE -out NEWFILE',
  'PKCS #12': 'openssl pkcs12 -in FILE -nocerts -nodes -out NEWFILE',
}

/** What is wrong with what a setting holds, and what to do where that is more than the code's own next step. */
export interface Wrong {
  readonly message: string
  readonly hint?: string | undefined
  /** the same where the setting names the file that holds it */
  readonly fileHint?: string | undefined
}

/** What is wrong with DER, or bare base64, where PEM with a certificate or a key is expected. */
export function notPem(kind: DerKind, form: 'DER' | 'base64', expected: 'certificate' | 'private key'): Wrong {
  const command = (expected === 'certificate' ? CERTIFICATE_COMMANDS : KEY_COMMANDS)[kind]
  const what = kind === 'other' ? `no ${expected}` : kind.startsWith('PKCS') ? kind : `${article(kind)} ${kind}`
  if (command === undefined) {
    const message = `holds ${what} in ${form} where a ${expected} is expected`
    return { message, hint: kind === 'other' ? undefined : GIVE[expected] }
  }
  if (form === 'DER') return { message: `holds ${what} and is DER, not PEM`, hint: command }
  if (kind.startsWith('PKCS')) {
    const decoded = command.replace('-in FILE', '-in NEWFILE.der')
    return { message: `holds base64 of ${what}, not PEM`, hint: `base64 -d FILE > NEWFILE.der && ${decoded}` }
  }
  return { message: `holds base64 of ${what} without its lines -----BEGIN …----- and -----END …-----`, ...AGAIN }
}

const article = (kind: DerKind): string => (kind.startsWith('e') ? 'an' : 'a')
