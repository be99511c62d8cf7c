import { describe, expect, it } from 'vitest'
import { readArguments } from '../src/commands/arguments.ts'
import type { Values } from '../src/commands/command.ts'
import { COMMANDS } from '../src/commands/index.ts'
import { type PROBE_FLAGS, probeArguments } from '../src/commands/probe-options.ts'
import { UsageError } from '../src/commands/usage.ts'

const TEXT = { format: 'text', verbose: false, files: [] } as const

/** Reads a command line as cli.ts does: what it says is wrong, or what was understood. */
async function read(words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  try {
    const { command, flags, words: rest } = await readArguments(words, env)
    return { command, words: rest, ...probeArguments(flags as Values<typeof PROBE_FLAGS>) }
  } catch (error) {
    if (error instanceof UsageError) return error.message
    throw error
  }
}

const writes = (value: string) => `--writes wants a whole number from 2 to 1000000000, not "${value}"`
const visible = (value: string) => `--visible-within wants a whole number from 1 to 1000000000, not "${value}"`
const deadline = (value: string) => `--deadline wants a number from 0.001 to 2147483, not "${value}"`
const wait = (value: string) => `--wait wants a number from 0 to 2147483, not "${value}"`
const ending = (value: string) => `--output wants a file that ends in one of .txt .json .md .xml .html, not "${value}"`
const unknown = (name: string) => `there is no command "${name}"; --help lists them`

describe('bad usage', () => {
  it.each([
    [[], 'no command; --help lists them'],
    [['nope'], unknown('nope')],
    [['toString'], unknown('toString')],
    [['__proto__'], unknown('__proto__')],
    [[''], unknown('')],
    [['--'], unknown('--')],
    [['--json'], unknown('--json')],
    [['no\u001b[31m\npe'], unknown('no pe')],
    [['postgresql://u:secret@h/d'], unknown('postgresql://u@h/d')],
    [['x'.repeat(1000)], unknown(`${'x'.repeat(199)}…`)],
    [['probe', '--nope'], "Unknown option '--nope'"],
    [['probe', '--bad\nname'], "Unknown option '--bad name'"],
    [['probe', '-x'], "Unknown option '-x'"],
    [['probe', 'extra'], '"extra" is one word too many for probe'],
    [['probe', 'postgresql://u:secret@h/d'], '"postgresql://u@h/d" is one word too many for probe'],
    [['probe', '--', '--json'], '"--json" is one word too many for probe'],
    [['probe', '--engine', 'cockroach'], 'probe has no option --engine'],
    [['probe', '--json', '--markdown'], '--json and --markdown exclude each other'],
    [['probe', '--format', 'junit', '--json'], '--format junit and --json exclude each other'],
    [['probe', '--format=text', '--json', '--markdown'], '--format text, --json, --markdown exclude each other'],
    [['probe', '--format', 'xml'], '--format wants text, json, markdown, junit, html, not "xml"'],
    [['start', '--format', 'jsn'], '--format wants text, json, markdown, junit, html, not "jsn"; did you mean json?'],
    [['probe', '--format='], '--format wants text, json, markdown, junit, html, not ""'],
    ...['report', 'report.pdf', 'json', '.json', 'report.json/', 'a.md.gz', '', '.'].map(
      path => [['probe', '--output=good.html', '--output', path], ending(path)] as const,
    ),
    [['migrate', '--output', 'a.json'], 'migrate has no option --output'],
    [['probe', '--json=yes'], "Option '--json' does not take an argument"],
    [['probe', '--certs-dir'], "Option '--certs-dir <value>' argument missing"],
    [['probe', '--certs-dir='], '--certs-dir wants a directory'],
    [['probe', '--writes'], "Option '--writes <value>' argument missing"],
    [['probe', '--writes', '--json'], "Option '--writes' argument is ambiguous."],
    ...['1', '0', '-3', '2.5', '1e3', '0x10', '1000000001', '9'.repeat(30), 'NaN', ' 5', ''].map(
      value => [['probe', `--writes=${value}`], writes(value.trim())] as const,
    ),
    ...['0', '-1', '1.5', 'soon', ''].map(value => [['probe', `--visible-within=${value}`], visible(value)] as const),
    ...['0', '0.0001', '-1', 'Infinity', '5s', '1e9', ''].map(
      value => [['migrate', `--deadline=${value}`], deadline(value)] as const,
    ),
    ...['-1', '2147483.1', 'a while', ''].map(value => [['start', `--wait=${value}`], wait(value)] as const),
    [['migrate', '--json'], 'migrate has no option --json'],
    [['migrate', '--writes', '5'], 'migrate has no option --writes'],
    [['certs:check', 'DIR', 'more'], '"more" is one word too many for certs:check'],
    [['bootstrap', 'cockroach'], '"cockroach" is one word too many for bootstrap'],
    [['bootstrap', '--json'], 'bootstrap has no option --json'],
    [['generate', '--costum'], "Unknown option '--costum'; did you mean --custom?"],
    [['generate', 'region'], '"region" is one word too many for generate'],
    [['schema:check', 'twice'], '"twice" is one word too many for schema:check'],
  ] as [string[], string][])('%j is one line', async (words, line) => expect(await read(words)).toBe(line))
})

describe('what is nearly right', () => {
  it.each([
    ['prob', 'probe'],
    ['porbe', 'probe'],
    ['Probe', 'probe'],
    ['exlpian', 'explain'],
    ['schemacheck', 'schema:check'],
    ['cert:check', 'certs:check'],
    ['migrations', null],
    ['hlep', 'help'],
    ['--hepl', '--help'],
    ['-help', 'help'],
    ['version', '--version'],
    ['tst', 'test'],
    ['lb', 'lab'],
    ['la', 'lab'],
    ['l', null],
    ['ls', null],
  ])('the command %s: did you mean %s?', async (typed, meant) => {
    const near = meant ? `; did you mean ${meant}?` : ';'
    expect(await read([typed])).toBe(`there is no command "${typed}"${near} --help lists them`)
  })

  it.each([
    ['probe', '--writse', '--writes'],
    ['probe', '--write', '--writes'],
    ['probe', '--writse=5', '--writes'],
    ['probe', '--all-adresses', '--all-addresses'],
    ['probe', '--visible_within', '--visible-within'],
    ['probe', '--cert-dir', '--certs-dir'],
    ['probe', '--versoin', '--version'],
    ['migrate', '--certdir', '--certs-dir'],
    // options of other commands are not suggested
    ['migrate', '--writse', null],
    ['generate', '--writse', null],
    ['generate', '--hepl', '--help'],
    ['probe', '--constant', null],
    ['probe', '-v', null],
  ])('%s %s: did you mean %s?', async (command, typed, meant) =>
    expect(await read([command, typed])).toBe(
      `Unknown option '${typed.replace('=5', '')}'${meant ? `; did you mean ${meant}?` : ''}`,
    ),
  )
})

describe('options that npm took for itself', () => {
  // As npm 11 hands them on: `--writes=5` with its value, that of `--writes 5` as a word, --no-keep as ''.
  it.each([
    [['probe'], { all_addresses: 'true' }, '--all-addresses', 'run probe -- --all-addresses'],
    [['probe'], { keep: '' }, '--keep', 'run probe -- --keep'],
    [['probe'], { writes: '5' }, '--writes', 'run probe -- --writes 5'],
    [['probe', '5'], { writes: 'true' }, '--writes', 'run probe -- --writes 5'],
    [['probe'], { writes: 'true' }, '--writes', 'run probe -- --writes VALUE'],
    [['probe'], { writes: '' }, '--writes', 'run probe -- --writes VALUE'],
    [['probe', 'postgresql://u:secret@h/d'], { wait: 'true' }, '--wait', 'run probe -- --wait VALUE'],
    [['probe', '5'], { wait: 'true', keep: 'true' }, '--wait, --keep', 'run probe -- --wait 5 --keep'],
    [['probe', '5', '9'], { wait: 'true' }, '--wait', 'run probe -- --wait VALUE'],
    [
      ['probe', '5', '9'],
      { writes: 'true', wait: 'true' },
      '--writes, --wait',
      'run probe -- --writes VALUE --wait VALUE',
    ],
    [['probe', '--writes', '9'], { deadline: '9' }, '--deadline', 'run probe -- --deadline 9'],
    [['start'], { keep: 'true' }, '--keep', 'start -- --keep'],
    [['migrate'], { certs_dir: '/run/certs' }, '--certs-dir', 'run migrate -- --certs-dir /run/certs'],
    [['migrate'], { certs_dir: '/run/my certs' }, '--certs-dir', 'run migrate -- --certs-dir VALUE'],
    [['bootstrap', 'x'], { database: 'true' }, '--database', 'run bootstrap -- --database x'],
  ] as [string[], Record<string, string>, string, string][])('%j with %j', async (words, taken, names, again) => {
    const env = Object.fromEntries(Object.entries(taken).map(([name, value]) => [`npm_config_${name}`, value]))
    expect(await read(words, env)).toBe(`npm took ${names} for itself: npm ${again}`)
  })

  it('are those of the command asked for, and help is given all the same', async () => {
    const env = { npm_config_keep: 'true', npm_config_engine: 'x' }
    expect(await read(['migrate'], env)).toMatchObject({ command: 'migrate' })
    expect((await readArguments(['probe', '--help'], env)).command).toBe('--help')
  })

  it("are not looked for among npm's own settings", async () => {
    const names = ['registry', 'cache', 'json', 'dry_run', 'verbose', 'loglevel', 'all', 'user_agent', 'database']
    const env = Object.fromEntries(names.map(name => [`npm_config_${name}`, 'true']))
    expect(await read(['probe'], env)).toEqual({ command: 'probe', words: [], delivery: TEXT, options: {} })
  })
})

describe('good usage', () => {
  it('is understood, in any order, the last value winning', async () => {
    const words = ['--writes', '2', '--keep', '--markdown', '--wait=0', '--deadline=0.5', '--writes=100']
    expect(await read(['probe', ...words, '--visible-within', '1', '--all-addresses', '--certs-dir', 'a b'])).toEqual({
      command: 'probe',
      words: [],
      delivery: { ...TEXT, format: 'markdown' },
      options: {
        writes: 100,
        visibleWithinMs: 1,
        deadlineMs: 500,
        waitMs: 0,
        allAddresses: true,
        keep: true,
        certsDir: 'a b',
      },
    })
  })

  it.each([
    [['--format', 'html'], { format: 'html' }],
    [['--json', '--format', 'json'], { format: 'json' }],
    [['--format=json', '--format=junit', '--verbose'], { format: 'junit', verbose: true }],
    [
      ['--json', '--output', 'a b/report.html', '--output=R.XML', '--output', '../x.txt'],
      {
        format: 'json',
        files: [
          { path: 'a b/report.html', format: 'html' },
          { path: 'R.XML', format: 'junit' },
          { path: '../x.txt', format: 'text' },
        ],
      },
    ],
  ])('of the report: %j', async (words, delivery) =>
    expect(await read(['probe', ...words])).toMatchObject({ delivery: { ...TEXT, ...delivery } }),
  )

  it('without options leaves the defaults to the configuration', async () =>
    expect(await read(['start'])).toEqual({ command: 'start', words: [], delivery: TEXT, options: {} }))

  it.each(Object.keys(COMMANDS))('--help and --version of %s win over what else is right', async command => {
    expect((await readArguments([command, '--help'])).command).toBe('--help')
    expect((await readArguments([command, '-h', 'too', 'many', 'words'])).command).toBe('--help')
    expect((await readArguments([command, '--version'])).command).toBe('--version')
  })

  it('of help and version needs no command', async () => {
    const read = await Promise.all(['--help', '-h', 'help', '--version'].map(word => readArguments([word])))
    expect(read.map(({ command }) => command)).toEqual(['--help', '--help', '--help', '--version'])
  })

  it('passes words on to the tests', async () => {
    const { command, words, flags } = await readArguments(['test', 'test/url.test.ts', '--', '--reporter=json'])
    expect({ command, words, flags: { ...flags } }).toEqual({
      command: 'test',
      words: ['test/url.test.ts', '--reporter=json'],
      flags: {},
    })
  })
})
