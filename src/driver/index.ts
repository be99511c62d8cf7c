/**
 * Drizzle, postgres.js and the tables: whoever needs them imports them from here. The package.json of this directory, and of
 * no other, says CommonJS: what such a file requires Node loads by itself. As ES modules all 116 files of Drizzle and the
 * driver go through tsx, and a run took twice the time on Node 24.
 */
export { eq, getTableColumns, inArray, is, SQL, sql } from 'drizzle-orm'
export { getTableConfig, isPgEnum, PgDialect, PgTable } from 'drizzle-orm/pg-core'
export { drizzle } from 'drizzle-orm/postgres-js'
export { default as postgres } from 'postgres'
export * as schema from '../schema.ts'
export { connectionProbe } from '../schema.ts'
