/**
 * What to do next when a migration failed. The codes' own hints are for the probe, and many of them say "npm run
 * migrate", which is what has just been done; most failures before the first statement need no other words here.
 */
import { CODES } from '../failure/codes.ts'
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
  // GRANT by one who is neither owner nor holds the grant option (facts/cockroachdb.md)
  '01007':
    'connection_probe belongs to another role: as root ALTER TABLE public.connection_probe OWNER TO gateway_admin; then migrate again',
  '55P03': LOCKED,
  '57014': LOCKED,
}

const AFTERWARDS =
  'the journal says that all of drizzle/ was applied, so migrate does not mend it: somebody changed it by hand'

/** By code, for what is found when everything is applied. */
const BY_CODE: Readonly<Record<string, string>> = {
  TABLE_MISSING: `${AFTERWARDS}; as gateway_admin DELETE FROM drizzle.__drizzle_migrations; then migrate again`,
  TABLE_MISMATCH: `${AFTERWARDS}; undo the differences, or npm run generate a migration for them`,
  DML_DENIED: `${AFTERWARDS}; as gateway_admin GRANT what is missing ON TABLE connection_probe TO gateway_writer`,
  GRANT_EXCESS: `${AFTERWARDS}; as gateway_admin REVOKE the excess ON TABLE connection_probe`,
}

/**
 * The same failure with what to do about it after a migration.
 * A statement that the server gave up waiting for is WRITE_TIMEOUT, whichever it was: it is a lock that it waited for.
 */
export function advised(error: ProbeError): ProbeError {
  const { sqlstate } = error
  const hint =
    (sqlstate === null ? undefined : BY_SQLSTATE[sqlstate]) ??
    error.hint ??
    (sqlstate === null ? BY_CODE[error.code] : undefined) ??
    CODES[error.code].hint
  const code = hint === LOCKED ? 'WRITE_TIMEOUT' : error.code
  return new ProbeError(code, error.message, { cause: error.cause, evidence: error.evidence, hint })
}
