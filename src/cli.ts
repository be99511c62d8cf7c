/**
 * The command line: words → command → exit code. The only file that writes to stdout or sets the exit code: the report
 * and nothing else goes to stdout, progress and notes go to stderr. Whatever a command does not need is not loaded.
 */
import { fstatSync, writeSync } from 'node:fs'
import { readArguments } from './commands/arguments.ts'
import { type Command, EXIT, type Program, UsageError } from './commands/command.ts'
import { COMMANDS, declarations, loadCommands } from './commands/index.ts'
import { columnsOf, onTerminal, takesColour } from './commands/terminal.ts'
import { build, PROGRAM, VERSION } from './invocation.ts'

/** What could not be written whole, and why. */
const unwritten = new Set<string>()

function cannotWrite(error: NodeJS.ErrnoException): void {
  // Readers that have gone away (`| head`) are no error.
  if (error.code !== 'EPIPE') unwritten.add(`the output could not be written whole (${error.code ?? error.name})`)
}
// A file that may not grow (ulimit -f) is an error of its write, EFBIG.
process.on('SIGXFSZ' as NodeJS.Signals, () => undefined)

/** Writes all of it to stdout before it resolves, also into a pipe. */
async function print(text: string): Promise<void> {
  if (!(await isStream(1))) return writeFully(1, Buffer.from(text))
  process.stdout.off('error', cannotWrite).on('error', cannotWrite)
  const error = await new Promise<Error | null | undefined>(resolve => process.stdout.write(text, resolve))
  if (error) cannotWrite(error)
}

/** A terminal, a pipe or a socket, which Node writes whole. */
async function isStream(fd: number): Promise<boolean> {
  const stats = fstatSync(fd)
  if (stats.isCharacterDevice()) return (await import('node:tty')).isatty(fd)
  return stats.isFIFO() || stats.isSocket()
}

/** Of a file or a device Node forgets what one call did not take, or throws. */
function writeFully(fd: number, bytes: Buffer): void {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
  } catch (error) {
    cannotWrite(error as NodeJS.ErrnoException)
  }
}

const ignore = () => undefined
const draw = (text: string) => void process.stderr.off('error', ignore).on('error', ignore).write(text)
const note = (text: string) => draw(`${text}\n`)

/** Ctrl-C in a terminal reaches this process twice: from the terminal, and once more from npm. ms */
const SAME_SIGNAL_MS = 300

/** The first SIGINT, SIGTERM or SIGHUP aborts the signal that is returned; a second one, later, ends the process. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  let first = 0
  const on = async (name: NodeJS.Signals) => {
    if (first > 0) {
      if (performance.now() - first > SAME_SIGNAL_MS) endNow(EXIT.interrupted)
      return
    }
    first = performance.now()
    const { ProbeError } = await import('./failure/error.ts')
    controller.abort(new ProbeError('INTERRUPTED', `interrupted by ${name}`))
  }
  process.on('SIGINT', on).on('SIGTERM', on).on('SIGHUP', on)
  return controller.signal
}

const program: Program = {
  name: PROGRAM,
  print,
  note,
  commands: loadCommands,
  unwritten: what => void unwritten.add(what),
  // Node makes a stream when it is looked at.
  get colour() {
    return takesColour(process.stdout, process.env)
  },
  get columns() {
    return columnsOf(process.stdout)
  },
  get draw() {
    return onTerminal(process.stderr, process.env) ? draw : null
  },
  interruption,
}

async function main(words: readonly string[]): Promise<number> {
  const asked = await readArguments(words, process.env)
  if (asked.command === '--help') {
    const { helpText } = await import('./commands/help.ts')
    return print(helpText(PROGRAM, await declarations())).then(() => EXIT.ok)
  }
  if (asked.command === '--version') return print(`${VERSION}\n`).then(() => EXIT.ok)
  const command: Command = await COMMANDS[asked.command]()
  if (command.development) {
    const { requireDevelopmentInstall } = await import('./commands/development.ts')
    requireDevelopmentInstall(asked.command)
  }
  return await command.run(asked, program)
}

/** Says why a command threw, without a word of what a library may have quoted; returns the exit code. */
async function failed(error: unknown): Promise<number> {
  const { plain, redact } = await import('./failure/secrets.ts')
  if (error instanceof UsageError) note(redact(`${PROGRAM}: ${error.message}`, 4000))
  // There is no server: nothing was tried.
  else if (error instanceof Error && error.name === 'ThrowawayError') note(plain(error.message, 2000))
  else return bug(error, redact)
  return EXIT.usage
}

function bug(error: unknown, redact: (text: string) => string): number {
  const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error))
  const text = [`${name}: ${message}`, ...stack.split('\n').filter(line => /^ {4}at /.test(line))].join('\n')
  note(redact(`${PROGRAM}: a bug in the program, not in your deployment: ${text}`))
  if (!sourceMaps) note('(for the lines of the source: NODE_OPTIONS=--enable-source-maps)')
  return EXIT.bug
}

/**
 * Ends the process, whatever goes on. Node waits for a lookup that never ends (libuv joins the thread of getaddrinfo);
 * a process that replaces itself does not.
 */
function endNow(code: number): never {
  const { execve } = process as { execve?: (file: string, args: string[], env: NodeJS.ProcessEnv) => never }
  if (execve && process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap'))
    execve(process.execPath, [process.execPath, '-e', `process.exit(${code})`], { ...process.env, NODE_OPTIONS: '' })
  process.exit(code)
}

const sourceMaps = [process.env.NODE_OPTIONS, ...process.execArgv].some(one => one?.includes('--enable-source-maps'))
// tsx has Node parse the source map of every module, the driver's hundred included, for what only a bug prints.
if (!sourceMaps) process.setSourceMapsEnabled(false)
// It changes nothing here (dial/handshake.ts verifies by itself), and Node would warn on stderr that it does.
delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
// What escapes every handler is a bug, too, and has its exit code.
process.on('uncaughtException', async error => endNow(bug(error, (await import('./failure/secrets.ts')).redact)))

let code = await main(process.argv.slice(2)).catch(failed)
if (unwritten.size > 0) {
  code = EXIT.unwritten
  const { redact } = await import('./failure/secrets.ts')
  for (const what of unwritten) note(redact(`${PROGRAM}: ${what}: exit ${code}, whatever the verdict`))
}
if (build || process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap')) endNow(code)
// tsx still writes what it compiled to its cache: an exit would have it compile the same again the next time.
process.exitCode = code
setTimeout(endNow, 20, code).unref()
