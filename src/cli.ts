/**
 * The command line: commands, options, exit codes. The only file that writes to stdout or sets the exit code.
 *
 * stdout   the report and nothing else          stderr   progress and notes
 * 0 every check passed · 1 a check failed · 2 bad usage or configuration · 70 a bug · 130 interrupted
 *
 * Whatever a command does not need is not loaded: `--help` and a wrong setting cost no driver.
 */
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitMsOf } from './budget.ts'
import {
  COMMANDS,
  type Command,
  didYouMean,
  type Flags,
  type Format,
  probeArguments,
  quoted,
  readArguments,
  UsageError,
} from './commands/arguments.ts'
import { embedded } from './database/embedded.ts'
import { CODES, type Code } from './failure/codes.ts'
import { failureLine, ProbeError, redact } from './failure/error.ts'
import { plain, printableJson } from './report/plain.ts'
import { configurationReport, opened, type Report } from './report/report.ts'
import { loadConfig, type ProbeConfig } from './settings/config.ts'

const VERSION = '1.0.0'
const PROGRAM = `connection-probe ${VERSION}`
const ROOT = fileURLToPath(new URL('..', import.meta.url))

const EXIT = { ok: 0, failed: 1, usage: 2, bug: 70, interrupted: 130 } as const

const HELP = `${PROGRAM}: proves one connection to CockroachDB, over IPv6 and mutual TLS, and says what is wrong with it

usage: npm run COMMAND [-- OPTIONS]

  npm start                 the demonstration, against a throwaway server on [::1]
  npm run probe             the probe; needs DATABASE_URL and certificates
  npm run migrate           applies drizzle/ as gateway_admin; needs MIGRATION_DATABASE_URL
  npm run explain -- CODE   what a failure code means, and what mends it
  npm run bootstrap         the SQL that root runs once per database (--engine cockroach | postgres, --database NAME)
  npm run certs:check -- DIR   what is in a directory of certificates, and what would be refused
  npm run generate · schema:check · build · bench · lab, npm test   for developers

options of probe and start (of migrate: --certs-dir, --deadline)

  --json | --markdown   the report's form; text is the default
  --writes N            sequential writes on one connection, at least 2 (20)
  --visible-within MS   the limit within which the row must be seen (1000)
  --deadline SECONDS    of one attempt (30)
  --wait SECONDS        repeat attempts for so long while waiting can cure the cause (0)
  --all-addresses       try every address of the host
  --keep                leave the rows
  --certs-dir DIR       ca.crt, client.USER.crt and client.USER.key
  --help, --version

exit codes: 0 passed, 1 a check failed, 2 usage or configuration, 70 a bug, 130 interrupted
`

// ---------------------------------------------------------------------------------------------------------- output

/** Writes all of it before it resolves, also into a pipe. A reader that has gone away (`| head`) is no error. */
const stdout = (text: string) => new Promise<void>(resolve => process.stdout.write(text, () => resolve()))

const note = (text: string) => void process.stderr.write(`${text}\n`)
// Readers that have gone away.
process.stdout.on('error', () => undefined)
process.stderr.on('error', () => undefined)

const onTerminal = (stream: NodeJS.WriteStream): boolean => stream.isTTY === true && process.env.TERM !== 'dumb'
const colour = (): boolean => onTerminal(process.stdout) && !process.env.NO_COLOR

/** A line that rewrites itself, on a terminal only; `clear` takes it away before something else is said. */
function progressLine(): { show: (done: number, total: number) => void; clear: () => void } {
  if (!onTerminal(process.stderr)) return { show: () => undefined, clear: () => undefined }
  // From the first write on: what came before says nothing of the rate.
  let startedAt = 0
  let shown = 0
  const clear = () => {
    if (shown > 0) process.stderr.write('\r\u001b[K')
    shown = 0
  }
  const show = (done: number, total: number) => {
    const now = performance.now()
    if (startedAt === 0) startedAt = now
    if (done === total) clear()
    else if (now - startedAt > 100 && now - shown > 100) {
      shown = now
      const rate = ((done - 1) / (now - startedAt)) * 1000
      const left = Math.ceil((total - done) / rate)
      process.stderr.write(`\r\u001b[K${done} of ${total} writes, ${Math.round(rate)} per second, ${left} s left`)
    }
  }
  return { show, clear }
}

async function print(report: Report, format: Format, remark?: string): Promise<void> {
  if (format === 'json') return stdout((await import('./report/json.ts')).renderJson(report))
  if (format === 'markdown')
    return stdout((await import('./report/markdown.ts')).renderMarkdown(report, { note: remark }))
  return stdout((await import('./report/text.ts')).renderText(report, { colour: colour(), note: remark }))
}

// --------------------------------------------------------------------------------------------------------- signals

interface Interruption {
  /** aborted with a ProbeError INTERRUPTED by the first signal */
  readonly signal: AbortSignal
  /** resolves then; never otherwise */
  readonly aborted: Promise<void>
}

/** Ctrl-C in a terminal reaches this process twice: from the terminal, and once more from npm. ms */
const SAME_SIGNAL_MS = 300

/** The first SIGINT, SIGTERM or SIGHUP ends the run in order, a second one, later, ends the process. */
function interruption(): Interruption {
  const controller = new AbortController()
  const { signal } = controller
  let first = 0
  const on = (name: NodeJS.Signals) => {
    if (signal.aborted && performance.now() - first > SAME_SIGNAL_MS) process.exit(EXIT.interrupted)
    if (signal.aborted) return
    first = performance.now()
    controller.abort(new ProbeError('INTERRUPTED', `interrupted by ${name}`))
  }
  process.on('SIGINT', on).on('SIGTERM', on).on('SIGHUP', on)
  return { signal, aborted: new Promise(resolve => signal.addEventListener('abort', () => resolve())) }
}

// -------------------------------------------------------------------------------------------------------- commands

/** Whether whoever started Node asked for source maps. */
const wantsSourceMaps = (): boolean =>
  [process.env.NODE_OPTIONS, ...process.execArgv].some(option => option?.includes('--enable-source-maps'))

async function runProbe(flags: Flags): Promise<number> {
  const { format, options } = probeArguments(flags)
  // tsx has Node parse the source map of every module, the driver's hundred included, for what only a bug prints.
  if (!wantsSourceMaps()) process.setSourceMapsEnabled(false)
  // Loading goes on in another thread while the settings are read; where they are wrong the process ends first.
  import('./checks/attempts.ts').catch(() => undefined)
  const loaded = loadConfig({ role: 'writer', env: process.env, options })
  if (!loaded.ok) {
    const { error, target, origin, warnings } = loaded
    const startedAt = new Date().toISOString()
    const run = {
      program: PROGRAM,
      runId: randomUUID(),
      target,
      origin,
      startedAt,
      durationMs: 0,
      attempts: 0,
      warnings,
    }
    await print(configurationReport(run, error.toFailure(), error.evidence), format)
    return EXIT.usage
  }
  return probeAndPrint(loaded.config, format, interruption())
}

async function probeAndPrint(
  config: ProbeConfig,
  format: Format,
  { signal }: Interruption,
  remark?: string,
): Promise<number> {
  boundLookups(config)
  const { probe } = await import('./checks/attempts.ts')
  const line = progressLine()
  const printable = (text: string) => {
    line.clear()
    note(plain(redact(text), 1000))
  }
  const report = await probe(config, { signal, note: printable, progress: line.show, program: PROGRAM })
  line.clear()
  const expected: readonly string[] = remark ? ['ADDRESS_NOT_6PN', 'ENGINE_NOT_COCKROACHDB'] : []
  await print({ ...report, warnings: report.warnings.filter(({ code }) => !expected.includes(code)) }, format, remark)
  if (signal.aborted) return EXIT.interrupted
  return report.verdict === 'pass' ? EXIT.ok : EXIT.failed
}

async function runStart(flags: Flags): Promise<number> {
  const { format, options } = probeArguments(flags)
  const ending = interruption()
  const { startThrowaway } = await import('./development/throwaway/index.ts')
  // Interrupted while it starts, it is left to its supervisor, which removes it as soon as this process is gone.
  const started = await Promise.race([startThrowaway(), ending.aborted])
  if (!started) return EXIT.interrupted
  await using server = started
  const engine = server.version.replace(/ (on|\().*/, '')
  const remark = `a throwaway ${engine} made by npm start on [${server.host}]:${server.port}, not your database`
  note(`the target is ${remark}`)
  const env = { ...process.env, CRDB_SNI: '' }
  const own = { ...options, certsDir: server.certsDir }
  const admin = loadConfig({
    role: 'admin',
    env: { ...env, MIGRATION_DATABASE_URL: server.url('gateway_admin') },
    options: own,
  })
  if (!admin.ok) throw admin.error
  const { migrate } = await import('./database/migrate.ts')
  const migrated = await migrate(admin.config, ending.signal)
  if (migrated.failure) {
    note(plain(`the migration failed: ${failureLine(migrated.failure)}`))
    return ending.signal.aborted ? EXIT.interrupted : EXIT.failed
  }
  note(`migrated as gateway_admin: ${migrated.applied.join(', ')}`)
  const writer = loadConfig({
    role: 'writer',
    env: { ...env, DATABASE_URL: server.url('gateway_writer') },
    options: own,
  })
  if (!writer.ok) throw writer.error
  // The throwaway server's directory holds everybody's keys, a deployment's must not; and whatever certificates this
  // machine is set up with are not for that server.
  const expected: readonly string[] = ['ADMIN_CREDENTIALS_PRESENT', 'CERT_SOURCE_INCOMPLETE']
  const warnings = writer.config.warnings.filter(({ code }) => !expected.includes(code))
  return await probeAndPrint({ ...writer.config, warnings }, format, ending, remark)
}

/**
 * A lookup cannot be cancelled, and process.exit() waits for the thread that getaddrinfo blocks (libuv): with a silent
 * resolver for 10 s and more. glibc takes its patience from RES_OPTIONS (resolv.conf(5)), so that a lookup ends soon
 * after the probe has given it up.
 */
function boundLookups({ options }: ProbeConfig): void {
  process.env.RES_OPTIONS ??= `timeout:${Math.ceil(waitMsOf(options.deadlineMs) / 2000)} attempts:2`
}

async function runMigrate(flags: Flags): Promise<number> {
  const { options } = probeArguments(flags)
  const loaded = loadConfig({ role: 'admin', env: process.env, options })
  if (!loaded.ok) {
    const failure = loaded.error.toFailure()
    note(`${failureLine(failure)}\nnext: ${failure.hint}`)
    return EXIT.usage
  }
  for (const { code, message } of loaded.config.warnings) note(plain(`! ${code}: ${message}`, 1000))
  boundLookups(loaded.config)
  const { signal } = interruption()
  const migrations = await readTheMigrations()
  const { migrate } = await import('./database/migrate.ts')
  const { applied, address, engine, failure, others, evidence } = await migrate(loaded.config, signal, migrations)
  if (failure) {
    note(plain(`${PROGRAM}: migrate FAILED at ${failureLine(failure)}`))
    for (const { name, code, message } of failure.causes) {
      const what = [name, code].filter(Boolean).join(' ')
      note(plain(`  caused by ${what}${message && `: ${message}`}`))
    }
    for (const [name, value] of Object.entries(opened(evidence)))
      note(plain(`  ${name}: ${printableJson(value)}`, 2000))
    note(plain(`next: ${failure.hint}`))
    return signal.aborted ? EXIT.interrupted : EXIT.failed
  }
  const what = applied.length > 0 ? `applied ${applied.join(', ')}` : 'nothing to do'
  if (others.length > 0) note(plain(`on connection_probe besides what src/ declares: ${others.join(', ')}`))
  await stdout(`${plain(`${what}; table, columns and grants are as src/ declares (${engine} at ${address})`)}\n`)
  return EXIT.ok
}

/** An incomplete drizzle/ is a deployment that was put together wrongly: nothing is tried. */
async function readTheMigrations() {
  const { readMigrations } = await import('./database/migrations.ts')
  try {
    return readMigrations()
  } catch (error) {
    throw new UsageError(
      plain(`the migrations in drizzle/ cannot be read: ${error instanceof Error ? error.message : error}`),
    )
  }
}

async function runExplain([code]: readonly string[]): Promise<number> {
  const codes = Object.keys(CODES)
  if (code === undefined) throw new UsageError(`explain wants a failure code: ${codes.join(', ')}`)
  const known = codes.find(name => name === code.toUpperCase())
  if (!known) {
    const near = didYouMean(code.toUpperCase(), codes)
    throw new UsageError(`there is no failure code ${quoted(code)}${near || ';'} npm run explain lists them`)
  }
  const { explain } = await import('./failure/explain.ts')
  await stdout(explain(known as Code))
  return EXIT.ok
}

async function runBootstrap(flags: Flags): Promise<number> {
  const engines = {
    cockroach: 'cockroachdb',
    cockroachdb: 'cockroachdb',
    postgres: 'postgresql',
    postgresql: 'postgresql',
  } as const
  const asked = flags.engine ?? 'cockroach'
  if (!Object.hasOwn(engines, asked)) throw new UsageError(`--engine wants cockroach or postgres, not ${quoted(asked)}`)
  const engine = engines[asked as keyof typeof engines]
  const { bootstrapSql } = await import('./database/bootstrap/index.ts')
  try {
    await stdout(bootstrapSql(engine, flags.database))
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(plain(redact(`--database: ${error.message}`)))
    throw error
  }
  return EXIT.ok
}

async function runCertsCheck([dir]: readonly string[]): Promise<number> {
  if (dir === undefined) throw new UsageError('certs:check wants a directory')
  const { checkCertsDir } = await import('./settings/certs-dir.ts')
  const { text, ok } = checkCertsDir(dir)
  await stdout(text)
  return ok ? EXIT.ok : EXIT.failed
}

async function runSchemaCheck(): Promise<number> {
  const { checkSchema } = await import('./development/schema-check/index.ts')
  const { ok, problems } = await checkSchema()
  await stdout(ok ? 'drizzle/ is what src/schema.ts declares, grants included\n' : `${problems.join('\n')}\n`)
  return ok ? EXIT.ok : EXIT.failed
}

/** Runs development tools one after another, up to the first that fails. */
async function runTools(tools: readonly (readonly string[])[]): Promise<number> {
  const { spawn } = await import('node:child_process')
  for (const [tool = '', ...args] of tools) {
    const child = spawn(join(ROOT, 'node_modules/.bin', tool), args, { stdio: 'inherit', cwd: ROOT })
    // A terminal sends SIGINT to the tool as well; whatever else ends us must not leave it behind.
    const forward = (signal: NodeJS.Signals) => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    }
    process.on('SIGINT', forward).on('SIGTERM', forward).on('SIGHUP', forward)
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (status, signal) => resolve(signal ? EXIT.interrupted : (status ?? EXIT.bug)))
    })
    process.off('SIGINT', forward).off('SIGTERM', forward).off('SIGHUP', forward)
    if (code !== EXIT.ok) return code
  }
  return EXIT.ok
}

/** drizzle-kit, and whether it did it: without a terminal, or over a syntax error, it writes nothing and exits 0. */
async function runGenerate(words: readonly string[]): Promise<number> {
  const code = await runTools([['drizzle-kit', 'generate', ...words]])
  if (code !== EXIT.ok) return code
  const { checkSchema } = await import('./development/schema-check/index.ts')
  const undone = (await checkSchema()).problems.filter(problem => problem.startsWith('src/schema.ts '))
  await stdout(undone.map(problem => `${problem}\n`).join(''))
  return undone.length === 0 ? EXIT.ok : EXIT.failed
}

async function runBuild(): Promise<number> {
  const { build } = await import('./development/build.ts')
  note(`built ${await build()}`)
  return EXIT.ok
}

async function runBench(sections: readonly string[]): Promise<number> {
  const { bench } = await import('../test/bench/main.ts')
  await bench(sections, stdout)
  return EXIT.ok
}

async function runTheLab(): Promise<number> {
  const { runLab } = await import('../test/lab/main.ts')
  const { signal } = interruption()
  if (!(await runLab({ print: stdout, note, signal }))) return EXIT.failed
  return signal.aborted ? EXIT.interrupted : EXIT.ok
}

async function runTests(words: readonly string[]): Promise<number> {
  const checked = await runTools([
    ['biome', 'ci', '--error-on-warnings'],
    ['tsc', '--noEmit'],
  ])
  if (checked !== EXIT.ok) return checked
  const schema = await runSchemaCheck()
  return schema === EXIT.ok ? runTools([['vitest', 'run', '--config', 'test/vitest.config.ts', ...words]]) : schema
}

// ------------------------------------------------------------------------------------------------------------ main

// It changes nothing here (dial/handshake.ts verifies by itself), and Node would warn on stderr that it does.
delete process.env.NODE_TLS_REJECT_UNAUTHORIZED

/** What a production install leaves out; if this is there, so is the rest. */
function hasDevelopmentInstall(): boolean {
  if (embedded) return false
  try {
    createRequire(import.meta.url).resolve('drizzle-kit')
    return true
  } catch {
    return false
  }
}

const RUN: Readonly<Record<Command, (input: { flags: Flags; words: readonly string[] }) => Promise<number>>> = {
  probe: ({ flags }) => runProbe(flags),
  start: ({ flags }) => runStart(flags),
  migrate: ({ flags }) => runMigrate(flags),
  explain: ({ words }) => runExplain(words),
  bootstrap: ({ flags }) => runBootstrap(flags),
  'certs:check': ({ words }) => runCertsCheck(words),
  generate: ({ words }) => runGenerate(words),
  'schema:check': runSchemaCheck,
  build: runBuild,
  bench: ({ words }) => runBench(words),
  lab: runTheLab,
  test: ({ words }) => runTests(words),
}

async function main(argv: readonly string[]): Promise<number> {
  const asked = readArguments(argv, process.env)
  if (asked.command === '--help' || asked.command === '--version') {
    await stdout(asked.command === '--help' ? HELP : `${PROGRAM}\n`)
    return EXIT.ok
  }
  if (COMMANDS[asked.command].development && !hasDevelopmentInstall())
    throw new UsageError(`${asked.command} needs the development install (npm ci without --omit=dev)`)
  return RUN[asked.command](asked)
}

/** A bug says so, without a word of what a library may have quoted. */
async function bug(error: unknown): Promise<number> {
  const { framesOf } = await import('./commands/stack.ts')
  const text =
    error instanceof Error ? `${error.name}: ${error.message}\n${framesOf(error.stack ?? '')}` : String(error)
  note(redact(`${PROGRAM}: a bug in the program, not in your deployment: ${text}`))
  if (!embedded && !wantsSourceMaps()) note('(for the lines of the source: NODE_OPTIONS=--enable-source-maps)')
  return EXIT.bug
}

// What escapes every handler is a bug, too, and has its exit code.
process.on('uncaughtException', error => void bug(error).then(process.exit))

let code: number
try {
  code = await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof UsageError) {
    note(`${PROGRAM}: ${error.message}`)
    code = EXIT.usage
  } else if (error instanceof Error && error.name === 'ThrowawayError') {
    // There is no server: nothing was tried.
    note(plain(error.message, 2000))
    code = EXIT.usage
  } else code = await bug(error)
}
// A lookup that never ends would keep the process: everything that must be said has been.
process.exit(code)
