/**
 * What the database must hold: every table and enum that is exported here, and the grants on them. drizzle-kit generates
 * the migrations from this file, development/schema-check holds them against it, database/verify.ts a live catalogue.
 * Both drizzle-kit and driver/ load it as CommonJS: it cannot await at its top level.
 */
import { sql } from 'drizzle-orm'
import { bigint, jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** One row per write of the probe. Only types that are the same on CockroachDB and PostgreSQL (integer is not). */
export const connectionProbe = pgTable('connection_probe', {
  /** always supplied by the probe, so that rows are removed by primary key and a doubtful write can be repeated */
  id: uuid('id').primaryKey().defaultRandom(),
  runId: uuid('run_id').notNull(),
  sequence: bigint('sequence', { mode: 'number' }).notNull(),
  /** where the probe ran: machine@region, or the host's name */
  origin: text('origin').notNull(),
  /** the role that wrote the row, as the server saw it */
  writtenBy: text('written_by').notNull().default(sql`current_user`),
  payload: jsonb('payload').$type<{ readonly [key: string]: Json }>().notNull(),
  /** as text, since a Date would lose the microseconds */
  writtenAt: timestamp('written_at', { withTimezone: true, mode: 'string' }).notNull().defaultNow(),
})

export type ProbeRow = typeof connectionProbe.$inferSelect
export type NewProbeRow = typeof connectionProbe.$inferInsert

export type Privilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE'

export interface Grant {
  readonly role: string
  readonly table: string
  readonly privileges: readonly Privilege[]
}

/** Who may do what, exactly: anybody else, and anything more, is an excess. The migrations must say the same. */
export const GRANTS = [
  { role: 'gateway_writer', table: 'connection_probe', privileges: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] },
] as const satisfies readonly Grant[]
