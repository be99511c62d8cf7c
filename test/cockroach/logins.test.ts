/** What a real CockroachDB lets in and turns down, by its rules and its certificates. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAuthority } from '../../src/development/throwaway/authority.ts'
import { findCockroach, type Throwaway } from '../../src/development/throwaway/index.ts'
import type { Report } from '../../src/report/report.ts'
import { checkCertsDir } from '../../src/settings/certs-dir.ts'
import { presenting } from '../helpers/pki.ts'
import { configOf, writerConfig } from '../helpers/probe.ts'
import { migrated, probeServer, run } from '../helpers/target.ts'
import { check, expectVerdict } from '../helpers/verdict.ts'

let server: Throwaway
beforeAll(async () => {
  server = await migrated()
})
afterAll(() => server?.stop())

const HBA = 'server.host_based_authentication.configuration'
const MAP = 'server.identity_map.configuration'

/** Probes until the cluster settings, which spread to the node by gossip, have made it fail. */
async function withSettings(settings: Readonly<Record<string, string>>, probe: () => Promise<Report>): Promise<Report> {
  try {
    for (const [name, value] of Object.entries(settings))
      await server.runAsRoot(`SET CLUSTER SETTING ${name} = '${value}'`, 'postgres')
    let report = await probe()
    for (let tries = 0; report.verdict === 'pass' && tries < 50; tries++) report = await probe()
    return report
  } finally {
    for (const name of Object.keys(settings)) await server.runAsRoot(`RESET CLUSTER SETTING ${name}`, 'postgres')
  }
}

describe('logins', () => {
  it('of a role with NOSQLLOGIN: what the next step says cures it', async () => {
    await server.runAsRoot('ALTER ROLE gateway_writer WITH NOSQLLOGIN', 'postgres')
    const report = await probeServer(server)
    await server.runAsRoot('ALTER ROLE gateway_writer WITH LOGIN', 'postgres')
    const still = await probeServer(server)
    await server.runAsRoot('ALTER ROLE gateway_writer WITH SQLLOGIN', 'postgres')
    for (const refused of [report, still])
      expectVerdict(refused, {
        ...{ code: 'AUTH_LOGIN_DENIED', check: 'session' },
        hint: /^as root: ALTER ROLE gateway_writer WITH LOGIN; if it has LOGIN: ALTER ROLE gateway_writer WITH SQLLOGIN$/,
      })
    expectVerdict(await probeServer(server), {})
  })

  it('by a map that has no such user', async () => {
    const settings = { [HBA]: 'host all all all cert map=m', [MAP]: 'm gateway_admin gateway_admin' }
    const report = await withSettings(settings, () => probeServer(server))
    expectVerdict(report, {
      ...{ code: 'AUTH_IDENTITY', check: 'session', message: /did not map to a database role/ },
      hint: /SHOW CLUSTER SETTING server\.identity_map\.configuration$/,
    })
  })

  it('refused before the parameters come: nothing says that it is PostgreSQL', async () => {
    // Root is refused as well from then on: a server of its own.
    await using refusing = await migrated()
    await refusing.runAsRoot("SET CLUSTER SETTING sql.defaults.intervalstyle = 'iso_8601'", 'postgres')
    let report = await probeServer(refusing)
    for (let tries = 0; report.verdict === 'pass' && tries < 50; tries++) report = await probeServer(refusing)
    expectVerdict(report, { code: 'SESSION_REFUSED', check: 'database', sqlstate: '0A000' })
    expect(report.target.engine).toBeNull()
    expect(report.warnings.map(({ code }) => code)).not.toContain('ENGINE_NOT_COCKROACHDB')
  })

  it('without a certificate, by a rule that trusts everybody', async () => {
    await server.runAsRoot(`SET CLUSTER SETTING ${HBA} = 'host all gateway_writer all trust'`, 'postgres')
    try {
      // The setting spreads to the node by gossip.
      let report = await probeServer(server)
      for (let tries = 0; report.verdict === 'pass' && tries < 50; tries++) report = await probeServer(server)
      expect(report.failure).toMatchObject({ layer: 'session', code: 'CERTLESS_LOGIN_ALLOWED' })
    } finally {
      await server.runAsRoot(`RESET CLUSTER SETTING ${HBA}`, 'postgres')
    }
  })

  it('as gateway_admin are not tried where it may not log in: root is', async () => {
    await server.runAsRoot('ALTER ROLE gateway_admin WITH NOLOGIN', 'postgres')
    try {
      const report = await probeServer(server)
      expectVerdict(report, {})
      expect(check(report, 'certificate-bound').evidence).toMatchObject({ triedAs: 'root', outcome: 'AUTH_IDENTITY' })
    } finally {
      await server.runAsRoot('ALTER ROLE gateway_admin WITH LOGIN', 'postgres')
    }
  })

  it.each(['root', 'gateway_reader'])('as %s, whom our certificate names as well', async role => {
    const options = { commonName: 'gateway_writer', dnsNames: [role], usages: ['clientAuth'] } as const
    const named = await server.clientAuthority.issue(options)
    const config = writerConfig(server)
    const report = await run(presenting(config, named))
    expect(report.failure).toMatchObject({ layer: 'session', code: 'FOREIGN_LOGIN_ALLOWED' })
    expect(check(report, 'certificate-bound').evidence).toMatchObject({ triedAs: role, outcome: 'let in' })
  })

  it('as a node, which our certificate names: no session is opened so, and the cluster is open all the same', async () => {
    const options = { commonName: 'gateway_writer', dnsNames: ['node'], usages: ['clientAuth'] } as const
    const named = await server.clientAuthority.issue(options)
    const report = await run(presenting(writerConfig(server), named))
    expect(report.failure).toMatchObject({ layer: 'session', code: 'FOREIGN_LOGIN_ALLOWED' })
    expect(report.failure?.hint).toContain('cockroach cert create-client gateway_writer')
  })

  it('as gateway_admin by a rule, where our certificate does not name it', async () => {
    const rules = 'hostssl all gateway_admin all trust\nhostssl all all all cert'
    const report = await withSettings({ [HBA]: rules }, () => probeServer(server))
    expect(report.failure).toMatchObject({ layer: 'session', code: 'FOREIGN_LOGIN_ALLOWED' })
    expect(report.failure?.hint).toMatch(/^the certificate does not name that role/)
  })

  it('as gateway_admin, whom a rule asks for a password', async () => {
    const rules = 'host all gateway_admin all password\nhost all all all cert'
    const report = await withSettings({ [HBA]: rules }, () => probeServer(server))
    expect(report.failure).toMatchObject({ layer: 'session', code: 'AUTH_NO_CERTIFICATE' })
    expect(report.failure?.hint).toMatch(/^the server asks gateway_admin for a password, .* the rule for gateway_admin/)
  })

  it("as gateway_admin by a map of names: what that one owns is not the writer's", async () => {
    const map = { [MAP]: 'm gateway_writer gateway_admin', [HBA]: 'hostssl all all all cert map=m' }
    const report = await withSettings(map, () => probeServer(server))
    expect(report.failure).toMatchObject({ layer: 'privilege', code: 'ADMIN_AT_RUNTIME' })
    expect(report.failure?.message).not.toContain('gateway_writer owns')
    expect(report.failure?.hint).toContain('server.identity_map.configuration')
  })

  it('of a role that has NULL sorted last: passes', async () => {
    await server.runAsRoot('ALTER ROLE gateway_writer SET null_ordered_last = on')
    try {
      expectVerdict(await probeServer(server), {})
    } finally {
      await server.runAsRoot('ALTER ROLE gateway_writer RESET null_ordered_last')
    }
  })

  it('by a password that is stored for the role, which replaces the certificate', async () => {
    await server.runAsRoot(`ALTER ROLE gateway_writer WITH PASSWORD 'correct horse battery staple'`, 'postgres')
    try {
      const report = await probeServer(server)
      const hint = 'ALTER ROLE gateway_writer WITH PASSWORD NULL'
      expectVerdict(report, { check: 'certificate-required', code: 'CERTLESS_LOGIN_ALLOWED', hint })
    } finally {
      await server.runAsRoot('ALTER ROLE gateway_writer WITH PASSWORD NULL', 'postgres')
    }
    const { evidence } = check(await probeServer(server), 'certificate-required')
    expect(evidence).toMatchObject({ withoutCertificate: { challenge: 'AuthenticationSASL', passwordStored: false } })
  })

  it('with a broken signature are turned down by an alert', async () => {
    const { evidence } = check(await probeServer(server), 'certificate-verified')
    expect(evidence).toMatchObject({ outcome: 'TLS_CLIENT_REJECTED', alert: 'bad_certificate' })
  })

  it('to a misspelt database name the one that exists', async () => {
    const config = configOf(
      { DATABASE_URL: server.url('gateway_writer', 'urp') },
      { options: { certsDir: server.certsDir } },
    )
    const hint = /^there is a database "uro": correct the name/
    expectVerdict(await run(config), { check: 'database', code: 'DATABASE_MISSING', hint })
  })

  it('with a certificate of another CA are turned down by an alert', async () => {
    const others = await createAuthority({ name: 'other' })
    const foreign = await others.issue({ commonName: 'gateway_writer', usages: ['clientAuth'] })
    const env = { DATABASE_URL: server.url('gateway_writer') }
    const config = configOf(env, { options: { certsDir: server.certsDir } })
    for (let count = 0; count < 20; count++) {
      const report = await run(presenting(config, foreign))
      expect(report.failure).toMatchObject({ layer: 'tls', code: 'TLS_CLIENT_REJECTED' })
    }
  })
})

it('certs:check takes what cockroach cert makes', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'cockroach-cert-'))
  const binary = findCockroach() ?? ''
  const cert = (...words: string[]) =>
    promisify(execFile)(binary, ['cert', ...words, `--certs-dir=${directory}`, `--ca-key=${directory}/ca.key`])
  try {
    await cert('create-ca')
    await cert('create-node', 'localhost', '127.0.0.1', '::1')
    for (const user of ['root', 'gateway_writer']) await cert('create-client', user)
    const { ok, text, files } = checkCertsDir(directory)
    expect(ok, text).toBe(true)
    expect(files.filter(({ kind }) => kind === 'client').map(({ user }) => user)).toEqual(['gateway_writer', 'root'])
  } finally {
    await rm(directory, { recursive: true })
  }
})
