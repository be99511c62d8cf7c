/** Where a setting of the role is the cause of a failure, the server is asked, and the next step names the setting. */
import type { ProbeError } from '../failure/error.ts'
import { askAnyone } from './ask-anyone.ts'
import type { Context } from './check.ts'

/** The settings that make a session refuse writes, or read the past. */
const SETTINGS = [
  {
    name: 'default_transaction_read_only',
    says: 'refuses every write',
    explains: ({ code, sqlstate }: ProbeError) => sqlstate === '25006' || code === 'WITNESS_NO_ROW',
  },
  {
    name: 'default_transaction_use_follower_reads',
    says: 'reads the past, some seconds ago',
    explains: () => true,
  },
] as const

/**
 * What such a setting looks like: read-only (25006); a row, a table, a database that comes late, or not at all; what others
 * write does not come either.
 */
const isSuspect = (error: ProbeError): boolean =>
  error.sqlstate === '25006' ||
  error.code === 'ROW_LATE' ||
  error.code === 'ROW_NOT_VISIBLE' ||
  error.code === 'WITNESS_NO_ROW' ||
  error.code === 'DATABASE_MISSING' ||
  error.code === 'TABLE_MISSING' ||
  (error.code === 'WRITE_REFUSED' && error.sqlstate === null)

/**
 * The same failure, its hint and evidence about the setting that is on, if one is. Adds nothing where there is no
 * session to ask.
 */
export async function explainedBySettings(error: ProbeError, context: Context): Promise<ProbeError> {
  if (!isSuspect(error) || context.budget.signal.aborted) return error
  const found = await settingsThatAreOn(context)
  const named = SETTINGS.filter(({ name, explains }) => found.includes(name) && explains(error))
  if (named.length === 0) return error
  const on = named.map(({ name }) => name)
  const reset = named.map(({ name }) => `ALTER ROLE {role} RESET ${name}`).join('; ')
  const says = named.map(({ name, says }) => `${name} is on, so that the role ${says}`).join('; ')
  const hint = `${says}. As root: ${reset} (or, where it is set for the database: ALTER ROLE {role} IN DATABASE {db} RESET …, ALTER DATABASE {db} RESET …)`
  return error.with({ hint, evidence: { settings: on } })
}

async function settingsThatAreOn(context: Context): Promise<readonly string[]> {
  const columns = SETTINGS.map(({ name }) => `current_setting('${name}', true) AS ${name}`).join(', ')
  const what = 'the role settings query'
  const [row] = await askAnyone<Record<string, string | null>>(context, what, `SELECT ${columns}`)
  return SETTINGS.map(({ name }) => name).filter(name => row?.[name] === 'on')
}
