/** Which user the server runs under, and where that user can go. */
import { execFile } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { chown, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { promisify } from 'node:util'
import { type Account, throwawayError } from './supervisor.ts'

const run = promisify(execFile)

/** Users that every system has and nobody logs in as; initdb wants one with a passwd entry. */
const STAND_INS = ['nobody', 'daemon'] as const

/**
 * The account for a server that refuses root: null (our own) unless we are root.
 * @throws ThrowawayError where the system has neither nobody nor daemon
 */
export async function unprivilegedAccount(): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null
  for (const name of STAND_INS) {
    try {
      const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
      // macOS: nobody is 4294967294, which Node takes as -2
      return { uid: Number(uid.stdout) | 0, gid: Number(gid.stdout) | 0 }
    } catch {}
  }
  throw throwawayError(`PostgreSQL refuses to run as root, and there is no user ${STAND_INS.join(' or ')} here`)
}

/** Whether the account can enter a directory (w: and write there), asked of the kernel by the account itself. */
export async function canUse(account: Account | null, directory: string, mode: 'x' | 'w'): Promise<boolean> {
  const test = `test -x "$1"${mode === 'w' ? ' && test -w "$1"' : ''}`
  return run('sh', ['-c', test, 'sh', directory], { cwd: '/', ...(account ?? {}) }).then(
    () => true,
    () => false,
  )
}

/**
 * Where temporary directories go: TMPDIR, or the first usual place that the account can enter and write.
 * @throws ThrowawayError where there is none
 */
export async function temporaryParent(account: Account | null): Promise<string> {
  const places = [tmpdir(), '/tmp', '/var/tmp', '/dev/shm']
  for (const place of places) {
    if (await canUse(account, place, 'w')) return realpathSync(place)
  }
  throw throwawayError(`no place for temporary files: tried ${places.join(', ')}`)
}

/**
 * Makes a directory that is the account's before anything is in it: the supervisor, which is the account, must be able
 * to remove everything at any moment, and may remove another's file from its own directory but nothing from another's.
 */
export async function makeDirectory(path: string, account: Account | null): Promise<void> {
  await mkdir(path)
  if (account) await chown(path, account.uid, account.gid)
}
