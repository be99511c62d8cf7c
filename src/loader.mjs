/**
 * Loads tsx: `node --import ./src/loader.mjs FILE`. It is JavaScript, since nothing else can be read before it.
 *
 * tsx keeps what it compiles in a directory of its own in the temporary one, and where it cannot make that (a read-only
 * file system) Node ends with 1, which a gate reads as a check that failed. Then everything is compiled anew instead.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

const cache = join(tmpdir(), `tsx-${process.geteuid?.() ?? userInfo().username}`)
try {
  mkdirSync(cache)
} catch {
  // Existing is fine, if it is a directory.
  if (!existsSync(join(cache, '.'))) process.env.TSX_DISABLE_CACHE = '1'
}

try {
  await import('tsx')
} catch (error) {
  process.stderr.write(`connection-probe: tsx cannot be loaded (npm ci installs it): ${error.code ?? error.name}\n`)
  process.exit(2)
}
