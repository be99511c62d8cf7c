/**
 * What to do next when a migration failed. The codes' own hints are for the probe, and many of them say "npm run
 * migrate", which is what has just been done; most failures before the first statement need no other words here.
 */
import { ProbeError } from '../failure/error.ts'

const BOOTSTRAP =
  'let root run once, in this database, what `npm run -s bootstrap -- --engine cockroach` prints; then migrate again'
const LOCKED =
  'another session holds a lock (a schema change, a second migration): as root SHOW SESSIONS, CANCEL SESSION; then migrate again'

/** By SQLSTATE, for statements of the migrations and questions before and after them. */
const BY_SQLSTATE: Readonly<Record<string, string>> = {
  '42501': BOOTSTRAP,
  // a role that a GRANT names
  '42704': BOOTSTRAP,
  '42P07':
    'the table is there and the journal does not say so (made by hand, or a migration was cut off): if its rows are not wanted, as gateway_admin DROP TABLE connection_probe; then migrate again',
  // GRANT by a role that is neither the owner nor holds the grant option (measured on CockroachDB 22.1)
  '01007':
    'connection_probe belongs to another role: as root ALTER TABLE public.connection_probe OWNER TO gateway_admin; then migrate again',
}

/** The server gave up waiting: whichever statement it was, it is a lock that it waited for. */
const LOCK_SQLSTATES: readonly (string | null)[] = ['55P03', '57014']

const AFTERWARDS =
  'the journal says that all of drizzle/ was applied, so migrate changes nothing: the table was changed by hand'

/** By code, for what is found when everything is applied. */
const BY_CODE: Readonly<Record<string, string>> = {
  TABLE_MISSING: `${AFTERWARDS}; as gateway_admin DELETE FROM drizzle.__drizzle_migrations; then migrate again`,
  TABLE_MISMATCH: `${AFTERWARDS}; undo the differences, or npm run generate a migration for them`,
  DML_DENIED: `${AFTERWARDS}; as gateway_admin GRANT what is missing ON TABLE connection_probe TO gateway_writer`,
  GRANT_EXCESS: `${AFTERWARDS}; as gateway_admin REVOKE the excess ON TABLE connection_probe`,
}

/** The same failure with what to do about it after a migration. */
export function advised(error: ProbeError): ProbeError {
  const { sqlstate, cause, origin, evidence, message } = error
  if (LOCK_SQLSTATES.includes(sqlstate))
    return new ProbeError('WRITE_TIMEOUT', message, { cause, origin, evidence, hint: LOCKED })
  const hint =
    (sqlstate === null ? undefined : BY_SQLSTATE[sqlstate]) ??
    error.hint ??
    (sqlstate === null ? BY_CODE[error.code] : undefined)
  return error.with(hint === undefined ? {} : { hint })
}
