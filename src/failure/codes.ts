/**
 * The failure codes as data, in the order in which a connection meets them (contract: layers and failure codes).
 *
 * layer      the stage of the path that the cause belongs to
 * hint       the next thing to do, one line; what else there is to know stands in explanations.ts
 * waitable   whether waiting can cure it, so that `--wait` tries again: what starts, restarts or is congested comes
 *            back; certificates, roles, grants, schema and settings do not mend themselves
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
  'run',
] as const

export type Layer = (typeof LAYERS)[number]

export interface CodeEntry {
  readonly layer: Layer
  readonly hint: string
  readonly waitable: boolean
}

/** Every code there is. */
export const CODES = {
  CONFIG_MISSING: {
    layer: 'config',
    hint: 'set what is named above: DATABASE_URL and the CRDB_* certificates; `fly secrets list` shows what the app has',
    waitable: false,
  },
  CONFIG_INVALID: {
    layer: 'config',
    hint: 'correct the setting named above; the form is postgresql://USER@HOST:26257/DATABASE?sslmode=verify-full',
    waitable: false,
  },
  CONFIG_INSECURE: {
    layer: 'config',
    hint: 'set sslmode=verify-full and take the password out of the URL: the client certificate is the login',
    waitable: false,
  },
  CONFIG_NOT_IPV6: {
    layer: 'config',
    hint: 'use the name multiplayer-fabric-crdb.internal, or an IPv6 literal in brackets, as the host',
    waitable: false,
  },
  CERT_UNREADABLE: {
    layer: 'config',
    hint: 'check that the file named above exists and is readable: ls -l FILE; on Fly use the PEM secrets (CRDB_*_CRT) instead',
    waitable: false,
  },
  CERT_INVALID: {
    layer: 'config',
    hint: 'look at what the setting really holds: openssl x509 -in FILE -noout -subject -dates',
    waitable: false,
  },
  KEY_PERMISSIONS: {
    layer: 'config',
    hint: 'chmod 600 the key file named above',
    waitable: false,
  },
  KEY_ENCRYPTED: {
    layer: 'config',
    hint: 'write the key without a passphrase: openssl pkey -in FILE -out NEWFILE && chmod 600 NEWFILE',
    waitable: false,
  },
  KEY_MISMATCH: {
    layer: 'config',
    hint: 'take certificate and key from one set; openssl x509 -in CERT -noout -pubkey must equal openssl pkey -in KEY -pubout',
    waitable: false,
  },
  CERT_EXPIRED: {
    layer: 'config',
    hint: 'make a new client certificate on the database machine: cockroach cert create-client USER, then set the secrets again',
    waitable: false,
  },
  CERT_NOT_YET_VALID: {
    layer: 'config',
    hint: 'compare this clock (date -u) with the certificate: openssl x509 -in FILE -noout -dates',
    waitable: false,
  },
  CERT_USAGE: {
    layer: 'config',
    hint: 'use a client certificate that carries clientAuth: openssl x509 -in FILE -noout -ext extendedKeyUsage',
    waitable: false,
  },
  DNS_NOT_FOUND: {
    layer: 'dns',
    hint: 'is the database machine started, and the name right? fly status -a multiplayer-fabric-crdb',
    waitable: true,
  },
  DNS_NO_AAAA: {
    layer: 'dns',
    hint: 'ask for the address yourself: dig AAAA multiplayer-fabric-crdb.internal @fdaa::3 (only started machines are listed)',
    waitable: true,
  },
  DNS_TIMEOUT: {
    layer: 'dns',
    hint: 'run this inside the private network; cat /etc/resolv.conf there must name fdaa::3',
    waitable: true,
  },
  DNS_FAILED: {
    layer: 'dns',
    hint: 'ask the resolver directly for its answer: dig TXT _apps.internal @fdaa::3',
    waitable: true,
  },
  TCP_REFUSED: {
    layer: 'tcp',
    hint: 'the machine is up, nothing listens there: fly logs -a multiplayer-fabric-crdb; it must listen on [::]:26257, not 0.0.0.0',
    waitable: true,
  },
  TCP_TIMEOUT: {
    layer: 'tcp',
    hint: 'nobody answers at this address: fly machine list -a multiplayer-fabric-crdb (stopped, moved, or a stale hostaddr?)',
    waitable: true,
  },
  TCP_UNREACHABLE: {
    layer: 'tcp',
    hint: 'this host has no IPv6 route there: ip -6 route get ADDRESS; run it on a Fly machine or with WireGuard up',
    waitable: true,
  },
  TCP_RESET: {
    layer: 'tcp',
    hint: 'something answered with a reset, most likely a restart or a proxy: fly logs -a multiplayer-fabric-crdb',
    waitable: true,
  },
  TCP_FAILED: {
    layer: 'tcp',
    hint: 'look up the errno in the causes above, then try the same by hand: nc -6 -v HOST 26257',
    waitable: true,
  },
  TLS_NOT_OFFERED: {
    layer: 'tls',
    hint: 'the server runs without TLS: start it with --certs-dir instead of --insecure (fly logs -a multiplayer-fabric-crdb)',
    waitable: false,
  },
  TLS_NOT_POSTGRES: {
    layer: 'tls',
    hint: 'another service answers on this port: the SQL port is 26257 (8080 is the DB Console); check DATABASE_URL',
    waitable: false,
  },
  TLS_TIMEOUT: {
    layer: 'tls',
    hint: 'node not initialised (cockroach init), or a path-MTU hole: small packets pass, the certificate flight does not (ping -6 -s 1372 HOST)',
    waitable: true,
  },
  TLS_CLOSED: {
    layer: 'tls',
    hint: 'see why the server hung up: fly logs -a multiplayer-fabric-crdb; a node that starts or stops does this',
    waitable: true,
  },
  TLS_VERSION: {
    layer: 'tls',
    hint: 'see which versions the server takes: openssl s_client -starttls postgres -connect HOST:26257 -tls1_2',
    waitable: false,
  },
  TLS_SERVER_UNTRUSTED: {
    layer: 'tls',
    hint: 'the database machine has probably made a new CA: copy its ca.crt and the client set into the CRDB_* secrets again',
    waitable: false,
  },
  TLS_SERVER_EXPIRED: {
    layer: 'tls',
    hint: 'renew the node certificate on the database machine (cockroach cert create-node), then restart it or send SIGHUP',
    waitable: false,
  },
  TLS_SERVER_NOT_YET_VALID: {
    layer: 'tls',
    hint: "compare date -u here with the certificate's notBefore in the evidence; correct the clock that is wrong",
    waitable: false,
  },
  TLS_SERVER_NAME: {
    layer: 'tls',
    hint: 'connect by a name that the certificate carries (see the evidence), set CRDB_SNI to one, or issue it anew with this name',
    waitable: false,
  },
  TLS_SERVER_USAGE: {
    layer: 'tls',
    hint: 'the server presents a certificate that is not for servers: issue the node certificate anew (cockroach cert create-node)',
    waitable: false,
  },
  TLS_CLIENT_REQUIRED: {
    layer: 'tls',
    hint: 'the server did not get our certificate: connect to the .internal name directly, with nothing in between that ends TLS',
    waitable: false,
  },
  TLS_CLIENT_REJECTED: {
    layer: 'tls',
    hint: 'does the client certificate come from the CA the server runs with now? openssl verify -CAfile ca.crt client.USER.crt',
    waitable: false,
  },
  TLS_FAILED: {
    layer: 'tls',
    hint: 'repeat the handshake by hand and read the alert: openssl s_client -starttls postgres -connect HOST:26257 -CAfile ca.crt',
    waitable: false,
  },
  AUTH_NO_CERTIFICATE: {
    layer: 'session',
    hint: 'the server saw no certificate it accepts for this user: as root run SHOW CLUSTER SETTING server.host_based_authentication.configuration',
    waitable: false,
  },
  AUTH_IDENTITY: {
    layer: 'session',
    hint: 'user in DATABASE_URL and CN of the certificate must be the same: openssl x509 -in CERT -noout -subject',
    waitable: false,
  },
  AUTH_ROLE_UNKNOWN: {
    layer: 'session',
    hint: 'the role is not there: as root run SHOW USERS; then npm run bootstrap -- --engine cockroach prints what creates it',
    waitable: false,
  },
  AUTH_LOGIN_DENIED: {
    layer: 'session',
    hint: 'the role may not log in: as root run ALTER ROLE gateway_writer WITH LOGIN',
    waitable: false,
  },
  SERVER_BUSY: {
    layer: 'session',
    hint: 'the server has no connection left: as root run SHOW SESSIONS and close what is idle, or wait',
    waitable: true,
  },
  SERVER_UNAVAILABLE: {
    layer: 'session',
    hint: 'the server is starting, recovering or stopping: run again with --wait 60 and watch fly logs',
    waitable: true,
  },
  SERVER_DRAINING: {
    layer: 'session',
    hint: 'the node is shutting down; run again with --wait 60 if it is being restarted (fly status -a multiplayer-fabric-crdb)',
    waitable: true,
  },
  SESSION_TIMEOUT: {
    layer: 'session',
    hint: 'TLS works, SQL does not answer: fly logs -a multiplayer-fabric-crdb (out of memory, disk stall, cluster without quorum)',
    waitable: true,
  },
  SESSION_CLOSED: {
    layer: 'session',
    hint: 'the server hung up without a word after TLS: look for a crash or restart in fly logs -a multiplayer-fabric-crdb',
    waitable: true,
  },
  SESSION_PROTOCOL: {
    layer: 'session',
    hint: 'what answers is not a PostgreSQL-wire server this program understands: check host and port; try psql with the same URL',
    waitable: false,
  },
  SESSION_REFUSED: {
    layer: 'session',
    hint: 'look up the SQLSTATE above; try the same login by hand: cockroach sql --certs-dir=DIR --host=HOST --user=USER',
    waitable: false,
  },
  CERTLESS_LOGIN_ALLOWED: {
    layer: 'session',
    hint: 'anyone on the network can log in: require certificates in server.host_based_authentication.configuration, as root',
    waitable: false,
  },
  FOREIGN_LOGIN_ALLOWED: {
    layer: 'session',
    hint: 'this certificate opens another role: look for that role among its DNS names: openssl x509 -in CERT -noout -ext subjectAltName',
    waitable: false,
  },
  NEGATIVE_INCONCLUSIVE: {
    layer: 'session',
    hint: 'no other role to try: create gateway_admin with LOGIN (npm run bootstrap -- --engine cockroach), then probe again',
    waitable: false,
  },
  DATABASE_MISSING: {
    layer: 'database',
    hint: 'check the name after the slash in DATABASE_URL: as root run SHOW DATABASES; on this deployment it is uro',
    waitable: false,
  },
  DATABASE_DENIED: {
    layer: 'database',
    hint: 'as root run GRANT CONNECT ON DATABASE uro TO gateway_writer',
    waitable: false,
  },
  CATALOGUE_FAILED: {
    layer: 'database',
    hint: 'a catalogue question failed: read the SQLSTATE above and fly logs -a multiplayer-fabric-crdb at that second',
    waitable: false,
  },
  TABLE_MISSING: {
    layer: 'schema',
    hint: 'npm run migrate (with MIGRATION_DATABASE_URL and the admin certificate), against the same database',
    waitable: false,
  },
  TABLE_MISMATCH: {
    layer: 'schema',
    hint: 'the table differs from src/schema.ts in what the evidence lists: deploy the matching code or run npm run migrate',
    waitable: false,
  },
  DML_DENIED: {
    layer: 'privilege',
    hint: 'as gateway_admin run GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE connection_probe TO gateway_writer (migrate does it)',
    waitable: false,
  },
  ADMIN_AT_RUNTIME: {
    layer: 'privilege',
    hint: 'log in as plain gateway_writer, and as root take away what the evidence lists (REVOKE role FROM gateway_writer)',
    waitable: false,
  },
  DDL_ALLOWED: {
    layer: 'privilege',
    hint: 'as root, in this database: REVOKE CREATE ON SCHEMA public FROM public; GRANT CREATE ON SCHEMA public TO gateway_admin;',
    waitable: false,
  },
  GRANT_EXCESS: {
    layer: 'privilege',
    hint: 'as gateway_admin run REVOKE of what the evidence lists ON TABLE connection_probe; SHOW GRANTS ON TABLE connection_probe',
    waitable: false,
  },
  WRITE_REFUSED: {
    layer: 'write',
    hint: 'read the SQLSTATE: 25006 is read-only, 53100 a full disk (fly ssh console -a multiplayer-fabric-crdb -C "df -h")',
    waitable: false,
  },
  WRITE_TIMEOUT: {
    layer: 'write',
    hint: 'the INSERT did not return: as root run SHOW STATEMENTS, and look for disk stalls in fly logs',
    waitable: true,
  },
  WRITE_CONTENDED: {
    layer: 'write',
    hint: 'others hold this table: as root run SELECT * FROM crdb_internal.cluster_locks, then probe again',
    waitable: true,
  },
  WRITE_AMBIGUOUS: {
    layer: 'write',
    hint: 'a row may or may not be there: once the server answers, run the statement in the warning ROWS_LEFT, then probe again',
    waitable: false,
  },
  CONNECTION_LOST: {
    layer: 'write',
    hint: 'the link broke in mid-session: see whether the node restarted at that second: fly machine status ID, fly logs',
    waitable: true,
  },
  ROW_LATE: {
    layer: 'visibility',
    hint: 'the row came later than the limit: look at the latencies; is the machine short of CPU or disk, or in another region?',
    waitable: false,
  },
  ROW_NOT_VISIBLE: {
    layer: 'visibility',
    hint: 'the write was acknowledged and never seen: do both sessions reach the same server? Compare the addresses in the evidence',
    waitable: false,
  },
  ROW_MISMATCH: {
    layer: 'visibility',
    hint: 'a column came back changed (see the evidence): as root run SHOW CREATE TABLE connection_probe',
    waitable: false,
  },
  READ_FAILED: {
    layer: 'visibility',
    hint: 'the independent SELECT failed: read the SQLSTATE above, then try SELECT count(*) FROM connection_probe by hand',
    waitable: false,
  },
  READ_TIMEOUT: {
    layer: 'visibility',
    hint: 'the independent SELECT did not return: as root run SHOW STATEMENTS, then SHOW SESSIONS',
    waitable: true,
  },
  CONNECTION_REPLACED: {
    layer: 'reuse',
    hint: 'the session changed under the writes: is a pooler or proxy (.flycast) in between? Use the .internal name',
    waitable: false,
  },
  STATEMENTS_NAMED: {
    layer: 'reuse',
    hint: 'the driver names its statements: keep prepare: false (postgres.js), prepare: :unnamed (Postgrex); check recent upgrades',
    waitable: false,
  },
  DEADLINE: {
    layer: 'run',
    hint: 'every step was slow but none hung: see the durations, then give it longer with --deadline 60',
    waitable: true,
  },
  INTERRUPTED: {
    layer: 'run',
    hint: 'run it again; in a release command make the time limit longer than --deadline plus --wait',
    waitable: false,
  },
} as const satisfies Record<string, CodeEntry>

/** The stable name of one cause. */
export type Code = keyof typeof CODES
