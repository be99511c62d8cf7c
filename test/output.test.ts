/**
 * Where the report goes, and what the program starts in: a device that takes no more, a reader that has gone, a temporary
 * directory that nothing can be written to. A gate reads exit code 1 as "a check failed": none of these is one.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Form, PROGRAMS } from './helpers/target.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const { PATH, HOME } = process.env

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'probe-output-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Runs a command with a file for its stdout. */
async function withStdout(path: string, flags: 'r' | 'w', words: readonly string[], form: Form) {
  const fd = openSync(path, flags)
  try {
    const args = [...PROGRAMS[form](), ...words]
    const child = spawn(process.execPath, args, { cwd: ROOT, env: { PATH, HOME }, stdio: ['ignore', fd, 'pipe'] })
    if (!child.stderr) throw new Error('stderr is a pipe')
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    return { code, stderr }
  } finally {
    closeSync(fd)
  }
}

describe('a report that cannot be written whole', () => {
  const words = [['probe'], ['probe', '--json'], ['explain', 'TCP_REFUSED'], ['--help'], ['--version']]
  const unwritten = (errno: string) => ({
    code: 74,
    stderr: `connection-probe 1.0.0: the output could not be written whole (${errno}): exit 74, whatever the verdict\n`,
  })

  it.concurrent.each(words)('%s %s to a full device: exit 74 and one line', async (...words) => {
    expect(await withStdout('/dev/full', 'w', words.filter(Boolean), 'file')).toEqual(unwritten('ENOSPC'))
  })

  it('from the tree as well', async () => {
    expect(await withStdout('/dev/full', 'w', ['probe'], 'tree')).toEqual(unwritten('ENOSPC'))
  })

  it('to what is open for reading only: exit 74 and one line', async () => {
    const path = join(dir, 'report')
    writeFileSync(path, '')
    expect(await withStdout(path, 'r', ['probe'], 'file')).toEqual(unwritten('EBADF'))
  })

  it('to a file that may not grow: exit 74 and one line', async () => {
    const script = `ulimit -f 1; exec "$0" "$@" >"${join(dir, 'long')}"`
    const args = ['-c', script, process.execPath, ...PROGRAMS.file(), 'probe', '--json']
    const child = spawn('sh', args, { cwd: ROOT, env: { PATH, HOME } })
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    expect({ code, stderr }).toEqual(unwritten('EFBIG'))
  })

  it('but a file, /dev/null and a reader that closed its pipe take it', async () => {
    const path = join(dir, 'whole')
    for (const into of [path, '/dev/null'])
      expect(await withStdout(into, 'w', ['probe', '--json'], 'file')).toEqual({ code: 2, stderr: '' })
    const child = spawn(process.execPath, [...PROGRAMS.file(), 'probe'], { cwd: ROOT, env: { PATH, HOME } })
    child.stdout.destroy()
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' })
  })
})

describe('a temporary directory that takes nothing', () => {
  it.each([
    ['it is a file', () => join(dir, 'no directory')],
    ['it is not there', () => join(dir, 'no', 'where')],
    ['nothing can be made in it', () => '/proc'],
  ])('%s: the commands work', async (_name, path) => {
    writeFileSync(join(dir, 'no directory'), '')
    const env = { PATH, HOME, TMPDIR: path(), npm_config_update_notifier: 'false', npm_config_offline: 'true' }
    const child = spawn('npm', ['run', '-s', 'probe'], { cwd: ROOT, env })
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' })
    expect(stdout).toContain('FAIL at config, CONFIG_MISSING')
  })
})
