/** Child processes that hold a throwaway server, and waiting until their traces are gone. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, watch } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Parent {
  readonly child: ChildProcess
  readonly pid: number
  readonly directory: string
  readonly rows: unknown
}

/** Starts test/development/throwaway/parent.ts of the clone at `root`; rejects with its stderr when it fails. */
export async function startParent(
  root: string,
  options: object,
  spawned: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Parent> {
  const file = join(root, 'test/development/throwaway/parent.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', file, JSON.stringify(options)], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...spawned,
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), once(child, 'close').then(() => [])])
  if (line === undefined) throw new Error(`the parent ended: ${said}`)
  return { child, ...(JSON.parse(line) as Omit<Parent, 'child'>) }
}

/** Settles once the path is gone. */
export async function vanished(path: string): Promise<void> {
  const watcher = watch(dirname(path))
  try {
    while (existsSync(path)) await once(watcher, 'change')
  } finally {
    watcher.close()
  }
}

/** Whether a process of this id exists. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
