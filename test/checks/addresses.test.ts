/**
 * Several hosts and several addresses: which one was used, and with --all-addresses what each came to. Ports stand in
 * for machines: a relay or a proxy before the one server is another way to reach it.
 */
import net from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { configOf } from '../helpers/probe.ts'
import { relay } from '../helpers/relay.ts'
import { cli, migrated, proxyTo, run } from '../helpers/target.ts'
import { check, expectVerdict } from '../helpers/verdict.ts'

let server: Throwaway
beforeAll(async () => {
  server = await migrated()
})
afterAll(() => server?.stop())

/** A port on [::1] where nobody listens any more. */
async function closedPort(): Promise<number> {
  const listener = net.createServer().listen(0, '::1')
  await new Promise(ready => listener.once('listening', ready))
  const { port } = listener.address() as net.AddressInfo
  await new Promise(closed => listener.close(closed))
  return port
}

const environment = (...ports: number[]) => ({
  DATABASE_URL: `postgresql://gateway_writer@${ports.map(port => `[::1]:${port}`).join(',')}/uro`,
  COCKROACH_CERTS_DIR: server.certsDir,
})

const rows = async () => (await server.runAsRoot('SELECT count(*)::int4 AS n FROM connection_probe', 'uro'))[0]?.n

describe('several hosts', () => {
  it('goes on to the next one when the first refuses, and says which it used', async () => {
    const dead = await closedPort()
    const report = await run(configOf(environment(dead, server.port)))
    expectVerdict(report, {})
    expect(report.target).toMatchObject({ address: '::1', port: server.port })
    expect(check(report, 'tcp').evidence.tried).toMatchObject([
      { port: dead, outcome: 'TCP_REFUSED' },
      { port: server.port, outcome: 'connected' },
    ])
  })

  it('names the failure that got furthest when none is left', async () => {
    await using bare = await proxyTo(server, { onSslRequest: { send: Buffer.from('N'), next: 'close' } })
    const report = await run(configOf(environment(await closedPort(), bare.port)))
    expect(report.failure).toMatchObject({ layer: 'tls', code: 'TLS_NOT_OFFERED' })
    expect(report.target).toMatchObject({ address: '::1', port: bare.port })
  })
})

describe('--all-addresses', () => {
  it('passes when every one of them serves, and leaves no row', async () => {
    await using second = await relay({ target: { port: server.port } })
    await using third = await relay({ target: { port: server.port } })
    const report = await run(
      configOf(environment(server.port, second.port, third.port), { options: { allAddresses: true } }),
    )
    expectVerdict(report, {})
    expect(check(report, 'every-address').evidence.addresses).toMatchObject([
      { port: server.port, outcome: 'connected' },
      { port: second.port, outcome: 'written and read' },
      { port: third.port, outcome: 'written and read' },
    ])
    expect(second.connections).toBe(2)
    expect(await rows()).toBe(0)
  })

  it('fails when one refuses, and says what each came to', async () => {
    await using second = await relay({ target: { port: server.port } })
    const dead = await closedPort()
    const { code, stdout } = await cli(
      ['probe', '--json', '--all-addresses'],
      environment(server.port, dead, second.port),
    )
    const report = JSON.parse(stdout)
    expect(code).toBe(1)
    expectVerdict(report, { check: 'every-address', code: 'TCP_REFUSED' })
    expect(check(report, 'every-address').evidence.addresses).toMatchObject([
      { port: server.port, outcome: 'connected' },
      { port: dead, outcome: 'TCP_REFUSED' },
      { port: second.port, outcome: 'written and read' },
    ])
    expect(await rows()).toBe(0)
  })

  it('fails when one presents no TLS', async () => {
    await using bare = await proxyTo(server, { onSslRequest: { send: Buffer.from('N'), next: 'close' } })
    const report = await run(configOf(environment(server.port, bare.port), { options: { allAddresses: true } }))
    expectVerdict(report, { check: 'every-address', code: 'TLS_NOT_OFFERED' })
    expect(check(report, 'tcp').status).toBe('passed')
  })

  it('fails when two databases answer to one name, and leaves no row in either', async () => {
    await using other = await migrated({ authority: server.authority, clientAuthority: server.clientAuthority })
    const report = await run(
      configOf(environment(server.port, other.port), { options: { allAddresses: true, visibleWithinMs: 500 } }),
    )
    expectVerdict(report, {
      check: 'every-address',
      code: 'ROW_NOT_VISIBLE',
      hint: 'two databases answer to one name',
      message: /^a row written through ::1 is missing for a reader through ::1/,
      evidence: {
        addresses: [
          { port: server.port, outcome: 'connected' },
          { port: other.port, outcome: 'ROW_NOT_VISIBLE' },
        ],
      },
    })
    expect(report.warnings.map(({ code }) => code)).not.toContain('ROWS_LEFT')
    const [left] = await other.runAsRoot('SELECT count(*)::int4 AS n FROM connection_probe')
    expect([await rows(), left?.n]).toEqual([0, 0])
  })

  it.each([
    ['first', 1],
    ['second', 2],
  ])('fails when one drops the startup options of the %s connection', async (_which, dropped) => {
    await using pooled = await proxyTo(server, {
      startup: ({ id, startup = {} }) => (id === dropped ? { ...startup, options: '' } : startup),
    })
    const report = await run(configOf(environment(server.port, pooled.port), { options: { allAddresses: true } }))
    expectVerdict(report, { check: 'every-address', code: 'CONNECTION_REPLACED', hint: 'drops startup options' })
    expect(await rows()).toBe(0)
  })

  it('fails when a row written through one is not there for a reader', async () => {
    await using forgetful = await proxyTo(server, {
      onStatement: sql =>
        /^select/i.test(sql) && sql.includes('"connection_probe"') ? { row: () => undefined } : undefined,
    })
    const report = await run(
      configOf(environment(server.port, forgetful.port), { options: { allAddresses: true, visibleWithinMs: 500 } }),
    )
    expectVerdict(report, { check: 'every-address', code: 'ROW_NOT_VISIBLE', message: /::1/ })
    expect(await rows()).toBe(0)
  })
})
