/** A copy of the repository, to change or to install in. */
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const ROOT = join(import.meta.dirname, '../..')

/**
 * Copies what git would commit, without node_modules, into a new directory; the caller removes it.
 * @param prefix of the directory's name
 * @returns its path
 */
export async function copyRepository(prefix: string): Promise<string> {
  const copy = mkdtempSync(join(tmpdir(), prefix))
  const { stdout } = await promisify(execFile)('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: ROOT })
  for (const file of stdout.split('\0'))
    if (file !== '' && existsSync(join(ROOT, file))) cpSync(join(ROOT, file), join(copy, file))
  return copy
}
