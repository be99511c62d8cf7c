/** `npm start` by somebody who is not root, in a clone of their own: everything works, nothing is left. */
import { execFile } from 'node:child_process'
import { chownSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { canUse, unprivilegedAccount } from '../src/development/throwaway/account.ts'
import { checkIds } from './helpers/verdict.ts'

const ROOT = resolve(import.meta.dirname, '..')
const execute = promisify(execFile)

/** Root becomes nobody for this; anybody else (null) is an ordinary user already. */
const stranger = await unprivilegedAccount()

/** What `npm start` reads, in `clone`, with the packages linked where the stranger can reach them, else copied. */
async function makeClone(clone: string): Promise<void> {
  mkdirSync(clone)
  for (const part of ['package.json', 'tsconfig.json', 'src', 'drizzle'])
    cpSync(join(ROOT, part), join(clone, part), { recursive: true })
  const packages = join(ROOT, 'node_modules')
  if (await canUse(stranger, join(packages, 'tsx'), 'x')) symlinkSync(packages, join(clone, 'node_modules'))
  else {
    await execute('cp', ['-R', packages, join(clone, 'node_modules')])
    mkdirSync(join(clone, 'test'))
    await execute('cp', ['-R', join(ROOT, 'test/postgres'), join(clone, 'test/postgres')])
  }
}

it('works for an ordinary user', { timeout: 60_000 }, async () => {
  const home = mkdtempSync(join(tmpdir(), 'ordinary-user-'))
  try {
    const clone = join(home, 'clone')
    await makeClone(clone)
    const scratch = join(home, 'tmp')
    mkdirSync(scratch)
    if (stranger) for (const path of [home, clone, scratch]) chownSync(path, stranger.uid, stranger.gid)
    const { stdout, stderr } = await execute(
      process.execPath,
      ['--import', 'tsx', 'src/cli.ts', 'start', '--json', '--writes', '2'],
      { cwd: clone, env: { PATH: process.env.PATH, HOME: home, TMPDIR: scratch }, ...stranger },
    )
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ verdict: 'pass', warnings: [] })
    expect(report.checks).toHaveLength(checkIds().length)
    expect(stderr).toContain('the target is a throwaway')
    expect(readdirSync(scratch).filter(name => name.startsWith('connection-probe-'))).toEqual([])
  } finally {
    rmSync(home, { recursive: true })
  }
})
