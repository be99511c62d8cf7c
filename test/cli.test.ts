import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAuthority } from '../src/development/throwaway/authority.ts'
import type { Throwaway } from '../src/development/throwaway/index.ts'
import { pemOf } from './helpers/clients.ts'
import { type Listener, listen } from './helpers/listen.ts'
import { days } from './helpers/pki.ts'
import { printedOfRefused } from './helpers/refused.ts'
import { scriptedServer } from './helpers/scripted.ts'
import { cli, type Pem, PROGRAMS, settings, startCli, startServer } from './helpers/target.ts'
import { checkIds } from './helpers/verdict.ts'
import { errorResponse } from './helpers/wire.ts'

const ESC = '\u001b'
/** Makes both streams of a process a terminal, as far as the program can see. */
const TERMINAL = `--import data:text/javascript,${encodeURIComponent('process.stdout.isTTY=process.stderr.isTTY=true')}`

let server: Throwaway
let pem: Pem
/** where settings point that must never be dialled */
let silent: Listener
beforeAll(async () => {
  const [started, listening] = await Promise.all([startServer(), listen(() => undefined)])
  server = started
  silent = listening
  pem = pemOf(server, 'gateway_writer')
})
afterAll(async () => {
  await Promise.all([server.stop(), silent[Symbol.asyncDispose]()])
})

/** Complete settings for an address where nobody may be called. */
const untouched = () => settings({ port: silent.port, pem })

describe('bad usage', () => {
  it.concurrent.each([
    [[], 'no command; --help lists them'],
    [['probe', '--nope'], "Unknown option '--nope'"],
    [['probe', '--writes', '1'], '--writes wants a whole number from 2 to 1000000000, not "1"'],
    [['migrate', '--deadline', 'soon'], '--deadline wants a number from 0.001 to 2147483, not "soon"'],
    [['explain', 'NOPE'], 'there is no failure code "NOPE"; connection-probe explain lists them'],
    [
      ['explain', 'tcp-refusd'],
      'there is no failure code "tcp-refusd"; did you mean TCP_REFUSED? connection-probe explain lists them',
    ],
    [['bootstrap', '--engine', 'toString'], '--engine wants cockroach or postgres, not "toString"'],
    [['bootstrap', '--database', 'a"b'], '--database: not a plain database name: "a\\"b"'],
    [['certs:check'], 'certs:check wants a directory'],
  ])('%j is one line on stderr, exit 2, and nothing sent', async (words, line) => {
    const { code, stdout, stderr } = await cli(words, untouched())
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: `connection-probe 1.0.0: ${line}\n` })
    expect(silent.connections).toBe(0)
  })
})

describe('explain', () => {
  const REFUSED = 'psql: error: connection to server at "::1", port 26257 failed: Connection refused'

  /** Runs it with a pipe for stdin, in which `said` stands; null: the pipe stays open, and nothing comes. */
  async function explain(words: readonly string[], said: string | null) {
    const { PATH, HOME } = process.env
    const args = [...PROGRAMS.file(), 'explain', ...words]
    const child = spawn(process.execPath, args, { env: { PATH, HOME }, stdio: ['pipe', 'pipe', 'pipe'] })
    if (said !== null) child.stdin.end(said)
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { code, stdout, stderr }
  }

  it.concurrent.each([
    ['as one word', [REFUSED], null],
    ['as words', REFUSED.split(' '), null],
    ['on stdin', [], `one\n${REFUSED}\nmore\n`],
    ['on stdin, asked for', ['-'], REFUSED],
  ])('takes a line of a log %s', async (_, words, said) => {
    const { code, stdout, stderr } = await explain(words, said)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(`port 26257 failed: Connection refused\n\nIt stands for\n  TCP_REFUSED (layer tcp): `)
  })

  it('takes a code on stdin', async () => {
    expect((await explain([], 'tls_version\n')).stdout).toMatch(/^TLS_VERSION \(layer tls\)\n/)
  })

  it.concurrent.each([
    ['no stdin', () => cli(['explain'])],
    ['an empty one', () => explain([], '\n')],
    ['a pipe in which nothing comes', () => explain([], null)],
  ])('lists the codes without a word and with %s', async (_, run) => {
    const { code, stdout, stderr } = await run()
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^config\n {2}CONFIG_MISSING .*[\s\S]*\nrun\n {2}DEADLINE /)
  })

  it.concurrent.each([
    ['nothing known', 'an unheard-of thing happened', /^nothing known looks like this: connection-probe probe finds /],
    [
      'a consequence',
      '** (DBConnection.ConnectionError) connection not available and request was dropped from queue after 2999ms',
      /^this is a consequence: the cause stands seconds earlier in the log: /,
    ],
  ])('says of %s what it is, with exit 1', async (_, line, says) => {
    const { code, stdout, stderr } = await cli(['explain', line])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(says)
  })
})

describe('--output', () => {
  let dir: string
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'probe-forms-'))
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  it('writes the report to each file in the form of its ending, and stdout has it all the same', async () => {
    const files = ['r.txt', 'r.json', 'r.md', 'r.xml', 'R.HTML'].map(name => join(dir, name))
    const outputs = files.flatMap(file => ['--output', file])
    const env = settings({ port: server.port, pem })
    const { code, stdout, stderr } = await cli(['probe', '--format', 'json', ...outputs], env)
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    const [txt = '', json, md, xml, html] = files.map(file => readFileSync(file, 'utf8'))
    expect(json).toBe(stdout)
    expect(txt).toMatch(/^connection-probe 1\.0\.0: FAIL at schema, TABLE_MISSING: /)
    expect(txt.split('\n').length).toBeGreaterThan(20)
    expect(md).toMatch(/^## connection-probe 1\.0\.0: FAIL at schema, TABLE/)
    expect(xml).toContain('<failure message="TABLE_MISSING: ')
    expect(html).toContain('<h2>What TABLE_MISSING means</h2>')
    expect(readdirSync(dir).sort()).toEqual(['R.HTML', 'r.json', 'r.md', 'r.txt', 'r.xml'])
  })

  it('writes refused settings, too, over what was there', async () => {
    const file = join(dir, 'old.json')
    writeFileSync(file, 'old')
    const { code, stdout } = await cli(['probe', '--output', file])
    expect(code).toBe(2)
    expect(stdout).toMatch(/FAIL at config, CONFIG_MISSING/)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ failure: { code: 'CONFIG_MISSING' } })
  })

  it('that cannot be written is exit 74, one line, no file left beside it, and the others are written', async () => {
    const [bad, directory, good] = [join(dir, 'no/such/r.json'), join(dir, 'd.json'), join(dir, 'good.md')]
    mkdirSync(directory)
    const { code, stdout, stderr } = await cli(['probe', '--output', bad, '--output', directory, '--output', good])
    expect(code).toBe(74)
    expect(stdout).toContain('FAIL at config, CONFIG_MISSING')
    expect(stderr.split('\n')).toEqual([
      `connection-probe 1.0.0: --output ${bad} could not be written (ENOENT): exit 74, whatever the verdict`,
      `connection-probe 1.0.0: --output ${directory} could not be written (EISDIR): exit 74, whatever the verdict`,
      '',
    ])
    expect(readFileSync(good, 'utf8')).toContain('CONFIG_MISSING')
    expect(readdirSync(dir).filter(name => name.includes('.part'))).toEqual([])
  })

  it('of another ending is exit 2, and nothing is tried', async () => {
    const { code, stdout, stderr } = await cli(['probe', '--output', join(dir, 'r.pdf')], untouched())
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(
      /^connection-probe 1\.0\.0: --output wants a file that ends in one of \.txt .* not ".*r\.pdf"\n$/,
    )
    expect(silent.connections).toBe(0)
  })
})

describe('options without -- before them', () => {
  it.concurrent.each([
    [['--all-addresses'], '--all-addresses', '--all-addresses'],
    [['--writes', '5'], '--writes', '--writes 5'],
    [['--writes=5', '--keep'], '--writes, --keep', '--writes 5 --keep'],
  ])('npm run -s probe %j: exit 2, one line of ours, and nothing sent', async (options, names, again) => {
    const { PATH, HOME } = process.env
    const env = { PATH, HOME, npm_config_update_notifier: 'false', npm_config_offline: 'true', ...untouched() }
    const child = spawn('npm', ['run', '-s', 'probe', ...options], { cwd: new URL('..', import.meta.url), env })
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr: `connection-probe 1.0.0: npm took ${names} for itself: npm run probe -- ${again}\n`,
    })
    expect(silent.connections).toBe(0)
  })
})

describe('a file of src/ run as an entry', () => {
  const root = new URL('..', import.meta.url)
  const entry = async (file: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) => {
    const { PATH, HOME } = process.env
    const command = ['--import', 'tsx', `src/${file}`, ...args]
    const child = spawn(process.execPath, command, { cwd: root, env: { PATH, HOME, ...env } })
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { code, stdout, stderr }
  }

  it.concurrent.each([
    ['probe.ts', ['--json']],
    ['probe.ts', ['--nope']],
    ['probe.ts', ['--version']],
    ['migrate.ts', []],
  ])('%s %j is the command: same words, same exit code', async (file, args) => {
    const [found, wanted] = await Promise.all([entry(file, args), cli([file.replace('.ts', ''), ...args], {}, 'tree')])
    const stable = (output: string) => output.replace(/"(runId|startedAt)": "[^"]*"/g, '"$1"')
    expect({ ...found, stdout: stable(found.stdout) }).toEqual({
      code: args.includes('--version') ? 0 : 2,
      stdout: stable(wanted.stdout),
      stderr: wanted.stderr,
    })
  })

  it('probe.ts probes', async () => {
    const { code, stdout } = await entry('probe.ts', ['--json'], settings({ port: server.port, pem }))
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ failure: { code: 'TABLE_MISSING' } })
  })
})

describe('bad settings', () => {
  const BAD = {
    DATABASE_URL: 'postgresql://gateway_writer:hunter2secret@10.0.0.1:99999/uro?sslmode=require&nope=1',
    CRDB_SNI: 'two words',
  }

  it('are all reported at once, as a report, with exit 2', async () => {
    const { code, stdout, stderr } = await cli(['probe', '--json'], BAD)
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' })
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ schemaVersion: 1, verdict: 'fail', attempts: 0, failure: { layer: 'config' } })
    const problems = report.failure.causes.map(({ name, code }: { name: string; code: string }) => `${name} ${code}`)
    expect(problems.sort()).toEqual([
      'CRDB_SNI CONFIG_INVALID',
      'DATABASE_URL CONFIG_INSECURE',
      'DATABASE_URL CONFIG_INSECURE',
      'DATABASE_URL CONFIG_INVALID',
      'DATABASE_URL CONFIG_INVALID',
      'DATABASE_URL CONFIG_NOT_IPV6',
      'certificates CONFIG_MISSING',
    ])
    expect(report.checks.map(({ id }: { id: string }) => id)).toEqual(checkIds())
    expect(report.checks.slice(1).every(({ status }: { status: string }) => status === 'blocked')).toBe(true)
  })

  it('are the first line of the text, too, and a line each', async () => {
    const { code, stdout } = await cli(['probe'], BAD)
    expect(code).toBe(2)
    expect(stdout).toMatch(/^connection-probe 1\.0\.0: FAIL at config, CONFIG_/)
    expect(stdout.match(/^ {4}problem: /gm)).toHaveLength(7)
  })

  it('of migrate are named on stderr with exit 2', async () => {
    const { code, stdout, stderr } = await cli(['migrate'], { DATABASE_URL: untouched().DATABASE_URL })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr.trim().split('\n')).toEqual([
      expect.stringMatching(/^config CONFIG_MISSING: MIGRATION_DATABASE_URL is not set /),
      expect.stringMatching(/^next: set MIGRATION_DATABASE_URL, for gateway_admin/),
      expect.stringMatching(/^config CONFIG_MISSING: certificates are not configured/),
      expect.stringMatching(/^next: give the directory that holds ca.crt, client.gateway_admin.crt/),
    ])
  })

  it('of migrate name the secrets of gateway_admin where a file cannot be read', async () => {
    const env = { MIGRATION_DATABASE_URL: 'postgresql://gateway_admin@[::1]:1/uro' }
    const { code, stderr } = await cli(['migrate', '--certs-dir', import.meta.dirname], env)
    expect(code).toBe(2)
    expect(stderr).toMatch(/^next: .*CRDB_CLIENT_ADMIN_CRT/m)
    expect(stderr).not.toContain('WRITER')
  })

  it('of migrate say what to do next, with the values of the settings', async () => {
    const authority = await createAuthority({ name: 'CA' })
    const expired = await authority.issue({ commonName: 'gateway_admin', notBefore: days(-2), notAfter: days(-1) })
    const { code, stderr } = await cli(['migrate'], {
      MIGRATION_DATABASE_URL: 'postgresql://gateway_admin@[::1]:1/uro',
      CRDB_CA_CRT: authority.certificate,
      CRDB_CLIENT_ADMIN_CRT: expired.chain,
      CRDB_CLIENT_ADMIN_KEY: expired.key,
    })
    expect(code).toBe(2)
    expect(stderr).toMatch(/^config CERT_EXPIRED: .*\nnext: .* cert create-client gateway_admin /)
  })

  it('never make the probe take another server', async () => {
    const { code, stdout } = await cli(['probe', '--json'])
    expect(code).toBe(2)
    expect(JSON.parse(stdout).failure.code).toBe('CONFIG_MISSING')
  })
})

describe('the streams', () => {
  it('carry help and version on stdout, and nothing else is done', async () => {
    const [help, version] = await Promise.all([cli(['probe', '--help'], untouched()), cli(['--version'], untouched())])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toContain('exit codes: 0 passed, 1 a check failed, 2 usage or configuration')
    expect(version).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^connection-probe 1\.0\.0 \(commit \S+\)\n$/),
    })
    expect(version.stderr).toBe('')
    expect(silent.connections).toBe(0)
  })

  it('explain takes a code in any case', async () => {
    const { code, stdout } = await cli(['explain', 'tcp_refused'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^TCP_REFUSED \(layer tcp\)\n/)
  })

  it('carry the report on stdout and notes on stderr', async () => {
    const env = settings({ port: server.port, pem })
    const { code, stdout, stderr } = await cli(['probe', '--json', '--wait', '0.1'], env)
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    expect(JSON.parse(stdout).failure.code).toBe('TABLE_MISSING')
    const { port, ...closed } = await listen(() => undefined)
    await closed[Symbol.asyncDispose]()
    const waited = await cli(['probe', '--json', '--wait', '2.5'], settings({ port, pem }))
    expect(waited.code).toBe(1)
    expect(JSON.parse(waited.stdout)).toMatchObject({ failure: { code: 'TCP_REFUSED' } })
    expect(waited.stderr).toMatch(/^(attempt \d: TCP_REFUSED: .*; trying again\n)+$/)
  })

  it('cannot be written to by the server: what it says is one printable line, without a password', async () => {
    const said = '\u001b[2J\u001b]0;title\u0007\npostgresql://u:hunter2@h/d'
    await using rude = await scriptedServer({
      onSslRequest: { send: errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P03', M: said }), next: 'close' },
    })
    const env = settings({ port: rude.port, pem })
    const { stdout, stderr } = await cli(['probe', '--wait', '2.5'], env)
    expect(stderr).toMatch(/^attempt 1: SERVER_UNAVAILABLE: [^\n]*; trying again\n/)
    for (const text of [stdout, stderr]) {
      expect(text).not.toContain(ESC)
      expect(text).not.toContain('hunter2')
    }
  })

  it('may be closed early by their reader', async () => {
    const env = settings({ port: server.port, pem })
    const { port, ...closed } = await listen(() => undefined)
    await closed[Symbol.asyncDispose]()
    const notes = settings({ port, pem })
    const cases = [
      { words: ['probe'], env, code: 1 },
      { words: ['--help'], env, code: 0 },
      { words: ['probe', '--wait', '2.5'], env: notes, code: 1 },
    ]
    await Promise.all(
      cases.map(async ({ words, env, code }) => {
        const { child, result } = startCli(words, env)
        child.stdout.destroy()
        child.stderr.destroy()
        expect(await result).toMatchObject({ code, signal: null })
      }),
    )
    const { child, result } = startCli(['explain', 'TCP_REFUSED'])
    child.stdout.destroy()
    expect(await result).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('colour', () => {
  it.concurrent.each([
    ['on a terminal', { NODE_OPTIONS: TERMINAL, TERM: 'xterm' }, true],
    ['not with NO_COLOR', { NODE_OPTIONS: TERMINAL, TERM: 'xterm', NO_COLOR: '1' }, false],
    ['in a pipe with FORCE_COLOR', { TERM: 'xterm', FORCE_COLOR: '1' }, true],
    ['with FORCE_COLOR and NO_COLOR, as in Node', { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
    ['not with FORCE_COLOR=0', { NODE_OPTIONS: TERMINAL, TERM: 'xterm', FORCE_COLOR: '0' }, false],
    ['not with an empty FORCE_COLOR', { FORCE_COLOR: '' }, false],
    ['with an empty NO_COLOR (no-color.org)', { NODE_OPTIONS: TERMINAL, TERM: 'xterm', NO_COLOR: '' }, true],
    ['not on a dumb terminal', { NODE_OPTIONS: TERMINAL, TERM: 'dumb' }, false],
    ['not in a pipe', { TERM: 'xterm' }, false],
  ])('%s', async (_, env, coloured) => {
    const { stdout } = await cli(['probe'], env)
    expect(stdout.includes(ESC)).toBe(coloured)
  })
})

describe('secrets', () => {
  const PASSWORD = 'hunter2secret'
  const url = (text: string) => ({ DATABASE_URL: text, MIGRATION_DATABASE_URL: text })

  function expectNoSecret(said: string) {
    expect(said).not.toContain(PASSWORD)
    expect(said).not.toMatch(/-----BEGIN|PRIVATE KEY/)
    const body = pem.key.replace(/-----[A-Z ]+-----|\s/g, '')
    for (let at = 0; at + 16 <= body.length; at += 8) expect(said).not.toContain(body.slice(at, at + 16))
  }

  /** Ways to get a password or a key into the wrong setting. */
  const misplaced: readonly [where: string, env: () => NodeJS.ProcessEnv, certsDir: () => string | null][] = [
    ['a password in the URL', () => url(`postgresql://gateway_writer:${PASSWORD}@[::1]/uro`), () => null],
    ['a password for a port', () => url(`postgresql://gateway_writer@h:${PASSWORD}/uro`), () => null],
    ['a password with an @', () => url(`postgresql://gateway_writer:${PASSWORD}@x@h/uro`), () => null],
    ['a password as a parameter', () => url(`postgresql://u@h/uro?password=${PASSWORD}`), () => null],
    ['a password alone', () => url(PASSWORD), () => null],
    ['a key as the URL', () => url(pem.key), () => null],
    ['a key in the URL', () => url(`postgresql://u@h/uro?sslkey=${encodeURIComponent(pem.key)}`), () => null],
    ['a key as the CA', () => settings({ port: 1, pem: { ...pem, ca: pem.key } }), () => null],
    ['a key as the certificate', () => settings({ port: 1, pem: { ...pem, cert: pem.key } }), () => null],
    ['half a key', () => settings({ port: 1, pem: { ...pem, key: pem.key.slice(0, 150) } }), () => null],
    [
      'a key for a path',
      () => ({ CRDB_CA_CERT: pem.ca, CRDB_CLIENT_CERT: pem.cert, CRDB_CLIENT_KEY: pem.key }),
      () => null,
    ],
    ['a key as CRDB_SNI', () => ({ ...settings({ port: 1, pem }), CRDB_SNI: pem.key }), () => null],
    ['a key as --certs-dir', () => settings({ port: 1 }), () => pem.key],
  ]
  it.each(misplaced)('are not printed: %s', (_, env, certsDir) => expectNoSecret(printedOfRefused(env(), certsDir())))

  it.concurrent.each([
    ['a URL as a word', ['probe', `postgresql://u:${PASSWORD}@h/d`], () => untouched()],
    ['a URL as a database', ['bootstrap', '--database', `postgresql://u:${PASSWORD}@h/d`], () => untouched()],
    ['a password of migrate', ['migrate'], () => url(`postgresql://gateway_admin:${PASSWORD}@[::1]/uro`)],
    ['a key refused by the server', ['probe', '--json'], () => settings({ port: server.port, user: 'root', pem })],
  ])('are not printed by the process: %s', async (_, words, env) => {
    const { code, stdout, stderr } = await cli(words, env())
    expect([1, 2]).toContain(code)
    expectNoSecret(stdout + stderr)
  })

  it('are not printed by the process: a key as a word', async () => {
    for (const command of ['certs:check', 'explain']) {
      const { code, stdout, stderr } = await cli([command, pem.key])
      expect([1, 2]).toContain(code)
      expectNoSecret(stdout + stderr)
    }
  })
})
