/** .ci/run, with an npm that only says how each step ends: what it counts, and how it ends itself. */
import { execFile } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

const RUN = fileURLToPath(new URL('../.ci/run', import.meta.url))

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ci-'))
  mkdirSync(join(scratch, '.ci'))
  mkdirSync(join(scratch, 'newest'))
  copyFileSync(RUN, join(scratch, '.ci/run'))
})
afterEach(() => rmSync(scratch, { recursive: true }))

type Counts = readonly [passed: number, failed: number]
interface Steps {
  readonly test: Counts
  readonly outside: Counts
  /** a step that fails without a test of its own */
  readonly failing?: string
}

/** Runs it; `steps` are those that npm was asked for, each with the Node that is first on PATH. */
async function run({ test, outside, failing = 'none' }: Steps) {
  const results = ([passed, failed]: Counts) =>
    JSON.stringify({ numPassedTests: passed, numFailedTests: failed, success: failed === 0 })
  const npm = `#!/bin/sh
    case $PATH in '${scratch}/newest:'*) node=newest ;; *) node=installed ;; esac
    echo "$node: npm $*" >>'${scratch}/steps'
    for word; do case $word in --outputFile.json=*) file=\${word#*=} ;; esac; done
    case "$*" in *--bin) echo '${scratch}/newest' ;; esac
    case "$*" in "test "*) echo '${results(test)}' >"$file"; [ ${test[1]} -eq 0 ] || exit 1 ;; esac
    case "$*" in *test:outside*) echo '${results(outside)}' >"$file"; [ ${outside[1]} -eq 0 ] || exit 1 ;; esac
    [ "$node: npm $*" != '${failing}' ]`
  writeFileSync(join(scratch, 'npm'), npm)
  chmodSync(join(scratch, 'npm'), 0o755)
  const env = { ...process.env, PATH: `${scratch}:${process.env.PATH}`, TMPDIR: scratch }
  const { code, stdout } = await new Promise<{ code: unknown; stdout: string }>(resolve => {
    execFile(join(scratch, '.ci/run'), { env }, (error, stdout) => resolve({ code: error ? error.code : 0, stdout }))
  })
  const steps = readFileSync(join(scratch, 'steps'), 'utf8').trim().split('\n')
  return { code, last: stdout.trim().split('\n').at(-1), steps: steps.map(step => step.replace(/ -- .*/, '')) }
}

test('everything on the installed Node, then npm start and what is outside on the newest; the counts are added', async () => {
  expect(await run({ test: [5, 0], outside: [3, 0] })).toEqual({
    code: 0,
    last: '8 passed, 0 failed',
    steps: [
      'installed: npm ci',
      'installed: npm start',
      'installed: npm test',
      'installed: npm run -s test:node',
      'newest: npm start',
      'installed: npm run test:outside',
    ],
  })
})

test.each<readonly [string, Steps, string]>([
  ['a test', { test: [4, 2], outside: [3, 0] }, '4 passed, 2 failed'],
  ['a test outside', { test: [5, 0], outside: [1, 2] }, '6 passed, 2 failed'],
  ['no test at all', { test: [0, 0], outside: [3, 0] }, '3 passed, 1 failed'],
  ['no test outside', { test: [5, 0], outside: [0, 0] }, '5 passed, 1 failed'],
  ['npm ci', { test: [5, 0], outside: [3, 0], failing: 'installed: npm ci' }, '0 passed, 1 failed'],
  ['the newest Node', { test: [5, 0], outside: [3, 0], failing: 'newest: npm start' }, '5 passed, 1 failed'],
])('fails with %s', async (_what, steps, last) => {
  expect(await run(steps)).toMatchObject({ code: 1, last })
})
