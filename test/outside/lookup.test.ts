/**
 * A lookup that never ends, as with a resolver that takes no timeout from the environment (musl): a library loaded before
 * all others has getaddrinfo wait for ever. The process ends all the same, with its own exit code and nothing left.
 */
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { pemOf } from '../helpers/clients.ts'
import { ended } from '../helpers/process.ts'
import { settings, startServer } from '../helpers/target.ts'
import { nodeOf } from './node.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const execute = promisify(execFile)

/** It makes the file ASKED when it is asked. */
const HANGS = `
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  close(open(getenv("ASKED"), O_CREAT | O_WRONLY, 0600));
  for (;;) pause();
}`

let dir: string
let library: string
let server: Throwaway
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'connection-probe-lookup-'))
  library = join(dir, 'hangs.so')
  await writeFile(join(dir, 'hangs.c'), HANGS)
  const [started] = await Promise.all([
    startServer(),
    execute('gcc', ['-shared', '-fPIC', '-o', library, join(dir, 'hangs.c')]),
  ])
  server = started
})
afterAll(async () => {
  await server?.stop()
  await rm(dir, { recursive: true })
})

/** Everything that runs with the library, by its environment. */
async function withLibrary(): Promise<string> {
  const { stdout } = await execute('sh', ['-c', `grep -l "$0" /proc/[0-9]*/environ 2>/dev/null; true`, library])
  return stdout
}

// The last release without process.execve, the one of the image, and the newest.
describe.each(['20', '24', '26'])('on Node %s', major => {
  let node: string
  beforeAll(async () => {
    node = await nodeOf(major)
  }, 120_000)

  const start = (program: readonly string[]) => {
    const target = settings({ port: server.port, host: 'db.internal', pem: pemOf(server, 'gateway_writer') })
    const asked = join(dir, `${major}-${program.length}`)
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, LD_PRELOAD: library, ASKED: asked, ...target }
    const words = [...program, '--json', '--deadline', '8']
    return { asked, child: spawn(node, words, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] }) }
  }

  it.each([
    ['the single file', () => [inject('bundle'), 'probe']],
    ['the tree', () => ['--import', 'tsx', 'src/cli.ts', 'probe']],
  ])('%s fails at dns, and ends', async (_, program) => {
    const { code, signal, stdout, lingeredMs } = await ended(start(program()).child)
    const { failure, checks } = JSON.parse(stdout)
    expect(failure.layer).toBe('dns')
    const { evidence } = checks.find(({ id }: { id: string }) => id === 'dns')
    expect(evidence.getaddrinfo).toBe('no answer')
    expect({ code, signal }).toEqual({ code: 1, signal: null })
    expect(lingeredMs).toBeLessThan(2000)
    await expect.poll(withLibrary, { timeout: 5000 }).toBe('')
  })

  it('an interrupted run ends within a second', async () => {
    const { asked, child } = start([inject('bundle'), 'probe', '--writes=2'])
    const result = ended(child)
    await expect.poll(() => existsSync(asked), { timeout: 10_000 }).toBe(true)
    const from = performance.now()
    child.kill('SIGINT')
    const { code, stdout } = await result
    expect(performance.now() - from).toBeLessThan(1500)
    expect(JSON.parse(stdout).failure.code).toBe('INTERRUPTED')
    expect(code).toBe(130)
    await expect.poll(withLibrary, { timeout: 5000 }).toBe('')
  })
})
