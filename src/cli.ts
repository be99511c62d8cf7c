/**
 * The command line: words → command → exit code. The only file that writes to stdout or sets the exit code: the report
 * and nothing else goes to stdout, progress and notes go to stderr. Whatever a command does not need is not loaded:
 * `--help` and a wrong setting cost no driver.
 */
import { fstatSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isatty } from 'node:tty'
import { readArguments } from './commands/arguments.ts'
import { type Command, EXIT, type Program } from './commands/command.ts'
import { COMMANDS, loadCommands } from './commands/index.ts'
import { UsageError } from './commands/usage.ts'
import { ProbeError, redact } from './failure/error.ts'
import { plain } from './report/plain.ts'

const NAME = 'connection-probe 1.0.0'

/** What kept stdout from being written whole: an errno. */
let unwritten: string | null = null

function cannotWrite(error: NodeJS.ErrnoException): void {
  // Readers that have gone away (`| head`) are no error.
  if (error.code !== 'EPIPE') unwritten ??= error.code ?? error.name
}
process.stdout.on('error', cannotWrite)
process.stderr.on('error', () => undefined)
// A file that may not grow (ulimit -f) is an error of its write, EFBIG.
process.on('SIGXFSZ' as NodeJS.Signals, () => undefined)

/** Writes all of it before it resolves, also into a pipe. */
async function print(text: string): Promise<void> {
  const { stdout } = process
  if (!isStream(stdout.fd)) return writeFully(stdout.fd, Buffer.from(text))
  const error = await new Promise<Error | null | undefined>(resolve => stdout.write(text, resolve))
  if (error) cannotWrite(error)
}

/** A terminal, a pipe or a socket, which Node writes whole. */
function isStream(fd: number): boolean {
  const stats = fstatSync(fd)
  return isatty(fd) || stats.isFIFO() || stats.isSocket()
}

/** Of a file or a device Node forgets what one call did not take, or throws. */
function writeFully(fd: number, bytes: Buffer): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
  } catch (error) {
    cannotWrite(error as NodeJS.ErrnoException)
  }
}

const note = (text: string) => void process.stderr.write(`${text}\n`)
const onTerminal = (stream: NodeJS.WriteStream): boolean => stream.isTTY === true && process.env.TERM !== 'dumb'

/** Ctrl-C in a terminal reaches this process twice: from the terminal, and once more from npm. ms */
const SAME_SIGNAL_MS = 300

/** The first SIGINT, SIGTERM or SIGHUP aborts the signal that is returned; a second one, later, ends the process. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  let first = 0
  const on = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      if (performance.now() - first > SAME_SIGNAL_MS) process.exit(EXIT.interrupted)
      return
    }
    first = performance.now()
    controller.abort(new ProbeError('INTERRUPTED', `interrupted by ${name}`))
  }
  process.on('SIGINT', on).on('SIGTERM', on).on('SIGHUP', on)
  return controller.signal
}

async function help(): Promise<string> {
  const [{ helpText }, commands] = await Promise.all([import('./commands/help.ts'), loadCommands()])
  return helpText(NAME, commands)
}

const program: Program = {
  name: NAME,
  print,
  note,
  help,
  colour: onTerminal(process.stdout) && !process.env.NO_COLOR,
  draw: onTerminal(process.stderr) ? text => void process.stderr.write(text) : null,
  sourceMaps: [process.env.NODE_OPTIONS, ...process.execArgv].some(one => one?.includes('--enable-source-maps')),
  interruption,
}

const isSingleFile = async (): Promise<boolean> => (await import('./database/embedded.ts')).embedded !== null

/** Whether the packages are there that a production install leaves out: if one is, so are the others. */
async function hasDevelopmentInstall(): Promise<boolean> {
  if (await isSingleFile()) return false
  try {
    createRequire(import.meta.url).resolve('drizzle-kit')
    return true
  } catch {
    return false
  }
}

async function main(words: readonly string[]): Promise<number> {
  const asked = await readArguments(words, process.env)
  if (asked.command === '--help') {
    await print(await help())
    return EXIT.ok
  }
  if (asked.command === '--version') {
    await print(`${NAME}\n`)
    return EXIT.ok
  }
  const command: Command = await COMMANDS[asked.command]()
  if (command.development && !(await hasDevelopmentInstall()))
    throw new UsageError(`${asked.command} needs the development install (npm ci without --omit=dev)`)
  return await command.run(asked, program)
}

/** A bug says so, without a word of what a library may have quoted. */
function bug(error: unknown): number {
  const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error))
  const frames = stack.split('\n').filter(line => /^ {4}at /.test(line))
  note(
    redact(`${NAME}: a bug in the program, not in your deployment: ${[`${name}: ${message}`, ...frames].join('\n')}`),
  )
  if (!program.sourceMaps) note('(for the lines of the source: NODE_OPTIONS=--enable-source-maps)')
  return EXIT.bug
}

/** Says why a command threw; returns the exit code. */
function failed(error: unknown): number {
  if (error instanceof UsageError) note(redact(`${NAME}: ${error.message}`, 4000))
  // There is no server: nothing was tried.
  else if (error instanceof Error && error.name === 'ThrowawayError') note(plain(error.message, 2000))
  else return bug(error)
  return EXIT.usage
}

// It changes nothing here (dial/handshake.ts verifies by itself), and Node would warn on stderr that it does.
delete process.env.NODE_TLS_REJECT_UNAUTHORIZED

// What escapes every handler is a bug, too, and has its exit code.
process.on('uncaughtException', error => process.exit(bug(error)))

const code = await main(process.argv.slice(2)).catch(failed)
if (unwritten !== null)
  note(`${NAME}: the output could not be written whole (${unwritten}): exit ${EXIT.unwritten}, whatever the verdict`)
// A lookup that never ends would keep the process: everything that must be said has been.
process.exit(unwritten === null ? code : EXIT.unwritten)
