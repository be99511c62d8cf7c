import { X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { createAuthority } from '../../../src/development/throwaway/authority.ts'
import { issueClient, issueNode, writeCertsDir } from '../../../src/development/throwaway/certs-dir.ts'

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const read = (pem: string): X509Certificate => new X509Certificate(pem)
const time = (text: string): number => new Date(text).getTime()

describe('the certificate authority', () => {
  it('signs a node certificate that CockroachDB and PostgreSQL take', async () => {
    const ca = await createAuthority({ name: 'a CA' })
    const root = read(ca.certificate)
    const issued = await issueNode(ca, { dnsNames: ['db.internal'], ipAddresses: ['fdaa:0:1::3'] })
    const node = read(issued.certificate)
    expect(node.checkIssued(root) && node.verify(root.publicKey)).toBe(true)
    expect(root.ca).toBe(true)
    expect(node.ca).toBe(false)
    expect(node.subject).toMatch(/^CN=node$/m)
    expect(node.keyUsage).toEqual([SERVER_AUTH, CLIENT_AUTH])
    for (const name of ['localhost', 'db.internal']) expect(node.checkHost(name)).toBe(name)
    for (const ip of ['::1', '127.0.0.1', 'fdaa:0:1::3']) expect(node.checkIP(ip)).toBe(ip)
    expect(node.checkHost('other.internal')).toBeUndefined()
    expect(time(node.validTo)).toBeLessThan(time(root.validTo))
    expect(time(node.validFrom)).toBeLessThan(Date.now())
    expect(issued.chain).toBe(issued.certificate)
  })

  it('signs a client certificate for its user only', async () => {
    const client = read((await issueClient(await createAuthority({ name: 'a CA' }), 'gateway_writer')).certificate)
    expect(client.subject).toMatch(/^CN=gateway_writer$/m)
    expect(client.keyUsage).toEqual([CLIENT_AUTH])
    expect(client.subjectAltName).toBeUndefined()
  })

  it.each(['ECDSA P-256', 'RSA 2048', 'RSA 3072', 'Ed25519'] as const)('makes keys with %s', async keyAlgorithm => {
    const ca = await createAuthority({ name: 'a CA', keyAlgorithm })
    const leaf = await ca.issue({ commonName: 'leaf', keyAlgorithm })
    expect(read(leaf.certificate).verify(read(ca.certificate).publicKey)).toBe(true)
    expect(() => createSecureContext({ cert: leaf.certificate, key: leaf.key })).not.toThrow()
  })

  it('leaves out, dates and restricts what a fault asks for', async () => {
    const ca = await createAuthority({ name: 'a CA' })
    const notAfter = new Date('2020-02-01')
    const expired = await ca.issue({ commonName: 'x', usages: null, notBefore: new Date('2020-01-01'), notAfter })
    expect(read(expired.certificate).keyUsage).toBeUndefined()
    expect(time(read(expired.certificate).validTo)).toBe(notAfter.getTime())
    const serverOnly = await ca.issue({ commonName: 'x', usages: ['serverAuth'] })
    expect(read(serverOnly.certificate).keyUsage).toEqual([SERVER_AUTH])
  })

  it('puts an intermediate into the chain of its leaves, and tells two CAs of one name apart', async () => {
    const ca = await createAuthority({ name: 'a CA' })
    const intermediate = await ca.issueIntermediate({ name: 'between' })
    const leaf = await intermediate.issue({ commonName: 'leaf' })
    expect(leaf.chain).toBe(leaf.certificate + intermediate.certificate)
    expect(read(leaf.certificate).verify(read(intermediate.certificate).publicKey)).toBe(true)
    expect(read(intermediate.certificate).verify(read(ca.certificate).publicKey)).toBe(true)
    const other = await createAuthority({ name: 'a CA' })
    expect(read(intermediate.certificate).verify(read(other.certificate).publicKey)).toBe(false)
  })
})

describe('the --certs-dir', () => {
  it('has the layout of cockroach, with keys that only the owner reads', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'certs-'))
    try {
      const authority = await createAuthority({ name: 'servers' })
      await writeCertsDir(dir, {
        authority,
        clientAuthority: await createAuthority({ name: 'clients' }),
        users: ['me'],
      })
      const users = ['gateway_admin', 'gateway_reader', 'gateway_writer', 'me', 'node', 'root']
      const pairs = ['node', ...users.map(user => `client.${user}`)].flatMap(name => [`${name}.crt`, `${name}.key`])
      const files = await readdir(dir)
      expect(files.toSorted()).toEqual(['ca.crt', 'ca-client.crt', ...pairs].toSorted())
      for (const file of files.filter(name => name.endsWith('.key'))) {
        expect((await stat(join(dir, file))).mode & 0o777).toBe(0o600)
      }
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})
