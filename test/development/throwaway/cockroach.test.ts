import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { bootstrapSteps } from '../../../src/database/bootstrap/index.ts'
import {
  defaultEngine,
  findCockroach,
  startCockroachCluster,
  startThrowaway,
} from '../../../src/development/throwaway/index.ts'
import { alive } from './processes.ts'

// The process handling, on a stand-in: there is no CockroachDB on the build machine (fake-cockroach.mjs).
const FAKE = join(import.meta.dirname, 'fake-cockroach.mjs')

interface Recorded {
  command?: string
  flags?: string[]
  environment?: Record<string, string>
  cwd?: string
  sql?: string
  user?: string
  signal?: string
}

let scratch: string
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'fake-cockroach-'))
  vi.stubEnv('COCKROACH_BINARY', FAKE)
  vi.stubEnv('COCKROACH_URL', 'postgresql://somewhere.else')
  vi.stubEnv('FAKE_RECORD', join(scratch, 'record'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(scratch, { recursive: true })
})

async function recorded(): Promise<Recorded[]> {
  const lines = (await readFile(join(scratch, 'record'), 'utf8')).trimEnd().split('\n')
  return lines.map(line => JSON.parse(line) as Recorded)
}

describe('finding CockroachDB', () => {
  it('takes COCKROACH_BINARY, then PATH, then nothing', async () => {
    expect(findCockroach({ COCKROACH_BINARY: FAKE, PATH: '' })).toBe(FAKE)
    expect(findCockroach({ PATH: scratch })).toBeNull()
    await writeFile(join(scratch, 'cockroach'), '#!/bin/sh\n', { mode: 0o755 })
    expect(findCockroach({ PATH: `/nowhere:${scratch}` })).toBe(join(scratch, 'cockroach'))
    await chmod(join(scratch, 'cockroach'), 0o644)
    expect(findCockroach({ PATH: scratch })).toBeNull()
  })

  it('never goes on with something else when COCKROACH_BINARY cannot be run', async () => {
    vi.stubEnv('COCKROACH_BINARY', join(scratch, 'nothing'))
    expect(defaultEngine).toThrow(/^COCKROACH_BINARY=.*nothing is not an executable file$/)
    await expect(startThrowaway()).rejects.toThrow('is not an executable file')
    await writeFile(join(scratch, 'text'), 'not a program', { mode: 0o755 })
    vi.stubEnv('COCKROACH_BINARY', join(scratch, 'text'))
    await expect(startThrowaway()).rejects.toThrow(/^CockroachDB ended with status 12\d: .+$/)
  })
})

describe('the throwaway CockroachDB', () => {
  it('starts, bootstraps as root over TLS, and stops at SIGTERM', async () => {
    const server = await startThrowaway()
    const directory = dirname(server.certsDir)
    expect(server).toMatchObject({ engine: 'cockroachdb', version: 'CockroachDB v0', host: '::1', database: 'uro' })
    expect(alive(server.pid)).toBe(true)
    await server.stop()
    const [started, ...later] = await recorded()
    expect(started).toMatchObject({
      command: 'start-single-node',
      cwd: directory,
      environment: { COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING: 'true', COCKROACH_CRASH_REPORTS: '' },
      flags: [
        `--certs-dir=${server.certsDir}`,
        '--listen-addr=[::1]:0',
        '--advertise-addr=[::1]:0',
        '--http-addr=[::1]:0',
        '--store=type=mem,size=1GiB',
        '--cache=128MiB',
        '--max-sql-memory=256MiB',
        '--pid-file=pid-file',
        '--listening-url-file=listening-url',
      ],
    })
    expect(Object.keys(started?.environment ?? {})).toHaveLength(2)
    expect(later.filter(({ sql }) => sql)).toEqual(
      [
        'SELECT version() AS version',
        'SET CLUSTER SETTING diagnostics.reporting.enabled = false',
        ...bootstrapSteps('cockroachdb').map(step => step.sql),
      ].map(sql => ({ user: 'root', sql })),
    )
    expect(later.filter(({ signal }) => signal)).toEqual([{ signal: 'SIGTERM' }])
    expect(alive(server.pid) || existsSync(directory)).toBe(false)
  })

  it('goes from SIGTERM to SIGINT to SIGKILL where a node does not stop', async () => {
    vi.stubEnv('FAKE_MODE', 'stubborn')
    const server = await startThrowaway({ bootstrap: false })
    await server.stop()
    expect((await recorded()).map(({ signal }) => signal).filter(Boolean)).toEqual(['SIGTERM', 'SIGINT'])
    expect(alive(server.pid) || existsSync(dirname(server.certsDir))).toBe(false)
  }, 20_000)

  it('says in one line that a version cannot be started', async () => {
    vi.stubEnv('FAKE_MODE', 'broken')
    await expect(startThrowaway()).rejects.toThrow(
      /^CockroachDB ended with status 1: .*ERROR: this version cannot be started \| Failed running "start-single-node"$/,
    )
  })

  it('starts a cluster: every node joins all, one init, one set of certificates', async () => {
    const cluster = await startCockroachCluster(3)
    const [first] = cluster.nodes
    expect(new Set(cluster.nodes.map(node => node.port)).size).toBe(3)
    await first?.stop()
    expect(existsSync(first?.certsDir ?? '')).toBe(true)
    await cluster.stop()
    const commands = (await recorded()).filter(({ command }) => command)
    const joins = `--join=${cluster.nodes.map(node => `[::1]:${node.port}`).join(',')}`
    expect(commands.map(({ command }) => command)).toEqual(['start', 'start', 'start', 'init'])
    for (const { flags } of commands.slice(0, 3)) expect(flags).toContain(joins)
    expect(commands[3]?.flags).toEqual([`--certs-dir=${first?.certsDir}`, `--host=[::1]:${first?.port}`])
    expect(existsSync(first?.certsDir ?? '')).toBe(false)
    for (const node of cluster.nodes) expect(alive(node.pid)).toBe(false)
  })
})
