/** A process until its end. */
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** from the last output to the end of the process, ms */
  readonly lingeredMs: number
}

/** What a process has said, and how it ended. */
export async function ended(child: ChildProcessByStdio<null, Readable, Readable>): Promise<Ended> {
  let stdout = ''
  let stderr = ''
  let saidAt = performance.now()
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
    saidAt = performance.now()
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const [code, signal] = await once(child, 'close')
  return { code, signal, stdout, stderr, lingeredMs: performance.now() - saidAt }
}
