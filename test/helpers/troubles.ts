/**
 * A target with a long life: killed, drained, stalled, given back, its certificates over and renewed, its grants gone
 * and back. For what keeps proving; nothing of the test runner's, since the bench uses it, too.
 *
 * door   the one address that the probe knows; what stands behind it changes
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import type { Code } from '../../src/failure/codes.ts'
import { clientOf } from './clients.ts'
import { days, SERVER } from './pki.ts'
import { type Relay, relay } from './relay.ts'
import { refusal, scriptedServer } from './scripted.ts'
import type { SessionServer } from './sessions.ts'

/** One trouble: what a run says while it lasts, and what ends it. */
export interface Trouble {
  readonly name: string
  /** absent: more than one may be said */
  readonly code?: Code
  begin(): Promise<void>
  end(): Promise<void>
}

export interface TroubledTarget extends AsyncDisposable {
  /** what the probe is started with */
  readonly env: NodeJS.ProcessEnv
  readonly troubles: readonly Trouble[]
  /** the most connections that were open at once through the door as it is now */
  readonly maxOpen: number
  rows(): Promise<number>
}

/** A migrated PostgreSQL behind a door, and its troubles. The server is the caller's to stop. */
export async function troubledTarget(server: Throwaway): Promise<TroubledTarget> {
  const certsDir = mkdtempSync(join(tmpdir(), 'troubles-'))
  cpSync(server.certsDir, certsDir, { recursive: true })
  const behind = { port: server.port }
  let door: Relay = await relay({ target: behind })
  const { port } = door
  const instead = standIns(server, behind)
  const renew = async (validity: { readonly notAfter?: Date; readonly notBefore?: Date } = {}) => {
    const issued = { commonName: 'gateway_writer', usages: ['clientAuth'], ...validity } as const
    const { chain, key } = await server.authority.issue(issued)
    writeFileSync(join(certsDir, 'client.gateway_writer.crt'), chain)
    writeFileSync(join(certsDir, 'client.gateway_writer.key'), key, { mode: 0o600 })
  }
  const sql = (text: string) => async () => void (await server.runAsRoot(text))
  const troubles: readonly Trouble[] = [
    {
      name: 'gone',
      code: 'TCP_REFUSED',
      begin: async () => door[Symbol.asyncDispose](),
      async end() {
        door = await relay({ target: behind, port })
      },
    },
    {
      name: 'stalled',
      code: 'TLS_TIMEOUT',
      begin: async () => void process.kill(server.pid, 'SIGSTOP'),
      end: async () => void process.kill(server.pid, 'SIGCONT'),
    },
    { name: 'draining', code: 'SERVER_DRAINING', ...instead.draining },
    { name: 'over, its certificate', code: 'TLS_SERVER_EXPIRED', ...instead.expired },
    {
      name: "renewed, the writer's certificate after it was over",
      code: 'CERT_EXPIRED',
      begin: () => renew({ notBefore: days(-2), notAfter: days(-1) }),
      end: () => renew(),
    },
    {
      name: 'closed to the writer',
      code: 'DML_DENIED',
      begin: sql('REVOKE DELETE ON connection_probe FROM gateway_writer'),
      end: sql('GRANT DELETE ON connection_probe TO gateway_writer'),
    },
    { name: 'killed while a row is written', begin: () => killWriter(server), end: () => recovered(server) },
  ]
  return {
    env: {
      DATABASE_URL: `postgresql://gateway_writer@[::1]:${port}/uro?sslmode=verify-full`,
      COCKROACH_CERTS_DIR: certsDir,
    },
    troubles,
    get maxOpen() {
      return door.maxOpen
    },
    rows: async () => Number((await server.runAsRoot('SELECT count(*) AS n FROM connection_probe'))[0]?.n),
    async [Symbol.asyncDispose]() {
      await instead.leave()
      await door[Symbol.asyncDispose]()
      rmSync(certsDir, { recursive: true })
    },
  }
}

/** Other servers behind the door, for as long as a trouble lasts. */
function standIns({ authority, port }: Throwaway, behind: { port: number }) {
  let standIn: SessionServer | null = null
  const leave = async () => {
    behind.port = port
    await standIn?.[Symbol.asyncDispose]()
    standIn = null
  }
  const stand = (validity: object, onStartup?: ReturnType<typeof refusal>) => ({
    async begin() {
      const { chain, key } = await authority.issue({ ...SERVER, ...validity })
      standIn = await scriptedServer({
        tls: { cert: chain, key, ca: authority.certificate },
        ...(onStartup && { onStartup }),
      })
      behind.port = standIn.port
    },
    end: leave,
  })
  return {
    draining: stand({}, refusal('57P01', 'server is shutting down', 'drain')),
    expired: stand({ notBefore: days(-2), notAfter: days(-1) }),
    leave,
  }
}

/** Kills the server's process of a session that writes; all others end with it, and the server recovers. */
async function killWriter(server: Throwaway): Promise<void> {
  await using root = clientOf(server, 'root')
  for (;;) {
    const [writer] = await root.unsafe(
      `SELECT pid FROM pg_stat_activity WHERE usename = 'gateway_writer' AND state = 'active' AND query ILIKE 'insert%'`,
    )
    if (!writer) continue
    process.kill(Number(writer.pid), 'SIGKILL')
    return
  }
}

/** Resolves once the server takes sessions again. */
async function recovered(server: Throwaway): Promise<void> {
  for (let isUp = false; !isUp; ) {
    isUp = await server.runAsRoot('SELECT 1').then(
      () => true,
      () => false,
    )
    if (!isUp) await sleep(100)
  }
}
