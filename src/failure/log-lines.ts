/**
 * What other clients print for the causes that have a code: Ecto (the back end), psql and the cockroach command line. The
 * first row that matches a line decides; the more specific rows stand first.
 *
 * seen    lines as they were measured: Ecto 3.13 with Postgrex 0.22.0 and psql 15.18, against PostgreSQL 18.4 and
 *         CockroachDB 22.1; cockroach sql 22.1; `[notice]` is Erlang/OTP 25's own. A test holds every one against its row.
 * codes   what the line may stand for, the likeliest first
 * apart   how to tell these apart, where they are several; what to know besides, where it is one
 *
 * A code of the client's own files (CERT_…, KEY_…) may stand where the server refused them: that is where they are fixed.
 */
import type { Code } from './codes.ts'

export interface LogLine {
  readonly pattern: RegExp
  readonly codes: readonly [Code, ...Code[]]
  readonly seen: readonly [string, ...string[]]
  readonly apart?: string
}

const PROBE = 'npm run probe, with the same settings, names the one that it is'
const NO_TLS =
  'the client went without TLS: Ecto does where CRDB_CA_CERT is unset, psql where sslmode is weaker than verify-full'

export const LOG_LINES: readonly LogLine[] = [
  // The client's settings and files.
  {
    pattern: /Invalid TLS option: \{\w+file,nil\}/,
    codes: ['CONFIG_MISSING'],
    seen: ['** (DBConnection.ConnectionError) ssl connect: Invalid TLS option: {certfile,nil}'],
    apart: 'Ecto got no value for that file: CRDB_CA_CERT, CRDB_CLIENT_CERT or CRDB_CLIENT_KEY is unset',
  },
  {
    pattern: /Invalid TLS option: \{server_name_indication,/,
    codes: ['CONFIG_INVALID'],
    seen: ['** (DBConnection.ConnectionError) ssl connect: Invalid TLS option: {server_name_indication,[]}'],
    apart: 'CRDB_SNI is set and empty: unset it, or name the host',
  },
  {
    pattern: /SSL connection required|no pg_hba\.conf entry for host .*, no encryption/,
    codes: ['CONFIG_MISSING', 'CONFIG_INSECURE'],
    seen: [
      '** (Postgrex.Error) FATAL 08P01 (protocol_violation) node is running secure mode, SSL connection required',
      'psql: error: connection to server at "::1", port 26257 failed: ERROR:  node is running secure mode, SSL connection required',
      'pq: node is running secure mode, SSL connection required',
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  no pg_hba.conf entry for host "::1", user "gateway_writer", database "uro", no encryption',
    ],
    apart: NO_TLS,
  },
  {
    pattern: /could not load private key file ".*": key values mismatch|private key does not match public key/,
    codes: ['KEY_MISMATCH'],
    seen: [
      'psql: error: connection to server at "::1", port 26257 failed: could not load private key file "/certs/client.key": key values mismatch',
      'ERROR: tls: private key does not match public key',
    ],
  },
  {
    pattern: /Enter PEM pass phrase|could not load private key file ".*": processing error|failed to parse private key/,
    codes: ['KEY_ENCRYPTED', 'CERT_INVALID'],
    seen: [
      'Enter PEM pass phrase:',
      'psql: error: connection to server at "::1", port 26257 failed: could not load private key file "/certs/client.key": processing error',
      'ERROR: tls: failed to parse private key',
    ],
    apart: 'the first line of the key file says BEGIN ENCRYPTED PRIVATE KEY, or it is damaged',
  },
  {
    pattern:
      /could not load private key file|could not read (root )?certificate file|in sslrootcert|failed to find any PEM data|no certificates found in/,
    codes: ['CERT_INVALID'],
    seen: [
      'psql: error: connection to server at "::1", port 26257 failed: could not load private key file "/certs/client.key": unsupported',
      'psql: error: connection to server at "::1", port 26257 failed: could not read root certificate file "/certs/ca.crt": no certificate or crl found',
      'psql: error: connection to server at "::1", port 26257 failed: could not read certificate file "/certs/client.crt": no start line',
      "ERROR: pq: couldn't parse pem in sslrootcert",
      'ERROR: tls: failed to find any PEM data in certificate input',
      'ERROR: tls: failed to find any PEM data in key input',
      'could not parse certificate for /certs/ca.crt: no certificates found in ca.crt',
    ],
  },
  {
    pattern: /has group or world access|has permissions \S+, exceeds/,
    codes: ['KEY_PERMISSIONS'],
    seen: [
      'psql: error: connection to server at "::1", port 26257 failed: private key file "/certs/client.key" has group or world access; file must have permissions u=rw (0600) or less if owned by the current user, or permissions u=rw,g=r (0640) or less if owned by root',
      'ERROR: pq: Private key file has group or world access. Permissions should be u=rw (0600) or less',
      'error finding key for /certs/client.gateway_writer.crt: key file /certs/client.gateway_writer.key has permissions -rw-r--r--, exceeds -rwx------',
    ],
  },
  {
    pattern:
      /Invalid (CA )?(certificate|key) file|root certificate file ".*" does not exist|but not private key file|could not stat key file/,
    codes: ['CERT_UNREADABLE'],
    seen: [
      '** (DBConnection.ConnectionError) ssl connect: Invalid CA certificate file /certs/ca.crt: no such file or directory',
      '** (DBConnection.ConnectionError) ssl connect: Invalid key file /certs/client.key',
      'psql: error: connection to server at "::1", port 26257 failed: root certificate file "/certs/ca.crt" does not exist',
      'psql: error: connection to server at "::1", port 26257 failed: certificate present, but not private key file "/certs/client.key"',
      'error finding key for /certs/client.gateway_writer.crt: could not stat key file /certs/client.gateway_writer.key: stat /certs/client.gateway_writer.key: no such file or directory',
    ],
  },

  // Names.
  {
    pattern: /non-existing domain|:nxdomain/,
    codes: ['DNS_NO_AAAA', 'DNS_NOT_FOUND', 'CONFIG_NOT_IPV6'],
    seen: ['** (DBConnection.ConnectionError) tcp connect (db:26257): non-existing domain - :nxdomain'],
    apart:
      'getent ahosts NAME: no address at all is DNS_NOT_FOUND, IPv4 ones alone are DNS_NO_AAAA; with IPv6 ones the repo lacks' +
      ' socket_options: [:inet6], since Ecto says the same of a name or a literal that has only an IPv6 address',
  },
  {
    pattern: /Temporary failure in name resolution|lookup \S+ on \S+: dial udp/,
    codes: ['DNS_FAILED', 'DNS_TIMEOUT'],
    seen: [
      'psql: error: could not translate host name "db.internal" to address: Temporary failure in name resolution',
      'dial tcp: lookup db.internal on [fdaa::3]:53: dial udp [fdaa::3]:53: connect: network is unreachable',
    ],
    apart: PROBE,
  },
  {
    pattern: /could not translate host name|: no such host/,
    codes: ['DNS_NOT_FOUND', 'DNS_NO_AAAA'],
    seen: [
      'psql: error: could not translate host name "db.internal" to address: Name or service not known',
      'dial tcp: lookup db.internal on [fdaa::3]:53: no such host',
    ],
    apart: 'getent ahosts NAME: no address at all is DNS_NOT_FOUND, IPv4 ones alone are DNS_NO_AAAA',
  },

  // The connection.
  {
    pattern: /[Cc]onnection refused|:econnrefused/,
    codes: ['TCP_REFUSED'],
    seen: [
      '** (DBConnection.ConnectionError) tcp connect (::1:9): connection refused - :econnrefused',
      'psql: error: connection to server at "::1", port 26257 failed: Connection refused',
      'dial tcp [::1]:26257: connect: connection refused',
    ],
  },
  {
    pattern: /[Nn]etwork is unreachable|[Nn]o route to host/,
    codes: ['TCP_UNREACHABLE'],
    seen: [
      'psql: error: connection to server at "2001:db8::1", port 26257 failed: No route to host',
      'psql: error: connection to server at "2001:db8::1", port 26257 failed: Network is unreachable',
      'dial tcp [2001:db8::1]:26257: connect: network is unreachable',
    ],
  },
  {
    pattern: /dial tcp .*: i\/o timeout/,
    codes: ['TCP_TIMEOUT'],
    seen: ['dial tcp [2001:db8::1]:26257: i/o timeout'],
  },
  {
    pattern: /read tcp .*: i\/o timeout/,
    codes: ['TLS_TIMEOUT', 'SESSION_TIMEOUT'],
    seen: ['read tcp [::1]:32968 -> [::1]:26257: i/o timeout'],
    apart: `the connection opened, and the server said nothing more: ${PROBE}`,
  },
  {
    pattern: /failed: timeout expired/,
    codes: ['TCP_TIMEOUT', 'TLS_TIMEOUT', 'SESSION_TIMEOUT'],
    seen: ['psql: error: connection to server at "::1", port 26257 failed: timeout expired'],
    apart: `libpq does not say what it waited for: ${PROBE}`,
  },
  {
    pattern: /read: connection reset by peer/,
    codes: ['TCP_RESET', 'TLS_CLOSED'],
    seen: ['read tcp [::1]:51994 -> [::1]:26257: read: connection reset by peer'],
    apart: PROBE,
  },

  // TLS.
  {
    pattern: /does not support SSL|ssl not available/,
    codes: ['TLS_NOT_OFFERED'],
    seen: [
      '** (Postgrex.Error) ssl not available',
      'psql: error: connection to server at "::1", port 26257 failed: server does not support SSL, but SSL was required',
    ],
  },
  {
    pattern: /SSL is not enabled on the server/,
    codes: ['TLS_NOT_OFFERED', 'SERVER_DRAINING', 'TLS_NOT_POSTGRES'],
    seen: ['pq: SSL is not enabled on the server'],
    apart: `cockroach says so of every answer that does not begin with S: ${PROBE}`,
  },
  {
    pattern: /received invalid response to SSL negotiation|no case clause matching: \{:ok, "/,
    codes: ['TLS_NOT_POSTGRES'],
    seen: [
      '** (CaseClauseError) no case clause matching: {:ok, "H"}',
      'psql: error: connection to server at "::1", port 26257 failed: received invalid response to SSL negotiation: H',
    ],
  },
  {
    pattern: /error response during SSL exchange/,
    codes: ['SERVER_DRAINING', 'SERVER_UNAVAILABLE', 'SERVER_BUSY'],
    seen: [
      'psql: error: connection to server at "::1", port 26257 failed: server sent an error response during SSL exchange',
    ],
    apart: `libpq keeps the server's error to itself: ${PROBE}`,
  },
  {
    pattern: /handshaking for longer than/,
    codes: ['TLS_TIMEOUT', 'SESSION_TIMEOUT'],
    seen: ['** (DBConnection.ConnectionError) timed out because it was handshaking for longer than 15000ms'],
    apart: PROBE,
  },
  {
    pattern: /alert protocol version|protocol version not supported|SERVER ALERT: Fatal - Protocol Version/,
    codes: ['TLS_VERSION'],
    seen: [
      '[notice] TLS :client: In state :hello received SERVER ALERT: Fatal - Protocol Version',
      'psql: error: connection to server at "::1", port 26257 failed: SSL error: tlsv1 alert protocol version',
      'remote error: tls: protocol version not supported',
    ],
  },
  {
    pattern:
      /hostname_check_failed|does not match host name|x509: certificate is valid for|because it doesn't contain any IP SANs/,
    codes: ['TLS_SERVER_NAME'],
    seen: [
      ' - {:bad_cert, :hostname_check_failed}',
      '** (DBConnection.ConnectionError) ssl connect: TLS client: In state wait_cert at ssl_handshake.erl:2175 generated CLIENT ALERT: Fatal - Bad Certificate {bad_cert,{hostname_check_failed,{requested,"wrong.example"},{received,[{dNSName,"localhost"}]}}}',
      'psql: error: connection to server at "::1", port 26257 failed: server certificate for "other.example" (and 1 other name) does not match host name "::1"',
      'ERROR: x509: certificate is valid for other.example, not db.test',
      "ERROR: x509: cannot validate certificate for ::1 because it doesn't contain any IP SANs",
    ],
  },
  {
    pattern: /CLIENT ALERT: Fatal - Unknown CA|x509: certificate signed by unknown authority/,
    codes: ['TLS_SERVER_UNTRUSTED'],
    seen: [
      '[notice] TLS :client: In state :wait_cert at ssl_handshake.erl:2111 generated CLIENT ALERT: Fatal - Unknown CA',
      '** (DBConnection.ConnectionError) ssl connect: TLS client: In state wait_cert at ssl_handshake.erl:2175 generated CLIENT ALERT: Fatal - Unknown CA',
      'ERROR: x509: certificate signed by unknown authority',
    ],
    apart: 'cockroach says the same where ca.crt is missing in --certs-dir',
  },
  {
    pattern: /CLIENT ALERT: Fatal - Certificate Expired/,
    codes: ['TLS_SERVER_EXPIRED', 'TLS_SERVER_NOT_YET_VALID'],
    seen: [
      '** (DBConnection.ConnectionError) ssl connect: TLS client: In state wait_cert at ssl_handshake.erl:2175 generated CLIENT ALERT: Fatal - Certificate Expired',
      '[notice] TLS :client: In state :wait_cert at ssl_handshake.erl:2094 generated CLIENT ALERT: Fatal - Certificate Expired',
    ],
    apart: `Erlang has one alert for a certificate that is over and one that is not valid yet: ${PROBE}`,
  },
  {
    pattern: /x509: certificate has expired .* is after/,
    codes: ['TLS_SERVER_EXPIRED'],
    seen: [
      'ERROR: x509: certificate has expired or is not yet valid: current time 2026-11-29T19:37:30Z is after 2026-11-28T19:37:29Z',
    ],
  },
  {
    pattern: /x509: certificate has expired or is not yet valid: .* is before/,
    codes: ['TLS_SERVER_NOT_YET_VALID'],
    seen: [
      'ERROR: x509: certificate has expired or is not yet valid: current time 2026-11-29T19:37:30Z is before 2026-11-30T19:37:29Z',
    ],
  },
  {
    pattern: /invalid_ext_key_?usage|x509: certificate specifies an incompatible key usage/,
    codes: ['TLS_SERVER_USAGE'],
    seen: [
      ' - {:bad_cert, :invalid_ext_key_usage}',
      '** (DBConnection.ConnectionError) ssl connect: TLS client: In state wait_cert at ssl_handshake.erl:2175 generated CLIENT ALERT: Fatal - Unsupported Certificate {invalid_ext_keyusage,[{1,3,6,1,5,5,7,3,2}]}',
      'ERROR: x509: certificate specifies an incompatible key usage',
    ],
  },
  {
    pattern: /CLIENT ALERT: Fatal - Handshake Failure/,
    codes: ['TLS_SERVER_NAME', 'TLS_SERVER_USAGE'],
    seen: [
      '[notice] TLS :client: In state :wait_cert at ssl_handshake.erl:2113 generated CLIENT ALERT: Fatal - Handshake Failure',
    ],
    apart: 'the next line of the log says which: hostname_check_failed or invalid_ext_key_usage',
  },
  {
    pattern: /SSL error: certificate verify failed/,
    codes: ['TLS_SERVER_UNTRUSTED', 'TLS_SERVER_EXPIRED', 'TLS_SERVER_USAGE', 'TLS_SERVER_NOT_YET_VALID'],
    seen: ['psql: error: connection to server at "::1", port 26257 failed: SSL error: certificate verify failed'],
    apart: `libpq does not say why: openssl s_client -starttls postgres -connect HOST:26257 -CAfile ca.crt does; ${PROBE}`,
  },
  {
    pattern: /In state :?(?:hello|wait_sh) received SERVER ALERT: Fatal/,
    codes: ['TLS_FAILED'],
    seen: [
      '[notice] TLS :client: In state :wait_sh received SERVER ALERT: Fatal - Handshake Failure',
      '** (DBConnection.ConnectionError) ssl connect: TLS client: In state wait_sh received SERVER ALERT: Fatal - Unknown CA',
    ],
    apart: 'the server has not seen a certificate of the client yet, whatever its alert is called',
  },
  {
    pattern: /alert certificate required|tls: certificate required|SERVER ALERT: Fatal - Certificate required/,
    codes: ['TLS_CLIENT_REQUIRED'],
    seen: [
      '[notice] TLS :client: In state :connection received SERVER ALERT: Fatal - Certificate required',
      'psql: error: connection to server at "::1", port 26257 failed: SSL error: tlsv13 alert certificate required',
      'remote error: tls: certificate required',
    ],
  },
  {
    pattern: /alert certificate expired|tls: expired certificate|SERVER ALERT: Fatal - Certificate Expired/,
    codes: ['CERT_EXPIRED', 'TLS_CLIENT_REJECTED'],
    seen: [
      '** (DBConnection.ConnectionError) ssl recv (idle): TLS client: In state connection received SERVER ALERT: Fatal - Certificate Expired',
      'psql: error: connection to server at "::1", port 5432 failed: SSL error: sslv3 alert certificate expired',
      'remote error: tls: expired certificate',
    ],
    apart: 'openssl x509 -in CERT -noout -dates; where ours is valid, an issuer that the server knows has expired',
  },
  {
    pattern: /alert unsupported certificate|tls: unsupported certificate|SERVER ALERT: Fatal - Unsupported Certificate/,
    codes: ['CERT_USAGE', 'TLS_CLIENT_REJECTED'],
    seen: [
      '** (DBConnection.ConnectionError) ssl recv (idle): TLS client: In state connection received SERVER ALERT: Fatal - Unsupported Certificate',
      'psql: error: connection to server at "::1", port 5432 failed: SSL error: sslv3 alert unsupported certificate',
      'remote error: tls: unsupported certificate',
    ],
    apart: 'openssl x509 -in CERT -noout -ext extendedKeyUsage must list TLS Web Client Authentication',
  },
  {
    pattern: /alert decrypt error|tls: error decrypting message|SERVER ALERT: Fatal - Decrypt Error/,
    codes: ['KEY_MISMATCH', 'TLS_CLIENT_REJECTED'],
    seen: [
      '** (DBConnection.ConnectionError) ssl recv (idle): TLS client: In state connection received SERVER ALERT: Fatal - Decrypt Error',
      'psql: error: connection to server at "::1", port 26257 failed: SSL error: tlsv1 alert decrypt error',
      'remote error: tls: error decrypting message',
    ],
    apart: 'openssl x509 -in CERT -noout -pubkey must equal openssl pkey -in KEY -pubout',
  },
  {
    pattern: /alert bad certificate|tls: bad certificate|SERVER ALERT: Fatal - Bad Certificate/,
    codes: ['TLS_CLIENT_REJECTED', 'CERT_EXPIRED', 'CERT_USAGE'],
    seen: [
      '** (DBConnection.ConnectionError) ssl recv (idle): TLS client: In state connection received SERVER ALERT: Fatal - Bad Certificate',
      'psql: error: connection to server at "::1", port 26257 failed: SSL error: sslv3 alert bad certificate',
      'remote error: tls: bad certificate',
    ],
    apart:
      'CockroachDB has one alert for all three: npm run certs:check -- DIR finds an expired one and one without clientAuth',
  },
  {
    pattern:
      /alert (unknown ca|certificate revoked|certificate unknown|access denied)|SERVER ALERT: Fatal - (Unknown CA|Certificate (Revoked|Unknown)|Access Denied)|remote error: tls: (unknown certificate|revoked certificate|access denied)/,
    codes: ['TLS_CLIENT_REJECTED'],
    seen: [
      '[notice] TLS :client: In state :connection received SERVER ALERT: Fatal - Certificate Revoked',
      '[notice] TLS :client: In state :connection received SERVER ALERT: Fatal - Certificate Unknown',
      '[notice] TLS :client: In state :connection received SERVER ALERT: Fatal - Access Denied',
      '** (DBConnection.ConnectionError) ssl recv (idle): TLS client: In state connection received SERVER ALERT: Fatal - Unknown CA',
      'psql: error: connection to server at "::1", port 5432 failed: SSL error: tlsv1 alert unknown ca',
      'psql: error: connection to server at "::1", port 26257 failed: SSL error: sslv3 alert certificate revoked',
      'psql: error: connection to server at "::1", port 26257 failed: SSL error: sslv3 alert certificate unknown',
      'psql: error: connection to server at "::1", port 26257 failed: SSL error: tlsv1 alert access denied',
      'remote error: tls: unknown certificate authority',
      'remote error: tls: revoked certificate',
      'remote error: tls: unknown certificate',
      'remote error: tls: access denied',
    ],
  },
  {
    pattern: /alert handshake failure|tls: handshake failure|SERVER ALERT: Fatal - Handshake Failure/,
    codes: ['TLS_FAILED', 'TLS_CLIENT_REQUIRED'],
    seen: [
      '[notice] TLS :client: In state :cipher received SERVER ALERT: Fatal - Handshake Failure',
      'psql: error: connection to server at "::1", port 26257 failed: SSL error: sslv3 alert handshake failure',
      'remote error: tls: handshake failure',
    ],
    apart: `no cipher in common, or (TLS 1.2) no certificate of the client's: ${PROBE}`,
  },
  {
    pattern: /SERVER ALERT: Fatal - (Internal Error|Insufficient Security|Unrecognized Name|Inappropriate Fallback)/,
    codes: ['TLS_FAILED'],
    seen: [
      '[notice] TLS :client: In state :connection received SERVER ALERT: Fatal - Internal Error',
      '[notice] TLS :client: In state :cipher received SERVER ALERT: Fatal - Insufficient Security',
      '[notice] TLS :client: In state :cipher received SERVER ALERT: Fatal - Unrecognized Name',
      '[notice] TLS :client: In state :cipher received SERVER ALERT: Fatal - Inappropriate Fallback',
    ],
  },
  {
    pattern: /SSL SYSCALL error: EOF detected/,
    codes: ['TLS_CLOSED'],
    seen: ['psql: error: connection to server at "::1", port 26257 failed: SSL SYSCALL error: EOF detected'],
  },

  // The session.
  {
    pattern: /connection requires a valid client certificate|no password supplied/,
    codes: ['AUTH_NO_CERTIFICATE', 'CERT_UNREADABLE'],
    seen: [
      '** (Postgrex.Error) FATAL 28000 (invalid_authorization_specification) connection requires a valid client certificate',
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  connection requires a valid client certificate',
      'psql: error: connection to server at "::1", port 26257 failed: fe_sendauth: no password supplied',
    ],
    apart:
      'look first whether the certificate file is where the client reads it: Ecto and libpq go on without one that is missing',
  },
  {
    pattern: /password authentication failed for user/,
    codes: ['AUTH_NO_CERTIFICATE', 'AUTH_ROLE_UNKNOWN', 'CERT_UNREADABLE', 'TLS_CLIENT_REJECTED'],
    seen: [
      '** (Postgrex.Error) FATAL 28000 (invalid_authorization_specification) password authentication failed for user gateway_writer',
      'psql: error: connection to server at "::1", port 26257 failed: ERROR:  password authentication failed for user ghost',
      'ERROR: password authentication failed for user gateway_writer',
    ],
    apart:
      'the roles have no passwords: the server got no certificate (its file is missing, or cockroach does not send one that' +
      ' another CA signed), or there is no such role: as root SHOW USERS',
  },
  {
    pattern: /certificate authentication failed for user|but certificate is for \[|client certificate has principals/,
    codes: ['AUTH_IDENTITY'],
    seen: [
      '** (Postgrex.Error) FATAL 28000 (invalid_authorization_specification) requested user is gateway_writer, but certificate is for [gateway_admin]',
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  certificate authentication failed for user "gateway_writer"',
      'psql: error: connection to server at "::1", port 26257 failed: ERROR:  requested user is gateway_writer, but certificate is for [gateway_admin]',
      'failed to validate certificate 0 in file client.gateway_writer.crt: client certificate has principals ["gateway_admin"], expected "gateway_writer"',
    ],
  },
  {
    pattern: /\brole ".*" does not exist/,
    codes: ['AUTH_ROLE_UNKNOWN'],
    seen: [
      '** (Postgrex.Error) FATAL 28000 (invalid_authorization_specification) role "ghost" does not exist',
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  role "ghost" does not exist',
    ],
  },
  {
    pattern:
      /not permitted to log in|does not have login privilege|no pg_hba\.conf entry for host|pg_hba\.conf rejects connection/,
    codes: ['AUTH_LOGIN_DENIED'],
    seen: [
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  role "nologin" is not permitted to log in',
      'psql: error: connection to server at "::1", port 26257 failed: ERROR:  nologin does not have login privilege',
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  no pg_hba.conf entry for host "::1", user "gateway_writer", database "uro", SSL encryption',
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  pg_hba.conf rejects connection for host "::1", user "gateway_writer", database "uro", SSL encryption',
    ],
  },
  {
    pattern: /too many connections for role|too many clients already/,
    codes: ['SERVER_BUSY'],
    seen: [
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  too many connections for role "gateway_writer"',
      'FATAL: sorry, too many clients already',
    ],
  },
  {
    pattern: /the database system is (starting up|shutting down)/,
    codes: ['SERVER_UNAVAILABLE'],
    seen: [
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  the database system is starting up',
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  the database system is shutting down',
    ],
  },
  {
    pattern: /server is not accepting clients/,
    codes: ['SERVER_DRAINING'],
    seen: [
      '** (Postgrex.Error) FATAL 57P01 (admin_shutdown) server is not accepting clients, try another node',
      'psql: error: connection to server at "::1", port 26257 failed: FATAL:  server is not accepting clients, try another node',
    ],
  },
  {
    pattern: /terminating connection due to administrator command/,
    codes: ['SERVER_DRAINING', 'CONNECTION_LOST'],
    seen: ['FATAL:  terminating connection due to administrator command'],
    apart: 'fly logs: a restart ends every session, pg_terminate_backend this one alone',
  },
  {
    pattern: /\bssl send: closed|connection to server was lost/,
    codes: ['CONNECTION_LOST', 'TLS_CLIENT_REJECTED'],
    seen: [
      '[error] Postgrex.Protocol (#PID<0.412.0>) disconnected: ** (DBConnection.ConnectionError) ssl send: closed',
      '[error] Postgrex.Protocol (#PID<0.412.0>) failed to connect: ** (DBConnection.ConnectionError) ssl send: closed',
      'connection to server was lost',
    ],
    apart:
      '"disconnected" is a lost connection; "failed to connect" is a certificate that was turned down, and the alert was lost',
  },
  {
    pattern: /SSL connection has been closed unexpectedly/,
    codes: ['SESSION_CLOSED', 'TLS_CLIENT_REJECTED', 'CONNECTION_LOST'],
    seen: [
      'psql: error: connection to server at "::1", port 26257 failed: SSL connection has been closed unexpectedly',
    ],
    apart: `in a session it is CONNECTION_LOST; at connecting, ${PROBE}`,
  },
  {
    pattern: /server closed the connection/,
    codes: ['TLS_CLOSED', 'SESSION_CLOSED', 'CONNECTION_LOST'],
    seen: [
      'psql: error: connection to server at "::1", port 26257 failed: server closed the connection unexpectedly',
      'ERROR: server closed the connection.',
    ],
    apart: `the client does not say when: ${PROBE}`,
  },

  // The database and what is in it.
  {
    pattern: /database ".*" does not exist/,
    codes: ['DATABASE_MISSING'],
    seen: [
      '** (Postgrex.Error) FATAL 3D000 (invalid_catalog_name) database "nope" does not exist',
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  database "nope" does not exist',
      'ERROR: database "nope" does not exist',
    ],
  },
  {
    pattern: /permission denied for database/,
    codes: ['DATABASE_DENIED'],
    seen: [
      'psql: error: connection to server at "::1", port 5432 failed: FATAL:  permission denied for database "uro"',
    ],
  },
  {
    pattern: /column ".*" (of relation ".*" )?does not exist/,
    codes: ['TABLE_MISMATCH'],
    seen: [
      'ERROR:  column "nope" of relation "connection_probe" does not exist',
      'ERROR: column "nope" does not exist',
    ],
  },
  {
    pattern: /relation ".*" does not exist/,
    codes: ['TABLE_MISSING'],
    seen: [
      '** (Postgrex.Error) ERROR 42P01 (undefined_table) relation "connection_probe" does not exist',
      'ERROR:  relation "connection_probe" does not exist',
    ],
    apart: 'or the search path hides it: SHOW search_path',
  },
  {
    pattern: /permission denied for (table|schema)|does not have \w+ privilege on/,
    codes: ['DML_DENIED'],
    seen: [
      '** (Postgrex.Error) ERROR 42501 (insufficient_privilege) user gateway_reader does not have INSERT privilege on relation connection_probe',
      'ERROR:  permission denied for table connection_probe',
      'ERROR:  permission denied for schema public',
      'ERROR: user gateway_writer does not have CREATE privilege on schema public',
    ],
    apart:
      'where it was CREATE, ALTER or DROP that was denied, that is as it must be: only gateway_admin may, in a migration',
  },

  // Writing and reading.
  {
    pattern: /in a read-only transaction|violates (not-null|check) constraint|violates row-level security policy/,
    codes: ['WRITE_REFUSED'],
    seen: [
      'ERROR:  cannot execute INSERT in a read-only transaction',
      'ERROR:  null value in column "sequence" of relation "connection_probe" violates not-null constraint',
      'ERROR:  new row for relation "connection_probe" violates check constraint "c"',
      'ERROR:  new row violates row-level security policy for table "connection_probe"',
    ],
  },
  {
    pattern: /due to (statement|lock) timeout/,
    codes: ['WRITE_TIMEOUT', 'READ_TIMEOUT'],
    seen: [
      'ERROR:  canceling statement due to statement timeout',
      'ERROR:  canceling statement due to lock timeout',
      'ERROR: query execution canceled due to statement timeout',
    ],
    apart:
      'the statement in the log says whether it was written or read; a lock timeout is about a write of somebody else',
  },
  {
    pattern: /could not serialize access|restart transaction: /,
    codes: ['WRITE_CONTENDED'],
    seen: [
      'ERROR:  could not serialize access due to concurrent update',
      'restart transaction: TransactionRetryWithProtoRefreshError: WriteTooOldError: write for key /Table/108/1/',
    ],
  },
]

/** Lines that follow from another one, and say nothing of the cause. */
export const CONSEQUENCES: readonly { readonly pattern: RegExp; readonly seen: string; readonly look: string }[] = [
  {
    pattern: /connection not available and request was dropped from queue/,
    seen: '** (DBConnection.ConnectionError) connection not available and request was dropped from queue after 2999ms',
    look: 'the cause stands seconds earlier in the log: [error] Postgrex.Protocol (#PID<…>) failed to connect: …',
  },
]
