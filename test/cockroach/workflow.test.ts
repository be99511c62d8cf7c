/** The workflow's job with the official image, with a `docker` that runs the cockroach of this machine. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findCockroach } from '../../src/development/throwaway/index.ts'
import { freePort } from '../../src/development/throwaway/ports.ts'
import { copyRepository } from '../helpers/copy.ts'
import { evaluated, runStep, workflow } from '../helpers/workflow.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const VALUES = { 'matrix.image': 'cockroachdb/cockroach:test' }

let scratch: string
let clone: string
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'workflow-'))
  clone = await copyRepository('workflow-clone-')
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'))
  mkdirSync(join(scratch, 'bin'))
  mkdirSync(join(scratch, 'server'))
  // Of docker's options it drops each one, with its value where it has one; /certs is the mounted directory.
  const docker = `#!/bin/bash
    set -eu
    verb=$1; shift
    detach= name=
    while [ $# -gt 0 ]; do case $1 in
      --detach) detach=1; shift ;;
      --rm|--force|--interactive) shift ;;
      --name|--network|--user|--env|--volume|--workdir|--entrypoint) shift 2 ;;
      *) break ;;
    esac; done
    case $verb in
      rm) kill -TERM "$(cat '${scratch}/pid')"; exit ;;
      logs) cat '${scratch}/server/log'; exit ;;
      run) shift ;;
      exec) shift 2 ;;
    esac
    words=("\${@//\\/certs/$PWD/certs}")
    if [ -z "$detach" ]; then exec '${findCockroach()}' "\${words[@]}"; fi
    cd '${scratch}/server'
    setsid '${findCockroach()}' "\${words[@]}" >log 2>&1 </dev/null &
    echo $! >'${scratch}/pid'`
  writeFileSync(join(scratch, 'bin/docker'), docker)
  chmodSync(join(scratch, 'bin/docker'), 0o755)
})
afterAll(() => {
  if (existsSync(join(scratch, 'pid')))
    try {
      process.kill(Number(readFileSync(join(scratch, 'pid'), 'utf8')), 'SIGKILL')
    } catch {
      // it has ended
    }
  rmSync(clone, { recursive: true, force: true })
  rmSync(scratch, { recursive: true, force: true })
})

test('makes certificates, starts, bootstraps, migrates and probes', { timeout: 180_000 }, async () => {
  const job = workflow().jobs.cockroachdb
  const port = String(await freePort('::1'))
  const here = (text: string) => text.replaceAll('26257', port)
  const { PATH, HOME } = process.env
  const own = Object.entries(job?.env ?? {}).map(([name, text]) => [name, here(evaluated(text, VALUES))])
  const env = {
    ...{ PATH: `${join(scratch, 'bin')}:${PATH}`, HOME, GITHUB_STEP_SUMMARY: join(scratch, 'summary') },
    ...{ COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING: 'true', COCKROACH_CRASH_REPORTS: '' },
    ...Object.fromEntries(own),
  }
  for (const step of job?.steps ?? []) {
    if (step.run === undefined || step.run === 'npm ci') continue
    const { code, output } = await runStep(step, clone, env, VALUES)
    expect(code, `${step.name}\n${output}`).toBe(0)
  }
  expect(readFileSync(join(scratch, 'summary'), 'utf8')).toMatch(/^## connection-probe 1\.0\.0: PASS/)
})
