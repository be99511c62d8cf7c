/** What keeps proving, as a process: its lines of JSON, and what the system says of it. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Change, State } from '../../src/watch/change.ts'
import { getPage } from './watching.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface WatchProcess extends AsyncDisposable {
  readonly pid: number
  readonly url: string
  readonly changes: readonly Change[]
  /** what it wrote to stderr so far */
  stderr(): string
  /** Resolves once the last change is to this; rejects where it ended before. */
  until(state: State): Promise<Change>
  /** Resolves once this holds of the metrics; asked again and again. */
  untilMetrics(holds: (body: string) => boolean): Promise<void>
  /** resident memory, MB */
  residentMb(): number
  /** files and sockets that it has open */
  descriptors(): number
  /** processor time that it took so far, s */
  cpuSeconds(): number
  /** Sends SIGTERM; resolves with the exit code and the time until it has ended, ms. */
  stop(): Promise<{ readonly code: number | null; readonly tookMs: number }>
}

/** Starts it, and resolves when it listens. @param program the words before `watch` */
export async function startWatchProcess(
  program: readonly string[],
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<WatchProcess> {
  const { PATH, HOME } = process.env
  const args = [...program, 'watch', '--format', 'json', '--listen', ':0', ...words]
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const changes: Change[] = []
  const lines = createInterface(child.stdout)
  lines.on('line', line => void changes.push(JSON.parse(line)))
  let code: number | null | undefined
  const ended = once(child, 'close').then(([exit]) => {
    code = exit
  })
  const { pid } = child
  if (pid === undefined) throw new Error('it was not started')
  const until = async (holds: () => boolean) => {
    while (!holds()) {
      if (code !== undefined) throw new Error(`it ended with ${code}: ${stderr}`)
      await Promise.race([once(lines, 'line'), ended])
    }
  }
  await until(() => changes.length > 0)
  const url = /http:\/\/\S+(?=\/,)/.exec(changes[0]?.message ?? '')?.[0] ?? ''
  const stop = async () => {
    const from = performance.now()
    child.kill('SIGTERM')
    await ended
    return { code: code ?? null, tookMs: performance.now() - from }
  }
  return {
    ...{ pid, url, changes, stop },
    stderr: () => stderr,
    async until(state) {
      await until(() => changes.at(-1)?.to === state)
      return changes.at(-1) as Change
    },
    async untilMetrics(holds) {
      while (!holds((await getPage(`${url}/metrics`)).body)) await new Promise(resolve => setTimeout(resolve, 100))
    },
    residentMb: () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024,
    descriptors: () => readdirSync(`/proc/${pid}/fd`).length,
    cpuSeconds() {
      // Of /proc/PID/stat, behind the name: utime and stime, 100 a second.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      return (Number(fields[11]) + Number(fields[12])) / 100
    },
    [Symbol.asyncDispose]: async () => void (await stop()),
  }
}
