/** What can be known of the image without building it: .fly/Dockerfile, .dockerignore and README agree. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { copiedInto, ignored, instructions } from './helpers/dockerfile.ts'

const ROOT = resolve(import.meta.dirname, '..')
const lines = instructions(join(ROOT, '.fly/Dockerfile'))
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' })
  .trim()
  .split('\n')

describe('.fly/Dockerfile', () => {
  it('copies what is there, and what .dockerignore lets through', () => {
    const sources = copiedInto('build', lines)
    expect(sources.length).toBeGreaterThan(5)
    const context = files.filter(file => !ignored(file))
    const missing = sources.filter(source => !context.some(file => file === source || file.startsWith(`${source}/`)))
    expect(missing).toEqual([])
    for (const source of sources)
      expect(files.filter(file => file.startsWith(`${source}/`)).filter(ignored)).toEqual([])
  })

  it('is nobody, has no npm, and starts the probe', () => {
    const last = lines.slice(lines.findLastIndex(({ word }) => word === 'FROM'))
    expect(last[0]?.rest).toMatch(/^alpine:/)
    const of = (word: string) => last.flatMap(one => (one.word === word ? [one.rest] : []))
    expect(of('USER')).toEqual(['65534:65534'])
    expect(of('ENTRYPOINT')).toEqual(['["node", "/connection-probe.mjs"]'])
    expect(of('CMD')).toEqual(['["probe"]'])
    const copied = of('COPY').map(rest => rest.replace(/ \S+$/, ''))
    expect(copied).toEqual([
      '--from=node:24-alpine /usr/local/bin/node',
      '--from=node:24-alpine /usr/lib/libstdc++.so.6 /usr/lib/libgcc_s.so.1',
      '--from=build /build/dist/connection-probe.mjs',
    ])
    // The hint that a user of the image reads is a command there.
    expect(of('RUN')).toEqual(['ln -s /connection-probe.mjs /usr/local/bin/connection-probe'])
  })
})

describe('the line at the top of the start script', () => {
  const README = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const [, line = ''] = /`(\[ "\$RELEASE_COMMAND" = 1 \][^`]*)`/.exec(README) ?? []
  // The back end's script, as far as it matters: it ignores its arguments.
  const script = `#!/bin/sh\n${line}\necho migrates and starts\n`
  const start = (env: NodeJS.ProcessEnv) =>
    execFileSync('sh', ['-c', script, 'start.sh', 'echo', 'the probe', '--wait 60'], { env, encoding: 'utf8' })

  it('passes the release command on, and nothing else', () => {
    const { PATH } = process.env
    expect(start({ PATH, RELEASE_COMMAND: '1' })).toBe('the probe --wait 60\n')
    expect(start({ PATH })).toBe('migrates and starts\n')
  })
})

describe('.dockerignore', () => {
  it.each([
    ...['.git/config', 'node_modules/tsx/package.json', 'dist/connection-probe.mjs', 'test/cli.test.ts'],
    ...['.env', '.env.production', 'deploy/.env', 'src/.env.local'],
    ...['certs/ca.crt', 'client.root.key', 'src/node.pem', 'a/b/c.p12', 'a.pfx', 'ca.srl', 'x.csr', 'npm-debug.log'],
  ])('keeps %s out', file => {
    expect(ignored(file)).toBe(true)
  })
})

describe('.fly/fly.toml', () => {
  const toml = readFileSync(join(ROOT, '.fly/fly.toml'), 'utf8')

  it('offers nothing to the public, and checks and scrapes the port that is listened on', () => {
    expect(toml).not.toMatch(/^\s*\[+(services|http_service)/m)
    const [, port] = /--listen \[::\]:(\d+)/.exec(toml) ?? []
    expect([...toml.matchAll(/^ *port = (\d+)$/gm)].map(([, found]) => found)).toEqual([port, port])
    const [, app] = /^app = "(.*)"$/m.exec(toml) ?? []
    expect(toml).toContain(`--host ${app}.internal`)
  })

  it('says how it is deployed, with the commit', () => {
    expect(toml).toContain('--dockerfile .fly/Dockerfile --build-arg COMMIT="$(git rev-parse HEAD)"')
    expect(instructions(join(ROOT, '.fly/Dockerfile'))).toContainEqual({ word: 'ARG', rest: 'COMMIT' })
  })
})
