/**
 * What to do next when a migration failed. The codes' own hints are for the probe, and many of them say "npm run
 * migrate", which is what has just been done; most failures before the first statement need no other words here.
 */
import { ProbeError } from '../failure/error.ts'

const BOOTSTRAP =
  'let root run once, in this database, what `npm run -s bootstrap -- --engine cockroach` prints; then migrate again'
const LOCKED =
  'another session holds a lock (a schema change, a second migration): as root SHOW SESSIONS, CANCEL SESSION; then migrate again'

const NOT_READ_ONLY = ['ROLE {role}', 'ROLE ALL', 'DATABASE {db}']
  .map(whose => `ALTER ${whose} RESET default_transaction_read_only`)
  .join('; ')
const READ_ONLY = `the session is read-only: as root ${NOT_READ_ONLY} (where root is refused, too: SET default_transaction_read_only = off first); a standby (SELECT pg_is_in_recovery()) takes no migration: then migrate its primary`

/** By SQLSTATE, for statements of the migrations and questions before and after them. */
const BY_SQLSTATE: Readonly<Record<string, string>> = {
  '42501': BOOTSTRAP,
  // a role that a GRANT names
  '42704': BOOTSTRAP,
  '42710':
    'something of that name is there already (the message says what): if nobody needs it, as root DROP it, e.g. DROP TYPE public.connection_probe; then migrate again',
  '25006': READ_ONLY,
  '3F000':
    'schema public is gone: as root CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public; GRANT CREATE ON SCHEMA public TO gateway_admin; then migrate again',
  '42P07':
    'the table is there and the journal does not say so (made by hand, or a migration was cut off): if its rows are not wanted, as gateway_admin DROP TABLE connection_probe; then migrate again',
  // GRANT by a role that is neither the owner nor holds the grant option (measured on CockroachDB 22.1)
  '01007':
    'connection_probe belongs to another role: as root ALTER TABLE public.connection_probe OWNER TO gateway_admin; then migrate again',
  // NOT NULL, UNIQUE, CHECK, a foreign key: of the rows that are there
  '23502': 'rows that are there have no value for a column that is now required: give it a default, or fill it first',
  '23505': 'rows that are there have equal values in columns that are now unique: remove them first',
  '23503': 'rows that are there refer to none in the other table: remove them first',
  '23514': 'rows that are there break a check that is new: change them first',
}

/** The server gave up waiting: whichever statement it was, it is a lock that it waited for. */
const LOCK_SQLSTATES: readonly (string | null)[] = ['55P03', '57014']

const NOTHING_TO_APPLY = 'the journal says that all of drizzle/ was applied, so migrate changes nothing'
const AFTERWARDS = `${NOTHING_TO_APPLY}: the table was changed by hand`

/** By code, for what is found when everything was applied before. */
const BY_CODE: Readonly<Record<string, (found: string | undefined) => string>> = {
  TABLE_MISSING: found => `${AFTERWARDS}; ${found}`,
  TABLE_MISMATCH: found => found ?? `${AFTERWARDS}; undo the differences, or npm run generate a migration for them`,
  DML_DENIED: found => `${AFTERWARDS}; ${found}`,
  GRANT_EXCESS: found => `${NOTHING_TO_APPLY}: somebody granted it, or default privileges; ${found}`,
}

/** Of what this run applied itself: nobody has changed anything, the files are wrong. */
const JUST_APPLIED =
  'drizzle/ was applied just now and does not make what src/schema.ts declares: npm run schema:check says where; npm run generate writes what is missing'

/** What CockroachDB shows of default privileges is not all, so the statements are printed that find nothing to do elsewhere. */
const NO_DEFAULTS = ['', ' IN SCHEMA public']
  .map(where => `ALTER DEFAULT PRIVILEGES${where} REVOKE ALL ON TABLES FROM gateway_writer, public`)
  .join('; ')

/** A grant too much: schema:check holds drizzle/ against src/schema.ts, so it is not from there. */
const grantedBesides = (revoke: string | undefined): string =>
  `default privileges granted it to the new table, or somebody by hand; ${revoke}; ${NO_DEFAULTS} (on CockroachDB as root the last two with FOR ALL ROLES as well: ALTER DEFAULT PRIVILEGES FOR ALL ROLES …); then migrate again`

/** The same failure with what to do about it after a migration; `applied` is what this run applied. */
export function advised(error: ProbeError, applied: readonly string[] = []): ProbeError {
  const { sqlstate, cause, origin, evidence, message } = error
  if (LOCK_SQLSTATES.includes(sqlstate))
    return new ProbeError('WRITE_TIMEOUT', message, { cause, origin, evidence, hint: LOCKED })
  if (sqlstate !== null) return error.with({ hint: BY_SQLSTATE[sqlstate] ?? error.hint })
  const isVerification = error.code in BY_CODE
  if (isVerification && applied.length > 0)
    return error.with({ hint: error.code === 'GRANT_EXCESS' ? grantedBesides(error.hint) : JUST_APPLIED })
  return isVerification ? error.with({ hint: BY_CODE[error.code]?.(error.hint) }) : error
}
