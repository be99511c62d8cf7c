/**
 * What drizzle-kit reads. generate and check need no database, and look at no setting. migrate (and push, pull, studio)
 * connect as gateway_admin with the settings of `npm run migrate`: MIGRATION_DATABASE_URL and the admin's certificate.
 *
 * No top-level await: drizzle-kit cannot load it.
 */
import { X509Certificate } from 'node:crypto'
import dns from 'node:dns'
import { isIP, isIPv6, type LookupFunction } from 'node:net'
import type { PeerCertificate } from 'node:tls'
import { defineConfig } from 'drizzle-kit'
import { matchServerName } from './src/dial/server-name.ts'
import { loadConfig, type ProbeConfig, URL_VARIABLES } from './src/settings/config.ts'

const CONNECTING = ['migrate', 'push', 'pull', 'introspect', 'studio']

/** Host, port, user, database and TLS as drizzle-kit's driver takes them; beside a `url` it would drop `ssl`. */
function credentialsOf({ hosts: [first, ...others], user, database, credentials: { ca, cert, key } }: ProbeConfig) {
  const { host, port, hostaddr, tlsName } = first
  const obstacles = [
    ...(others.length > 0 ? ['several hosts'] : []),
    ...(isIPv6(host) ? ['an IPv6 literal as the host'] : []),
    ...(hostaddr === null ? [] : ['the parameter hostaddr']),
  ]
  if (obstacles.length > 0) {
    const what = `${URL_VARIABLES.admin} has ${obstacles.join(' and ')}`
    throw new Error(`${what}, which drizzle-kit's driver cannot dial: give one host name, or use npm run migrate`)
  }
  const ssl = {
    ca,
    cert,
    key,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(isIP(tlsName) ? {} : { servername: tlsName }),
    // the driver leaves the name to Node, which without a servername would verify "localhost"
    checkServerIdentity: (_name: string, { raw, subjectaltname }: PeerCertificate) =>
      matchServerName(new X509Certificate(raw), tlsName).matched
        ? undefined
        : new Error(`the server's certificate is not for ${tlsName} but for ${subjectaltname ?? 'nothing'}`),
  } as const
  return { host, port, user, database, ssl }
}

/** The driver has no option for it: in this process names resolve to IPv6 addresses or not at all. */
function onlyIPv6() {
  const { lookup } = dns
  const lookup6: LookupFunction = (host, options, callback) => lookup(host, { ...options, family: 6 }, callback)
  Object.assign(dns, { lookup: lookup6 })
}

/** The driver takes what it is not given from PG* variables, and fails at some: here they are no settings. */
function noDriverVariables() {
  for (const name of Object.keys(process.env)) if (name.startsWith('PG')) delete process.env[name]
}

function dbCredentials() {
  const loaded = loadConfig({ role: 'admin', env: process.env })
  if (!loaded.ok) throw loaded.error
  onlyIPv6()
  noDriverVariables()
  return credentialsOf(loaded.config)
}

const base = { dialect: 'postgresql', schema: './src/schema.ts', out: './drizzle' } as const

export default defineConfig(
  CONNECTING.includes(process.argv[2] ?? '') ? { ...base, dbCredentials: dbCredentials() } : base,
)
