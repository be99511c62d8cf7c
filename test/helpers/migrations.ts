/** The migrations in drizzle/, as many as there are: their names in order, and all of their SQL. */
import { readFileSync } from 'node:fs'
import { readMigrations } from '../../src/database/migrations.ts'

export const TAGS: readonly string[] = readMigrations().map(({ tag }) => tag)

const sqlOf = (tag: string): string =>
  readFileSync(new URL(`../../drizzle/${tag}.sql`, import.meta.url), 'utf8').replaceAll('--> statement-breakpoint', '')

/** What a database holds that was migrated, statement after statement. */
export const MIGRATION_SQL = TAGS.map(sqlOf).join(';\n')
