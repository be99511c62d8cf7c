/**
 * The layout of cockroach's --certs-dir:
 *
 *   ca.crt  node.crt  node.key  client.USER.crt  client.USER.key
 *
 * and, where another CA signs the clients' certificates: ca-client.crt  client.node.crt  client.node.key
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Authority, Issued } from './authority.ts'

/** The roles that have a certificate on the throwaway server. */
const USERS = ['root', 'gateway_admin', 'gateway_writer', 'gateway_reader'] as const

/** What every node certificate names, beside what the caller adds. */
const NODE_NAMES = { dnsNames: ['localhost'], ipAddresses: ['::1', '127.0.0.1'] } as const

interface CertsDirOptions {
  /** the CA that signs the node certificate: ca.crt */
  readonly authority: Authority
  /** the CA that signs the clients' certificates; default the same one */
  readonly clientAuthority?: Authority
  /** the node certificate, instead of a proper one; its whole chain is written */
  readonly node?: Issued
  /** more names for the node certificate */
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  /** more users than the four of `USERS` */
  readonly users?: readonly string[]
}

/** A proper node certificate: CN=node, serverAuth and clientAuth, SANs localhost, ::1, 127.0.0.1 and those given. */
export function issueNode(
  authority: Authority,
  names: Pick<CertsDirOptions, 'dnsNames' | 'ipAddresses'> = {},
): Promise<Issued> {
  return authority.issue({
    commonName: 'node',
    dnsNames: [...NODE_NAMES.dnsNames, ...(names.dnsNames ?? [])],
    ipAddresses: [...NODE_NAMES.ipAddresses, ...(names.ipAddresses ?? [])],
  })
}

/** A client certificate as `cockroach cert create-client` makes it: CN=user, clientAuth. */
export const issueClient = (authority: Authority, user: string): Promise<Issued> =>
  authority.issue({ commonName: user, usages: ['clientAuth'] })

/** Writes a certificate (0644) and its key (0600) as `name`.crt and `name`.key into `dir`; the chain, not the leaf alone. */
export async function writePair(dir: string, name: string, issued: Issued): Promise<void> {
  await writeFile(join(dir, `${name}.crt`), issued.chain, { mode: 0o644 })
  await writeFile(join(dir, `${name}.key`), issued.key, { mode: 0o600 })
}

/** Writes a whole --certs-dir into `dir` (made if absent); returns the node's pair. */
export async function writeCertsDir(dir: string, options: CertsDirOptions): Promise<Issued> {
  const { authority } = options
  const clients = options.clientAuthority ?? authority
  await mkdir(dir, { recursive: true })
  const node = options.node ?? (await issueNode(authority, options))
  await writeFile(join(dir, 'ca.crt'), authority.certificate)
  await writePair(dir, 'node', node)
  if (clients !== authority) {
    await writeFile(join(dir, 'ca-client.crt'), clients.certificate)
    await writePair(dir, 'client.node', await issueClient(clients, 'node'))
  }
  const users = new Set([...USERS, ...(options.users ?? [])])
  await Promise.all([...users].map(async user => writePair(dir, `client.${user}`, await issueClient(clients, user))))
  return node
}
