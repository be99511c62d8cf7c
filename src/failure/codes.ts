/**
 * The failure codes as data, in the order in which a connection meets them.
 *
 * layer   the stage of the path that the cause belongs to
 * hint    the next thing to do, one line; what else there is to know stands in explanations.ts
 *
 * and three flags, set where they hold:
 *
 * retryable        waiting can cure it, so that `--wait` tries again: what starts, restarts or is congested comes back;
 *                  certificates, roles, grants, schema and settings do not fix themselves
 * tryNextAddress   it is this node's trouble, and the next address may have none of it
 * endsSession      the node or the link to it goes away: no answer about what was asked
 *
 * This file is on every run's way and stays small; the long texts are loaded by `explain` only.
 */

/** The stages of the path, in order. */
export const LAYERS = [
  'config',
  'dns',
  'tcp',
  'tls',
  'session',
  'database',
  'schema',
  'privilege',
  'write',
  'visibility',
  'reuse',
  'witness',
  'run',
] as const

export type Layer = (typeof LAYERS)[number]

export interface CodeEntry {
  readonly layer: Layer
  readonly hint: string
  readonly retryable?: true
  readonly tryNextAddress?: true
  readonly endsSession?: true
}

const ENTRIES = {
  CONFIG_MISSING: {
    layer: 'config',
    hint: "set it; inside the back end's app it is there already: fly secrets list -a multiplayer-fabric-uro",
  },
  CONFIG_INVALID: {
    layer: 'config',
    hint: 'correct that setting; the form is postgresql://USER@HOST:26257/DATABASE?sslmode=verify-full',
  },
  CONFIG_INSECURE: {
    layer: 'config',
    hint: 'set sslmode=verify-full and take the password out of the URL: the client certificate is the login',
  },
  CONFIG_NOT_IPV6: {
    layer: 'config',
    hint: 'use the name multiplayer-fabric-crdb.internal, or an IPv6 literal in brackets, as the host',
  },
  CERT_UNREADABLE: {
    layer: 'config',
    hint: 'ls -l that file; on Fly use the PEM secrets (CRDB_CA_CRT, CRDB_CLIENT_WRITER_CRT, ..._KEY) instead',
  },
  CERT_INVALID: {
    layer: 'config',
    hint: 'look at what the setting really holds: openssl x509 -in FILE -noout -subject -dates',
  },
  KEY_PERMISSIONS: {
    layer: 'config',
    hint: 'chmod 600 that key file',
  },
  KEY_ENCRYPTED: {
    layer: 'config',
    hint: 'write the key without a passphrase: openssl pkey -in FILE -out NEWFILE && chmod 600 NEWFILE',
  },
  KEY_MISMATCH: {
    layer: 'config',
    hint: 'take certificate and key from one set; openssl x509 -in CERT -noout -pubkey must equal openssl pkey -in KEY -pubout',
  },
  CERT_EXPIRED: {
    layer: 'config',
    hint: 'on the database machine: cockroach cert create-client {user} ... --overwrite, then set the CRDB_CLIENT_* secrets again',
  },
  CERT_NOT_YET_VALID: {
    layer: 'config',
    hint: 'compare this clock (date -u) with the certificate: openssl x509 -in FILE -noout -dates',
  },
  CERT_USAGE: {
    layer: 'config',
    hint: 'use a client certificate that carries clientAuth: openssl x509 -in FILE -noout -ext extendedKeyUsage',
  },
  DNS_NOT_FOUND: {
    layer: 'dns',
    hint: 'is the database machine started, and the name right? fly status -a {app}',
    retryable: true,
    tryNextAddress: true,
  },
  DNS_NO_AAAA: {
    layer: 'dns',
    hint: 'ask for the address yourself: dig AAAA {host} @fdaa::3 (only started machines are listed)',
    retryable: true,
    tryNextAddress: true,
  },
  DNS_TIMEOUT: {
    layer: 'dns',
    hint: 'run this inside the private network; cat /etc/resolv.conf there must name fdaa::3',
    retryable: true,
    tryNextAddress: true,
  },
  DNS_FAILED: {
    layer: 'dns',
    hint: 'ask the resolver directly for its answer: dig TXT _apps.internal @fdaa::3',
    retryable: true,
    tryNextAddress: true,
  },
  TCP_REFUSED: {
    layer: 'tcp',
    hint: 'the machine is up and nothing listens there: fly logs -a {app} (crashed? listening on an IPv4 address only?)',
    retryable: true,
    tryNextAddress: true,
  },
  TCP_TIMEOUT: {
    layer: 'tcp',
    hint: 'nothing answers at this address: fly machine list -a {app} (stopped, moved, or a stale hostaddr?)',
    retryable: true,
    tryNextAddress: true,
  },
  TCP_UNREACHABLE: {
    layer: 'tcp',
    hint: 'this host has no IPv6 route there: ip -6 route get {address}; run it on a Fly machine or with WireGuard up',
    retryable: true,
    tryNextAddress: true,
  },
  TCP_RESET: {
    layer: 'tcp',
    hint: 'a restart, or a proxy in between: fly logs -a {app}, and use the .internal name',
    retryable: true,
    tryNextAddress: true,
  },
  TCP_FAILED: {
    layer: 'tcp',
    hint: 'look up the errno among the causes, then try the same by hand: nc -6 -v -w 5 {host} {port}',
    retryable: true,
    tryNextAddress: true,
  },
  TLS_NOT_OFFERED: {
    layer: 'tls',
    hint: 'the server runs without TLS: start it with --certs-dir instead of --insecure (fly logs -a {app})',
  },
  TLS_NOT_POSTGRES: {
    layer: 'tls',
    hint: 'another service answers on port {port}: the SQL port is 26257 (8080 is the DB Console); check DATABASE_URL',
  },
  TLS_TIMEOUT: {
    layer: 'tls',
    hint: 'a path-MTU hole (ping -6 -M do -s 1232 {host} passes, -s 1372 does not), or a node not initialised (cockroach init)',
    retryable: true,
    tryNextAddress: true,
  },
  TLS_CLOSED: {
    layer: 'tls',
    hint: 'the server closed the connection during the handshake: fly logs -a {app}; if it is starting, run again with --wait 60',
    retryable: true,
    tryNextAddress: true,
  },
  TLS_VERSION: {
    layer: 'tls',
    hint: 'see which versions the server takes: openssl s_client -starttls postgres -connect {hostport} -tls1_2',
  },
  TLS_SERVER_UNTRUSTED: {
    layer: 'tls',
    hint: 'the database machine probably has a new CA: set the CRDB_* secrets again from its ca.crt and client certificate',
  },
  TLS_SERVER_EXPIRED: {
    layer: 'tls',
    hint: 'on the database machine reissue the node certificate (cockroach cert create-node ... --overwrite), then fly machine restart ID',
  },
  TLS_SERVER_NOT_YET_VALID: {
    layer: 'tls',
    hint: "compare date -u here with the certificate's notBefore in the evidence, and correct the wrong clock",
  },
  TLS_SERVER_NAME: {
    layer: 'tls',
    hint: 'use a host name that the certificate carries (the evidence lists them), or set CRDB_SNI to one; hostaddr picks the address',
  },
  TLS_SERVER_USAGE: {
    layer: 'tls',
    hint: 'the server presents a certificate that is not for servers: reissue the node certificate (cockroach cert create-node)',
  },
  TLS_CLIENT_REQUIRED: {
    layer: 'tls',
    hint: 'the server did not get our certificate: connect to the .internal name directly, with nothing in between that ends TLS',
  },
  TLS_CLIENT_REJECTED: {
    layer: 'tls',
    hint: 'did the CA that the server runs with sign the client certificate? openssl verify -CAfile ca.crt client.{user}.crt',
  },
  TLS_FAILED: {
    layer: 'tls',
    hint: 'repeat the handshake by hand and read the alert: openssl s_client -starttls postgres -connect {hostport} -CAfile ca.crt',
  },
  AUTH_NO_CERTIFICATE: {
    layer: 'session',
    hint: 'connect to the .internal name, not through a proxy; as root see that the rule for {user} is cert: server.host_based_authentication.configuration (PostgreSQL: pg_hba_file_rules)',
  },
  AUTH_IDENTITY: {
    layer: 'session',
    hint: 'the certificate must name the user {user} as its CN or a DNS SAN: openssl x509 -in client.{user}.crt -noout -subject',
  },
  AUTH_ROLE_UNKNOWN: {
    layer: 'session',
    hint: 'as root: SHOW USERS; npm run bootstrap -- --engine cockroach prints the SQL that creates the roles',
  },
  AUTH_LOGIN_DENIED: {
    layer: 'session',
    hint: 'as root: ALTER ROLE {role} WITH LOGIN; if it has LOGIN, check server.host_based_authentication.configuration',
  },
  SERVER_BUSY: {
    layer: 'session',
    hint: 'as root: SHOW SESSIONS; cancel idle sessions (CANCEL SESSION), lower the pool sizes, or run again with --wait 60',
    retryable: true,
    tryNextAddress: true,
    endsSession: true,
  },
  SERVER_UNAVAILABLE: {
    layer: 'session',
    hint: 'the server is starting, recovering or stopping: run again with --wait 60 and watch fly logs -a {app}',
    retryable: true,
    tryNextAddress: true,
    endsSession: true,
  },
  SERVER_DRAINING: {
    layer: 'session',
    hint: 'the node is shutting down: fly status -a {app}; if it is being restarted, run again with --wait 60; if it was drained and stays so: fly machine restart ID -a {app}',
    retryable: true,
    tryNextAddress: true,
    endsSession: true,
  },
  SESSION_TIMEOUT: {
    layer: 'session',
    hint: 'TLS works, SQL does not answer: fly logs -a {app} (out of memory, disk stall, cluster without quorum)',
    retryable: true,
    tryNextAddress: true,
  },
  SESSION_CLOSED: {
    layer: 'session',
    hint: 'the server closed the connection after TLS without saying why: look for a crash or restart in fly logs -a {app}',
    retryable: true,
    tryNextAddress: true,
  },
  SESSION_PROTOCOL: {
    layer: 'session',
    hint: 'what answers is not a PostgreSQL-wire server this program understands: check host and port; try psql with the same URL',
  },
  SESSION_REFUSED: {
    layer: 'session',
    hint: 'look up the SQLSTATE; try the same login by hand: cockroach sql --certs-dir=DIR --host={hostport} --user={user}',
  },
  CERTLESS_LOGIN_ALLOWED: {
    layer: 'session',
    hint: 'anyone on the network can log in. As root: RESET CLUSTER SETTING server.host_based_authentication.configuration',
  },
  FORGED_LOGIN_ALLOWED: {
    layer: 'session',
    hint: 'the server verifies no client certificate: anyone who can reach it can log in as any user. Does the database itself answer? Use the .internal name; start the node with --certs-dir',
  },
  FOREIGN_LOGIN_ALLOWED: {
    layer: 'session',
    hint: 'does the certificate name the other role too? openssl x509 -in client.{user}.crt -noout -ext subjectAltName',
  },
  NEGATIVE_INCONCLUSIVE: {
    layer: 'session',
    hint: 'there is no other role to try. As root: CREATE USER IF NOT EXISTS gateway_admin; then probe again',
  },
  DATABASE_MISSING: {
    layer: 'database',
    hint: 'check the name after the slash in the URL: {database}; as root: SHOW DATABASES',
  },
  DATABASE_DENIED: {
    layer: 'database',
    hint: 'as root: GRANT CONNECT ON DATABASE {db} TO {role}',
  },
  CATALOGUE_FAILED: {
    layer: 'database',
    hint: 'look up the SQLSTATE, and what fly logs -a {app} says for that second',
  },
  TABLE_MISSING: {
    layer: 'schema',
    hint: 'npm run migrate, with MIGRATION_DATABASE_URL naming the same database as DATABASE_URL',
  },
  TABLE_MISMATCH: {
    layer: 'schema',
    hint: 'the evidence lists the differences from src/schema.ts: npm run migrate, or deploy the code that matches',
  },
  DML_DENIED: {
    layer: 'privilege',
    hint: 'npm run migrate, or as gateway_admin: GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE connection_probe TO {role}',
  },
  ADMIN_AT_RUNTIME: {
    layer: 'privilege',
    hint: 'DATABASE_URL must name a role without administration rights, gateway_writer here; the evidence lists what to revoke',
  },
  DDL_ALLOWED: {
    layer: 'privilege',
    hint: 'as root: REVOKE CREATE ON SCHEMA public FROM {role}, public; GRANT CREATE ON SCHEMA public TO gateway_admin; then probe again (npm run bootstrap -- --engine cockroach does all of it)',
  },
  GRANT_EXCESS: {
    layer: 'privilege',
    hint: 'as gateway_admin: SHOW GRANTS ON TABLE connection_probe, then REVOKE what the evidence lists from {user} or public',
  },
  WRITE_REFUSED: {
    layer: 'write',
    hint: 'look up the SQLSTATE in the PostgreSQL manual, appendix A; as root: SHOW CREATE TABLE public.connection_probe (PostgreSQL: psql \\d+ connection_probe)',
  },
  WRITE_TIMEOUT: {
    layer: 'write',
    hint: 'as root: SHOW SESSIONS (CANCEL SESSION ends one that holds a lock), SHOW JOBS (a schema change), cockroach node status (a node that is gone); fly logs -a {app} shows a stalling disk',
    retryable: true,
    tryNextAddress: true,
  },
  WRITE_CONTENDED: {
    layer: 'write',
    hint: 'as root: SELECT * FROM crdb_internal.cluster_contended_tables; find what else writes to connection_probe',
    retryable: true,
    tryNextAddress: true,
  },
  WRITE_AMBIGUOUS: {
    layer: 'write',
    hint: 'a row may or may not be there: once the server answers, run the statement in the warning ROWS_LEFT, then probe again',
    retryable: true,
    tryNextAddress: true,
  },
  CONNECTION_LOST: {
    layer: 'write',
    hint: 'did the node restart at that second? fly machine list -a {app}, then fly logs -a {app}',
    retryable: true,
    tryNextAddress: true,
    endsSession: true,
  },
  ROW_LATE: {
    layer: 'visibility',
    hint: 'run it again; if it stays late, compare regions and load: fly status -a {app}',
  },
  ROW_NOT_VISIBLE: {
    layer: 'visibility',
    hint: 'do both connections reach the same server? npm run probe -- --all-addresses',
  },
  ROW_MISMATCH: {
    layer: 'visibility',
    hint: 'the evidence names the column; as root: SHOW CREATE TABLE public.connection_probe (a trigger, ON UPDATE, another type?)',
  },
  READ_FAILED: {
    layer: 'visibility',
    hint: 'the independent SELECT failed: look up the SQLSTATE, then try SELECT count(*) FROM connection_probe by hand',
  },
  READ_TIMEOUT: {
    layer: 'visibility',
    hint: 'as root: SHOW SESSIONS; CANCEL QUERY ends a statement that blocks, CANCEL SESSION a transaction that was left open; cockroach node status shows a node that is gone',
    retryable: true,
    tryNextAddress: true,
  },
  CONNECTION_REPLACED: {
    layer: 'reuse',
    hint: 'another session answered: is a pooler or proxy (.flycast) in between? Use the .internal name',
  },
  STATEMENTS_NAMED: {
    layer: 'reuse',
    hint: 'set prepare: false in the driver (postgres.js), prepare: :unnamed in the back end (Postgrex)',
  },
  WITNESS_NO_ROW: {
    layer: 'witness',
    hint: 'run in the back end what npm run witness prints, while it waits; if it fails there, its log says why: npm run explain -- "LINE OF THE LOG"',
  },
  WITNESS_UNKNOWN_SESSION: {
    layer: 'witness',
    hint: 'run what npm run witness prints, unchanged and outside a transaction: it holds its session for 3 s, so that the server still lists it',
  },
  WITNESS_ROLE: {
    layer: 'witness',
    hint: 'the back end must log in as {user}: check DATABASE_URL and CRDB_CLIENT_CERT there; Uro.Repo.Migration logs in as an administrator',
  },
  WITNESS_NOT_IPV6: {
    layer: 'witness',
    hint: 'set socket_options: [:inet6] in the Repo configuration of the back end, and use {host} there, which has AAAA records only',
  },
  WITNESS_ELSEWHERE: {
    layer: 'witness',
    hint: 'run it in a started machine of that app (fly ssh console -a APP), which connects to {host} itself, through no proxy or pooler',
  },
  DEADLINE: {
    layer: 'run',
    hint: 'every step was slow but none hung: see the durations, then give it longer with --deadline 60',
    retryable: true,
  },
  INTERRUPTED: {
    layer: 'run',
    hint: 'run it again; in a release command make the time limit longer than --deadline plus --wait',
  },
} as const satisfies Record<string, CodeEntry>

/** The stable name of one cause. */
export type Code = keyof typeof ENTRIES

/** Every code there is. */
export const CODES: Readonly<Record<Code, CodeEntry>> = ENTRIES

/** What a report warns of without failing. */
export type WarningCode =
  | 'CERT_SOURCE_INCOMPLETE'
  | 'CERT_EXPIRES_SOON'
  | 'NODE_CERT_USAGE'
  | 'CERT_IDENTITY'
  | 'ADMIN_CREDENTIALS_PRESENT'
  | 'PLAINTEXT_ACCEPTED'
  | 'ROLE_TIMEOUT'
  | 'ROWS_LEFT'
  | 'ADDRESS_NOT_6PN'
  | 'ENGINE_NOT_COCKROACHDB'

export interface Warning {
  readonly code: WarningCode
  readonly message: string
}
