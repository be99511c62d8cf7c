/**
 * The tests on another release of Node, from the npm package `node`. An entry that nobody imports:
 *
 *   tsx test/nodes.ts 24 [vitest words]   the whole suite, or what the words name
 *   tsx test/nodes.ts 24 --bin            prints the directory that has this `node`, to be put first on PATH
 *
 * `newest` instead of a number is the newest release. Each is installed once, into a directory of its own under
 * os.tmpdir(), and nothing else stays behind.
 */
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const NEWEST = '26'
const USAGE = 'usage: npm run test:node -- MAJOR|newest [vitest words]\n'

/** Runs a program to its end and returns its exit code; what would end this process is passed on to it. */
async function run(command: string, args: readonly string[], options: object): Promise<number> {
  const child = spawn(command, args, options)
  const forward = (signal: NodeJS.Signals) => void child.kill(signal)
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, forward)
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject).once('close', (code, signal) => resolve(signal ? 130 : (code ?? 1)))
    })
  } finally {
    for (const signal of signals) process.off(signal, forward)
  }
}

const binOf = (directory: string): string => join(directory, 'node_modules/node/bin')

/** The version of the Node in a directory, `v24.21.0`; null unless it runs and is of that release. */
function versionIn(directory: string, major: string): string | null {
  try {
    const version = execFileSync(join(binOf(directory), 'node'), ['--version'], { encoding: 'utf8' }).trim()
    return version.startsWith(`v${major}.`) ? version : null
  } catch {
    return null
  }
}

/** What others may have put there is not run. */
function isOurs(directory: string): boolean {
  const stats = lstatSync(directory, { throwIfNoEntry: false })
  return stats?.isDirectory() === true && stats.uid === userInfo().uid
}

/** Installs a release unless it is there, and returns its directory. */
async function install(major: string): Promise<string> {
  const directory = join(tmpdir(), `connection-probe-node-${major}-${userInfo().uid}`)
  if (isOurs(directory) && versionIn(directory, major)) return directory
  // Beside it and renamed: an installation that was cut off, or another one at the same time, is never taken.
  const fresh = mkdtempSync(`${directory}.`)
  try {
    // Tests run the program as an ordinary user, too.
    chmodSync(fresh, 0o755)
    // The package's install script fetches the binary of this platform.
    writeFileSync(join(fresh, 'package.json'), JSON.stringify({ private: true, allowScripts: { node: true } }))
    const args = ['install', '--prefix', fresh, '--no-audit', '--no-fund', '--loglevel=error', `node@${major}`]
    const code = await run('npm', args, { cwd: fresh, stdio: ['ignore', 2, 2] })
    if (code !== 0 || !versionIn(fresh, major)) throw new Error(`npm install node@${major} installed no Node ${major}`)
    if (!isOurs(directory) || !versionIn(directory, major)) {
      rmSync(directory, { recursive: true, force: true })
      renameSync(fresh, directory)
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  return directory
}

async function main([release = '', ...words]: readonly string[]): Promise<number> {
  const major = release === 'newest' ? NEWEST : release
  if (!/^[1-9][0-9]$/.test(major)) {
    process.stderr.write(USAGE)
    return 2
  }
  const directory = await install(major)
  const bin = binOf(directory)
  if (words[0] === '--bin') {
    process.stdout.write(`${bin}\n`)
    return 0
  }
  process.stdout.write(`Node ${versionIn(directory, major)} from ${bin}\n`)
  const config = words.includes('--config') ? [] : ['--config', 'test/vitest.config.ts']
  return run(join(bin, 'node'), [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', ...config, ...words], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, PATH: [bin, process.env.PATH].join(delimiter) },
  })
}

process.exitCode = await main(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`)
  return 1
})
