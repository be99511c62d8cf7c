/**
 * Layer dns, by a resolver of the test's own. getaddrinfo cannot be pointed at it in this process (the lab does that
 * with resolv.conf), so `lookup` asks it as getaddrinfo would and answers with getaddrinfo's error codes.
 */
import { Resolver } from 'node:dns/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import type { NameService, ProbeConfig } from '../../src/settings/config.ts'
import { type DnsBehaviour, dnsServer, type Records } from '../helpers/dns.ts'
import { listen } from '../helpers/listen.ts'
import { makePki, type Pki } from '../helpers/pki.ts'
import { configOf } from '../helpers/probe.ts'
import { scriptedServer } from '../helpers/scripted.ts'
import { migrated, namesOf, run, target } from '../helpers/target.ts'
import { check, type Expected, expectVerdict } from '../helpers/verdict.ts'

const HOST = 'db.internal'
const DEADLINE_MS = 1_600 // the lookup may take a quarter of it

let pki: Pki
beforeAll(async () => {
  pki = await makePki()
})

/** What getaddrinfo says (getaddrinfo(3)) where c-ares says something else. */
const GETADDRINFO: Readonly<Record<string, string>> = { ENODATA: 'ENOTFOUND', ENOTFOUND: 'ENOTFOUND' }

/** Names as this resolver has them; `hosts` is what /etc/hosts would add, which a resolver asked directly never sees. */
function namesFrom(server: string, hosts: Readonly<Record<string, readonly string[]>> = {}): NameService {
  return {
    servers: [server],
    async lookup(host, family) {
      const own = hosts[host]?.filter(address => address.includes(':') === (family === 6)) ?? []
      if (own.length > 0) return own
      const resolver = new Resolver({ timeout: 10_000, tries: 1 })
      resolver.setServers([server])
      try {
        return await (family === 6 ? resolver.resolve6(host) : resolver.resolve4(host))
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : ''
        throw Object.assign(new Error(`getaddrinfo ${host}`), { code: GETADDRINFO[code] ?? 'EAI_AGAIN', cause: error })
      }
    },
  }
}

const configFor = (names: NameService, host = HOST, deadlineMs = DEADLINE_MS): ProbeConfig =>
  target({ port: 26257 }, pki.pem, { host, names, deadlineMs })

interface Case {
  readonly records?: Records
  readonly behaviour?: DnsBehaviour
  readonly host?: string
  readonly hosts?: Readonly<Record<string, readonly string[]>>
  readonly expected: Omit<Expected, 'check'>
}

/** What Fly's resolver says of an application: its started machines, all of them, and all applications. */
const fly = (started: readonly string[], all: readonly string[], apps: string): Records => ({
  'vms.db.internal': { TXT: started },
  'all.vms.db.internal': { TXT: all },
  '_apps.internal': { TXT: [apps] },
})

const cases: Readonly<Record<string, Case>> = {
  'no such name': {
    host: 'db.example',
    expected: { code: 'DNS_NOT_FOUND', evidence: { resolver: 'ENOTFOUND', getaddrinfo: 'ENOTFOUND' } },
  },
  'A only': {
    host: 'db.example',
    records: { 'db.example': { A: ['192.0.2.1'] } },
    expected: { code: 'DNS_NO_AAAA', evidence: { resolver: 'ENODATA', ipv4: ['192.0.2.1'] } },
  },
  'no record at all': {
    host: 'db.example',
    records: { 'db.example': { TXT: ['x'] } },
    expected: { code: 'DNS_NO_AAAA', evidence: { resolver: 'ENODATA' } },
  },
  'an IPv4 address in /etc/hosts only': {
    host: 'db.example',
    hosts: { 'db.example': ['192.0.2.1'] },
    expected: { code: 'DNS_NO_AAAA', evidence: { resolver: 'ENOTFOUND', ipv4: ['192.0.2.1'] } },
  },
  'answers that only wrap IPv4: mapped': {
    host: 'db.example',
    records: { 'db.example': { AAAA: ['::ffff:192.0.2.1'] } },
    expected: { code: 'DNS_NO_AAAA', evidence: { discarded: ['::ffff:192.0.2.1'] } },
  },
  'answers that only wrap IPv4: NAT64': {
    host: 'db.example',
    records: { 'db.example': { AAAA: ['64:ff9b::c000:201', '::ffff:7f00:1'] } },
    expected: { code: 'DNS_NO_AAAA', evidence: { discarded: ['64:ff9b::c000:201', '::ffff:127.0.0.1'] } },
  },
  silent: { host: 'db.example', behaviour: 'silent', expected: { code: 'DNS_TIMEOUT' } },
  SERVFAIL: {
    host: 'db.example',
    behaviour: 'servfail',
    expected: { code: 'DNS_FAILED', evidence: { resolver: 'ESERVFAIL', getaddrinfo: 'EAI_AGAIN' } },
  },
  REFUSED: {
    host: 'db.example',
    behaviour: 'refused',
    expected: { code: 'DNS_FAILED', evidence: { resolver: 'EREFUSED', getaddrinfo: 'EAI_AGAIN' } },
  },
  'too late': { host: 'db.example', behaviour: { lateMs: 2_000 }, expected: { code: 'DNS_TIMEOUT' } },
  '.internal, its machine stopped': {
    records: fly([], ['148e1 ams'], 'api,db'),
    expected: {
      code: 'DNS_NO_AAAA',
      evidence: { 'all.vms.db.internal': ['148e1 ams'], 'vms.db.internal': 'ENODATA' },
      hint: /exists but is not started: .*fly machine start ID -a db$/,
    },
  },
  '.internal of a region, its machine stopped': {
    host: 'ams.db.internal',
    records: fly([''], ['148e1 ams'], 'api,db'),
    expected: { code: 'DNS_NOT_FOUND', hint: /fly machine start ID -a db$/ },
  },
  '.internal, the app not in _apps': {
    records: { '_apps.internal': { TXT: ['api,dbx'] } },
    expected: { code: 'DNS_NOT_FOUND', hint: /no app "db" in this organisation/ },
  },
  '.internal, nothing known about it': { behaviour: 'servfail', expected: { code: 'DNS_FAILED' } },
}

test.each(Object.entries(cases))('%s', async (_name, { records = {}, behaviour = 'answer', host, hosts, expected }) => {
  await using server = await dnsServer({ records, behaviour })
  const report = await run(configFor(namesFrom(server.server, hosts), host))
  expectVerdict(report, { check: 'dns', ...expected })
  expect(report.durationMs).toBeLessThan(DEADLINE_MS / 4 + 500)
})

test('a resolver that cannot be reached', async () => {
  const gone = await closedResolver()
  const report = await run(configFor(namesFrom(gone), 'db.example'))
  expectVerdict(report, { code: 'DNS_FAILED', check: 'dns', evidence: { resolver: 'ECONNREFUSED' } })
})

async function closedResolver(): Promise<string> {
  await using server = await dnsServer({ records: {} })
  return server.server
}

test('late, but in time: the path goes on', async () => {
  await using server = await scriptedServer({ onAccept: 'close' })
  await using resolver = await dnsServer({ records: { [HOST]: { AAAA: ['::1'] } }, behaviour: { lateMs: 250 } })
  const config = target(server, pki.pem, { host: HOST, names: namesFrom(resolver.server), deadlineMs: DEADLINE_MS })
  const report = await run(config)
  expectVerdict(report, { code: 'TLS_CLOSED', check: 'tls' })
  expect(check(report, 'dns')).toMatchObject({ status: 'passed', evidence: { addresses: ['::1'] } })
  expect(check(report, 'dns').durationMs).toBeGreaterThan(200)
})

test('a literal and a hostaddr are not looked up, and the evidence says so', async () => {
  await using server = await scriptedServer({ onAccept: 'close' })
  const names: NameService = {
    lookup: () => Promise.reject(new Error('nobody is to be asked')),
    servers: null,
  }
  const literal = await run(target(server, pki.pem, { names }))
  expect(check(literal, 'dns').evidence).toMatchObject({ lookup: 'none: IPv6 literal', addresses: ['::1'] })
  const env = { DATABASE_URL: `postgresql://gateway_writer@${HOST}:${server.port}/uro?hostaddr=::1` }
  const hostaddr = await run(target(server, pki.pem, { names, env }))
  expect(check(hostaddr, 'dns').evidence).toMatchObject({ lookup: 'none: hostaddr', addresses: ['::1'] })
})

describe('several addresses', () => {
  let server: Throwaway
  beforeAll(async () => {
    server = await migrated({ dnsNames: [HOST] })
  })
  afterAll(() => server?.stop())

  const probeAt = async (addresses: readonly string[], deadlineMs = 8_000) => {
    const { port } = server
    const config = configOf(
      { DATABASE_URL: `postgresql://gateway_writer@${HOST}:${port}/uro` },
      { options: { certsDir: server.certsDir, deadlineMs }, names: namesOf({ [HOST]: addresses }) },
    )
    return run(config)
  }

  // fe80::1 without a zone and ff02::1 are dead by themselves: no packet is sent.
  test('the first unreachable: both outcomes are evidence, the second is used', async () => {
    const report = await probeAt(['fe80::1', '::1'])
    expectVerdict(report, {})
    expect(report.target.address).toBe('::1')
    expect(check(report, 'dns').evidence).toMatchObject({ addresses: ['fe80::1', '::1'] })
    expect(check(report, 'tcp').evidence).toMatchObject({
      address: '::1',
      tried: [
        { address: 'fe80::1', outcome: 'TCP_UNREACHABLE' },
        { address: '::1', outcome: 'connected' },
      ],
    })
  })

  test('one that wraps IPv4 is discarded, listed and never dialled', async () => {
    const report = await probeAt(['::ffff:127.0.0.1', '::1'])
    expect(report.verdict).toBe('pass')
    expect(check(report, 'dns').evidence).toMatchObject({ addresses: ['::1'], discarded: ['::ffff:127.0.0.1'] })
    expect(check(report, 'tcp').evidence).toMatchObject({ tried: [{ address: '::1', outcome: 'connected' }] })
  })

  test('one that is found twice is dialled once', async () => {
    const report = await probeAt(['fe80::1', 'fe80::1', '::1', '::1'])
    expect(check(report, 'dns').evidence).toMatchObject({ addresses: ['fe80::1', '::1'] })
    expect(check(report, 'tcp').evidence.tried).toMatchObject([{ address: 'fe80::1' }, { address: '::1' }])
  })

  test('all dead: the outcome of each is evidence', async () => {
    const report = await probeAt(['fe80::1', 'ff02::1'])
    expectVerdict(report, {
      code: 'TCP_UNREACHABLE',
      check: 'tcp',
      hint: /a link-local address holds on one link only/,
      evidence: { tried: [{ address: 'fe80::1' }, { address: 'ff02::1', outcome: 'TCP_UNREACHABLE' }] },
    })
  })

  /** Another host of the same configuration on a port of its own: what a second address is where there is only [::1]. */
  const probeHosts = (first: number, deadlineMs = 8_000) =>
    run(
      configOf(
        { DATABASE_URL: `postgresql://gateway_writer@${HOST}:${first},${HOST}:${server.port}/uro` },
        { options: { certsDir: server.certsDir, deadlineMs }, names: namesOf({ [HOST]: ['::1'] }) },
      ),
    )

  test('the first closed: refused, and the second is used', async () => {
    const { port } = await closed()
    const report = await probeHosts(port)
    expectVerdict(report, {})
    expect(check(report, 'tcp').evidence).toMatchObject({
      tried: [
        { port, outcome: 'TCP_REFUSED' },
        { port: server.port, outcome: 'connected' },
      ],
    })
  })

  test('the first silent: its timeout is evidence, and the second is used', async () => {
    await using silent = await scriptedServer({ onAccept: 'silent' })
    const report = await probeHosts(silent.port, 6_000)
    expectVerdict(report, {})
    expect(check(report, 'tcp').evidence).toMatchObject({
      tried: [{ outcome: 'TLS_TIMEOUT' }, { outcome: 'connected' }],
    })
    expect(report.target.port).toBe(server.port)
    await silent.until(({ open }) => open === 0)
  })
})

async function closed(): Promise<{ port: number }> {
  await using server = await listen(() => undefined)
  return { port: server.port }
}
