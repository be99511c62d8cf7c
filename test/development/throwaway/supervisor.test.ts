/** supervisor.sh by itself: what it leaves where whoever started it was killed at once. */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const SCRIPT = fileURLToPath(new URL('../../../src/development/throwaway/supervisor.sh', import.meta.url))

test('whoever started it is gone before it says a word: its directory goes, too', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'supervisor-'))
  try {
    // The reader of the pipe has ended before the supervisor begins, and there are no commands.
    const pipe = '{ sleep 0.3; sh "$0" "$1" INT 1 </dev/null; echo "$?" >&2; } | true'
    expect(await promisify(execFile)('sh', ['-c', pipe, SCRIPT, directory])).toEqual({ stdout: '', stderr: '0\n' })
    expect(await readdir(directory)).toEqual([])
  } finally {
    await rm(directory, { recursive: true })
  }
})
