/**
 * The next step, with the values of this run in it. A hint names them in braces:
 *
 *   {host} {port} {hostport}   of the URL; hostport has an IPv6 literal in brackets
 *   {address}                  the IPv6 address that was dialled
 *   {user} {database}          of the URL
 *   {role} {db}                the same, as SQL takes them
 *   {app}                      the app of a host APP.internal
 */

import { asTyped } from '../invocation.ts'

/** What is known of the target; null where it is not. */
export interface Known {
  readonly host: string | null
  readonly port: number | null
  readonly user: string | null
  readonly database: string | null
  readonly address: string | null
}

/** The deployment that this probe was made for: what a text says where nothing is known. */
const DEPLOYMENT = {
  host: 'multiplayer-fabric-crdb.internal',
  port: '26257',
  user: 'gateway_writer',
  database: 'uro',
  app: 'multiplayer-fabric-crdb',
  address: 'ADDRESS',
} as const

/** host:port, an IPv6 literal in brackets (RFC 3986, 3.2.2); without the port where that is null. */
export const hostAndPort = (host: string, port: number | string | null): string =>
  `${host.includes(':') ? `[${host}]` : host}${port === null ? '' : `:${port}`}`

/** A name as a statement to be typed has it: in quotes only where SQL wants them. */
export const sqlName = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`

/** A hint with the values that are known, those of the deployment for the others, and commands as they are typed. */
export function fillIn(hint: string, known: Partial<Known> = {}): string {
  const host = known.host ?? DEPLOYMENT.host
  const port = String(known.port ?? DEPLOYMENT.port)
  const values: Readonly<Record<string, string>> = {
    host,
    port,
    hostport: hostAndPort(host, port),
    address: known.address ?? DEPLOYMENT.address,
    user: known.user ?? DEPLOYMENT.user,
    database: known.database ?? DEPLOYMENT.database,
    role: sqlName(known.user ?? DEPLOYMENT.user),
    db: sqlName(known.database ?? DEPLOYMENT.database),
    app: /(?:^|\.)([^.]+)\.internal\.?$/.exec(host)?.[1] ?? DEPLOYMENT.app,
  }
  return asTyped(hint).replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)
}
