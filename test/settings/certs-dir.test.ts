import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Authority, createAuthority, type IssueOptions } from '../../src/development/throwaway/authority.ts'
import { issueClient, issueNode, writeCertsDir, writePair } from '../../src/development/throwaway/certs-dir.ts'
import { checkCertsDir } from '../../src/settings/certs-dir.ts'
import type { Finding } from '../../src/settings/certs-dir-text.ts'

const DAY = 86_400_000
const days = (count: number) => new Date(Date.now() + count * DAY)

let root: string
let ca: Authority
let other: Authority

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'probe-certs-check-'))
  ca = await createAuthority({ name: 'Test CA' })
  other = await createAuthority({ name: 'Other CA' })
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

let count = 0
/** A good set, and what `spoil` does to it. */
async function set(spoil: (dir: string) => unknown = () => {}): Promise<string> {
  const dir = join(root, `set-${count++}`)
  await writeCertsDir(dir, { authority: ca })
  await spoil(dir)
  return dir
}
const found = (dir: string, now?: Date) => {
  const { files, findings } = checkCertsDir(dir, now ? { now } : {})
  const line = (name: string) => (finding: Finding) => `${name} ${finding.severity} ${finding.code}`
  return [...findings.map(line('')), ...files.flatMap(file => file.findings.map(line(file.file)))]
}
const node = async (dir: string, options: Partial<IssueOptions>, authority = ca) =>
  writePair(dir, 'node', await authority.issue({ commonName: 'node', dnsNames: ['localhost'], ...options }))

describe('a good set', () => {
  test('is fine, file by file', async () => {
    const dir = await set()
    const result = checkCertsDir(dir)
    expect(result.ok).toBe(true)
    expect(result.files.map(({ file, kind, user, signedBy }) => [file, kind, user, signedBy])).toEqual([
      ['ca.crt', 'ca', null, null],
      ['client.gateway_admin.crt', 'client', 'gateway_admin', 'ca.crt'],
      ['client.gateway_reader.crt', 'client', 'gateway_reader', 'ca.crt'],
      ['client.gateway_writer.crt', 'client', 'gateway_writer', 'ca.crt'],
      ['client.root.crt', 'client', 'root', 'ca.crt'],
      ['node.crt', 'node', 'node', 'ca.crt'],
    ])
    const [, , , , , server] = result.files
    expect(server?.key).toEqual({ file: 'node.key', permissions: '0600', matches: true })
    expect(server?.certificates[0]).toMatchObject({
      dnsNames: ['localhost'],
      ipAddresses: ['::1', '127.0.0.1'],
      extendedKeyUsage: ['serverAuth', 'clientAuth'],
    })
    expect(found(dir)).toEqual([])
    expect(result.text).toContain('nothing here would be refused')
    expect(result.text).not.toMatch(/BEGIN|PRIVATE/)
  })

  test('may have a CA of its own for clients, and one for the DB Console', async () => {
    const dir = join(root, 'two-cas')
    await writeCertsDir(dir, { authority: ca, clientAuthority: other })
    writeFileSync(join(dir, 'ca-ui.crt'), other.certificate)
    await writePair(dir, 'ui', await other.issue({ commonName: 'ui', dnsNames: ['console'], usages: ['serverAuth'] }))
    expect(found(dir)).toEqual([])
    const signed = Object.fromEntries(checkCertsDir(dir).files.map(({ file, signedBy }) => [file, signedBy]))
    expect(signed).toMatchObject({ 'node.crt': 'ca.crt', 'client.root.crt': 'ca-client.crt', 'ui.crt': 'ca-ui.crt' })
  })

  test('may live a hundred years', async () => {
    const dir = join(root, 'century')
    const old = await createAuthority({ name: 'Century CA', notAfter: days(36_525) })
    const issued = await old.issue({ commonName: 'node', dnsNames: ['localhost'], notAfter: days(36_500) })
    await writeCertsDir(dir, { authority: old, node: issued })
    expect(found(dir)).toEqual([])
    expect(checkCertsDir(dir).text).toMatch(/valid {6}20\d\d-\d\d-\d\d to 21\d\d-\d\d-\d\d, 36\d\d\d days left/)
  })

  test('of a client alone needs no node certificate, and not the CA that the server checks clients by', async () => {
    const dir = join(root, 'client-only')
    mkdirSync(dir)
    writeFileSync(join(dir, 'ca.crt'), ca.certificate)
    await writePair(dir, 'client.a.b', await issueClient(other, 'a.b'))
    expect(found(dir)).toEqual(['client.a.b.crt note null'])
    expect(checkCertsDir(dir).files[1]?.user).toBe('a.b')
  })
})

describe('a set with one fault', () => {
  test.each<[string, (dir: string) => unknown, string[]]>([
    ['no CA', dir => unlinkSync(join(dir, 'ca.crt')), [' refused CERT_UNREADABLE']],
    [
      'a CA that is no CA',
      dir => copyFileSync(join(dir, 'client.root.crt'), join(dir, 'ca.crt')),
      ['ca.crt refused CERT_INVALID', 'node.crt refused TLS_SERVER_UNTRUSTED'],
    ],
    [
      'a CA, and what is none beside it',
      dir => writeFileSync(join(dir, 'ca.crt'), readFileSync(join(dir, 'node.crt'), 'utf8') + ca.certificate),
      ['ca.crt note null'],
    ],
    [
      'a client that is a CA',
      async dir => writePair(dir, 'client.root', await ca.issueIntermediate({ name: 'root', usages: ['clientAuth'] })),
      ['client.root.crt refused CERT_USAGE'],
    ],
    [
      'a server that is a CA',
      async dir => writePair(dir, 'node', await ca.issueIntermediate({ name: 'node' })),
      ['node.crt refused CERT_USAGE', 'node.crt refused TLS_SERVER_NAME'],
    ],
    [
      'a garbage CA',
      dir => writeFileSync(join(dir, 'ca.crt'), 'x'),
      ['ca.crt refused CERT_INVALID', 'node.crt refused TLS_SERVER_UNTRUSTED'],
    ],
    ['no key', dir => unlinkSync(join(dir, 'node.key')), ['node.crt refused CERT_UNREADABLE']],
    ['an open key', dir => chmodSync(join(dir, 'node.key'), 0o644), ['node.crt refused KEY_PERMISSIONS']],
    [
      "another one's key",
      dir => copyFileSync(join(dir, 'client.root.key'), join(dir, 'node.key')),
      ['node.crt refused KEY_MISMATCH'],
    ],
    ['a server without clientAuth', dir => node(dir, { usages: ['serverAuth'] }), ['node.crt refused CERT_USAGE']],
    ['a server without serverAuth', dir => node(dir, { usages: ['clientAuth'] }), ['node.crt refused CERT_USAGE']],
    ['a server without SANs', dir => node(dir, { dnsNames: [] }), ['node.crt refused TLS_SERVER_NAME']],
    ['a server that is not node', dir => node(dir, { commonName: 'server' }), ['node.crt refused CERT_IDENTITY']],
    [
      'an expired server',
      dir => node(dir, { notBefore: days(-9), notAfter: days(-1) }),
      ['node.crt refused CERT_EXPIRED'],
    ],
    ['a server of tomorrow', dir => node(dir, { notBefore: days(1) }), ['node.crt refused CERT_NOT_YET_VALID']],
    ['a server for ten days more', dir => node(dir, { notAfter: days(10) }), ['node.crt note CERT_EXPIRES_SOON']],
    ['a server that outlives its CA', dir => node(dir, { notAfter: days(9999) }), ['node.crt note null']],
    ['a server of another CA', dir => node(dir, {}, other), ['node.crt refused TLS_SERVER_UNTRUSTED']],
    [
      'a client of another CA',
      async dir => writePair(dir, 'client.root', await issueClient(other, 'root')),
      ['client.root.crt refused TLS_CLIENT_REJECTED'],
    ],
    [
      "a client named as somebody else's file",
      async dir => writePair(dir, 'client.root', await issueClient(ca, 'gateway_admin')),
      ['client.root.crt refused CERT_IDENTITY'],
    ],
    [
      'a client that is only a server',
      async dir => writePair(dir, 'client.root', await ca.issue({ commonName: 'root', usages: ['serverAuth'] })),
      ['client.root.crt refused CERT_USAGE'],
    ],
    ['a key of nothing', dir => copyFileSync(join(dir, 'node.key'), join(dir, 'x.key')), ['x.key note null']],
    [
      'a name nobody knows',
      dir => copyFileSync(join(dir, 'node.crt'), join(dir, 'server.crt')),
      ['server.crt note null'],
    ],
    ["the CA's key", dir => writeFileSync(join(dir, 'ca.key'), ca.key, { mode: 0o600 }), ['ca.key note null']],
    [
      "the CA's key for all",
      dir => writeFileSync(join(dir, 'ca.key'), ca.key, { mode: 0o644 }),
      ['ca.key note null', 'ca.key refused KEY_PERMISSIONS'],
    ],
    ['a directory', dir => mkdirSync(join(dir, 'client.x.crt')), Array(2).fill('client.x.crt refused CERT_UNREADABLE')],
  ])('%s', async (name, spoil, expected) => {
    const dir = await set(spoil)
    const all = found(dir)
    // a broken CA also takes the four clients' signatures along: the server's stands for them
    expect(all.filter(line => !/TLS_CLIENT_REJECTED/.test(line) || !/CA/.test(name) || /client of/.test(name))).toEqual(
      expected,
    )
    const { ok, text } = checkCertsDir(dir)
    expect(ok).toBe(expected.every(line => line.includes(' note ')))
    expect(text).toContain(ok ? 'nothing here would be refused' : 'would be refused')
  })

  test('that is no directory, or empty', () => {
    expect(found(join(root, 'nope'))).toEqual([' refused CERT_UNREADABLE'])
    mkdirSync(join(root, 'empty'))
    expect(found(join(root, 'empty'))).toEqual([' refused CERT_UNREADABLE', ' refused CERT_UNREADABLE'])
  })

  test('is judged by the time given', async () => {
    expect(found(await set(), days(5000)).filter(line => line.includes('CERT_EXPIRED'))).toHaveLength(6)
  })
})

test('an intermediate beside the leaf completes the chain', async () => {
  const below = await ca.issueIntermediate({ name: 'Intermediate' })
  const dir = await set(async dir => writePair(dir, 'node', await issueNode(below)))
  expect(found(dir)).toEqual([])
  const pem = readFileSync(join(dir, 'node.crt'), 'utf8')
  writeFileSync(join(dir, 'node.crt'), pem.slice(0, pem.indexOf('-----END CERTIFICATE-----') + 26))
  expect(found(dir)).toEqual(['node.crt refused TLS_SERVER_UNTRUSTED'])
})

test('nothing from a certificate or a file name reaches the terminal as a control character', async () => {
  const evil = '\u001b[2Jroot\u0007\u202e'
  const dir = await set(async dir => {
    await writePair(dir, 'client.root', await ca.issue({ commonName: evil, dnsNames: ['x'] }))
    writeFileSync(join(dir, `${evil}.crt`), '')
    writeFileSync(join(dir, `client.${evil}.crt`), '')
  })
  const { text, ok } = checkCertsDir(dir)
  expect(ok).toBe(false)
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
})
