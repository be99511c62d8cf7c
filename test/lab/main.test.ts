/** `npm run lab` as a person uses it, and that nothing of it is left when it is killed. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { findWay } from './host.ts'

const found = await findWay()
const run = promisify(execFile)
const ROOT = new URL('../..', import.meta.url).pathname

/** Every process in another network than ours, among those we may look at. */
async function elsewhere(): Promise<string[]> {
  const networks = async (pid: string) => readlink(`/proc/${pid}/ns/net`).catch(() => null)
  const ours = await networks('self')
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const theirs = await Promise.all(pids.map(async pid => ({ pid, network: await networks(pid) })))
  return theirs.filter(({ network }) => network !== null && network !== ours).map(({ pid }) => pid)
}

/** Those of them that came from this lab: its temporary directory is in their environment. */
async function processesOf(directory: string): Promise<string[]> {
  const marked = async (pid: string) =>
    (await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')).includes(`TMPDIR=${directory}`)
  const pids = await elsewhere()
  const marks = await Promise.all(pids.map(marked))
  return pids.filter((_, at) => marks[at])
}

/** Processes of others cannot be awaited, so they are looked for again. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20)
}

async function withLab(use: (lab: ChildProcess, directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'lab-'))
  await chmod(directory, 0o777)
  const env = { ...process.env, TMPDIR: directory }
  const words = ['--import', 'tsx', 'src/cli.ts', 'lab']
  const lab = spawn(process.execPath, words, { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'ignore'] })
  const closed = once(lab, 'close')
  try {
    await use(lab, directory)
    await closed
    await until(async () => (await processesOf(directory)).length === 0)
    await until(async () => (await readdir(directory)).filter(name => name.startsWith('connection-')).length === 0)
  } finally {
    lab.kill('SIGKILL')
    await rm(directory, { recursive: true, force: true })
  }
}

describe.skipIf('obstacle' in found)('npm run lab', () => {
  it('says how to enter it and to break it, and leaves nothing when its input ends', async () => {
    await withLab(async (lab, directory) => {
      let said = ''
      lab.stdout?.setEncoding('utf8')
      for await (const text of lab.stdout ?? []) {
        said += text
        if (said.includes('takes everything down')) break
      }
      const line = (end: string) => said.split('\n').find(text => text.endsWith(end)) ?? ''
      const type = (command: string) => run('sh', ['-c', command])
      expect((await processesOf(directory)).length).toBeGreaterThan(8)
      const probe = `${line('sh /run/app')} npm run -s probe -- --deadline 8`
      expect((await type(probe)).stdout).toMatch(/^connection-probe \S+ PASS, all \d+ checks\n/)
      await type(line('ip link set db1 down'))
      await expect(type(probe)).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('TCP_UNREACHABLE') })
      lab.stdin?.end()
    })
  }, 60_000)

  it('leaves nothing when it is killed while it is being built', async () => {
    await withLab(async (lab, directory) => {
      // the hosts are there and the servers are starting
      await until(async () => (await processesOf(directory)).length > 6)
      lab.kill('SIGKILL')
      expect(await once(lab, 'exit')).toEqual([null, 'SIGKILL'])
    })
  }, 60_000)
})
