/** Files that `npm run build` puts into the bundle; null when the program runs from the tree. */
import type { MigrationMeta } from 'drizzle-orm/migrator'

/** One migration of drizzle/. */
export interface Migration {
  /** its name, e.g. 0001_grants */
  readonly tag: string
  readonly meta: MigrationMeta
}

export interface Embedded {
  readonly migrations: readonly Migration[]
  /** the bootstrap's SQL by engine */
  readonly bootstrap: Readonly<Record<string, string>>
}

/** Replaced by esbuild's `define`. */
declare const CONNECTION_PROBE_EMBEDDED: Embedded | undefined

export const embedded: Embedded | null =
  typeof CONNECTION_PROBE_EMBEDDED === 'undefined' ? null : CONNECTION_PROBE_EMBEDDED
