/** The next steps of wrong settings: right for whose settings they are, whole, and without secrets. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { witnessChecksFor } from '../../src/checks/witness/index.ts'
import { createAuthority } from '../../src/development/throwaway/authority.ts'
import { withValues } from '../../src/report/evidence.ts'
import { refusedJson, refusedText } from '../../src/report/migration.ts'
import { checkCertsDir } from '../../src/settings/certs-dir.ts'
import { loadConfig } from '../../src/settings/config.ts'

/** As DER of a key begins. */
const SECRET = 'MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCTupGctf35'

function refused(env: NodeJS.ProcessEnv, role: 'writer' | 'admin' = 'writer') {
  const loaded = loadConfig({ role, env })
  if (loaded.ok) throw new Error('these settings were taken')
  return { failure: loaded.error.toFailure(), target: loaded.target }
}

test('no next step has a URL of a target that was not meant: not one with parts that are missing or were not understood', () => {
  const urls = [
    'ecto://bob:pw@other.example/mydb',
    'postgresql://bob:p@ss@other.example/mydb',
    'postgresql://u:pw@a.internal,b.internal:1234/d?sslrootcert=a&sslcert=b&sslkey=c',
    'postgresql://a%40b:pw@[fe80::1%25eth0]:26257/my%2Fdb',
    'postgresql://db.internal',
  ]
  for (const url of urls) {
    const { failure, target } = refused({ DATABASE_URL: url })
    for (const { hint } of withValues(failure, target).causes)
      expect(hint).not.toMatch(/postgresql:(?!\/\/USER@HOST:26257\/DATABASE\?sslmode=verify-full)/)
  }
})

test('what stands in a file is mended in the file, what stands in a variable in the variable', () => {
  const dir = mkdtempSync(join(tmpdir(), 'next-steps-'))
  try {
    const file = join(dir, 'ca.crt')
    const hintFor = (text: string, inFile: boolean) => {
      writeFileSync(file, text)
      const { failure } = refused({
        DATABASE_URL: 'postgresql://u@h/d',
        ...(inFile
          ? { CRDB_CA_CERT: file, CRDB_CLIENT_CERT: file, CRDB_CLIENT_KEY: file }
          : { CRDB_CA_CRT: text, CRDB_CLIENT_WRITER_CRT: text, CRDB_CLIENT_WRITER_KEY: text }),
      })
      return failure.causes[0]?.hint
    }
    const cut = '-----BEGIN CERTIFICATE-----\nMIIB'
    expect([hintFor(cut, true), hintFor(cut, false)]).toEqual([
      expect.stringMatching(/^copy that file again/),
      expect.stringMatching(/^set it again from the file, in double quotes/),
    ])
    expect([hintFor('/etc/ca.crt', true), hintFor('/etc/ca.crt', false)]).toEqual([
      'give the path that stands in that file',
      expect.stringMatching(/^give the text of the file here/),
    ])
    const pkcs12 = Buffer.concat([Buffer.of(0x30, 0x32, 2, 1, 3, 0x30, 0x2d), Buffer.alloc(45)]).toString('base64')
    expect(hintFor(pkcs12, false)).toBe(
      'base64 -d FILE > NEWFILE.der && openssl pkcs12 -in NEWFILE.der -nokeys -out NEWFILE',
    )
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test("migrate is told the administrator's files, and shows no secret", () => {
  const nothing = refused({}, 'admin')
  expect(refusedText(nothing.failure, nothing.target)).toContain('client.gateway_admin.key')
  const secret = refused({ MIGRATION_DATABASE_URL: `postgresql://${SECRET}@db.internal/uro` }, 'admin')
  expect(refusedJson({ program: 'x', status: false, ...secret })).not.toContain(SECRET)
})

test('a witness does not name what is a key by mistake', () => {
  expect(witnessChecksFor(null, SECRET).map(({ title }) => title)).not.toContainEqual(expect.stringContaining(SECRET))
})

test('a file is to be copied again, and certs:check names the user', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'next-steps-'))
  try {
    const { certificate } = await createAuthority({ name: 'CA' })
    writeFileSync(join(dir, 'ca.crt'), certificate.slice(0, 300))
    writeFileSync(join(dir, 'client.alice.crt'), certificate)
    writeFileSync(join(dir, 'client.alice.key'), certificate, { mode: 0o600 })
    const { text } = checkCertsDir(dir)
    expect(text).toContain('give the key here: client.alice.key')
    expect(text).toContain('ca.crt holds text that is no whole PEM block: copy that file again')
    expect(text).not.toMatch(/\{\w+\}|\$\(cat/)
  } finally {
    rmSync(dir, { recursive: true })
  }
})
