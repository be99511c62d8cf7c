/**
 * The valid base of what concerns certificates: one CA, a server's certificate, the writer's. A case varies one property.
 */
import { X509Certificate } from 'node:crypto'
import {
  type Authority,
  createAuthority,
  type Issued,
  type IssueOptions,
} from '../../src/development/throwaway/authority.ts'
import { principalsOf } from '../../src/settings/certificate.ts'
import type { ProbeConfig } from '../../src/settings/config.ts'
import type { Pem } from './clients.ts'

/** The same configuration with a certificate that the linter would not have let pass. */
export function presenting(config: ProbeConfig, { chain, key }: Issued): ProbeConfig {
  const principals = principalsOf(new X509Certificate(chain))
  const identity = { principals, identityMatches: principals.includes(config.user) }
  return { ...config, ...identity, credentials: { ...config.credentials, cert: chain, key } }
}

const DAY_MS = 86_400_000
/** A moment so many days from now. */
export const days = (count: number): Date => new Date(Date.now() + count * DAY_MS)

/** The valid base of every certificate: what a case names is what it varies. */
export const SERVER: IssueOptions = { commonName: 'node', dnsNames: ['localhost'], ipAddresses: ['::1'] }
export const CLIENT: IssueOptions = { commonName: 'gateway_writer', usages: ['clientAuth'] }

export interface Pki {
  readonly authority: Authority
  /** what the writer trusts and shows */
  readonly pem: Pem
  /** what a server that is right presents */
  readonly server: { readonly cert: string; readonly key: string; readonly ca: string }
}

/** One CA, a server certificate for localhost and ::1, and the writer's. */
export async function makePki(name = 'attribution CA'): Promise<Pki> {
  const authority = await createAuthority({ name })
  const [server, client] = await Promise.all([authority.issue(SERVER), authority.issue(CLIENT)])
  const ca = authority.certificate
  return {
    authority,
    pem: { ca, cert: client.chain, key: client.key },
    server: { cert: server.chain, key: server.key, ca },
  }
}
