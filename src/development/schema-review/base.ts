/** The state of drizzle/ that a pull request starts from, out of git. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

/** What cannot be reviewed: one line for a person. */
export class ReviewError extends Error {}

export interface Base {
  /** the commit */
  readonly commit: string
  /** how it was found, e.g. "the merge base with main" */
  readonly how: string
  /** its files below drizzle/, by path */
  readonly files: ReadonlyMap<string, string>
}

async function git(root: string, ...words: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('git', ['-C', root, ...words], { maxBuffer: 2 ** 26 })
  return stdout
}

/** What git says, or null where it fails. */
const ifAny = (root: string, ...words: readonly string[]): Promise<string | null> =>
  git(root, ...words).then(
    text => text.trim(),
    () => null,
  )

/** Where a pull request starts where nobody says it. */
const MAIN = ['origin/main', 'main'] as const

async function findCommit(root: string, ref: string | undefined): Promise<Pick<Base, 'commit' | 'how'>> {
  if ((await ifAny(root, 'rev-parse', '--git-dir')) === null)
    throw new ReviewError('schema:review compares with a commit, and this directory is no git repository')
  if (ref !== undefined) {
    const commit = await ifAny(root, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`)
    if (commit === null) throw new ReviewError(`there is no commit ${JSON.stringify(ref)} here: git fetch it first`)
    return { commit, how: ref }
  }
  const bases: { commit: string; how: string }[] = []
  for (const main of MAIN) {
    const commit = await ifAny(root, 'merge-base', 'HEAD', main)
    if (commit) bases.push({ commit, how: `the merge base with ${main}` })
  }
  const [first, second] = bases
  if (!first)
    throw new ReviewError('there is no main and no origin/main here: say with --base REF what to compare with')
  // A local main may be behind, or ahead: the later of the two is where this branch starts.
  const isOlder = second && (await ifAny(root, 'merge-base', '--is-ancestor', first.commit, second.commit)) !== null
  return isOlder ? second : first
}

/**
 * Reads drizzle/ at REF.
 * @param ref undefined: the merge base with main
 * @throws ReviewError
 */
export async function readBase(root: string, ref: string | undefined): Promise<Base> {
  const found = await findCommit(root, ref)
  const listed = await git(root, 'ls-tree', '-r', '-z', '--name-only', '--full-tree', found.commit, 'drizzle/')
  const files = new Map<string, string>()
  for (const path of listed.split('\0').filter(Boolean))
    files.set(path, await git(root, 'show', `${found.commit}:${path}`))
  return { ...found, files }
}

/** Puts the files into a directory of their own for `work`, and removes it. */
export async function withBase<T>({ files }: Base, work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'schema-review-'))
  try {
    for (const [path, text] of files) {
      await mkdir(dirname(join(directory, path)), { recursive: true })
      await writeFile(join(directory, path), text)
    }
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
