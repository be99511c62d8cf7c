/**
 * The image, as far as it goes without Docker: the build stage of .fly/Dockerfile on exactly the files that it copies,
 * and what it makes in a root that holds Node 24, its libraries and the one file, and nothing else (Linux, root).
 */
import { execFile, spawn } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { pemOf } from '../helpers/clients.ts'
import { copyRepository } from '../helpers/copy.ts'
import { copiedInto, ignored, instructions, stage } from '../helpers/dockerfile.ts'
import { ended } from '../helpers/process.ts'
import { migrated, settings } from '../helpers/target.ts'
import { nodeOf } from './node.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const COMMIT = '0123456789abcdef0123456789abcdef01234567'
const execute = promisify(execFile)
const DOCKERFILE = instructions(join(ROOT, '.fly/Dockerfile'))

const isPossible = process.platform === 'linux' && process.getuid?.() === 0
if (!isPossible) process.stderr.write('the empty root is not tried: it needs Linux and root\n')

let scratch: string
let node: string
let server: Throwaway
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'connection-probe-image-'))
  chmodSync(scratch, 0o755)
  ;[node, server] = await Promise.all([nodeOf('24'), migrated()])
  await buildStage(join(scratch, 'build'))
  if (isPossible) await emptyRoot(join(scratch, 'root'), join(scratch, 'build/dist/connection-probe.mjs'))
}, 300_000)
afterAll(async () => {
  await server?.stop()
  rmSync(scratch, { recursive: true })
})

/** What the build stage does, on the files that the context has, with Node 24. */
async function buildStage(into: string): Promise<void> {
  const context = await copyRepository('connection-probe-context-')
  try {
    mkdirSync(into)
    for (const source of copiedInto('build', DOCKERFILE))
      cpSync(join(context, source), join(into, source), {
        recursive: true,
        filter: file => file === context || !ignored(file.slice(context.length + 1)),
      })
    const env = { PATH: `${dirname(node)}:${process.env.PATH}`, HOME: process.env.HOME, COMMIT }
    for (const { word, rest } of stage('build', DOCKERFILE))
      if (word === 'RUN') await execute('sh', ['-c', rest], { cwd: into, env })
  } finally {
    rmSync(context, { recursive: true })
  }
}

/** A root directory with Node, the libraries that it names, and the file. */
async function emptyRoot(root: string, file: string): Promise<void> {
  const { stdout } = await execute('ldd', [node])
  const libraries = [...stdout.matchAll(/(?:=> |^\s*)(\/\S+)/gm)].map(([, path = '']) => path)
  for (const [from, to] of [
    [node, '/usr/local/bin/node'],
    [file, '/connection-probe.mjs'],
    ...libraries.map(one => [one, one]),
  ]) {
    mkdirSync(dirname(join(root, to ?? '')), { recursive: true })
    copyFileSync(from ?? '', join(root, to ?? ''))
  }
}

/** As nobody, with nothing that can be written and no environment but what is given. */
function inRoot(words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const enter =
    'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot --userspec=65534:65534 "$0" "$@"'
  const program = ['/usr/local/bin/node', '/connection-probe.mjs', ...words]
  const command = ['--mount', 'sh', '-c', enter, join(scratch, 'root'), ...program]
  return ended(
    spawn('unshare', command, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }),
  )
}

describe.skipIf(!isPossible)('in a root with Node 24 and the file', () => {
  it('there is nothing else', () => {
    const files = readdirSync(join(scratch, 'root'), { recursive: true, withFileTypes: true })
    const names = files.filter(entry => !entry.isDirectory()).map(({ name }) => name)
    expect(names.filter(name => !/\.so(\.\d+)*$/.test(name)).sort()).toEqual(['connection-probe.mjs', 'node'])
  })

  it('the probe passes, as nobody, and stderr is empty', async () => {
    const target = settings({ port: server.port, pem: pemOf(server, 'gateway_writer') })
    const { code, stdout, stderr } = await inRoot(['probe', '--json'], target)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'pass' })
  })

  it.each([
    [['--version'], 0, `connection-probe 1.0.0 (commit ${COMMIT})`],
    [['explain', 'TCP_REFUSED'], 0, 'TCP_REFUSED (layer tcp)'],
    [['bootstrap'], 0, 'CREATE ROLE'],
    [['probe'], 2, 'more: connection-probe explain CONFIG_MISSING'],
    [['certs', '/nowhere'], 1, 'CERT_UNREADABLE'],
  ])('%j works', async (words, expected, text) => {
    const { code, stdout, stderr } = await inRoot(words)
    expect({ code, stderr }).toEqual({ code: expected, stderr: '' })
    expect(stdout).toContain(text)
  })
})

it('the image names a Node that takes the flags and calls that are used', async () => {
  const { stdout } = await execute(node, ['-p', 'typeof process.execve'])
  expect(stdout.trim()).toBe('function')
  expect(readFileSync(join(ROOT, '.fly/Dockerfile'), 'utf8')).toContain('FROM node:24-')
})
