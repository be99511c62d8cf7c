/** npm run test:node, with an npm that takes the Node of this run instead of one from the registry. */
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const [MAJOR = ''] = process.versions.node.split('.')
const INSTALLED = `connection-probe-node-${MAJOR}-${userInfo().uid}`

let scratch: string
let temporary: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'nodes-'))
  temporary = join(scratch, 'tmp')
  mkdirSync(temporary)
})
afterEach(() => rmSync(scratch, { recursive: true }))

/** Puts an `npm` first on PATH that does this, and writes down that it was called. */
function npm(script: string): void {
  const file = join(scratch, 'npm')
  writeFileSync(file, `#!/bin/sh\necho "$*" >>'${join(scratch, 'calls')}'\n${script}\n`)
  chmodSync(file, 0o755)
}
const INSTALLS = `mkdir -p node_modules/node/bin && ln -s '${process.execPath}' node_modules/node/bin/node`
const wasCalled = () => readdirSync(scratch).includes('calls')
/** What stays in the directory for temporary files; tsx has its cache there. */
const left = () => readdirSync(temporary).filter(name => !name.startsWith('tsx-'))

/** A suite of one test, which expects this of `node`, the first on PATH. */
function suite(expected: string): readonly string[] {
  const config = join(scratch, 'vitest.config.mjs')
  writeFileSync(config, `export default { root: ${JSON.stringify(scratch)}, test: { include: ['*.case.mjs'] } }`)
  symlinkSync(join(ROOT, 'node_modules'), join(scratch, 'node_modules'))
  writeFileSync(
    join(scratch, 'it.case.mjs'),
    `import { execSync } from 'node:child_process'
     import { expect, test } from 'vitest'
     test('node', () => expect(String(execSync('command -v node')).trim()).toBe(${JSON.stringify(expected)}))`,
  )
  return ['--config', config]
}

const nodes = (...words: readonly string[]) =>
  new Promise<{ code: unknown; stdout: string; stderr: string }>(resolve => {
    const env = { ...process.env, TMPDIR: temporary, PATH: `${scratch}:${process.env.PATH}` }
    const args = ['--import', 'tsx', 'test/nodes.ts', ...words]
    execFile(process.execPath, args, { cwd: ROOT, env }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }),
    )
  })

test('installs the release once, runs the suite with it first on PATH, and leaves its directory only', async () => {
  npm(INSTALLS)
  const bin = join(temporary, INSTALLED, 'node_modules/node/bin')
  const words = suite(join(bin, 'node'))
  const first = await nodes(MAJOR, ...words)
  expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining(`Node ${process.version} from ${bin}\n`) })
  expect(first.stdout).toContain('1 passed')
  expect(left()).toEqual([INSTALLED])
  // others may run it, and not change it
  expect(statSync(join(temporary, INSTALLED)).mode & 0o777).toBe(0o755)
  rmSync(join(scratch, 'calls'))
  expect(await nodes(MAJOR, '--bin')).toEqual({ code: 0, stdout: `${bin}\n`, stderr: '' })
  expect(wasCalled()).toBe(false)
})

test('fails where the suite fails', async () => {
  npm(INSTALLS)
  expect((await nodes(MAJOR, ...suite('another'))).code).toBe(1)
})

test.each([
  ['fails', 'echo no network >&2; exit 1'],
  ['installs nothing', ''],
  ['installs another release', `${INSTALLS.replace(/ln .*/, '')} echo 'echo v9.0.0' >node && chmod +x node`],
])('an npm that %s: says so, fails, and leaves nothing', async (_what, script) => {
  npm(script)
  const { code, stderr } = await nodes(MAJOR, '--bin')
  expect(code).toBe(1)
  expect(stderr).toContain(`npm install node@${MAJOR} installed no Node ${MAJOR}`)
  expect(left()).toEqual([])
})

test('a directory that is incomplete is made anew', async () => {
  mkdirSync(join(temporary, INSTALLED, 'node_modules/node/bin'), { recursive: true })
  npm(INSTALLS)
  expect((await nodes(MAJOR, '--bin')).code).toBe(0)
  expect(wasCalled()).toBe(true)
  expect(left()).toEqual([INSTALLED])
})

test.each([[[]], [['twenty']], [['--bin']]])('%j is no release: usage, exit code 2', async words => {
  expect(await nodes(...words)).toMatchObject({ code: 2, stderr: expect.stringContaining('MAJOR|newest') })
})
