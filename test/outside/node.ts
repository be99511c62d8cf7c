/** Other releases of Node, as test/nodes.ts installs them. */
import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const ROOT = resolve(import.meta.dirname, '../..')

/** The path of `node` of a release; it is installed first where it is not there yet. */
export async function nodeOf(major: string): Promise<string> {
  const command = ['--import', 'tsx', 'test/nodes.ts', major, '--bin']
  const { stdout } = await promisify(execFile)(process.execPath, command, { cwd: ROOT })
  return join(stdout.trim(), 'node')
}
