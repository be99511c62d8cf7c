/** For the helpers' own tests: one CA, a server on [::1], clients by their CN, and the driver as the probe uses it. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import postgres from 'postgres'
import { createAuthority } from '../../src/development/throwaway/authority.ts'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { sslRequest, startupMessage } from './wire.ts'

export interface Pem {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** Makes a CA, a server certificate for `localhost` and `::1`, and a client certificate for each name. */
export async function makeCredentials(names: readonly string[] = ['gateway_writer', 'gateway_admin']) {
  const authority = await createAuthority({ name: 'test CA' })
  const server = await authority.issue({ commonName: 'node', dnsNames: ['localhost'], ipAddresses: ['::1'] })
  const clients = new Map<string, { readonly cert: string; readonly key: string }>()
  for (const name of names) {
    const { chain, key } = await authority.issue({ commonName: name, usages: ['clientAuth'] })
    clients.set(name, { cert: chain, key })
  }
  const ca = authority.certificate
  return {
    authority,
    ca,
    server: { cert: server.chain, key: server.key, ca },
    /** the TLS options of a client with this name's certificate; without a name: none */
    client: (name?: string) => ({ ca, servername: 'localhost', ...(name === undefined ? {} : clients.get(name)) }),
  }
}

/** postgres.js with one connection to [::1], unnamed statements and no question of its own; disposing ends it. */
export function postgresClient(port: number, ssl: object | false, more: object = {}) {
  const options = {
    host: ['::1'],
    port: [port],
    user: 'gateway_writer',
    database: 'uro',
    ssl,
    max: 1,
    prepare: false,
    fetch_types: false,
    connect_timeout: 5,
    onnotice: () => {},
    ...more,
  }
  // its types know neither arrays of hosts and ports nor exactOptionalPropertyTypes
  const sql = postgres(options as unknown as postgres.Options<Record<string, never>>)
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end({ timeout: 0 }) })
}

/** What a user of a throwaway server trusts and shows. */
export function pemOf({ certsDir }: Pick<Throwaway, 'certsDir'>, user: string): Pem {
  const read = (name: string) => readFileSync(join(certsDir, name), 'utf8')
  return { ca: read('ca.crt'), cert: read(`client.${user}.crt`), key: read(`client.${user}.key`) }
}

/** The driver on a throwaway server as one of its users, by that user's certificate. */
export const clientOf = (server: Throwaway, user: string, database = server.database) =>
  postgresClient(server.port, { ...pemOf(server, user), servername: 'localhost' }, { user, database })

/**
 * What a TLS client meets that says its StartupMessage and leaves at the first answer: whether its handshake ended well
 * (`secureConnect`), and the code of the first error. Of OpenSSL's two names of an alert it is the older one: 3.5 says
 * SSL/TLS_ALERT_… where 3.0 says SSLV3_ALERT_….
 */
export async function tlsOutcome(port: number, options: tls.ConnectionOptions) {
  const socket = net.connect({ host: '::1', port, family: 6 })
  socket.on('error', () => {})
  socket.write(sslRequest())
  await once(socket, 'data')
  const stream = tls.connect({ socket, ...options })
  return new Promise<{ secured: boolean; code: string | undefined }>(resolve => {
    let secured = false
    let code: string | undefined
    stream.on('secureConnect', () => {
      secured = true
      stream.write(startupMessage({ user: 'gateway_writer' }))
    })
    stream.once('data', () => stream.destroy())
    stream.on('error', (error: NodeJS.ErrnoException) => {
      code ??= error.code?.replace('SSL/TLS_ALERT', 'SSLV3_ALERT')
      stream.destroy()
      socket.destroy()
    })
    stream.on('close', () => resolve({ secured, code }))
  })
}
