/** A private key that a setting holds or points to: read, and what is wrong with it alone. */
import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { Code } from '../failure/codes.ts'
import type { Problem } from '../failure/error.ts'
import { GIVE, notPem, type Wrong } from './der.ts'
import { type Pem, type PemFile, pemBlocks, problem } from './pem.ts'

/**
 * libpq's rule for the key's file (fe-secure-openssl.c, manual 34.19): 0600 or less, or 0640 or less when root owns it.
 * @returns whether the permissions are too wide
 */
const isKeyTooOpen = ({ mode, uid }: Pick<PemFile, 'mode' | 'uid'>): boolean =>
  (mode & (uid === 0 ? 0o037 : 0o077)) !== 0

/** A private key as text and object; null, and problems, if it cannot be used. */
export function loadKey(pem: Pem, problems: Problem[]): { text: string; object: KeyObject } | null {
  const complain = (code: Code, wrong: Wrong) => void problems.push(problem(pem, code, wrong))
  if (pem.file && isKeyTooOpen(pem.file)) {
    const mode = pem.file.mode.toString(8).padStart(4, '0')
    const message = `has permissions ${mode}: more than 0600, or 0640 for a file that root owns`
    complain('KEY_PERMISSIONS', { message })
  }
  const { blocks } = pemBlocks(pem.text)
  const block = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'))
  if (!block) {
    complain(...insteadOfKey(pem, blocks[0]?.label))
    return null
  }
  if (block.label === 'OPENSSH PRIVATE KEY') {
    const message = 'holds a private key in the form of OpenSSH'
    complain('CERT_INVALID', { message, hint: 'ssh-keygen -p -m PKCS8 -f FILE' })
    return null
  }
  if (block.label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type:.*ENCRYPTED/m.test(block.text)) {
    complain('KEY_ENCRYPTED', { message: 'is encrypted: nobody is there to type the passphrase' })
    return null
  }
  try {
    return { text: block.text, object: createPrivateKey(block.text) }
  } catch {
    complain('CERT_INVALID', {
      message: 'holds a private key that is garbage or of an unknown kind',
      hint: LOOK_AT_KEY,
    })
    return null
  }
}

/** What a text without a private key holds. */
function insteadOfKey({ binary }: Pem, label: string | undefined): [code: Code, wrong: Wrong] {
  if (binary) {
    const code = binary.kind === 'encrypted private key' ? 'KEY_ENCRYPTED' : 'CERT_INVALID'
    const wrong = notPem(binary.kind, binary.form, 'private key')
    return [code, { ...wrong, hint: wrong.hint ?? LOOK_AT_KEY }]
  }
  return [
    'CERT_INVALID',
    label === 'CERTIFICATE'
      ? { message: 'holds a certificate where a private key is expected', hint: GIVE['private key'] }
      : { message: 'holds no private key', hint: LOOK_AT_KEY },
  ]
}

const LOOK_AT_KEY = 'look at what the setting really holds: openssl pkey -in FILE -noout'
