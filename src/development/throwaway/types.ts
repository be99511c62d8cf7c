/** The one small interface of the throwaway servers, whatever the engine. */
import type { Authority, Issued } from './authority.ts'
import type { Row } from './root.ts'

export type Engine = 'postgresql' | 'cockroachdb'

export interface ThrowawayOptions {
  /** default: CockroachDB where COCKROACH_BINARY or `cockroach` on PATH is there, else PostgreSQL */
  readonly engine?: Engine
  /** default `uro` */
  readonly database?: string
  /** false = no database, no roles, schema public as the engine leaves it */
  readonly bootstrap?: boolean
  /** addresses to listen on; `host` is the first. Default ['::1'] */
  readonly listen?: readonly string[]
  /** default a free one; needed behind a command prefix, where free ports cannot be seen from here */
  readonly port?: number
  /** more names for the node certificate, beside localhost, ::1 and 127.0.0.1 */
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  /** more users with a client certificate, beside root, gateway_admin, gateway_writer, gateway_reader */
  readonly users?: readonly string[]
  /** the server's CA (ca.crt); default a new one */
  readonly authority?: Authority
  /** the clients' CA; default the same */
  readonly clientAuthority?: Authority
  /** the server's certificate, instead of a proper one; `runAsRoot` then does not verify it */
  readonly serverCertificate?: Issued
  /** PostgreSQL: lines for postgresql.conf, after ours */
  readonly settings?: Readonly<Record<string, string>>
  /** PostgreSQL: lines for pg_hba.conf instead of `hostssl all all all cert`; root's own line always stands first */
  readonly hba?: readonly string[]
  /** CockroachDB: flags after ours */
  readonly flags?: readonly string[]
  /** runs the server elsewhere (Linux, root): ['ip', 'netns', 'exec', 'db1'] */
  readonly commandPrefix?: readonly string[]
  /** PostgreSQL: the `directory` of a template made by `createTemplate`, which saves initdb and the bootstrap */
  readonly template?: string
}

/** A running server with mutual TLS on; `await using` or `stop()` ends it and removes every file. */
export interface Throwaway extends AsyncDisposable {
  readonly engine: Engine
  /** as the server says it */
  readonly version: string
  readonly host: string
  readonly port: number
  readonly database: string
  /** in the layout of cockroach's --certs-dir; part of the directory that `stop` removes */
  readonly certsDir: string
  readonly authority: Authority
  readonly clientAuthority: Authority
  /** the server's process */
  readonly pid: number
  /** the server's log */
  readonly logFile: string
  /** DATABASE_URL for a user; certificates come from `certsDir` */
  url(user: string, database?: string): string
  /**
   * Runs SQL as root over TLS with root's certificate, on a connection of its own; several statements may stand in one
   * text; returns the last one's rows.
   */
  runAsRoot(sql: string, database?: string): Promise<Row[]>
  /** Stops the server and removes its directory. May be called again. */
  stop(): Promise<void>
}
