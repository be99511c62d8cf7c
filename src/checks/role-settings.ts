/** Where a setting of the role is the cause of a failure, the server is asked, and the next step names the setting. */
import { resetEverywhere } from '../database/sql.ts'
import { asProbeError, type ProbeError } from '../failure/error.ts'
import { askAnyone } from './ask-anyone.ts'
import type { Context } from './check.ts'
import { readSetSettings, resetsOf } from './set-settings.ts'

interface Setting {
  readonly name: string
  readonly says: string
  readonly explains: (error: ProbeError) => boolean
  /** whether this session is asked for it: it does harm when it is on, wherever it is set */
  readonly isSwitch?: true
  readonly isHarmful?: (value: string) => boolean
}

/**
 * What a setting that makes a session refuse writes, or read the past, looks like: read-only (25006); a row, a table, a
 * database that comes late, or not at all; what others write does not come either.
 */
const isSuspect = (error: ProbeError): boolean =>
  error.sqlstate === '25006' ||
  error.code === 'ROW_LATE' ||
  error.code === 'ROW_NOT_VISIBLE' ||
  error.code === 'WITNESS_NO_ROW' ||
  error.code === 'DATABASE_MISSING' ||
  error.code === 'TABLE_MISSING' ||
  (error.code === 'WRITE_REFUSED' && error.sqlstate === null)

const isLimit = (value: string): boolean => !/^'?0\D*$/.test(value)

/** A setting that is a limit, 0 for none, and is told by its SQLSTATE. */
const limit = (sqlstate: string, name: string, says: string): Setting => ({
  ...{ name, says, isHarmful: isLimit },
  explains: error => error.sqlstate === sqlstate,
})

/** Set for everybody, or in the database, it holds for root as well, whose ALTER is then refused (PostgreSQL). */
const READ_ONLY = 'default_transaction_read_only'

const SETTINGS: readonly Setting[] = [
  {
    name: READ_ONLY,
    says: `${READ_ONLY} is on, so that the role refuses every write`,
    explains: ({ code, sqlstate }) => sqlstate === '25006' || code === 'WITNESS_NO_ROW',
    isSwitch: true,
  },
  {
    name: 'default_transaction_use_follower_reads',
    says: 'default_transaction_use_follower_reads is on, so that the role reads the past, some seconds ago',
    explains: isSuspect,
    isSwitch: true,
  },
  limit('54000', 'transaction_rows_written_err', 'a limit on the rows that one transaction may write'),
  limit('54000', 'transaction_rows_read_err', 'a limit on the rows that one transaction may read'),
  limit('25P04', 'transaction_timeout', 'a time limit for one transaction'),
  limit('57P05', 'idle_session_timeout', 'the server ends sessions that are idle for a short time'),
  limit('57P05', 'idle_in_session_timeout', 'the server ends sessions that are idle for a short time'),
]

/** Where it is set for nobody in particular: a switch that is on for the whole server, or that could not be looked for. */
const anywhere = (name: string): string =>
  `${resetEverywhere(name)} (PostgreSQL, for the whole server: ALTER SYSTEM RESET ${name}; SELECT pg_reload_conf())`

/**
 * The same failure, its hint and evidence about the setting that is the cause, if one is. Adds nothing where there is no
 * session to ask.
 */
export async function explainedBySettings(error: ProbeError, context: Context): Promise<ProbeError> {
  const suspects = SETTINGS.filter(({ explains }) => explains(error))
  if (suspects.length === 0 || context.budget.signal.aborted) return error
  const [settings, on] = await Promise.all([
    readSetSettings({ ask: (what, sql) => askAnyone(context, what, sql) }).catch(nothing),
    switchesThatAreOn(context),
  ])
  const named = suspects.flatMap(({ name, says, isSwitch, isHarmful }) => {
    if (isSwitch && !on.includes(name)) return []
    const resets = resetsOf(settings, name, isHarmful)
    if (resets.length === 0 && !isSwitch) return []
    const reset = resets.length > 0 ? resets.join('; ') : anywhere(name)
    return [{ name, says, reset: name === READ_ONLY ? `SET ${READ_ONLY} = off; ${reset}` : reset }]
  })
  if (named.length === 0) return error
  const hint = `${named.map(({ says }) => says).join('; ')}. As root: ${named.map(({ reset }) => reset).join('; ')}`
  return error.with({ hint, evidence: { settings: named.map(({ name }) => name) } })
}

/** An answer in another form decides nothing either. */
function nothing(error: unknown): [] {
  asProbeError(error)
  return []
}

async function switchesThatAreOn(context: Context): Promise<readonly string[]> {
  const names = SETTINGS.filter(({ isSwitch }) => isSwitch).map(({ name }) => name)
  const columns = names.map(name => `current_setting('${name}', true) AS ${name}`).join(', ')
  const what = 'the role settings query'
  const [row] = await askAnyone<Record<string, string | null>>(context, what, `SELECT ${columns}`)
  return names.filter(name => row?.[name] === 'on')
}
