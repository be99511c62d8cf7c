/** README says what is true: its commands exist, and what it quotes is what the program says. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CRITERIA } from '../src/checks/check.ts'
import { checksOf } from '../src/checks/index.ts'
import { readArguments } from '../src/commands/arguments.ts'
import type { Values } from '../src/commands/command.ts'
import { helpText } from '../src/commands/help.ts'
import { COMMANDS, loadCommands } from '../src/commands/index.ts'
import { type PROBE_FLAGS, probeArguments } from '../src/commands/probe-options.ts'
import { bootstrapSql } from '../src/database/bootstrap/index.ts'
import { CODES } from '../src/failure/codes.ts'
import { troubleshootingTable } from '../src/failure/explain.ts'
import { cli } from './helpers/target.ts'

const ROOT = resolve(import.meta.dirname, '..')
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')
const { scripts, engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

/** The contents of the fenced blocks of one kind. */
const blocks = (kind: string) =>
  [...README.matchAll(/^```(\w*)\n(.*?)^```$/gms)].flatMap(([, found, text = '']) => (found === kind ? [text] : []))

/** Every `npm start`, `npm test` and `npm run …` in it, as the words that cli.ts is given. */
const commands = [...README.matchAll(/\bnpm (?:run (?:-s )?)?(?!run)([a-z][a-z:]*)((?: --(?: [^\s`;)(|,]+)*)?)/g)]
  .filter(([text, name = '']) => text.startsWith('npm run') || name === 'start' || name === 'test')
  // what only runs the tests is no command of the program
  .filter(([, name = '']) => !scripts[name]?.includes(' test/nodes.ts'))
  .map(([, name = '', rest = '']) => [name, ...rest.split(/\s+/).filter(word => word !== '' && word !== '--')])

describe('README', () => {
  it.each([...new Set(commands.map(words => words.join(' ')))])(
    'npm run %s is a command, and takes that',
    async line => {
      const [name = '', ...words] = line.split(' ')
      if (name !== 'test') expect(scripts[name]).toBe(`exec node --import ./src/loader.mjs src/cli.ts ${name}`)
      const { flags, words: rest } = await readArguments([name, ...words])
      probeArguments(flags as Values<typeof PROBE_FLAGS>)
      if (name === 'explain') expect([...Object.keys(CODES), 'CODE']).toContain(rest[0])
    },
  )

  it('names the oldest Node that works, and everywhere the one that is supported', () => {
    const workflow = readFileSync(join(ROOT, '.github/workflows/check.yml'), 'utf8')
    const [, supported] = /node-version: (\d+)$/m.exec(workflow) ?? []
    expect(README).toContain(`Node ${engines.node.replace('>=', '')} or newer (${supported} is the supported LTS)`)
    const images = [...README.matchAll(/FROM node:(\d+)|\bNode (\d+) image/g)].map(([, from, image]) => from ?? image)
    expect(new Set(images)).toEqual(new Set([supported]))
  })

  it('names every command but the help', () => {
    expect([...new Set(commands.map(([name]) => name))].sort()).toEqual(Object.keys(COMMANDS).sort())
  })

  it('quotes the help, and explains every exit code that it lists', async () => {
    const { stdout } = await cli(['--help'])
    expect(blocks('')).toContain(stdout)
    const [, list = ''] = /^exit codes: (.*)$/m.exec(stdout) ?? []
    const codes = list.split(', ').map(item => item.replace(/^(\d+) (.*)$/, '| $1 | $2 |'))
    expect(codes).toHaveLength(6)
    expect(README.match(/^\| \d+ \| [^|]*\|/gm)).toEqual(codes)
  })

  it('quotes every command, in the groups and with the options that they have', async () => {
    expect(blocks('')).toContain(helpText('connection-probe 1.0.0', await loadCommands()))
  })

  it('says which commands a production install has', async () => {
    const names = (await loadCommands()).flatMap(([name, { development }]) => (development ? [] : [`\`${name}\``]))
    const list = `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
    expect(README.replace(/\s+/g, ' ')).toContain(`\`npm ci --omit=dev\` is enough for ${list}.`)
  })

  it('quotes the bootstrap for CockroachDB', () => {
    const [sql = ''] = blocks('sql')
    expect(sql).toContain('REVOKE CREATE ON SCHEMA public FROM public;')
    expect(bootstrapSql('cockroachdb')).toContain(sql)
  })

  it('shows a report with the checks and criteria that there are, in their order', () => {
    const report = blocks('').find(text => text.includes(': PASS, all')) ?? ''
    const checks = checksOf(false).map(({ id, title }) => `√ ${id.padEnd(20)} ${title} [`)
    const criteria = CRITERIA.map(({ id, title }) => `√ ${id.padEnd(11)}${title} (`)
    const lines = report.split('\n').filter(line => line.startsWith('√'))
    expect(lines).toHaveLength(checks.length + criteria.length)
    for (const [at, expected] of [...checks, ...criteria].entries()) expect(lines[at]).toContain(expected)
  })

  it('shows a failing report whose code, hint and checks there are', () => {
    const [report = ''] = blocks('').filter(text => text.includes(': FAIL at'))
    const [, layer = '', code = ''] = /: FAIL at (\w+), (\w+): /.exec(report) ?? []
    expect(CODES[code as keyof typeof CODES]?.layer).toBe(layer)
    expect(report).toContain(`\nnext: ${CODES[code as keyof typeof CODES].hint}\n`)
    for (const [, id = '', title = ''] of report.matchAll(/^[√×-] (\S+) {2,}(.*) \[/gm))
      expect(checksOf(false).map(check => `${check.id} ${check.title}`)).toContain(`${id} ${title}`)
  })

  it('has the troubleshooting table of the codes', () => {
    const [, table] = /<!-- troubleshooting -->\n(.*)<!-- \/troubleshooting -->/s.exec(README) ?? []
    expect(table).toBe(troubleshootingTable())
  })

  it('has a target for each of its own links', () => {
    const anchors = [...README.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    )
    for (const [, anchor] of README.matchAll(/\]\(#([^)]*)\)/g)) expect(anchors).toContain(anchor)
  })
})
