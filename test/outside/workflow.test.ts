/**
 * Each `run:` of the workflow, in a fresh clone. Left out are the tests themselves, and `npm audit signatures`, which asks
 * servers of Sigstore. The job with CockroachDB's image runs where there is a CockroachDB: test/cockroach/workflow.test.ts.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { copyRepository } from '../helpers/copy.ts'
import { runStep, workflow } from '../helpers/workflow.ts'

const LEFT_OUT = ['npm test', 'npm run test:outside', 'npm audit signatures']
const VALUES = {
  'github.base_ref': 'main',
  'github.token': 'token',
  'github.repository': 'owner/name',
  'github.event.pull_request.number': '7',
}

let scratch: string
let clone: string
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'workflow-'))
  const origin = await copyRepository('workflow-origin-')
  const git = (...words: string[]) =>
    execFileSync('git', ['-c', 'user.name=test', '-c', 'user.email=test@localhost', ...words], { stdio: 'pipe' })
  git('-C', origin, 'init', '-q', '-b', 'main')
  git('-C', origin, 'add', '-A')
  git('-C', origin, 'commit', '-qm', 'main')
  clone = join(scratch, 'clone')
  git('clone', '-q', '--no-local', origin, clone)
  rmSync(origin, { recursive: true })
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const environment = (): NodeJS.ProcessEnv => {
  const { PATH, HOME } = process.env
  return {
    PATH: `${join(scratch, 'bin')}:${PATH}`,
    HOME,
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_STEP_SUMMARY: join(scratch, 'summary'),
  }
}

test('each step does its work in a fresh clone', { timeout: 600_000 }, async () => {
  const done = new Set(LEFT_OUT)
  for (const [name, { steps }] of Object.entries(workflow().jobs)) {
    if (['schema-comment', 'cockroachdb'].includes(name)) continue
    for (const step of steps) {
      if (step.run === undefined || done.has(step.run)) continue
      done.add(step.run)
      const { code, output } = await runStep(step, clone, environment(), VALUES)
      expect(code, `${name}: ${step.run}\n${output}`).toBe(0)
    }
  }
  expect(readFileSync(join(scratch, 'summary'), 'utf8')).toContain('## Schema review: no change of the schema\n')
})

/** gh, which only says what it was asked for; `known` is the comment that is there already. */
function playGh(known: string): void {
  mkdirSync(join(scratch, 'bin'), { recursive: true })
  const script = `#!/bin/sh\necho "$*" >>'${scratch}/gh'\ncase "$*" in *--jq*) printf '%s' '${known}' ;; esac\n`
  writeFileSync(join(scratch, 'bin/gh'), script)
  chmodSync(join(scratch, 'bin/gh'), 0o755)
}

test.each([
  ['a first comment', '', 'nothing stands against it', '--method POST repos/owner/name/issues/7/comments'],
  [
    'the comment that is there',
    '42',
    'nothing stands against it',
    '--method PATCH repos/owner/name/issues/comments/42',
  ],
  ['the comment that is there, of a change taken back', '42', 'no change of the schema', '--method PATCH'],
  ['none, where nothing is changed', '', 'no change of the schema', null],
])('the comment: %s', async (_what, known, title, asked) => {
  playGh(known)
  rmSync(join(scratch, 'gh'), { force: true })
  const directory = mkdtempSync(join(scratch, 'comment-'))
  writeFileSync(join(directory, 'review.md'), `<!-- connection-probe schema:review -->\n## Schema review: ${title}\n`)
  const step = workflow().jobs['schema-comment']?.steps.find(({ run }) => run !== undefined)
  const { code, output } = await runStep(step ?? {}, directory, environment(), VALUES)
  expect(code, output).toBe(0)
  const [list = '', ...calls] = readFileSync(join(scratch, 'gh'), 'utf8').trim().split('\n')
  expect(list).toContain('repos/owner/name/issues/7/comments')
  expect(calls).toEqual(asked === null ? [] : [expect.stringContaining(asked)])
})
