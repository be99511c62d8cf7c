/** Reports as the probe makes them, put together by hand: what the reporters' golden files are made from. */
import { type Facts, openEvidence, ProbeError } from '../../src/failure/error.ts'
import { assembleReport, type CheckId, type CheckResult, checksOf, type Report } from '../../src/report/report.ts'

const ADDRESS = 'fdaa:0:18:a7b:7d:f066:c3a3:2'

const CHECKS = checksOf(false)

const EVIDENCE: Partial<Record<CheckId, Facts>> = {
  config: { source: 'CRDB_CLIENT_WRITER_CRT', user: 'gateway_writer', passedOver: [] },
  dns: { addresses: [ADDRESS], discarded: [] },
  tcp: { tried: [{ address: ADDRESS, outcome: 'connected' }] },
  tls: {
    protocol: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    serverCertificate: { subject: 'CN=node', names: ['localhost', 'multiplayer-fabric-crdb.internal'] },
  },
  session: { sessionUser: 'gateway_writer', authentication: [0] },
  database: { database: 'uro' },
  'certificate-required': { withoutCertificate: '28000', withoutTls: '08P01' },
  'certificate-verified': { outcome: 'TLS_CLIENT_REJECTED', alert: 'bad_certificate' },
  'certificate-bound': { role: 'gateway_admin', sqlstate: '28000' },
  table: { columns: 7 },
  role: { user: 'gateway_writer', memberOf: [] },
  'row-visible': { latencyMs: 3.4167, retries: 0 },
  dml: { held: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] },
  'ddl-refused': { sqlstate: '42501' },
  'sequential-writes': {
    writes: 20,
    sessions: 1,
    latencyMs: { min: 2.12, p50: 3.04, p95: 4.5, p99: 5.17, max: 5.17 },
  },
  'statements-unnamed': { named: [], unnamed: 1 },
}

const passed = (id: CheckId, at: number): CheckResult => {
  const { layer, criterion, title } = CHECKS.find(check => check.id === id) ?? {}
  if (!layer || criterion === undefined || !title) throw new Error(`no check ${id}`)
  const durationMs = 0.4 + at * 7.25
  return {
    id,
    layer,
    criterion,
    title,
    status: 'passed',
    durationMs,
    evidence: EVIDENCE[id] ?? {},
    failure: null,
    blockedBy: null,
  }
}

const PASSED = CHECKS.map(({ id }, at) => passed(id, at))

/** Every check from `id` on is not passed: `id` itself failed with `error`, the others are blocked by it. */
const failedFrom = (id: CheckId, error: ProbeError): CheckResult[] => {
  const from = CHECKS.findIndex(check => check.id === id)
  return PASSED.map((check, at) => {
    if (at < from) return check
    if (at === from)
      return { ...check, status: 'failed', evidence: { ...openEvidence(error.evidence) }, failure: error.toFailure() }
    return { ...check, status: 'blocked', durationMs: 0, evidence: {}, blockedBy: id }
  })
}

const BASE = {
  program: 'connection-probe 1.0.0',
  runId: '0b0e4a52-7f5d-4c06-9d3e-0c9f3b5b8a11',
  target: {
    host: 'multiplayer-fabric-crdb.internal',
    port: 26257,
    database: 'uro',
    user: 'gateway_writer',
    tlsName: 'multiplayer-fabric-crdb.internal',
    address: ADDRESS,
    engine: 'CockroachDB v22.1.22',
  },
  origin: {
    hostname: '3d8d7949b23489',
    app: 'multiplayer-fabric-uro',
    region: 'iad',
    machine: '3d8d7949b23489',
    privateIp: 'fdaa:0:18:a7b:1::2',
  },
  startedAt: '2026-03-02T09:15:04.120Z',
  durationMs: 412.6,
  attempts: 1,
  checks: PASSED,
  warnings: [],
} as const satisfies Parameters<typeof assembleReport>[0]

const UNREACHED = { ...BASE.target, address: null, engine: null }

/** A configuration with three problems, the first one's code being the failure's. */
const badConfig = new ProbeError('CONFIG_MISSING', '3 settings are missing or wrong', {
  problems: [
    { name: 'DATABASE_URL', code: 'CONFIG_MISSING', message: 'is not set' },
    { name: 'CRDB_CLIENT_KEY', code: 'KEY_PERMISSIONS', message: '/tmp/client.key may be read by others (0644)' },
    { name: '--writes', code: 'CONFIG_INVALID', message: '"one" is not a number of at least 2' },
  ],
})

const wrongName = new ProbeError(
  'TLS_SERVER_NAME',
  'the certificate names localhost, old.internal; not multiplayer-fabric-crdb.internal',
  {
    cause: Object.assign(new Error("Hostname/IP does not match certificate's altnames"), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    }),
    evidence: {
      protocol: 'TLSv1.3',
      serverCertificate: { subject: 'CN=node', names: ['localhost', 'old.internal'], extendedKeyUsage: ['serverAuth'] },
    },
  },
)

const ESC = '\u001b'
/** What a hostile server may say: it clears the screen, sets the title, and turns the text into a passing line. */
export const HOSTILE = [
  `${ESC}[2J${ESC}[1;1H√ all is well${ESC}[0m`,
  `${ESC}]0;owned\u0007title`,
  `${ESC}]8;;https://evil.example${ESC}\\link${ESC}]8;;${ESC}\\`,
  'first\r\nsecond\u2028third\u0085fourth',
  'a | b ` c <img src=x onerror=alert(1)> [x](javascript:1) **bold** # head',
  'right\u202eto left\u2066\u200b, \u009b31mC1, lone \ud800 half',
].join(' ~ ')

const hostile = new ProbeError('TLS_NOT_POSTGRES', `the server said ${HOSTILE}`, {
  cause: Object.assign(new Error(`${HOSTILE}${'x'.repeat(3000)}`), { code: HOSTILE }),
  evidence: { banner: HOSTILE, [`key ${HOSTILE}`]: { nested: HOSTILE }, long: 'y'.repeat(5000) },
})

/** The reports of the golden files, by file name. */
export const SAMPLES: Readonly<Record<string, Report>> = {
  passing: assembleReport(BASE),
  failing: assembleReport({
    ...BASE,
    target: { ...BASE.target, engine: null },
    durationMs: 1834.2,
    attempts: 3,
    checks: failedFrom('tls', wrongName),
    warnings: [{ code: 'CERT_EXPIRES_SOON', message: 'the client certificate expires on 2026-03-20, in 18 days' }],
  }),
  'bad-config': assembleReport({
    ...BASE,
    target: { ...UNREACHED, host: null, port: null, database: null, user: null, tlsName: null },
    durationMs: 2.4,
    attempts: 0,
    checks: failedFrom('config', badConfig),
  }),
  interrupted: assembleReport({
    ...BASE,
    durationMs: 10_400,
    checks: failedFrom('sequential-writes', new ProbeError('INTERRUPTED', 'stopped by SIGTERM after 7 of 20 writes')),
    warnings: [
      {
        code: 'ROWS_LEFT',
        message: "1 row could not be removed: DELETE FROM connection_probe WHERE id IN ('5b1c…')",
      },
    ],
  }),
  hostile: assembleReport({
    ...BASE,
    target: { ...UNREACHED, address: ADDRESS, engine: HOSTILE, tlsName: HOSTILE, database: HOSTILE, user: HOSTILE },
    origin: { ...BASE.origin, hostname: HOSTILE, region: HOSTILE },
    checks: failedFrom('tls', hostile),
    warnings: [{ code: 'NODE_CERT_USAGE', message: HOSTILE }],
  }),
}
