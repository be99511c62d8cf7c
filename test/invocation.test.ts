/** How the program was started decides how its commands are written. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { helpText } from '../src/commands/help.ts'
import { loadCommands } from '../src/commands/index.ts'
import { CODES } from '../src/failure/codes.ts'
import { EXPLANATIONS } from '../src/failure/explanations.ts'
import { asTyped, commandLine, type Form, formOf, PROGRAM } from '../src/invocation.ts'
import { ended } from './helpers/process.ts'
import { cli } from './helpers/target.ts'

const ROOT = new URL('..', import.meta.url)

describe('the form', () => {
  it.each<[Form, isBuilt: boolean, file: string | undefined, npmCommand: string | undefined]>([
    ['npm', false, '/x/src/cli.ts', 'run-script'],
    ['npm', false, '/x/src/cli.ts', undefined],
    ['npm', false, undefined, undefined],
    // npx of a tool that runs us in its own process
    ['npm', false, '/x/node_modules/vitest/vitest.mjs', 'exec'],
    ['tsx', false, '/x/src/cli.ts', 'exec'],
    ['tsx', false, '/x/src/probe.ts', 'exec'],
    ['tsx', false, '/x/src/probe.ts', undefined],
    // a script of somebody's own
    ['tsx', false, '/x/src/migrate.ts', 'run-script'],
    ['installed', true, '/usr/local/bin/connection-probe', undefined],
    ['installed', true, '/x/connection-probe.mjs', 'exec'],
  ])('is %s (built: %s, file: %s, npm: %s)', (form, isBuilt, file, npmCommand) => {
    expect(formOf(isBuilt, file, npmCommand)).toBe(form)
  })

  it.each<[name: string, npm: string, tsx: string, installed: string]>([
    ['probe', 'npm run probe', 'npx tsx src/probe.ts', 'connection-probe probe'],
    ['migrate', 'npm run migrate', 'npx tsx src/migrate.ts', 'connection-probe migrate'],
    ['explain', 'npm run explain', 'npx tsx src/cli.ts explain', 'connection-probe explain'],
    ['certs:check', 'npm run certs:check', 'npx tsx src/cli.ts certs:check', 'connection-probe certs'],
    ['start', 'npm start', 'npx tsx src/cli.ts start', 'connection-probe start'],
  ])('of %s is %s, %s, %s', (name, ...lines) => {
    expect((['npm', 'tsx', 'installed'] as const).map(form => commandLine(name, form))).toEqual(lines)
  })

  it.each([
    ['npm run migrate, or as root', 'connection-probe migrate, or as root', 'npx tsx src/migrate.ts, or as root'],
    ['$ npm run probe -- --wait 60', '$ connection-probe probe --wait 60', '$ npx tsx src/probe.ts --wait 60'],
    [
      '`npm run -s bootstrap -- --engine cockroach` prints',
      '`connection-probe bootstrap --engine cockroach` prints',
      '`npx tsx src/cli.ts bootstrap --engine cockroach` prints',
    ],
    ['wait: npm run probe.', 'wait: connection-probe probe.', 'wait: npx tsx src/probe.ts.'],
    ['npm ci installs it', 'npm ci installs it', 'npm ci installs it'],
  ])('of a text: %s', (npm, installed, tsx) => {
    expect(asTyped(npm, 'npm')).toBe(npm)
    expect(asTyped(npm, 'installed')).toBe(installed)
    expect(asTyped(npm, 'tsx')).toBe(tsx)
  })

  it('leaves no command of npm in any hint or explanation of the single file', () => {
    const texts = [
      ...Object.values(CODES).map(({ hint }) => hint),
      ...Object.values(EXPLANATIONS).flatMap(({ meaning, causes, confirm, fix }) => [
        meaning,
        ...causes,
        ...confirm,
        ...fix,
      ]),
    ]
    const typed = texts.map(text => asTyped(text, 'installed'))
    expect(typed.filter(text => /\bnp[mx]\b/.test(text))).toEqual([])
    expect(typed.filter(text => text.includes('connection-probe ')).length).toBeGreaterThan(20)
  })
})

describe('the help', () => {
  it('names what can be typed, in each form', async () => {
    const commands = await loadCommands()
    const [tsx, installed] = (['tsx', 'installed'] as const).map(form => helpText(PROGRAM, commands, form))
    expect(tsx).toContain('usage: npx tsx src/cli.ts COMMAND [OPTIONS]\n')
    expect(tsx).toMatch(/^ {2}npx tsx src\/probe\.ts {2,}the probe/m)
    expect(tsx).not.toContain('npm run')
    expect(installed).toContain('usage: connection-probe COMMAND [OPTIONS]\n')
    expect(installed).toMatch(/^ {2}connection-probe certs DIR {2,}/m)
    const named = [...(installed ?? '').matchAll(/^ {2}connection-probe (\S+)/gm)].map(([, name]) => name)
    const works = commands.flatMap(([name, { development }]) => (development ? [] : [name.replace(':check', '')]))
    expect(named.sort()).toEqual(works.sort())
  })

  it('of the single file, its hints and its reports name no other form', async () => {
    const printed = await Promise.all([
      cli(['--help']),
      cli(['probe']),
      cli(['migrate']),
      cli(['explain', 'DDL_ALLOWED']),
    ])
    for (const { stdout, stderr } of printed) expect(stdout + stderr).not.toMatch(/\bnp[mx] |\bsrc\/\S+\.ts\b/)
    expect(printed[1]?.stdout).toContain('more: connection-probe explain CONFIG_MISSING')
    expect(printed[3]?.stdout).toContain('$ connection-probe bootstrap --engine cockroach')
  })

  it('of src/probe.ts names tsx', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'src/probe.ts'], {
      cwd: ROOT,
      env: { PATH: process.env.PATH, HOME: process.env.HOME },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { stdout } = await ended(child)
    expect(stdout).toContain('more: npx tsx src/cli.ts explain CONFIG_MISSING')
  })
})

describe('certs', () => {
  it('is certs:check, in every form', async () => {
    const [short, long] = await Promise.all([cli(['certs', 'src']), cli(['certs:check', 'src'])])
    expect(short).toMatchObject({ code: 1, stdout: long.stdout })
    expect(short.stdout).toContain('CERT_UNREADABLE')
  })
})

it('the version is that of package.json', () => {
  const { name, version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'))
  expect(PROGRAM).toBe(`${name} ${version}`)
})
