/**
 * What each failure code means and how to fix it: loaded by `explain` and the tests only.
 *
 * meaning   what the code says and, where that helps, what it does not say
 * causes    usual causes on this deployment, the likeliest first
 * confirm   how to see that it is so
 * fix      what to do about it
 *
 * Lines of `confirm` and `fix` that are to be typed begin with their prompt (see PROMPTS), all others are prose.
 * HOST, USER, FILE, ID and the like in capitals are to be replaced.
 */
import type { Code } from './codes.ts'

export interface Explanation {
  readonly meaning: string
  readonly causes: readonly string[]
  readonly confirm: readonly string[]
  readonly fix: readonly string[]
}

const APP = 'multiplayer-fabric-crdb'
const BACK_END = 'multiplayer-fabric-uro'
const HOST = `${APP}.internal`
const CERTS = '/cockroach/cockroach-data/certs'
const CA = `--certs-dir=${CERTS} --ca-key=${CERTS}/ca.key`

/** The prompts used in the texts, and how to get to each (a command on a line of its own). */
export const PROMPTS = {
  $: 'a shell where the probe runs; fly commands also on your own machine',
  crdb$: `a shell on the database machine: fly ssh console -a ${APP}`,
  'root>': `SQL as root, there, after\ncockroach sql --certs-dir=${CERTS} --host=localhost --database=uro`,
  'admin>': 'SQL as gateway_admin, there: the same cockroach sql with --user=gateway_admin',
} as const satisfies Record<string, string>

const LOGS = `$ fly logs -a ${APP}`
const STATUS = `$ fly status -a ${APP}`
const MACHINES = `$ fly machine list -a ${APP}`
const START = `$ fly machine start ID -a ${APP}`
const RESTART = `$ fly machine restart ID -a ${APP}`
const SECRETS = `$ fly secrets list -a ${BACK_END}`
const NODES = `crdb$ cockroach node status --certs-dir=${CERTS}`
const CERT_LIST = `crdb$ cockroach cert list --certs-dir=${CERTS}`
const HANDSHAKE =
  `$ openssl s_client -starttls postgres -connect ${HOST}:26257 -CAfile ca.crt` +
  ' -cert client.gateway_writer.crt -key client.gateway_writer.key'
const NEW_CLIENT = `crdb$ cockroach cert create-client gateway_writer ${CA} --overwrite`
const NEW_NODE =
  `crdb$ cockroach cert create-node localhost 127.0.0.1 ::1 "$FLY_PRIVATE_IP" ${HOST} ${APP}.flycast` +
  ` ${CA} --overwrite`
const HBA = 'root> SHOW CLUSTER SETTING server.host_based_authentication.configuration;'

/** Brings the certificates that the database machine holds now to the back end. */
const REFRESH_SECRETS = [
  `$ fly ssh sftp get -a ${APP} ${CERTS}/ca.crt`,
  `$ fly ssh sftp get -a ${APP} ${CERTS}/client.gateway_writer.crt`,
  `$ fly ssh sftp get -a ${APP} ${CERTS}/client.gateway_writer.key`,
  `$ fly secrets set -a ${BACK_END} CRDB_CA_CRT="$(cat ca.crt)"` +
    ' CRDB_CLIENT_WRITER_CRT="$(cat client.gateway_writer.crt)"' +
    ' CRDB_CLIENT_WRITER_KEY="$(cat client.gateway_writer.key)"',
  'The same for gateway_admin (CRDB_CLIENT_ADMIN_CRT, CRDB_CLIENT_ADMIN_KEY). Then delete the local copies. Setting' +
    ' secrets restarts the back end.',
] as const

/** Every code's explanation. */
export const EXPLANATIONS = {
  CONFIG_MISSING: {
    meaning: 'A setting that the probe cannot do without is not there. Nothing was sent.',
    causes: [
      "the probe runs in a machine or shell that does not have the back end's secrets",
      "the certificates are set as path variables (CRDB_CLIENT_CERT …), which exist only below the back end's start script",
      'one of a set of three is missing: CA, certificate and key must all come from one source',
    ],
    confirm: [SECRETS, '$ env | cut -d= -f1 | grep -E "^(DATABASE_URL|MIGRATION_DATABASE_URL|CRDB_|PGSSL|COCKROACH_)"'],
    fix: [
      "Run the probe in the back end's own app, where the secrets are (README: Run it now), or set" +
        ' DATABASE_URL and give the directory of certificates:',
      '$ npm run probe -- --certs-dir DIR',
    ],
  },
  CONFIG_INVALID: {
    meaning: 'A setting is there and cannot be understood, or contradicts another one. Nothing was sent.',
    causes: [
      'a typing error in DATABASE_URL, or an IPv6 literal in it without brackets',
      'a URL parameter that the probe does not know (it takes sslmode, sslrootcert, sslcert, sslkey, hostaddr)',
      'an option with a value out of its range',
    ],
    confirm: ['The message names the setting and what is wrong with it.'],
    fix: ['DATABASE_URL on this deployment:', `postgresql://gateway_writer@${HOST}:26257/uro?sslmode=verify-full`],
  },
  CONFIG_INSECURE: {
    meaning:
      'The settings ask for less than verified TLS with a client certificate: a weaker sslmode, or a password in the' +
      ' URL. The probe refuses to prove such a connection.',
    causes: [
      'sslmode=require or prefer, which verify nothing',
      'a password carried over from another database; the roles here have none',
    ],
    confirm: ['The message names the setting.'],
    fix: [
      'Write sslmode=verify-full and take the password out of the URL. If a weaker mode was chosen because verification' +
        ' failed, fix that instead: explain TLS_SERVER_NAME, explain TLS_SERVER_UNTRUSTED.',
    ],
  },
  CONFIG_NOT_IPV6: {
    meaning:
      'The address given is IPv4, or an IPv6 notation that only wraps IPv4 (::ffff:0:0/96, 64:ff9b::/96). The private' +
      ' network has IPv6 only, and nothing here may fall back.',
    causes: ['an IPv4 literal as the host or in hostaddr', 'a proxy on 127.0.0.1 (fly proxy) used as the target'],
    confirm: [`$ dig AAAA ${HOST} @fdaa::3`],
    fix: [`Use the name ${HOST}, or an IPv6 literal: in brackets as the host, without them in hostaddr.`],
  },
  CERT_UNREADABLE: {
    meaning: 'A certificate or key file that the settings name cannot be read.',
    causes: [
      "a path that exists only below the back end's start script, not in a release machine or a shell",
      "another user than the file's owner runs the probe",
      'a typing error in the path',
    ],
    confirm: ['$ ls -l FILE', '$ id'],
    fix: [
      'Correct the path, or give the PEM text instead: CRDB_CA_CRT, CRDB_CLIENT_WRITER_CRT, CRDB_CLIENT_WRITER_KEY are' +
        " secrets of the back end's app and present in every machine of it.",
    ],
  },
  CERT_INVALID: {
    meaning: 'What should be a certificate or a key is not one, or is cut short.',
    causes: [
      'line breaks lost when the PEM text was put into the secret',
      'certificate and key, or CA and certificate, exchanged',
      'a file of another format (DER, PKCS#12), or an error page saved as a file',
      'a certificate that is no CA stands in ca.crt',
      'its key is one that TLS cannot use: EC on another curve than P-256, P-384 and P-521, or DSA',
    ],
    confirm: [
      '$ openssl x509 -in FILE -noout -subject -dates',
      '$ printf %s "$CRDB_CLIENT_WRITER_CRT" | openssl x509 -noout -subject -dates',
    ],
    fix: REFRESH_SECRETS,
  },
  KEY_PERMISSIONS: {
    meaning:
      "The key file can be read by others. The rule is libpq's: 0600 or less, or 0640 or less when root owns it. The" +
      " back end's driver may be less strict; psql and cockroach are not.",
    causes: [
      'the file was copied or written without setting its mode',
      'a volume or a checkout that sets modes itself',
    ],
    confirm: ['$ ls -l FILE'],
    fix: ['$ chmod 600 FILE'],
  },
  KEY_ENCRYPTED: {
    meaning: 'The key is protected by a passphrase, and nobody is there to type it.',
    causes: ['a key made by hand; cockroach cert makes keys without one'],
    confirm: ['$ grep ENCRYPTED FILE'],
    fix: ['$ openssl pkey -in FILE -out NEWFILE && chmod 600 NEWFILE'],
  },
  KEY_MISMATCH: {
    meaning: "Certificate and key are both readable, and the key is not this certificate's.",
    causes: [
      'only one of the two was renewed, or only one of the two secrets was set',
      "the writer's certificate with the admin's key, or the other way round",
    ],
    confirm: [
      '$ openssl x509 -in CERT -noout -pubkey | openssl sha256',
      '$ openssl pkey -in KEY -pubout | openssl sha256',
    ],
    fix: REFRESH_SECRETS,
  },
  CERT_EXPIRED: {
    meaning: "The client certificate's time is over, by the clock here. The server would refuse it.",
    causes: ['the certificate was made with a short lifetime', 'the clock here is wrong'],
    confirm: ['$ openssl x509 -in FILE -noout -dates', '$ date -u'],
    fix: [NEW_CLIENT, ...REFRESH_SECRETS],
  },
  CERT_NOT_YET_VALID: {
    meaning: "The client certificate's time has not begun, by the clock here.",
    causes: ['the clock here is behind', 'the clock of the machine that made the certificate was ahead'],
    confirm: ['$ date -u', '$ openssl x509 -in FILE -noout -dates'],
    fix: ['Correct the clock that is wrong; if it was the other one, reissue the certificate:', NEW_CLIENT],
  },
  CERT_USAGE: {
    meaning:
      'The certificate is not for a client alone: its extended key usage lacks clientAuth, or it is a CA or has the key' +
      ' of one, and whoever has its key can issue certificates for any user.',
    causes: [
      "a server certificate was given as the client's",
      'a certificate made by hand with serverAuth only',
      "a CA's own certificate or key was given, or the certificate was made with CA:true",
    ],
    confirm: ['$ openssl x509 -in FILE -noout -subject -ext basicConstraints,keyUsage,extendedKeyUsage'],
    fix: [NEW_CLIENT, ...REFRESH_SECRETS],
  },
  DNS_NOT_FOUND: {
    meaning: 'The resolver answers that there is no such name. On Fly a name exists only while a machine is started.',
    causes: [
      'the database machine is stopped, or being replaced by a deployment',
      'a typing error in the host, or an app of another organisation (another private network)',
      'the probe runs outside the private network, where .internal means nothing',
    ],
    confirm: [
      STATUS,
      `$ dig TXT vms.${HOST} @fdaa::3`,
      `$ dig TXT all.vms.${HOST} @fdaa::3`,
      '$ dig TXT _apps.internal @fdaa::3',
      'vms empty and all.vms not: the machine exists and is stopped. The app not in _apps: wrong name or organisation.',
    ],
    fix: [START, 'If it is only starting: npm run probe -- --wait 60'],
  },
  DNS_NO_AAAA: {
    meaning:
      'The name exists, and no usable IPv6 address stands behind it. Answers that only wrap IPv4 do not count; the' +
      ' evidence lists what was discarded.',
    causes: [
      'no machine of the database app is started',
      'the host is a public name with A records only, or resolves through NAT64',
      'an entry in /etc/hosts with an IPv4 address',
    ],
    confirm: [`$ dig AAAA ${HOST} @fdaa::3`, `$ getent ahostsv6 ${HOST}`, STATUS],
    fix: [START, `Use the name ${HOST} as the host; nothing here may fall back to IPv4.`],
  },
  DNS_TIMEOUT: {
    meaning: 'No resolver answered in time. It says nothing about the name or the database.',
    causes: [
      'the probe runs outside the private network, or its WireGuard tunnel is down',
      '/etc/resolv.conf names a resolver that cannot be reached; on a Fly machine it should be fdaa::3',
      'a passing fault of the network',
    ],
    confirm: ['$ cat /etc/resolv.conf', '$ dig TXT _apps.internal @fdaa::3', `$ fly dig aaaa ${HOST} -a ${APP}`],
    fix: ['Run it on a Fly machine of the same organisation, or bring the tunnel up. A passing fault: --wait 60'],
  },
  DNS_FAILED: {
    meaning: 'The resolver answered with an error (SERVFAIL, REFUSED, …), or could not be reached at all.',
    causes: [
      "the resolver in /etc/resolv.conf is not the private network's",
      'no route to fdaa::3: not in the private network, or no IPv6 here',
      'a fault of the resolver itself',
    ],
    confirm: ['$ cat /etc/resolv.conf', `$ dig AAAA ${HOST} @fdaa::3`, '$ ip -6 route get fdaa::3'],
    fix: [
      'Run it where fdaa::3 is the resolver. To get past DNS for now, give the address: hostaddr=ADDRESS in the URL.',
    ],
  },
  TCP_REFUSED: {
    meaning: 'The machine answers, and nothing accepts connections on this port.',
    causes: [
      'CockroachDB is not up yet, or has crashed and is being restarted (out of memory, incomplete certificates)',
      'it listens on 0.0.0.0 only, which the private network cannot reach; :26257 or [::]:26257 is right',
      'another port than 26257',
    ],
    confirm: [LOGS, 'crdb$ cat /proc/net/tcp6', 'Port 26257 is 6691 in that list; state 0A is listening.'],
    fix: [
      'If it is starting: npm run probe -- --wait 60. If it crashes, the log says why. If it listens on IPv4 only, start' +
        ' it with --listen-addr=:26257.',
      RESTART,
    ],
  },
  TCP_TIMEOUT: {
    meaning: 'Nothing came back at all: no refusal, no connection. Packets are lost, or no machine has this address.',
    causes: [
      'a stale address: hostaddr in the settings, or a machine that has migrated (addresses are not static)',
      'the machine is stopped or hangs',
      'the WireGuard tunnel is down, or the other app is in another organisation',
    ],
    confirm: [MACHINES, `$ dig AAAA ${HOST} @fdaa::3`, `$ nc -6 -v -w 5 ${HOST} 26257`],
    fix: ['Take a stale hostaddr out of the settings.', START],
  },
  TCP_UNREACHABLE: {
    meaning: 'This host itself says that it cannot reach the address: no route, no IPv6, or not permitted.',
    causes: [
      'the probe runs outside the private network, or its WireGuard tunnel is down',
      'a container or CI machine without IPv6',
      'a local firewall or sandbox',
    ],
    confirm: ['$ ip -6 addr', '$ ip -6 route get ADDRESS'],
    fix: ['Run it on a Fly machine of the same organisation, or bring the WireGuard tunnel up.'],
  },
  TCP_RESET: {
    meaning: 'The connection was reset while it was being opened.',
    causes: [
      'the server restarted at that moment',
      "a proxy or firewall in between; .internal goes straight to the machine, .flycast through Fly's proxy",
    ],
    confirm: [LOGS, `$ nc -6 -v -w 5 ${HOST} 26257`],
    fix: [`Use ${HOST} rather than .flycast; try again with --wait 60.`],
  },
  TCP_FAILED: {
    meaning: 'Opening the connection failed with an errno that none of the other codes stands for; the causes name it.',
    causes: ['this host is short of something (file descriptors, buffers)', 'its network interface is down'],
    confirm: ['$ ulimit -n', '$ ip -6 addr', `$ nc -6 -v -w 5 ${HOST} 26257`],
    fix: ['Fix what the errno names, then probe again.'],
  },
  TLS_NOT_OFFERED: {
    meaning: "A server of PostgreSQL's protocol answered, and said that it does not speak TLS.",
    causes: [
      'CockroachDB was started with --insecure',
      'a pooler or a local PostgreSQL without TLS stands at this address',
    ],
    confirm: [LOGS, 'The line "sql:" of its start banner names the sslmode; disable means no TLS.', HANDSHAKE],
    fix: [`Start the node with --certs-dir=${CERTS} and without --insecure.`],
  },
  TLS_NOT_POSTGRES: {
    meaning:
      "Something answers on this port, and it is not a server of PostgreSQL's protocol, or something in between answered first.",
    causes: [
      "the wrong port: 8080 is CockroachDB's HTTP console, SQL is 26257",
      'the wrong host',
      'a proxy that ends TLS itself',
    ],
    confirm: [
      `$ openssl s_client -starttls postgres -connect ${HOST}:26257`,
      `$ curl -kv --max-time 5 https://${HOST}:26257/`,
    ],
    fix: ['Correct host and port in DATABASE_URL.'],
  },
  TLS_TIMEOUT: {
    meaning:
      "TCP opened, and the TLS handshake did not end in time. It is not a certificate's fault: those are refused at" +
      ' once. The evidence says at which byte it stopped: before the answer to SSLRequest, or after our ClientHello.',
    causes: [
      'silent before the answer to SSLRequest: the node accepts connections and is not initialised (cockroach init), or hangs',
      "silent after our ClientHello: a path-MTU hole; small packets pass, the server's certificates do not",
      'the machine is overloaded or out of memory',
    ],
    confirm: [
      LOGS,
      `$ ping -6 -M do -c 3 -s 1232 ${HOST}`,
      `$ ping -6 -M do -c 3 -s 1372 ${HOST}`,
      '1232 bytes make packets of 1280, which every IPv6 path must carry, 1372 make packets of 1420, the MTU on Fly' +
        ' (ip link shows it; take 48 off). If the small ones pass and the large ones do not, the path has a hole.',
    ],
    fix: [
      `crdb$ cockroach init --certs-dir=${CERTS} --host=localhost:26257`,
      'Once for a new cluster, and not where it was started with start-single-node, which initialises itself.',
      '$ ip link set dev INTERFACE mtu 1280',
      "That is for the path-MTU hole, on either side; a tunnel's MTU is set in its WireGuard configuration.",
    ],
  },
  TLS_CLOSED: {
    meaning: 'The server closed or reset the connection inside the handshake without saying why.',
    causes: [
      'the node is starting, stopping or crashing',
      'a proxy in between whose own backend is not there',
      'a server that closes instead of sending an alert',
    ],
    confirm: [LOGS, HANDSHAKE],
    fix: ['If it is starting: npm run probe -- --wait 60. Otherwise the log of that second says why.'],
  },
  TLS_VERSION: {
    meaning: 'Client and server share no TLS version; the probe speaks 1.2 and 1.3.',
    causes: ['an old proxy or server that stops at TLS 1.1', 'a server that is limited to a version by configuration'],
    confirm: [
      `$ openssl s_client -starttls postgres -connect ${HOST}:26257 -tls1_2`,
      `$ openssl s_client -starttls postgres -connect ${HOST}:26257 -tls1_3`,
    ],
    fix: [
      'CockroachDB speaks 1.2 and 1.3: see what else answers at this address. PostgreSQL: ssl_max_protocol_version.',
    ],
  },
  TLS_SERVER_UNTRUSTED: {
    meaning:
      "The server's certificate does not lead to the CA that the probe was given. The connection ended before anything" +
      ' was sent to it.',
    causes: [
      "the database machine found its volume's set of certificates incomplete and made a new CA and new certificates;" +
        " every client's CA and certificate is stale since then",
      'the CA secret belongs to another deployment or is an older one',
      'the server sends no intermediate certificate',
      'another server answers at this address',
    ],
    confirm: [
      LOGS,
      'Look for "certs missing or incomplete" at its last start. Then compare the two fingerprints:',
      `$ fly ssh sftp get -a ${APP} ${CERTS}/ca.crt`,
      '$ openssl x509 -in ca.crt -noout -fingerprint -sha256',
      '$ printf %s "$CRDB_CA_CRT" | openssl x509 -noout -fingerprint -sha256',
    ],
    fix: REFRESH_SECRETS,
  },
  TLS_SERVER_EXPIRED: {
    meaning: 'The certificate that the server showed, or one above it, has expired, by the clock here.',
    causes: ['the node certificate was made with a short lifetime', 'the clock here is wrong'],
    confirm: [CERT_LIST, '$ date -u'],
    fix: [NEW_NODE, RESTART, "Its lifetime must be shorter than the CA's, or cockroach refuses to create it."],
  },
  TLS_SERVER_NOT_YET_VALID: {
    meaning: 'The certificate that the server showed is valid from a later time than the clock here.',
    causes: ['the clock here is behind', 'the clock of the database machine was ahead when the certificate was made'],
    confirm: ['$ date -u', 'crdb$ date -u', CERT_LIST],
    fix: ['Correct the clock that is wrong; if the certificate is wrong, reissue it:', NEW_NODE, RESTART],
  },
  TLS_SERVER_NAME: {
    meaning:
      "The server's certificate is trusted and does not name the host. The evidence lists the names that it has. With" +
      ' CRDB_SNI unset the back end does not verify the name, so it may connect where this rightly does not.',
    causes: [
      `the host is a form of the name that the certificate lacks: it has localhost, 127.0.0.1, ::1, the machine's 6PN` +
        ` address, ${HOST} and ${APP}.flycast, not the regional or per-machine names`,
      'the host is an IPv6 literal and the machine has migrated to another address since the certificate was made',
      'the certificate was made for another app name',
    ],
    confirm: [
      CERT_LIST,
      `$ openssl s_client -starttls postgres -connect ${HOST}:26257 -CAfile ca.crt -verify_hostname ${HOST}`,
    ],
    fix: [
      `Use ${HOST} as the host (hostaddr=ADDRESS when a certain machine must be dialled), or set CRDB_SNI to a name` +
        ' that the certificate has. To reissue the certificate with more names:',
      NEW_NODE,
      RESTART,
    ],
  },
  TLS_SERVER_USAGE: {
    meaning: "The server's certificate has an extended key usage without serverAuth.",
    causes: ['a client certificate is installed as node.crt', 'a certificate made by hand with clientAuth only'],
    confirm: [
      CERT_LIST,
      `$ openssl s_client -starttls postgres -connect ${HOST}:26257 </dev/null | openssl x509 -noout -ext extendedKeyUsage`,
    ],
    fix: [NEW_NODE, RESTART, 'A node certificate needs both serverAuth and clientAuth.'],
  },
  TLS_CLIENT_REQUIRED: {
    meaning:
      'The server demanded a client certificate (alert 116) and did not get one. The probe always offers its own.',
    causes: [
      'the server asks for certificates of certain CAs only, and ours is of another one, so it was not sent',
      'a proxy in between makes its own TLS connection to the server',
    ],
    confirm: [HANDSHAKE, 'Look at "Acceptable client certificate CA names" in its output.'],
    fix: [`Connect to ${HOST} directly. If the CA is another one:`, ...REFRESH_SECRETS],
  },
  TLS_CLIENT_REJECTED: {
    meaning:
      "The server read the client certificate and refused it; the alert's name is in the evidence. Older CockroachDB" +
      " sends bad_certificate for every reason. It does not say that the server's own certificate is wrong: that one" +
      ' was accepted.',
    causes: [
      "the database machine made a new CA (its volume's set was incomplete) and the client certificate is of the old one",
      "only the CA secret was renewed, not the client's certificate and key",
      "the certificate has expired by the server's clock, or lacks clientAuth",
    ],
    confirm: [
      `$ fly ssh sftp get -a ${APP} ${CERTS}/ca.crt`,
      '$ openssl verify -CAfile ca.crt -purpose sslclient client.gateway_writer.crt',
      CERT_LIST,
      'crdb$ date -u',
    ],
    fix: REFRESH_SECRETS,
  },
  TLS_FAILED: {
    meaning: 'The handshake failed with an alert or error that none of the other codes stands for; the causes name it.',
    causes: [
      'no cipher or signature algorithm in common',
      'a proxy that alters the bytes',
      'a damaged certificate on the server',
    ],
    confirm: [HANDSHAKE, LOGS],
    fix: ["The name of the alert says what the server objects to; the server's log of that second says more."],
  },
  AUTH_NO_CERTIFICATE: {
    meaning:
      'TLS works, and the server goes on as if there were no usable client certificate: it asks for a password, or says' +
      ' that a certificate is required.',
    causes: [
      'a proxy in between ends TLS, so the server never sees the certificate',
      'a rule of the server asks this user for a password',
      'on PostgreSQL, a hostssl rule with a password method instead of cert',
    ],
    confirm: [HBA, `$ cockroach sql --certs-dir=DIR --host=${HOST}:26257 --user=gateway_writer -e "SELECT 1"`],
    fix: [
      `Connect to ${HOST} directly. If the rule is wrong, the default takes a certificate or a password:`,
      'root> RESET CLUSTER SETTING server.host_based_authentication.configuration;',
    ],
  },
  AUTH_IDENTITY: {
    meaning:
      'The certificate is accepted, but belongs to another user: neither its CN nor one of its DNS names is the user' +
      ' asked for.',
    causes: [
      "DATABASE_URL names one user and the certificate secrets are another's (writer and admin exchanged)",
      "the node's or root's certificate was given as the client's",
    ],
    confirm: [
      '$ openssl x509 -in CERT -noout -subject -ext subjectAltName',
      '$ printf %s "$CRDB_CLIENT_WRITER_CRT" | openssl x509 -noout -subject',
    ],
    fix: [
      'Give the certificate whose CN is the user in DATABASE_URL; if there is none:',
      NEW_CLIENT,
      ...REFRESH_SECRETS,
    ],
  },
  AUTH_ROLE_UNKNOWN: {
    meaning: 'The server does not know the user.',
    causes: [
      "a new or restored database whose bootstrap has not run (the machine's start script gave up half way)",
      'a typing error in the user of DATABASE_URL',
      'another cluster answers at this address',
    ],
    confirm: ['root> SHOW USERS;', LOGS],
    fix: [
      'root> CREATE USER IF NOT EXISTS gateway_writer;',
      '$ npm run bootstrap -- --engine cockroach',
      'The last prints everything that root must run once: database, roles, grants.',
    ],
  },
  AUTH_LOGIN_DENIED: {
    meaning: 'The role exists, the certificate is its own, and the server does not let it in.',
    causes: [
      'the role was made without LOGIN (CREATE ROLE instead of CREATE USER) or had it taken away',
      'NOSQLLOGIN (CockroachDB)',
      'no rule of the server matches this user and address, or one says reject',
    ],
    confirm: ['root> SHOW USERS;', HBA],
    fix: [
      'root> ALTER ROLE gateway_writer WITH LOGIN;',
      'If it is the rules:',
      'root> RESET CLUSTER SETTING server.host_based_authentication.configuration;',
    ],
  },
  SERVER_BUSY: {
    meaning: 'The server is there and takes no more connections.',
    causes: [
      "a back end's pools are too large together, or connections leak",
      'many probes at once (each opens up to four connections per address)',
      'a connection limit on the role (PostgreSQL)',
    ],
    confirm: ['root> SHOW SESSIONS;', 'root> SHOW CLUSTER SETTING server.max_connections_per_gateway;'],
    fix: [
      "root> CANCEL SESSION 'ID';",
      'Lower the pool sizes of the back ends, or raise the limit; the setting is not there on older versions.',
    ],
  },
  SERVER_UNAVAILABLE: {
    meaning: 'The server answered that it is starting, recovering or shutting down.',
    causes: ['it was just restarted or deployed', 'it recovers after a crash'],
    confirm: [LOGS, STATUS],
    fix: ['$ npm run probe -- --wait 60'],
  },
  SERVER_DRAINING: {
    meaning:
      'The node is shutting down in an orderly way and sends clients elsewhere; on a single node there is no elsewhere.',
    causes: ['a deployment or restart of the database machine', 'an operator ran cockroach node drain'],
    confirm: [LOGS, STATUS],
    fix: [
      '$ npm run probe -- --wait 60',
      'If the machine does not come back:',
      START,
      'A node that was drained and not stopped takes no sessions until it is restarted:',
      RESTART,
    ],
  },
  SESSION_TIMEOUT: {
    meaning: 'TLS is up, and the server did not finish the login in time.',
    causes: [
      'the machine is out of memory or CPU, or its disk stalls',
      'a cluster of several nodes without a majority',
      'the node is still starting',
    ],
    confirm: [LOGS, 'crdb$ cat /proc/loadavg', 'crdb$ cat /proc/meminfo', 'crdb$ df -h /cockroach/cockroach-data'],
    fix: ['If it is starting: npm run probe -- --wait 60. If it hangs:', RESTART],
  },
  SESSION_CLOSED: {
    meaning:
      'The server closed the connection after the handshake without an alert and without an error. A second attempt' +
      ' with TLS 1.2 has shown that it was not the client certificate.',
    causes: ['the node crashed or was restarted (out of memory is usual)', 'it drains', 'a proxy cut the connection'],
    confirm: [LOGS, MACHINES],
    fix: ['$ npm run probe -- --wait 60', 'If it crashes again and again, the log of that second says why.'],
  },
  SESSION_PROTOCOL: {
    meaning:
      "Inside TLS came bytes that are not PostgreSQL's protocol version 3, or messages in an order it does not know.",
    causes: ['another service behind TLS', 'a pooler or proxy with a protocol of its own', 'a fault of the server'],
    confirm: [
      `$ psql "host=${HOST} port=26257 dbname=uro user=gateway_writer sslmode=verify-full sslrootcert=ca.crt` +
        ' sslcert=client.gateway_writer.crt sslkey=client.gateway_writer.key" -c "SELECT 1"',
    ],
    fix: ['Correct host and port. If psql works where the probe does not, that is a fault of the probe: report it.'],
  },
  SESSION_REFUSED: {
    meaning:
      'The server refused the login with an SQLSTATE that none of the other codes stands for; the report has it.',
    causes: [
      'a startup setting that this server version does not take',
      'an event trigger on login (PostgreSQL 17 and later)',
      'a fault of the server',
    ],
    confirm: [`$ cockroach sql --certs-dir=DIR --host=${HOST}:26257 --user=gateway_writer -e "SELECT 1"`, LOGS],
    fix: ["Look the SQLSTATE up (PostgreSQL manual, appendix A); the server's log of that second says more."],
  },
  CERTLESS_LOGIN_ALLOWED: {
    meaning:
      'The same login without a certificate, or without TLS, was accepted, or would be with a password that is stored. Anyone who reaches the port can become gateway_writer:' +
      " that this probe's own login with a certificate worked proves nothing.",
    causes: [
      'a rule with the method trust in server.host_based_authentication.configuration',
      'a password is stored for the role, which replaces the certificate',
      'the node runs with --insecure or --accept-sql-without-tls',
      'on PostgreSQL, a host or hostnossl line with trust',
    ],
    confirm: [HBA, LOGS, 'The line "sql:" of its start banner names the sslmode; disable means no TLS.'],
    fix: [
      "root> SET CLUSTER SETTING server.host_based_authentication.configuration = 'hostssl all all all cert';",
      'A password that is stored is taken away with:',
      'root> ALTER ROLE gateway_writer WITH PASSWORD NULL;',
      'Or back to the default, which takes a certificate or a password:',
      'root> RESET CLUSTER SETTING server.host_based_authentication.configuration;',
    ],
  },
  FORGED_LOGIN_ALLOWED: {
    meaning:
      'A certificate that no CA signed was accepted: it is ours, with one bit of the signature changed. Anyone' +
      ' who can reach the server can make a certificate with any name, and log in as that user.',
    causes: [
      'a proxy or pooler in between asks for a certificate and does not verify it (pgbouncer with client_tls_sslmode=allow or prefer)',
      'a server of another make that takes the name from the certificate and trusts it',
    ],
    confirm: [
      '$ openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=gateway_writer -keyout k.pem -out c.pem',
      'The next one must be refused:',
      '$ psql "host=HOST port=26257 user=gateway_writer dbname=uro sslmode=require sslcert=c.pem sslkey=k.pem"',
    ],
    fix: [
      'Connect to the .internal name of the database, with nothing in between that ends TLS.',
      'CockroachDB verifies client certificates whenever it runs with --certs-dir; PostgreSQL when ssl_ca_file is set and the rule says cert or clientcert=verify-full.',
    ],
  },
  FOREIGN_LOGIN_ALLOWED: {
    meaning:
      "The writer's certificate also logs in as another role. A leaked writer credential is then more than that.",
    causes: [
      'the certificate carries the other role as a DNS name: CockroachDB takes the CN and every DNS name as identities',
      'it names node: to CockroachDB whoever has it is a node of the cluster, and may drain servers and read what they hold',
      'a rule with the method trust',
      'the node runs with --cert-principal-map, or PostgreSQL with an ident map',
    ],
    confirm: ['$ openssl x509 -in CERT -noout -subject -ext subjectAltName', HBA],
    fix: [
      NEW_CLIENT,
      ...REFRESH_SECRETS,
      'If it is the rule:',
      'root> RESET CLUSTER SETTING server.host_based_authentication.configuration;',
    ],
  },
  NEGATIVE_INCONCLUSIVE: {
    meaning:
      'A login as another user with this certificate could not be tried: there is no other role that' +
      ' exists and may log in. A refusal would have proved nothing.',
    causes: ['gateway_admin does not exist or has no LOGIN, and root cannot be seen either'],
    confirm: ['root> SHOW USERS;'],
    fix: ['root> CREATE USER IF NOT EXISTS gateway_admin;', 'root> ALTER ROLE gateway_admin WITH LOGIN;'],
  },
  DATABASE_MISSING: {
    meaning:
      'The login works, and the database in DATABASE_URL does not exist. CockroachDB says so only at its first use.',
    causes: [
      'a typing error in the URL',
      'a new cluster whose bootstrap has not run',
      'another cluster answers at this address',
    ],
    confirm: ['root> SHOW DATABASES;'],
    fix: ['root> CREATE DATABASE IF NOT EXISTS uro;', '$ npm run bootstrap -- --engine cockroach', '$ npm run migrate'],
  },
  DATABASE_DENIED: {
    meaning:
      'The database exists and the user may not connect to it: CONNECT is missing, or the database is closed or half' +
      ' dropped. CockroachDB does not enforce CONNECT, PostgreSQL does.',
    causes: [
      'CONNECT was revoked from public and not granted to the user',
      'ALTER DATABASE … ALLOW_CONNECTIONS false',
      'a DROP DATABASE that was cut off',
    ],
    confirm: ['root> SHOW GRANTS ON DATABASE uro;', 'On PostgreSQL: \\l uro in psql.'],
    fix: ['root> GRANT CONNECT ON DATABASE uro TO gateway_writer;'],
  },
  CATALOGUE_FAILED: {
    meaning:
      'A catalogue query (tables, roles, privileges) failed for a reason of its own, so nothing could be' +
      ' decided. It says nothing about the privileges.',
    causes: [
      'the server is overloaded and the statement timed out',
      'a server version whose catalogue the probe does not know',
      'catalogue access was revoked',
    ],
    confirm: [LOGS, 'root> SELECT version();'],
    fix: [
      'The SQLSTATE in the report decides. A timeout: probe again. A missing function or table: report the version.',
    ],
  },
  TABLE_MISSING: {
    meaning: 'The database has no table public.connection_probe.',
    causes: [
      'the migrations have not run here',
      'they ran on another database (compare DATABASE_URL with MIGRATION_DATABASE_URL)',
      'the table was dropped and the journal still says that it is there',
    ],
    confirm: ['root> SHOW TABLES FROM uro.public;', 'root> SELECT * FROM drizzle.__drizzle_migrations;'],
    fix: [
      '$ npm run migrate',
      'If it says that there is nothing to do, the journal is ahead of the database: restore the table, or empty the' +
        " journal if this project's migrations are the only ones in it, and migrate again.",
    ],
  },
  TABLE_MISMATCH: {
    meaning:
      'The table connection_probe exists with other columns, types, nullability or key than src/schema.ts declares, or the bare' +
      ' name finds another table than the one in schema public. Or it is no table, or a job keeps it offline.',
    causes: [
      'the code is newer than the database (migrate has not run) or older',
      'the table was altered by hand',
      'a view or a sequence has its name',
      'an IMPORT or RESTORE keeps it offline until the job ends: its rows are there, drop nothing',
      'a table of the same name in a schema that comes first in the search path',
    ],
    confirm: [
      'root> SHOW CREATE TABLE public.connection_probe;',
      'root> SHOW search_path;',
      'root> SHOW JOBS;',
      '$ npm run schema:check',
    ],
    fix: [
      '$ npm run migrate',
      'If the table was altered by hand, undo that as gateway_admin; the evidence lists the differences.',
      'If a table of that name in another schema is found first:',
      'root> ALTER ROLE gateway_writer SET search_path = public;',
    ],
  },
  DML_DENIED: {
    meaning: 'The user lacks SELECT, INSERT, UPDATE or DELETE on connection_probe, or USAGE on the schema.',
    causes: [
      'the grant is missing: the migration with the GRANT has not run here, or was swallowed by a comment',
      'the table was recreated since; its grants went with the old one',
      'USAGE on schema public was revoked from public',
    ],
    confirm: [
      'root> SHOW GRANTS ON TABLE connection_probe;',
      'root> SHOW GRANTS ON SCHEMA public;',
      '$ npm run schema:check',
    ],
    fix: [
      '$ npm run migrate',
      'admin> GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE connection_probe TO gateway_writer;',
      'root> GRANT USAGE ON SCHEMA public TO gateway_writer;',
    ],
  },
  ADMIN_AT_RUNTIME: {
    meaning:
      'The session can do more than the running application should: the user is root, gateway_admin or a superuser, is a' +
      ' member of a role, has a role option beyond LOGIN or a system privilege, or owns something here. The evidence says' +
      ' which.',
    causes: [
      "DATABASE_URL holds the migration's user and certificate",
      'gateway_writer was put into admin or another role to get past a denial, and left there',
      'the table was created by gateway_writer, who therefore owns it',
    ],
    confirm: [
      'root> SHOW USERS;',
      'root> SHOW GRANTS ON ROLE FOR gateway_writer;',
      'root> SHOW TABLES FROM uro.public;',
    ],
    fix: [
      'root> REVOKE admin FROM gateway_writer;',
      'root> ALTER ROLE gateway_writer WITH NOCREATEROLE NOCREATEDB;',
      'root> ALTER TABLE connection_probe OWNER TO gateway_admin;',
      "Of these what the evidence names. If DATABASE_URL is the admin's, correct it and the certificate instead.",
    ],
  },
  DDL_ALLOWED: {
    meaning:
      'The user can create objects in this database, or holds more than the four verbs on another table of it. A leaked' +
      ' writer credential could then alter the schema. On CockroachDB this is the default until root closes schema public.',
    causes: [
      'schema public was never closed: the role public holds CREATE on it in every new CockroachDB database',
      'CREATE on the database or a schema was granted to the user or to public',
      'GRANT ALL on some table to the user or to public',
      'DROP or ZONECONFIG on the database, a grant option on anything',
      'default privileges that give the user or public more than the four verbs on what is made next',
    ],
    confirm: [
      'root> SHOW GRANTS ON SCHEMA public;',
      'root> SHOW GRANTS ON DATABASE uro;',
      'root> SHOW GRANTS FOR gateway_writer, public;',
      'root> SHOW DEFAULT PRIVILEGES FOR ROLE gateway_admin, root;',
      'root> SHOW DEFAULT PRIVILEGES FOR ALL ROLES;',
    ],
    fix: [
      'root> REVOKE CREATE ON SCHEMA public FROM gateway_writer, public;',
      'root> GRANT CREATE ON SCHEMA public TO gateway_admin;',
      'Both as root, once in each database: gateway_admin cannot do the first, and without the second the migrations' +
        ' fail. All that root must run once is printed by:',
      '$ npm run bootstrap -- --engine cockroach',
      'Anything else that the evidence lists:',
      'root> REVOKE CREATE ON DATABASE uro FROM gateway_writer;',
      'root> REVOKE ALL ON TABLE OTHER FROM gateway_writer;',
      'root> ALTER DEFAULT PRIVILEGES FOR ALL ROLES REVOKE ALL ON TABLES FROM gateway_writer;',
    ],
  },
  GRANT_EXCESS: {
    meaning:
      'On connection_probe the user, or everybody (public), holds more than SELECT, INSERT, UPDATE and DELETE, or may' +
      ' grant them on.',
    causes: [
      'GRANT ALL instead of the four verbs',
      'WITH GRANT OPTION',
      'a grant to public',
      'a grant on single columns (PostgreSQL)',
    ],
    confirm: ['root> SHOW GRANTS ON TABLE connection_probe;', '$ npm run schema:check'],
    fix: [
      'admin> REVOKE ALL ON TABLE connection_probe FROM gateway_writer;',
      'admin> REVOKE ALL ON TABLE connection_probe FROM public;',
      'admin> GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE connection_probe TO gateway_writer;',
    ],
  },
  WRITE_REFUSED: {
    meaning:
      'The server refused the INSERT, and not for want of privilege. The SQLSTATE says why: 25006 read-only, 53100 disk full.',
    causes: [
      'the volume is full',
      'the database, the role or the server is read-only (default_transaction_read_only, a standby)',
      'a constraint or trigger on the table that src/ does not declare',
    ],
    confirm: [
      'crdb$ df -h /cockroach/cockroach-data',
      'root> SHOW default_transaction_read_only;',
      'root> SHOW CREATE TABLE public.connection_probe;',
    ],
    fix: [
      `Disk full: fly volumes list and fly volumes extend ID --size GB, with -a ${APP}.`,
      'root> ALTER ROLE gateway_writer SET default_transaction_read_only = off;',
    ],
  },
  WRITE_TIMEOUT: {
    meaning: 'The INSERT did not come back in time, and it was settled afterwards whether its row is there.',
    causes: [
      'a lock on the table: a schema change or a long transaction',
      'a stalling disk',
      'a cluster without a majority',
      "the link was lost meanwhile: then not even the server's own timeout came back, and the hint says so",
    ],
    confirm: ['root> SHOW SESSIONS;', 'root> SHOW JOBS;', NODES, LOGS],
    fix: [
      "root> CANCEL SESSION 'ID'; -- of a transaction that was left open: it runs nothing, and holds its locks",
      "root> CANCEL QUERY 'ID';",
      'A stalling disk shows in the log; a schema change ends by itself: --wait 60.',
    ],
  },
  WRITE_CONTENDED: {
    meaning:
      'The server asked for the transaction to be retried (40001), again and again, until the retries were used up.',
    causes: [
      'other transactions work on the same rows or ranges',
      'a schema change on the table',
      'an overloaded node',
    ],
    confirm: [
      'root> SHOW STATEMENTS;',
      'root> SELECT * FROM crdb_internal.cluster_contended_tables;',
      'root> SHOW JOBS;',
    ],
    fix: ['Find what else writes to connection_probe; nothing but probes should. Then probe again.'],
  },
  WRITE_AMBIGUOUS: {
    meaning:
      'The link broke, or the server said so itself (40003), while an INSERT was under way, and it could not be settled' +
      ' afterwards whether the row is there. The row may appear later.',
    causes: [
      'the server went away in mid-write and did not come back in time',
      'the network broke for longer than the deadline',
    ],
    confirm: [
      LOGS,
      STATUS,
      'Once the server answers, the statement in the warning ROWS_LEFT shows and removes the row.',
    ],
    fix: ['Run that statement, then probe again. Rows of the probe older than a day are swept by later runs.'],
  },
  CONNECTION_LOST: {
    meaning: 'An established session was closed or reset from outside in the middle of the work.',
    causes: [
      'the node was restarted, drained or ran out of memory (CockroachDB closes idle sessions silently when it drains)',
      'an operator cancelled the session',
      'the network broke, or a proxy has an idle limit',
      'idle sessions are ended at once, by idle_in_session_timeout, of which CockroachDB does not say a word to the client',
    ],
    confirm: [
      LOGS,
      MACHINES,
      `$ fly machine status ID -a ${APP}`,
      'root> SHOW CLUSTER SETTING sql.defaults.idle_in_session_timeout;',
      'root> SELECT setconfig FROM pg_catalog.pg_db_role_setting;',
    ],
    fix: [
      '$ npm run probe -- --wait 60',
      "If it happens again: the machine's events say whether it was restarted, and why.",
    ],
  },
  ROW_LATE: {
    meaning:
      'The row was seen on the other connection, later than the limit. The clock runs from handing over the INSERT to the' +
      ' answer that shows the row; opening connections is not counted.',
    causes: [
      'the database machine is short of CPU, memory or disk',
      'it is in another region than the probe: linkMs in the evidence is what four round trips on the link take',
      'retries after contention, which the evidence counts',
      'on PostgreSQL, reads that go to a replica',
    ],
    confirm: ['crdb$ cat /proc/loadavg', STATUS, `$ ping -6 -c 5 ${HOST}`],
    fix: [
      'Run it again to see whether it stays; then give the machine more, or move it nearer. --visible-within MS moves the limit.',
    ],
  },
  ROW_NOT_VISIBLE: {
    meaning:
      'The server acknowledged the INSERT and another session never saw the row, though it went on reading for five' +
      ' times the limit. The write is lost, or the two sessions are not on one database.',
    causes: [
      'the two connections reached different servers (several addresses behind the name, a pooler, a replica)',
      'a trigger or a proxy swallows the write',
      'row-level security hides the row',
    ],
    confirm: [
      `$ dig AAAA ${HOST} @fdaa::3`,
      'root> SHOW CREATE TABLE public.connection_probe;',
      'root> SELECT count(*) FROM connection_probe;',
    ],
    fix: ['Find out which servers stand behind the name: npm run probe -- --all-addresses'],
  },
  ROW_MISMATCH: {
    meaning: 'The row came back with another value than was written; the evidence names the column and both values.',
    causes: [
      'a trigger, a computed default or ON UPDATE changes it',
      "a column's type was changed (rounding, time zone, JSON)",
      'a proxy alters data',
    ],
    confirm: ['root> SHOW CREATE TABLE public.connection_probe;', '$ npm run schema:check'],
    fix: [
      'Undo what was changed on the table by hand, as gateway_admin, or migrate.',
      'root> ALTER TABLE public.connection_probe ALTER COLUMN NAME DROP ON UPDATE;',
    ],
  },
  READ_FAILED: {
    meaning: 'The SELECT on the second connection failed with an error of the server; the SQLSTATE is in the report.',
    causes: ['the node is restarting or overloaded', 'damaged data or indexes', 'a fault of the server'],
    confirm: [LOGS, 'root> SELECT count(*) FROM connection_probe;'],
    fix: ["The SQLSTATE decides (PostgreSQL manual, appendix A); the server's log of that second says more."],
  },
  READ_TIMEOUT: {
    meaning:
      'The node answers, and the data did not come in time: the SELECT on the second connection, or a catalogue' +
      ' query.',
    causes: [
      'another transaction holds the row or the table',
      'a cluster has lost a node and its leases move: some ten seconds, and longer on a busy one',
      'a stalling disk or an overloaded machine',
      'a cluster without a majority',
    ],
    confirm: ['root> SHOW SESSIONS;', 'root> SHOW STATEMENTS;', NODES, LOGS],
    fix: [
      "root> CANCEL SESSION 'ID'; -- of a transaction that was left open: it runs nothing, and holds its locks",
      "root> CANCEL QUERY 'ID';",
      '$ npm run probe -- --wait 120',
    ],
  },
  CONNECTION_REPLACED: {
    meaning:
      'A statement was answered by another session than the one that was opened (every statement says which it is), the' +
      ' setting made at startup is not there, or the two independent connections end in one session.',
    causes: [
      'a pooler between probe and server (pgbouncer in any mode) that shares sessions or drops startup options',
      'a pooler that resets a session between two statements (DISCARD ALL)',
      `a proxy: use ${HOST}, not .flycast`,
    ],
    confirm: [
      'root> SHOW SESSIONS;',
      "Sessions with application_name connection-probe must come from the probe's own address.",
    ],
    fix: [`Connect to ${HOST} directly, or make the pooler keep one session per client.`],
  },
  STATEMENTS_NAMED: {
    meaning:
      'After the writes the server holds named prepared statements of this session. They pile up in the memory of a small' +
      " single node. Only this session was looked at, not the back end's.",
    causes: [
      'postgres.js without prepare: false (drizzle-orm from 1.0 names statements by default)',
      'a pooler that names them itself',
    ],
    confirm: [
      "root> SELECT name FROM pg_prepared_statements WHERE name <> '';",
      'It shows the asking session only: put it into the program.',
    ],
    fix: ['Set prepare: false in the driver (postgres.js), prepare: :unnamed in the back end (Postgrex).'],
  },
  WITNESS_NO_ROW: {
    meaning:
      'The command waited for a row that the back end writes through its own connection, and none came. Nothing here' +
      ' says why: what was run there, or its log, does.',
    causes: [
      'nothing was run in the back end while the command waited, or it was run with another run id',
      'the connection of the back end fails: TLS is off (CRDB_CA_CERT is not set), inet6 is missing, the certificate is refused',
      'it reached another database than this one: compare DATABASE_URL there and here',
      'it was run in a transaction that was not committed',
      'a statement_timeout of the role, the database or the server ended its INSERT (ROLE_TIMEOUT warns of the first two)',
    ],
    confirm: [
      `$ fly logs -a ${BACK_END}`,
      'Postgrex says there why it could not connect; the caller only reads that the connection is not available.',
      '$ npm run explain -- "LINE OF THE LOG"',
      '$ npm run witness -- --print elixir',
    ],
    fix: ['Fix what the log names, then:', '$ npm run witness'],
  },
  WITNESS_UNKNOWN_SESSION: {
    meaning:
      'The row is there, and the server does not list the session that wrote it: one of this user, not one of the' +
      ' command itself, whose last statement is the INSERT with the id of the row. What the row says of its session' +
      ' proves nothing, since a client can write anything into it.',
    causes: [
      'the session ended, or went on to another statement (COMMIT), before it was listed',
      'the row was written by another user who set written_by, or by a session that is not listed to this one',
      'the statement was run again by a second session, or its payload was copied into a statement of another client',
      'a pooler took the session back and gave it to another client',
      'track_activities is off, or track_activity_query_size is below 500 (PostgreSQL)',
    ],
    confirm: [
      'root> SHOW SESSIONS;',
      'The evidence has the sessions that hold the id of the row, and the session that the row names.',
    ],
    fix: ['Run what is printed, unchanged, once, in the back end, while the command waits:', '$ npm run witness'],
  },
  WITNESS_ROLE: {
    meaning: 'The row was written as another user than the configured one: by its session, or by its own written_by.',
    causes: [
      'it was run through Uro.Repo.Migration, which logs in as gateway_admin',
      'DATABASE_URL or the client certificate of the back end is the one of another role',
      'written_by was set by hand',
    ],
    confirm: [`$ fly ssh console -a ${BACK_END} -C "sh -c 'printenv DATABASE_URL'"`, 'root> SHOW SESSIONS;'],
    fix: ['Give the back end the URL and the certificate of gateway_writer, and deploy it.', ...REFRESH_SECRETS],
  },
  WITNESS_NOT_IPV6: {
    meaning: 'The session that wrote the row comes from an IPv4 address, or through a Unix socket.',
    causes: [
      'the back end is configured with an IPv4 address, or without inet6 and a name that has A records',
      'a proxy or pooler beside the database connects for it (.flycast, fly proxy, pgbouncer)',
      'it was run on the database machine itself, or on a laptop',
    ],
    confirm: ['root> SHOW SESSIONS;', 'Its client_address is the address in the evidence.'],
    fix: [`Set socket_options: [:inet6] and the host ${HOST} in the back end (config/runtime.exs), and deploy it.`],
  },
  WITNESS_ELSEWHERE: {
    meaning:
      'The session that wrote the row does not come from a machine of the app that was named with --app: its address is' +
      ' not among the AAAA records of APP.internal. Those name started machines only: no release, no console and no' +
      ' --skip-dns-registration machine.',
    causes: [
      'it was run on a laptop, in a release command, or in a machine of fly console',
      'the app has another name',
      'a pooler or proxy connects for it, so that the server sees the address of that',
    ],
    confirm: [`$ fly machine list -a ${BACK_END}`, `$ dig AAAA ${BACK_END}.internal @fdaa::3`],
    fix: [
      'Run what is printed in a started machine of that app:',
      `$ fly ssh console -a ${BACK_END}`,
      'Without --app any address passes.',
    ],
  },
  DEADLINE: {
    meaning:
      'The whole attempt took longer than --deadline, though no single wait overran its own budget: all of it is slow.',
    causes: [
      'a slow or overloaded machine',
      'a long way to it (another region)',
      'a deadline that is too short for --writes',
    ],
    confirm: [
      'The durations in the report show where the time went.',
      `$ ping -6 -c 5 ${HOST}`,
      'crdb$ cat /proc/loadavg',
    ],
    fix: ['$ npm run probe -- --deadline 60'],
  },
  INTERRUPTED: {
    meaning:
      'The probe was told to stop (SIGINT or SIGTERM) before it had a verdict. It removed its rows as far as the link' +
      ' allowed; the warning ROWS_LEFT says if it could not.',
    causes: ['Ctrl-C', 'a release command or CI job that ran out of time', 'the machine was stopped'],
    confirm: ["What ran it says why; on Fly, fly logs of the back end's app."],
    fix: ['$ npm run probe', 'In a release command: make its time limit longer than --deadline plus --wait.'],
  },
} as const satisfies Record<Code, Explanation>
