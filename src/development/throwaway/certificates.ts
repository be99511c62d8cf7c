/** The certificates of one throwaway server, as the options ask for them. */
import { type Authority, createAuthority, type Issued } from './authority.ts'
import { writeCertsDir } from './certs-dir.ts'
import type { ThrowawayOptions } from './types.ts'

export interface Certificates {
  readonly authority: Authority
  readonly clientAuthority: Authority
  readonly node: Issued
}

/** Makes what is missing and writes `certsDir`. */
export async function prepareCertificates(certsDir: string, options: ThrowawayOptions): Promise<Certificates> {
  const authority = options.authority ?? (await createAuthority({ name: 'throwaway CA' }))
  const clientAuthority = options.clientAuthority ?? authority
  const node = await writeCertsDir(certsDir, {
    authority,
    clientAuthority,
    dnsNames: options.dnsNames ?? [],
    ipAddresses: [...(options.listen ?? []).filter(address => address !== '::'), ...(options.ipAddresses ?? [])],
    users: options.users ?? [],
    ...(options.serverCertificate ? { node: options.serverCertificate } : {}),
  })
  return { authority, clientAuthority, node }
}
