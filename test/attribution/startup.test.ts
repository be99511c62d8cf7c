/**
 * Layers session and database, as far as the startup decides them: by a real PostgreSQL where it can be brought to say
 * it, by CockroachDB's recorded conversations, and by bytes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { classifyStartup, type ServerError } from '../../src/failure/classify.ts'
import type { Code } from '../../src/failure/codes.ts'
import type { Report } from '../../src/report/report.ts'
import type { Act } from '../helpers/acts.ts'
import { postgresClient } from '../helpers/clients.ts'
import { cockroachReplay, cockroachScenario, cockroachScenarios, cockroachServer } from '../helpers/cockroach.ts'
import { CLIENT, makePki, type Pki, presenting } from '../helpers/pki.ts'
import { configOf } from '../helpers/probe.ts'
import { accepted, refusal, type Script, scriptedServer } from '../helpers/scripted.ts'
import { cli, run, settings, startServer, target } from '../helpers/target.ts'
import { check, type Expected, expectSaid, expectVerdict } from '../helpers/verdict.ts'
import {
  announce,
  authenticationOk,
  challenge,
  errorResponse,
  noticeResponse,
  parameterStatus,
  readFields,
  readyForQuery,
} from '../helpers/wire.ts'

let pki: Pki
beforeAll(async () => {
  pki = await makePki()
})

/** In the form of protocol 2, as a PostgreSQL without a process left says it. */
const NOT_FORKED = 'Ecould not fork new process for connection: Resource temporarily unavailable\n\0'

/** What to do about a role without LOGIN, the role's name in it. */
const NOLOGIN = /^as root: ALTER ROLE nologin WITH LOGIN$/
/** The same on CockroachDB, where another option does the same in the same words. */
const NO_LOGIN_OPTION =
  /^as root: ALTER ROLE gateway_writer WITH LOGIN; if it has LOGIN: ALTER ROLE gateway_writer WITH SQLLOGIN$/

describe('by a real PostgreSQL', () => {
  /** Each user is one fault: the rule that lets it in or not, and how the role is made. */
  const users: Readonly<Record<string, { rule: string | null; role: string | null; expected: Expected }>> = {
    password: {
      rule: 'password',
      role: 'LOGIN',
      expected: expected('AUTH_NO_CERTIFICATE', { authentication: 'AuthenticationCleartextPassword' }),
    },
    md5: {
      rule: 'md5',
      role: `LOGIN PASSWORD 'md5${'0'.repeat(32)}'`,
      expected: expected('AUTH_NO_CERTIFICATE', { authentication: 'AuthenticationMD5Password' }),
    },
    scram: {
      rule: 'scram-sha-256',
      role: 'LOGIN',
      expected: expected('AUTH_NO_CERTIFICATE', { authentication: 'AuthenticationSASL' }),
    },
    ghost: { rule: 'cert', role: null, expected: expected('AUTH_ROLE_UNKNOWN', { sqlstate: '28000' }) },
    nologin: {
      rule: 'cert',
      role: 'NOLOGIN',
      expected: { ...expected('AUTH_LOGIN_DENIED', { routine: 'InitializeSessionUserId' }), hint: NOLOGIN },
    },
    unruled: {
      rule: null,
      role: 'LOGIN',
      expected: {
        ...expected('AUTH_LOGIN_DENIED', { routine: 'ClientAuthentication' }),
        hint: /^pg_hba\.conf has no rule/,
      },
    },
    rejected: {
      rule: 'reject',
      role: 'LOGIN',
      expected: {
        ...expected('AUTH_LOGIN_DENIED', { routine: 'ClientAuthentication' }),
        hint: /^pg_hba\.conf has no rule/,
      },
    },
    limited: {
      rule: 'cert',
      role: 'LOGIN CONNECTION LIMIT 0',
      expected: {
        code: 'SERVER_BUSY',
        check: 'database',
        sqlstate: '53300',
        hint: /^the role itself has a connection limit: as root ALTER ROLE limited CONNECTION LIMIT -1/,
      },
    },
  }
  function expected(code: Code, evidence: object): Expected {
    return { code, check: 'session', evidence }
  }

  let server: Throwaway
  beforeAll(async () => {
    const rules = Object.entries(users).flatMap(([user, { rule }]) => (rule ? [`hostssl all ${user} all ${rule}`] : []))
    server = await startServer({
      engine: 'postgresql',
      users: Object.keys(users),
      settings: { md5_password_warnings: 'off' },
      hba: [
        ...rules,
        'hostssl all gateway_reader all trust clientcert=verify-full',
        'hostssl all gateway_writer,gateway_admin all cert',
      ],
    })
    const roles = Object.entries(users).flatMap(([user, { role }]) => (role ? [`CREATE ROLE ${user} ${role}`] : []))
    await server.runAsRoot(roles.join(';'))
    await server.runAsRoot('CREATE DATABASE closed ALLOW_CONNECTIONS false')
    await server.runAsRoot('CREATE DATABASE "half-dropped"')
    await server.runAsRoot("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half-dropped'")
    await server.runAsRoot('CREATE DATABASE denied')
    await server.runAsRoot('REVOKE CONNECT ON DATABASE denied FROM PUBLIC')
  })
  afterAll(() => server?.stop())

  const configAs = (user: string, database?: string) =>
    configOf(
      { DATABASE_URL: server.url(user, database) },
      { options: { certsDir: server.certsDir, deadlineMs: 8_000 } },
    )

  test('a database with a connection limit of its own', async () => {
    await server.runAsRoot('CREATE DATABASE "limited-db" CONNECTION LIMIT 0')
    expectVerdict(await run(configAs('gateway_writer', 'limited-db')), {
      ...{ code: 'SERVER_BUSY', check: 'database', sqlstate: '53300' },
      hint: 'as root ALTER DATABASE "limited-db" CONNECTION LIMIT -1',
    })
  })

  test.each(Object.entries(users))('%s', async (user, { expected }) => {
    expectVerdict(await run(configAs(user)), expected)
  })

  // The certificate is the writer's, the user is somebody else: by rule `cert`, and by `clientcert=verify-full`.
  test.each(['gateway_admin', 'gateway_reader'])('this certificate as %s', async user => {
    const { credentials } = configAs('gateway_writer')
    const config = { ...configAs(user), credentials }
    expectVerdict(await run(config), {
      code: 'AUTH_IDENTITY',
      check: 'session',
      evidence: { sqlstate: '28000', routine: 'auth_failed' },
      // By the configuration, which was made for that user's own certificate, the names fit.
      hint: /^the certificate names gateway_\w+, and a rule or a map of the server takes it for somebody else/,
    })
  })

  const databases: readonly (readonly [string, Omit<Expected, 'check'>])[] = [
    ['nope', { code: 'DATABASE_MISSING', sqlstate: '3D000' }],
    ['denied', { code: 'DATABASE_DENIED', sqlstate: '42501' }],
    [
      'closed',
      {
        ...{ code: 'DATABASE_DENIED', sqlstate: '55000' },
        hint: /^the database is closed: .* ALTER DATABASE closed ALLOW_CONNECTIONS true$/,
      },
    ],
    [
      'half-dropped',
      {
        ...{ code: 'DATABASE_DENIED', sqlstate: '55000' },
        hint: /^a DROP DATABASE was cut off.* DROP DATABASE "half-dropped"/,
      },
    ],
  ]
  test.each(databases)('database %s', async (database, expected) => {
    const report = await run(configAs('gateway_writer', database))
    expectVerdict(report, { check: 'database', ...expected })
    expect(check(report, 'certificate-required').status).toBe('passed')
  })

  // PostgreSQL 17 and later: with any SQLSTATE, also one that means something else by itself.
  test.each([
    ['what it lacks a grant for', 'PERFORM 1 FROM logins', '42501'],
    ['what it raises', "RAISE 'not now'", 'P0001'],
    ['what it raises with an SQLSTATE of its own', "RAISE 'no' USING ERRCODE = '3D000'", '3D000'],
  ])('an event trigger on login: %s', async (_name, statement, sqlstate) => {
    await using triggered = await startServer({ engine: 'postgresql' })
    await triggered.runAsRoot(`CREATE TABLE logins (who text);
      CREATE FUNCTION on_login() RETURNS event_trigger LANGUAGE plpgsql AS $$
      BEGIN IF session_user = 'gateway_writer' THEN ${statement}; END IF; END $$;
      CREATE EVENT TRIGGER on_login ON login EXECUTE FUNCTION on_login()`)
    const options = { options: { certsDir: triggered.certsDir, deadlineMs: 8_000 } }
    expectVerdict(await run(configOf({ DATABASE_URL: triggered.url('gateway_writer') }, options)), {
      ...{ code: 'SESSION_REFUSED', check: 'database', sqlstate },
      hint: /^an event trigger on login refuses it: .*ALTER EVENT TRIGGER NAME DISABLE, or GRANT to gateway_writer/,
    })
  })

  test('as processes: session and database, exit code 1', async () => {
    const [session, database] = await Promise.all([
      cli(['probe', '--json', '--certs-dir', server.certsDir], { DATABASE_URL: server.url('ghost') }),
      cli(['probe', '--certs-dir', server.certsDir], { DATABASE_URL: server.url('gateway_writer', 'nope') }),
    ])
    expect([session.code, database.code]).toEqual([1, 1])
    expectVerdict(JSON.parse(session.stdout), { code: 'AUTH_ROLE_UNKNOWN', check: 'session' })
    expectSaid(database.stdout, 'DATABASE_MISSING', 'SHOW DATABASES')
  })

  test('shutting down: no new session', async () => {
    await using stopping = await startServer({ engine: 'postgresql' })
    const config = configOf(
      { DATABASE_URL: stopping.url('gateway_writer') },
      { options: { certsDir: stopping.certsDir } },
    )
    const { ca, cert, key } = config.credentials
    await using open = postgresClient(stopping.port, { ca, cert, key, servername: 'localhost' })
    await open`SELECT 1`
    process.kill(stopping.pid, 'SIGTERM') // smart: who is in may stay
    let report: Report
    do report = await run(config)
    while (report.failure?.layer !== 'session') // it takes the signal when it comes to it
    expectVerdict(report, { code: 'SERVER_UNAVAILABLE', check: 'session', sqlstate: '57P03' })
  })
})

describe('by a CockroachDB, as recorded', () => {
  const tls = () => ({ ...pki.server })
  const roles = { root: true, gateway_admin: true }

  test.each(['22.1', 'current'] as const)('an unknown role, release %s', async release => {
    await using server = await cockroachServer({ tls: tls(), release, roles })
    const sqlstate = release === '22.1' ? '28000' : '28P01'
    expectVerdict(await run(target(server, pki.pem)), { code: 'AUTH_ROLE_UNKNOWN', check: 'session', sqlstate })
  })

  test('a role without LOGIN', async () => {
    await using server = await cockroachServer({ tls: tls(), roles: { ...roles, gateway_writer: false } })
    const expected = { code: 'AUTH_LOGIN_DENIED', check: 'session', hint: NO_LOGIN_OPTION } as const
    expectVerdict(await run(target(server, pki.pem)), expected)
  })

  test('the certificate of somebody else', async () => {
    await using server = await cockroachServer({ tls: tls() })
    const report = await run(target(server, pki.pem, { user: 'gateway_admin' }))
    expectVerdict(report, {
      code: 'AUTH_IDENTITY',
      check: 'session',
      message: /requested user is gateway_admin, but certificate is for \[gateway_writer\]/,
      hint: /^the certificate names gateway_writer, and the URL says gateway_admin: use .*client\.gateway_admin\.key/,
    })
    expect(report.warnings.map(({ code }) => code)).toContain('CERT_IDENTITY')
  })

  test('a DNS SAN counts as much as the CN: let in', async () => {
    await using server = await cockroachServer({ tls: tls() })
    const issued = await pki.authority.issue({ ...CLIENT, commonName: 'x', dnsNames: ['gateway_writer'] })
    const report = await run(presenting(target(server, pki.pem), issued))
    expect(check(report, 'session')).toMatchObject({
      status: 'passed',
      evidence: { authentication: 'AuthenticationOk' },
    })
  })

  test('draining', async () => {
    await using server = await cockroachServer({ tls: tls(), draining: true })
    expectVerdict(await run(target(server, pki.pem)), { code: 'SERVER_DRAINING', check: 'tls', sqlstate: '57P01' })
  })

  // The catalogue may be unreadable without a database, or answer from another one: the first use decides.
  const listed = { columns: ['name', 'found'], rows: [['nope', '1']] }
  test.each([
    ['every question refused', undefined],
    ['the catalogue answers', listed],
  ])('a database that does not exist, named at its first use: %s', async (_name, answer) => {
    const recorded = cockroachScenario('database that does not exist').statements.find(({ result }) => result.error)
    const onStatement = (sql: string) => (/current_database/.test(sql) && answer) || recorded?.result
    await using server = await cockroachServer({ tls: tls(), onStatement })
    const report = await run(target(server, pki.pem, { database: 'nope' }))
    expectVerdict(report, { code: 'DATABASE_MISSING', check: 'database', message: /"nope"/ })
    expect(check(report, 'certificate-required')).toMatchObject({
      status: 'passed',
      evidence: { withoutCertificate: { challenge: 'AuthenticationSASL' }, withoutTls: { sqlstate: '08P01' } },
    })
  })

  const replayed: readonly (readonly [string, Expected])[] = [
    ['no client certificate', { code: 'AUTH_NO_CERTIFICATE', check: 'session' }],
    ['unknown role, certificate of gateway_writer', { code: 'AUTH_ROLE_UNKNOWN', check: 'session' }],
    ['role without LOGIN', { code: 'AUTH_LOGIN_DENIED', check: 'session', hint: NO_LOGIN_OPTION }],
    ['certificate of another user', { code: 'AUTH_IDENTITY', check: 'session' }],
    ['client certificate of another CA, TLS 1.3', { code: 'TLS_CLIENT_REJECTED', check: 'tls', hint: /^did the CA/ }],
    ['client certificate of another CA, TLS 1.2', { code: 'TLS_CLIENT_REJECTED', check: 'tls', hint: /^did the CA/ }],
    ['draining node', { code: 'SERVER_DRAINING', check: 'tls' }],
  ]
  test.each(replayed)('%s, word by word', async (name, expected) => {
    const maxVersion = name.endsWith('TLS 1.2') ? 'TLSv1.2' : 'TLSv1.3'
    await using server = await scriptedServer(cockroachReplay(name, { ...pki.server, maxVersion }))
    expectVerdict(await run(target(server, pki.pem)), expected)
  })
})

/** For who presents the certificate; everybody else is refused as PostgreSQL does it. */
const toUs = (act: Act): Script => ({
  onStartup: ({ peer }) =>
    peer ? act : refusal('28000', 'connection requires a valid client certificate', 'ClientAuthentication'),
})
const fatal = (C: string, M: string, R = 'ProcessStartupPacket') => errorResponse({ S: 'FATAL', V: 'FATAL', C, M, R })
const warning = (C: string, M: string) => noticeResponse({ S: 'WARNING', V: 'WARNING', C, M, R: 'quickdie' })
const letIn = (...then: Buffer[]) => [authenticationOk(), parameterStatus('server_version', '18.4'), ...then]

describe('by bytes', () => {
  const session = (code: Code, more: Partial<Expected> = {}): Expected => ({ code, check: 'session', ...more })
  const database = (code: Code, more: Partial<Expected> = {}): Expected => ({ code, check: 'database', ...more })

  const faults: readonly (readonly [string, Script, Expected])[] = [
    ['challenge 3', toUs({ send: challenge(3) }), session('AUTH_NO_CERTIFICATE', { message: /Cleartext/ })],
    ['challenge 5', toUs({ send: challenge(5) }), session('AUTH_NO_CERTIFICATE', { message: /MD5/ })],
    ['challenge 10', toUs({ send: challenge(10) }), session('AUTH_NO_CERTIFICATE', { message: /SASL/ })],
    [
      'certificate demanded, PostgreSQL',
      toUs(refusal('28000', 'connection requires a valid client certificate', 'ClientAuthentication')),
      session('AUTH_NO_CERTIFICATE', { sqlstate: '28000' }),
    ],
    [
      'certificate demanded, CockroachDB',
      toUs(refusal('28000', 'no TLS peer certificates, but required for auth', 'func1')),
      session('AUTH_NO_CERTIFICATE', { sqlstate: '28000' }),
    ],
    ['busy before AuthenticationOk', toUs(refusal('53300', 'sorry, too many clients already')), session('SERVER_BUSY')],
    [
      'busy after it',
      toUs({
        send: letIn(fatal('53300', 'too many connections for database "uro"', 'CheckMyDatabase')),
        next: 'close',
      }),
      { ...database('SERVER_BUSY', { sqlstate: '53300' }), hint: /^the database itself has a connection limit/ },
    ],
    [
      'starting up',
      toUs(refusal('57P03', 'the database system is starting up')),
      session('SERVER_UNAVAILABLE', { sqlstate: '57P03' }),
    ],
    [
      'in recovery, after AuthenticationOk',
      toUs({ send: letIn(fatal('57P03', 'the database system is not accepting connections')), next: 'close' }),
      database('SERVER_UNAVAILABLE'),
    ],
    [
      'ended by the administrator',
      toUs(refusal('57P01', 'terminating connection due to administrator command')),
      session('SERVER_DRAINING', { sqlstate: '57P01' }),
    ],
    [
      'draining after AuthenticationOk',
      toUs({ send: letIn(fatal('57P01', 'shutting down')) }),
      database('SERVER_DRAINING'),
    ],
    ['a crash of another session', toUs(refusal('57P02', 'crash')), session('SERVER_UNAVAILABLE')],
    [
      'a crash of another session, as a warning before the end',
      toUs({ send: letIn(warning('57P02', 'terminating connection because of crash')), next: 'close' }),
      database('SERVER_UNAVAILABLE', { sqlstate: '57P02' }),
    ],
    [
      'a shutdown at once, as a warning before a reset',
      toUs({
        send: letIn(warning('57P01', 'terminating connection due to immediate shutdown command')),
        next: 'reset',
      }),
      database('SERVER_DRAINING', { sqlstate: '57P01' }),
    ],
    [
      'no process left for us',
      toUs({ send: Buffer.from(NOT_FORKED), next: 'close' }),
      session('SERVER_UNAVAILABLE', {}),
    ],
    ['any other SQLSTATE', toUs(refusal('XX000', 'internal error')), session('SESSION_REFUSED', { sqlstate: 'XX000' })],
    [
      'any other SQLSTATE, after AuthenticationOk',
      toUs({ send: letIn(fatal('22023', 'invalid value')), next: 'close' }),
      database('SESSION_REFUSED', { sqlstate: '22023' }),
    ],
    [
      'after AuthenticationOk, before anything says what the server is',
      toUs({ send: [authenticationOk(), fatal('0A000', 'unimplemented')], next: 'close' }),
      database('SESSION_REFUSED', { sqlstate: '0A000' }),
    ],
    ['another refusal, nothing known of it', toUs(refusal('28000', 'no', 'x')), session('AUTH_LOGIN_DENIED')],
    [
      'CONNECT revoked',
      toUs({ send: letIn(fatal('42501', 'permission denied', 'CheckMyDatabase')), next: 'close' }),
      database('DATABASE_DENIED'),
    ],
    [
      'something else that is denied',
      toUs({ send: letIn(fatal('42501', 'access to library "x" is not allowed', 'load_libraries')), next: 'close' }),
      database('SESSION_REFUSED', { sqlstate: '42501' }),
    ],
    [
      'no such database',
      toUs({ send: letIn(fatal('3D000', 'no database')), next: 'close' }),
      database('DATABASE_MISSING'),
    ],
    ['close after AuthenticationOk', toUs({ send: letIn(), next: 'close' }), database('SESSION_CLOSED')],
    ['reset after AuthenticationOk', toUs({ send: letIn(), next: 'reset' }), database('SESSION_CLOSED')],
    ['close inside a message', toUs({ send: Buffer.from('R\0\0'), next: 'close' }), session('SESSION_CLOSED')],
    ['HTTP inside TLS', toUs({ send: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') }), session('SESSION_PROTOCOL')],
    ['bytes that are no message', toUs({ send: Buffer.from([0, 0, 0, 0, 0, 0]) }), session('SESSION_PROTOCOL')],
    ['a message that has no place here', toUs({ send: Buffer.from('D\0\0\0\x06\0\0') }), session('SESSION_PROTOCOL')],
    ['a length that is none', toUs({ send: Buffer.from('R\0\0\0\x03') }), session('SESSION_PROTOCOL')],
    ['a gibibyte announced', toUs({ send: announce('R', 2 ** 30), next: 'silent' }), session('SESSION_PROTOCOL')],
    ['an authentication without a code', toUs({ send: Buffer.from('R\0\0\0\x04') }), session('SESSION_PROTOCOL')],
    [
      'an error without a SQLSTATE',
      toUs({ send: errorResponse({ S: 'FATAL', M: 'no' }) }),
      session('SESSION_PROTOCOL'),
    ],
    ['ReadyForQuery at once', toUs({ send: readyForQuery() }), session('SESSION_PROTOCOL')],
    ['a challenge after AuthenticationOk', toUs({ send: letIn(challenge(3)) }), database('SESSION_PROTOCOL')],
    [
      'draining, in the same breath as ReadyForQuery: what follows it is heard',
      toUs({ send: Buffer.concat([...accepted(), fatal('57P01', 'shutting down')]), next: 'close' }),
      database('SERVER_DRAINING', { sqlstate: '57P01' }),
    ],
    ['a parameter without a value', toUs({ send: letIn(Buffer.from('S\0\0\0\x06a\0')) }), database('SESSION_PROTOCOL')],
  ]
  test.each(faults)('%s', async (_name, script, expected) => {
    await using server = await scriptedServer({ tls: pki.server, ...script })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, expected)
    const named = report.warnings.some(({ code }) => code === 'ENGINE_NOT_COCKROACHDB')
    expect(named).toBe(report.target.engine !== null)
    // two to the path, and what must be refused: two without a certificate; one with a broken one, dialled again perhaps
    expect(server.connections).toBeLessThanOrEqual(expected.check === 'session' ? 2 : 6)
    expect(server.maxOpen).toBeLessThanOrEqual(4)
  })

  const silences: readonly (readonly [string, Script, Expected])[] = [
    ['at the StartupMessage', toUs('silent'), session('SESSION_TIMEOUT')],
    ['inside a message', toUs({ send: Buffer.from('R\0\0'), next: 'silent' }), session('SESSION_TIMEOUT')],
    ['after AuthenticationOk', toUs({ send: letIn(), next: 'silent' }), database('SESSION_TIMEOUT')],
  ]
  test.each(silences)('silence %s', async (_name, script, expected) => {
    await using server = await scriptedServer({ tls: pki.server, ...script })
    expectVerdict(await run(target(server, pki.pem, { deadlineMs: 1_600 })), expected)
    await server.until(({ open }) => open === 0)
  })

  test('a server that knows nothing of its own catalogue', async () => {
    await using server = await scriptedServer({ tls: pki.server, ...toUs({ send: accepted() }) })
    expectVerdict(await run(target(server, pki.pem)), { code: 'CATALOGUE_FAILED', check: 'database' })
  })

  test('as a process: exit code 1', async () => {
    await using server = await scriptedServer({ tls: pki.server, ...toUs({ send: challenge(10) }) })
    const { code, stdout } = await cli(['probe', '--json'], settings({ port: server.port, pem: pki.pem }))
    expect(code).toBe(1)
    expectVerdict(JSON.parse(stdout), { code: 'AUTH_NO_CERTIFICATE', check: 'session' })
  })
})

describe('the table of refusals', () => {
  const error = (sqlstate: string, routine: string | null, message: string): ServerError => ({
    severity: 'FATAL',
    sqlstate,
    message,
    routine,
    file: null,
    hint: null,
  })

  // src/database/README.md: case, routine, message; the certificate names the user in all of them
  const postgresql: readonly (readonly [string, string, Code])[] = [
    ['auth_failed', 'certificate authentication failed for user "gateway_admin"', 'AUTH_IDENTITY'],
    ['auth_failed', '“trust” authentication failed for user "gateway_admin"', 'AUTH_IDENTITY'],
    ['ClientAuthentication', 'connection requires a valid client certificate', 'AUTH_NO_CERTIFICATE'],
    ['ClientAuthentication', 'no pg_hba.conf entry for host "::1", user "u", database "uro"', 'AUTH_LOGIN_DENIED'],
    ['ClientAuthentication', 'pg_hba.conf rejects connection for host "::1", user "u"', 'AUTH_LOGIN_DENIED'],
    ['InitializeSessionUserId', 'role "ghost" does not exist', 'AUTH_ROLE_UNKNOWN'],
    ['InitializeSessionUserId', 'role "gateway_writer" is not permitted to log in', 'AUTH_LOGIN_DENIED'],
    // in another language; more of them in languages.test.ts
    ['InitializeSessionUserId', 'Rolle »ghost« existiert nicht', 'AUTH_LOGIN_DENIED'],
  ]
  test.each(postgresql)('PostgreSQL, %s: %s', (routine, message, code) => {
    expect(classifyStartup(error('28000', routine, message), true)).toBe(code)
  })

  // src/database/README.md: the five causes of 28000 without a challenge, and 28P01
  const cockroachdb: readonly (readonly [string, string, string, boolean, Code])[] = [
    [
      '28000',
      'func1',
      'requested user is gateway_admin, but certificate is for [gateway_writer]',
      true,
      'AUTH_IDENTITY',
    ],
    [
      '28000',
      'func1',
      'requested user is gateway_admin, but certificate is for [node localhost]',
      false,
      'AUTH_IDENTITY',
    ],
    [
      '28000',
      'NewErrPasswordUserAuthFailed',
      'password authentication failed for user nobody_here',
      true,
      'AUTH_ROLE_UNKNOWN',
    ],
    [
      '28P01',
      'NewErrPasswordUserAuthFailed',
      'password authentication failed for user nobody_here',
      true,
      'AUTH_ROLE_UNKNOWN',
    ],
    ['28P01', 'renamed', 'in other words', false, 'AUTH_ROLE_UNKNOWN'],
    ['28000', 'x', 'internal error while retrieving user account memberships', true, 'SERVER_UNAVAILABLE'],
    ['28000', 'x', 'system identity "gateway_writer" did not map to a database role', true, 'AUTH_IDENTITY'],
    ['28000', 'x', 'user "gateway_writer" does not correspond to any mapping for HBA entry', true, 'AUTH_IDENTITY'],
    ['28000', 'handleAuthentication', 'gateway_reader does not have login privilege', true, 'AUTH_LOGIN_DENIED'],
    [
      '28000',
      'func1',
      'no server.host_based_authentication.configuration entry for host "::1"',
      true,
      'AUTH_LOGIN_DENIED',
    ],
    ['28000', 'func1', 'authentication rejected by configuration', true, 'AUTH_LOGIN_DENIED'],
    ['28000', 'func1', 'no TLS peer certificates, but required for auth', true, 'AUTH_NO_CERTIFICATE'],
    // words that no table knows: whether the certificate names the user decides
    ['28000', 'func1', 'a wording of a later release', true, 'AUTH_LOGIN_DENIED'],
    ['28000', 'func1', 'a wording of a later release', false, 'AUTH_IDENTITY'],
  ]
  test.each(cockroachdb)('CockroachDB, %s %s: %s (named: %s)', (sqlstate, routine, message, named, code) => {
    expect(classifyStartup(error(sqlstate, routine, message), named)).toBe(code)
  })

  // every error that a recorded startup ended with
  const recorded: readonly (readonly [string, Code])[] = [
    ['unknown role, certificate of gateway_writer', 'AUTH_ROLE_UNKNOWN'],
    ['certificate of another user', 'AUTH_IDENTITY'],
    ['role root, certificate of gateway_writer', 'AUTH_IDENTITY'],
    ['role without LOGIN', 'AUTH_LOGIN_DENIED'],
    ['startup without TLS', 'SESSION_REFUSED'],
  ]
  test.each(recorded)('recorded: %s', (name, code) => {
    const bytes = cockroachScenario(name).startup.find(({ type }) => type === 'E')?.bytes ?? Buffer.alloc(0)
    const { C = '', R = '', M = '' } = readFields(bytes)
    expect(classifyStartup(error(C, R, M), true)).toBe(code)
  })

  test('no recorded refusal is left out', () => {
    const refused = cockroachScenarios.filter(name => cockroachScenario(name).startup.some(({ type }) => type === 'E'))
    expect(refused.sort()).toEqual(recorded.map(([name]) => name).sort())
  })
})
