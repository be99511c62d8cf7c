/**
 * What drizzle-kit reads. generate and check need no database, and look at no setting. migrate (and push, pull, studio)
 * connect as gateway_admin with the settings of `npm run migrate`: MIGRATION_DATABASE_URL and the admin's certificate.
 *
 * No top-level await: drizzle-kit cannot load it.
 */
import { X509Certificate } from 'node:crypto'
import dns from 'node:dns'
import { createRequire } from 'node:module'
import { isIP, isIPv6, type LookupFunction } from 'node:net'
import type { PeerCertificate } from 'node:tls'
import { defineConfig } from 'drizzle-kit'
import { matchServerName } from './src/dial/server-name.ts'
import { failureLine } from './src/failure/error.ts'
import { fillIn } from './src/failure/hints.ts'
import { type Loaded, loadConfig, type ProbeConfig, URL_VARIABLES } from './src/settings/config.ts'

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

/**
 * The driver has no option for it: in this process names resolve to IPv6 addresses or not at all. Of lookup's options
 * any form is taken that Node takes: none, a family, an object.
 * @returns a function that runs work with the lookups that were there before
 */
function onlyIPv6() {
  const { lookup } = dns
  const { lookup: lookupPromise } = dns.promises
  const withSix = (options: unknown) => ({ ...(typeof options === 'object' ? options : {}), family: 6 })
  const six = {
    lookup: (host: string, options: unknown, callback: unknown) => {
      const done = (typeof options === 'function' ? options : callback) as Parameters<LookupFunction>[2]
      return lookup(host, withSix(options), done)
    },
    lookupPromise: (host: string, options: unknown) => lookupPromise(host, withSix(options)),
  }
  // util.promisify reads what it resolves with from a property of the function
  Object.defineProperties(six.lookup, Object.getOwnPropertyDescriptors(lookup))
  const install = (one: { lookup: unknown; lookupPromise: unknown }) => {
    Object.assign(dns, { lookup: one.lookup })
    Object.assign(dns.promises, { lookup: one.lookupPromise })
  }
  install(six)
  return async <T>(work: () => Promise<T>): Promise<T> => {
    install({ lookup, lookupPromise })
    try {
      return await work()
    } finally {
      install(six)
    }
  }
}

/** The driver takes what it is not given from PG* variables, and fails at some: here they are no settings. */
function noDriverVariables() {
  for (const name of Object.keys(process.env)) if (name.startsWith('PG')) delete process.env[name]
}

/** drizzle-kit itself ends with exit code 1 and not a word. Loaded where it is needed: it brings the driver along. */
function explain(config: ProbeConfig, aside: ReturnType<typeof onlyIPv6>) {
  // drizzle-kit reads this file as CommonJS, where import() takes no TypeScript
  const load = createRequire(import.meta.url)
  const { explainFailures }: typeof import('./src/development/drizzle-kit.ts') = load(
    './src/development/drizzle-kit.ts',
  )
  explainFailures(config, aside)
}

/** What stops drizzle-kit before anything is tried, in the words of `npm run migrate`. */
function refusal({ error, target }: Loaded & { ok: false }): Error {
  const failure = error.toFailure()
  return new Error(`${failureLine(failure)}\nnext: ${fillIn(failure.hint, target)}`)
}

function dbCredentials() {
  const loaded = loadConfig({ role: 'admin', env: process.env })
  if (!loaded.ok) throw refusal(loaded)
  const credentials = credentialsOf(loaded.config)
  const aside = onlyIPv6()
  noDriverVariables()
  if (process.argv[2] === 'migrate') explain(loaded.config, aside)
  return credentials
}

const base = { dialect: 'postgresql', schema: './src/schema.ts', out: './drizzle' } as const

export default defineConfig(
  CONNECTING.includes(process.argv[2] ?? '') ? { ...base, dbCredentials: dbCredentials() } : base,
)
