/** A file that is there whole or not at all. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * Writes a file beside the one that is meant, and renames it: whoever reads that finds the old text or the new one.
 * @returns why it could not be written, an errno; null where it was
 */
export function writeWhole(path: string, text: string): string | null {
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}.part`)
  try {
    const fd = openSync(beside, 'wx')
    try {
      writeFileSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(beside, path)
    return null
  } catch (error) {
    tryToRemove(beside)
    const { code, name } = error as NodeJS.ErrnoException
    return code ?? name
  }
}

/** What cannot be removed was not made: why it could not be is said already. */
function tryToRemove(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {}
}
