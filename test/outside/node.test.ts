/** The Node that this run is on. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const versionOf = (node: string) => execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()

test('the tests, and what they start, run on the newest Node that CI has', () => {
  const workflow = readFileSync(new URL('../../.github/workflows/check.yml', import.meta.url), 'utf8')
  const [, releases = ''] = /^ +node: \[(.*)\]$/m.exec(workflow) ?? []
  expect(process.versions.node.split('.')[0]).toBe(releases.split(', ').at(-1))
  expect(versionOf(process.execPath)).toBe(process.version)
  expect(versionOf('node')).toBe(process.version)
})
