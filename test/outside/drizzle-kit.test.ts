/** `npx drizzle-kit migrate` with this project's drizzle.config.ts: what it says where it fails, which by itself is nothing. */
import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { clientOf, pemOf } from '../helpers/clients.ts'
import { startServer } from '../helpers/target.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const NAME = 'crdb.test.internal'

let server: Throwaway
let other: Throwaway
let root: ReturnType<typeof clientOf>
beforeAll(async () => {
  ;[server, other] = await Promise.all([startServer({ dnsNames: [NAME] }), startServer()])
  root = clientOf(server, 'root')
})
afterAll(async () => {
  await root?.end({ timeout: 1 })
  await Promise.all([server?.stop(), other?.stop()])
})
beforeEach(async () => {
  await root.unsafe('DROP SCHEMA IF EXISTS drizzle CASCADE')
  await root.unsafe('DROP TABLE IF EXISTS public.connection_probe')
})

interface Given {
  readonly port?: number
  readonly host?: string
  readonly user?: string
  readonly database?: string
  readonly ca?: string
  readonly of?: Throwaway
}

function environment({ port = server.port, host = NAME, user, database = 'uro', ca, of = server }: Given) {
  const pem = pemOf(of, user ?? 'gateway_admin')
  // The name is at ::1, whatever this machine's hosts are; every form of the arguments goes through, as in the config.
  const lookup = `import dns from 'node:dns'
    const { lookup } = dns
    dns.lookup = (host, ...rest) => lookup(host === '${NAME}' ? '::1' : host, ...rest)`
  return {
    MIGRATION_DATABASE_URL: `postgresql://gateway_admin@${host}:${port}/${database}?sslmode=verify-full`,
    CRDB_CA_CRT: ca ?? pemOf(server, 'gateway_admin').ca,
    CRDB_CLIENT_ADMIN_CRT: pem.cert,
    CRDB_CLIENT_ADMIN_KEY: pem.key,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(lookup)}`,
  }
}

const kit = (env: NodeJS.ProcessEnv, ...words: string[]) =>
  new Promise<{ code: unknown; stdout: string; stderr: string }>(settle => {
    const { PATH, HOME } = process.env
    const options = { cwd: ROOT, env: { PATH, HOME, ...env }, timeout: 60_000 }
    execFile(join(ROOT, 'node_modules/.bin/drizzle-kit'), words, options, (error, stdout, stderr) =>
      settle({ code: error ? error.code : 0, stdout, stderr }),
    )
  })

describe('drizzle-kit migrate says on stderr why it failed', () => {
  test.each<{
    readonly fault: string
    readonly given?: () => Given
    readonly before?: readonly string[]
    readonly after?: readonly string[]
    readonly says: readonly [code: string, next: string]
  }>([
    { fault: 'port closed', given: () => ({ port: 1 }), says: ['tcp TCP_REFUSED', 'the machine is up'] },
    { fault: 'unknown name', given: () => ({ host: 'nowhere.invalid' }), says: ['dns DNS_NOT_FOUND', 'next: '] },
    { fault: 'wrong CA', given: () => ({ ca: pemOf(other, 'root').ca }), says: ['tls TLS_SERVER_UNTRUSTED', 'new CA'] },
    { fault: 'foreign client certificate', given: () => ({ of: other }), says: ['tls TLS_CLIENT_REJECTED', 'next: '] },
    {
      fault: "another user's certificate",
      given: () => ({ user: 'gateway_writer' }),
      says: ['session AUTH_IDENTITY', 'next: '],
    },
    { fault: 'database missing', given: () => ({ database: 'nope' }), says: ['database DATABASE_MISSING', 'nope'] },
    {
      fault: 'no CREATE on the schema',
      before: ['REVOKE CREATE ON SCHEMA public FROM gateway_admin'],
      after: ['GRANT CREATE ON SCHEMA public TO gateway_admin'],
      says: ['privilege DML_DENIED', 'npm run -s bootstrap'],
    },
    {
      fault: 'a table that is there already',
      before: ['CREATE TABLE public.connection_probe (n int)'],
      says: ['write WRITE_REFUSED: the migrations 0000_connection_probe, 0001_grants: relation', 'DROP TABLE'],
    },
  ])('$fault', async ({ given, before = [], after = [], says: [code, next] }) => {
    for (const statement of before) await root.unsafe(statement)
    try {
      const { code: exit, stderr } = await kit(environment(given?.() ?? {}), 'migrate')
      expect(exit).toBe(1)
      expect(stderr).toContain(`drizzle-kit: migrate FAILED at ${code}`)
      expect(stderr).toMatch(/\nnext: /)
      expect(stderr).toContain(next)
      expect(stderr).not.toMatch(/BEGIN|PRIVATE| at .*\.[jt]s:/)
    } finally {
      for (const statement of after) await root.unsafe(statement)
    }
  })

  test('a server that accepts and says nothing: the driver would wait half a minute', async () => {
    const { createServer } = await import('node:net')
    const silent = createServer(() => undefined)
    await new Promise<void>(settle => silent.listen(0, '::1', settle))
    try {
      const { port } = silent.address() as { port: number }
      const { code, stderr } = await kit(environment({ port }), 'migrate')
      expect([code, stderr]).toEqual([1, expect.stringContaining('migrate FAILED at tls TLS_TIMEOUT')])
    } finally {
      silent.close()
    }
  })

  test('a setting that is missing', async () => {
    const { code, stderr } = await kit({}, 'migrate')
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^config CONFIG_MISSING: MIGRATION_DATABASE_URL .*\nnext: /m),
    ])
  })

  test('a grant that is gone afterwards, though everything is applied', async () => {
    expect((await kit(environment({}), 'migrate')).code).toBe(0)
    await root.unsafe('REVOKE INSERT ON public.connection_probe FROM gateway_writer')
    const { code, stderr } = await kit(environment({}), 'migrate')
    expect([code, stderr]).toEqual([1, expect.stringContaining('gateway_writer lacks INSERT on connection_probe')])
  })
})
