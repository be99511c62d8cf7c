/** README says what is true: its commands exist, and what it quotes is what the program says. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CRITERIA } from '../src/checks/check.ts'
import { checksOf } from '../src/checks/index.ts'
import { readArguments } from '../src/commands/arguments.ts'
import { EXIT, type Values } from '../src/commands/command.ts'
import { COMMANDS, loadCommands } from '../src/commands/index.ts'
import { type PROBE_FLAGS, probeArguments } from '../src/commands/probe-options.ts'
import { bootstrapSql } from '../src/database/bootstrap/index.ts'
import { CODES } from '../src/failure/codes.ts'
import { cli } from './helpers/target.ts'
import { recorded } from './report/recorded.ts'

const ROOT = resolve(import.meta.dirname, '..')
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')
const { scripts, engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

/** The contents of the fenced blocks of one kind. */
const blocks = (kind: string) =>
  [...README.matchAll(/^```(\w*)\n(.*?)^```$/gms)].flatMap(([, found, text = '']) => (found === kind ? [text] : []))

/** Every `npm start`, `npm test` and `npm run …` in it, as the words that cli.ts is given. */
const commands = [...README.matchAll(/\bnpm (?:run (?:-s )?)?(?!run)([a-z][a-z:]*)((?: --(?: [^\s`;)(|,]+)*)?)/g)]
  .filter(([text, name = '']) => text.startsWith('npm run') || name === 'start' || name === 'test')
  .map(([, name = '', rest = '']) => [name, ...rest.split(/\s+/).filter(word => word !== '' && word !== '--')])

/** Every command line in it, but for the list of the program's own commands. */
const commandLines = [
  ...blocks('sh').flatMap(text => text.split('\n')),
  ...[...README.replace(/^```.*?^```$/gms, '').matchAll(/`((?:npm|npx|node|fly|docker|cockroach) [^`]*)`/g)].map(
    ([, line = '']) => line.replace(/\s+/g, ' '),
  ),
]
  .flatMap(line => line.split(' && '))
  .map(line => line.trim())
  .filter(line => line !== '')

/** Written from documentation: README must say beside it that it was not run. */
const NOT_RUN = 'not run on Fly'
/** The file that runs a command, and the words by which it does. */
type RunBy = readonly [file: string, words: string] | typeof NOT_RUN

const PRODUCTION = 'test/production.test.ts'
const RUN_BY: Readonly<Record<string, RunBy>> = {
  'npm ci': ['.ci/run', 'npm ci\n'],
  'npm start': ['.ci/run', 'npm start\n'],
  'npm test': ['.ci/run', 'npm test -- '],
  'npm ci --omit=dev': [PRODUCTION, "['ci', '--omit=dev'"],
  'npm run build': ['test/bundle.test.ts', 'await build(join('],
  'npm run docs': ['test/development/docs.test.ts', 'documents(helpText('],
  'npm run generate -- --name NAME': ['test/outside/schema-review.test.ts', "command(['generate', '--name', 'audit'])"],
  'npm run -s schema:review': ['test/outside/schema-review.test.ts', "command(['schema:review'])"],
  'npm run -s migrate -- --status': ['test/database/migrate.test.ts', "cli(['migrate', '--status']"],
  'npx drizzle-kit migrate': ['test/outside/drizzle-kit.test.ts', "kit(environment({}), 'migrate')"],
  'npm run schema:check': ['.github/workflows/check.yml', 'npm run -s schema:check'],
  'npm run -s migrate': [PRODUCTION, "script('migrate'"],
  'npm run -s bootstrap -- --engine cockroach': [PRODUCTION, "script('bootstrap', ['--engine', 'cockroach'])"],
  'npm run -s certs:check -- DIR': [PRODUCTION, "script('certs:check', [server.certsDir])"],
  'npm run -s explain -- TLS_TIMEOUT': [PRODUCTION, "script('explain', ["],
  'npm run -s probe -- --certs-dir DIR': ['test/probe.test.ts', "'--certs-dir', server.certsDir]"],
  'npm run -s probe': [PRODUCTION, "script('probe', ["],
  'npx tsx src/probe.ts': ['test/cli.test.ts', "['probe.ts', ['--json']]"],
  'npm run -s witness': [PRODUCTION, "script('witness', ["],
  'npm run witness': [PRODUCTION, "script('witness', ["],
  'npm run -s probe -- --json | jq -r .failure.code': ['test/outside/forms.test.ts', "'-r', '.failure.code'"],
  'npm run -s probe -- --help': ['test/readme.test.ts', "cli(['--help'])"],
  'npm run -s watch': ['test/watch/cli.test.ts', "startCli(['watch', "],
  "export DATABASE_URL='postgresql://gateway_writer@multiplayer-fabric-crdb.internal:26257/uro?sslmode=verify-full'":
    NOT_RUN,
  'npm pack': ['test/outside/package.test.ts', "'npm', ['pack'"],
  'npx ./connection-probe-1.0.0.tgz probe --certs-dir DIR': [
    'test/outside/package.test.ts',
    "npx(['probe', '--certs-dir'",
  ],
  'node connection-probe.mjs probe --certs-dir DIR': ['test/bundle.test.ts', "run(['probe', '--certs-dir'"],
  'fly machine run': NOT_RUN,
  'fly machine run . --dockerfile .fly/Dockerfile --image-label connection-probe --build-arg COMMIT="$(git rev-parse HEAD)" -a multiplayer-fabric-uro --rm --skip-dns-registration':
    NOT_RUN,
  'fly logs -a multiplayer-fabric-uro': NOT_RUN,
  'fly wireguard create': NOT_RUN,
  'fly proxy': NOT_RUN,
  'fly ssh console -a multiplayer-fabric-crdb': NOT_RUN,
  'cockroach sql --certs-dir=/cockroach/cockroach-data/certs --host=localhost': NOT_RUN,
}

/** The sections, by their headings of the second level. */
const sections = README.split(/^(?=## )/m)

describe('README', () => {
  it.each([...new Set(commands.map(words => words.join(' ')))])(
    'npm run %s is a command, and takes that',
    async line => {
      const [name = '', ...words] = line.split(' ')
      if (name !== 'test') expect(scripts[name]).toBe(`exec node --import ./src/loader.mjs src/cli.ts ${name}`)
      const { flags, words: rest } = await readArguments([name, ...words])
      probeArguments(flags as Values<typeof PROBE_FLAGS>)
      if (name === 'explain' && rest[0] !== undefined) expect(Object.keys(CODES)).toContain(rest[0])
    },
  )

  it('names the oldest Node that works, and everywhere the one that is supported', () => {
    const workflow = readFileSync(join(ROOT, '.github/workflows/check.yml'), 'utf8')
    const [, supported] = /node-version: (\d+)$/m.exec(workflow) ?? []
    expect(README).toContain(`Node ${engines.node.replace('>=', '')} or newer (${supported} is the supported LTS)`)
    const images = [...README.matchAll(/\bnode:(\d+)|\bNode (\d+)\b(?!\.)/g)].map(([, image, node]) => image ?? node)
    expect(new Set(images)).toEqual(new Set([supported]))
  })

  it('names every command but the help', () => {
    expect([...new Set(commands.map(([name]) => name))].sort()).toEqual(Object.keys(COMMANDS).sort())
  })

  it('lists the commands as the help does, and explains every exit code', async () => {
    const { stdout } = await cli(['--help'], {}, 'tree')
    const list = stdout.slice(stdout.indexOf('\nrun\n') + 1, stdout.indexOf('\noptions '))
    expect(blocks('')).toContain(list)
    const [, exits = ''] = /^exit codes: (.*)$/m.exec(stdout) ?? []
    const codes = exits.split(', ').map(item => item.replace(/^(\d+) (.*)$/, '| $1 | $2 |'))
    expect(codes).toHaveLength(Object.keys(EXIT).length)
    expect(README.match(/^\| \d+ \| [^|]*\|/gm)).toEqual(codes)
  })

  it('has no command that nobody runs, unless it says so', () => {
    expect([...new Set(commandLines)].sort()).toEqual(expect.arrayContaining(Object.keys(RUN_BY).sort()))
    for (const line of commandLines) {
      const by = RUN_BY[line]
      expect(by, line).toBeDefined()
      if (by === NOT_RUN) {
        const standing = sections.filter(section => section.replace(/\s+/g, ' ').includes(line))
        for (const section of standing)
          expect(section.replace(/\s+/g, ' '), line).toMatch(/not run on Fly|been run on Fly/)
      } else if (by) expect(readFileSync(join(ROOT, by[0]), 'utf8'), line).toContain(by[1])
    }
  })

  it('is short', () => {
    expect(README.split('\n').length - 1).toBeLessThanOrEqual(290)
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

  it('says what is tried for each criterion', () => {
    const named = [...README.matchAll(/^\| `(\w+)` \|/gm)].map(([, id]) => id).slice(0, CRITERIA.length)
    expect(named).toEqual(CRITERIA.map(({ id }) => id))
  })

  it('shows a failing report whose code, hint and checks there are', () => {
    const [report = ''] = blocks('').filter(text => text.includes(': FAIL at'))
    const [, layer = '', code = ''] = /: FAIL at (\w+), (\w+)\. /.exec(report) ?? []
    expect(CODES[code as keyof typeof CODES]?.layer).toBe(layer)
    expect(report.replace(/\s+/g, ' ')).toContain(` next: ${recorded('denied').failure?.hint} `)
    for (const [, id = '', title = ''] of report.replace(/\n {2}(?=\S)/g, ' ').matchAll(/^× (\S+): (.*) \[/gm))
      expect(checksOf(false).map(check => `${check.id} ${check.title}`)).toContain(`${id} ${title}`)
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
