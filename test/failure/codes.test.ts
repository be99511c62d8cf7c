/** The codes that are promised are there, and each has everything that an operator needs. */
import { describe, expect, it } from 'vitest'
import { troubleshootingTable } from '../../src/development/docs.ts'
import { classifyTls } from '../../src/failure/classify-tls.ts'
import { CODES, type Code, LAYERS } from '../../src/failure/codes.ts'
import { explain } from '../../src/failure/explain.ts'
import { EXPLANATIONS } from '../../src/failure/explanations.ts'
import { fillIn } from '../../src/failure/hints.ts'

/** The codes that are promised, by layer: what reads a report may know them. Others may join them, none goes or moves. */
const PROMISED = {
  config:
    'CONFIG_MISSING CONFIG_INVALID CONFIG_INSECURE CONFIG_NOT_IPV6 CERT_UNREADABLE CERT_INVALID KEY_PERMISSIONS' +
    ' KEY_ENCRYPTED KEY_MISMATCH CERT_EXPIRED CERT_NOT_YET_VALID CERT_USAGE',
  dns: 'DNS_NOT_FOUND DNS_NO_AAAA DNS_TIMEOUT DNS_FAILED',
  tcp: 'TCP_REFUSED TCP_TIMEOUT TCP_UNREACHABLE TCP_RESET TCP_FAILED',
  tls:
    'TLS_NOT_OFFERED TLS_NOT_POSTGRES TLS_TIMEOUT TLS_CLOSED TLS_VERSION TLS_SERVER_UNTRUSTED TLS_SERVER_EXPIRED' +
    ' TLS_SERVER_NOT_YET_VALID TLS_SERVER_NAME TLS_SERVER_USAGE TLS_CLIENT_REQUIRED TLS_CLIENT_REJECTED TLS_FAILED',
  session:
    'AUTH_NO_CERTIFICATE AUTH_IDENTITY AUTH_ROLE_UNKNOWN AUTH_LOGIN_DENIED SERVER_BUSY SERVER_UNAVAILABLE' +
    ' SERVER_DRAINING SESSION_TIMEOUT SESSION_CLOSED SESSION_PROTOCOL SESSION_REFUSED' +
    ' CERTLESS_LOGIN_ALLOWED FORGED_LOGIN_ALLOWED FOREIGN_LOGIN_ALLOWED NEGATIVE_INCONCLUSIVE',
  database: 'DATABASE_MISSING DATABASE_DENIED CATALOGUE_FAILED',
  schema: 'TABLE_MISSING TABLE_MISMATCH',
  privilege: 'DML_DENIED ADMIN_AT_RUNTIME DDL_ALLOWED GRANT_EXCESS',
  write: 'WRITE_REFUSED WRITE_TIMEOUT WRITE_CONTENDED WRITE_AMBIGUOUS CONNECTION_LOST',
  visibility: 'ROW_LATE ROW_NOT_VISIBLE ROW_MISMATCH READ_FAILED READ_TIMEOUT',
  reuse: 'CONNECTION_REPLACED STATEMENTS_NAMED',
  witness: 'WITNESS_NO_ROW WITNESS_UNKNOWN_SESSION WITNESS_ROLE WITNESS_NOT_IPV6 WITNESS_ELSEWHERE',
  run: 'DEADLINE INTERRUPTED',
}

/** Of these, what waiting can cure, and nothing else. */
const RETRYABLE =
  'DNS_NOT_FOUND DNS_NO_AAAA DNS_TIMEOUT DNS_FAILED TCP_REFUSED TCP_TIMEOUT TCP_UNREACHABLE TCP_RESET TCP_FAILED' +
  ' TLS_TIMEOUT TLS_CLOSED SERVER_BUSY SERVER_UNAVAILABLE SERVER_DRAINING SESSION_TIMEOUT SESSION_CLOSED' +
  ' WRITE_TIMEOUT WRITE_CONTENDED WRITE_AMBIGUOUS CONNECTION_LOST READ_TIMEOUT DEADLINE'

const codes = Object.keys(CODES) as Code[]

describe('the codes', () => {
  const promised = Object.entries(PROMISED).flatMap(([layer, text]) => text.split(' ').map(code => [code, layer]))
  const isPromised = (code: Code) => promised.some(([one]) => one === code)

  it('are those that are promised, in their layers and order', () => {
    expect(LAYERS).toEqual(Object.keys(PROMISED))
    expect(codes.filter(isPromised).map(code => [code, CODES[code].layer])).toEqual(promised)
  })

  it('stand in the order of the layers', () => {
    const layers = codes.map(code => LAYERS.indexOf(CODES[code].layer))
    expect(layers).toEqual(layers.toSorted((one, other) => one - other))
  })

  it('are tried again only where that may help', () => {
    expect(codes.filter(code => isPromised(code) && CODES[code].retryable)).toEqual(RETRYABLE.split(' '))
  })

  it('have names in their statements as SQL takes them', () => {
    const known = { user: 'gateway_writer', database: 'uro-prod' }
    expect(fillIn(CODES.DATABASE_DENIED.hint, known)).toBe(
      'as root: GRANT CONNECT ON DATABASE "uro-prod" TO gateway_writer',
    )
    const statements = codes
      .map(code => CODES[code].hint)
      .filter(hint => /\b(DATABASE|ROLE|TO) \{(database|user)\}/.test(hint))
    expect(statements).toEqual([])
  })

  it('have no hint twice', () => {
    expect(new Set(codes.map(code => fillIn(CODES[code].hint))).size).toBe(codes.length)
  })
})

describe('an alert', () => {
  it.each([
    ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'TLS_CLIENT_REJECTED', 'bad_certificate'],
    // as OpenSSL 3.5 has renamed it, which newer releases of Node bring along
    ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'TLS_CLIENT_REJECTED', 'bad_certificate'],
    ['ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', 'TLS_CLIENT_REQUIRED', 'handshake_failure'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'TLS_CLIENT_REJECTED', 'unknown_ca'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'TLS_CLIENT_REQUIRED', 'certificate_required'],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'TLS_VERSION', 'protocol_version'],
    ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', 'TLS_FAILED', 'unrecognized_name'],
  ] as const)('%s is %s', (name, code, alert) => {
    expect(classifyTls(name, true)).toEqual({ code, alert })
  })
})

describe.each(codes)('%s', code => {
  it('has a hint of one line and every text', () => {
    const { meaning, causes, confirm, fix } = EXPLANATIONS[code]
    expect(CODES[code].hint).toMatch(/^\S.{8,198}\S$/)
    expect(meaning).toMatch(/^[A-Z].{20,}\.$/)
    for (const texts of [causes, confirm, fix]) {
      expect(texts.length).toBeGreaterThan(0)
      for (const text of texts) expect(text).toMatch(/^\S.*\S$/)
    }
  })

  it('is explained within 100 columns, with all of it', () => {
    const text = explain(code)
    for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100)
    const { meaning, causes, confirm, fix } = EXPLANATIONS[code]
    const unwrapped = text.replace(/ \\\n\s*/g, ' ').replace(/\s+/g, ' ')
    for (const part of [fillIn(CODES[code].hint), meaning, ...causes, ...confirm, ...fix])
      expect(unwrapped).toContain(part)
  })

  it('stands in the troubleshooting table', () => {
    expect(
      troubleshootingTable()
        .split('\n')
        .filter(line => line.includes(`\`${code}\``)),
    ).toHaveLength(1)
  })
})

it('names the statements that close schema public, and what prints the rest', () => {
  for (const text of [CODES.DDL_ALLOWED.hint, explain('DDL_ALLOWED').replace(/\s+/g, ' ')]) {
    expect(text).toMatch(/REVOKE CREATE ON SCHEMA public FROM (\{role\}|gateway_writer), public;/)
    expect(text).toContain('GRANT CREATE ON SCHEMA public TO gateway_admin;')
    expect(text).toContain('npm run bootstrap -- --engine cockroach')
  }
})

it('has one cell for each column of the troubleshooting table', () => {
  const rows = troubleshootingTable().trimEnd().split('\n')
  expect(rows).toHaveLength(codes.length + 2)
  for (const row of rows) expect(row.match(/(?<!\\)\|/g), row).toHaveLength(7)
})
