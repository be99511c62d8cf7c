/**
 * A process in a temporary directory of its own; both are gone after `stop()`, after an interruption, and after this
 * process was killed: supervisor.sh, which holds the other end of a pipe, sees to it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The uid and gid a server runs under. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

interface SupervisorOptions {
  /** where the temporary directory is made; the account must be able to enter it */
  readonly parent: string
  /** null = our own */
  readonly account: Account | null
  /** what runs the server, e.g. ['ip', 'netns', 'exec', 'db1'] (Linux, root) */
  readonly commandPrefix: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** in this order, `patience` seconds apart */
  readonly signals: readonly ('TERM' | 'INT' | 'QUIT' | 'KILL')[]
  readonly patience: number
}

/** A command that was started. */
export interface Job {
  readonly pid: number
  /** settles with the exit status when it ends */
  readonly exit: Promise<number>
}

export interface Supervisor {
  /** the temporary directory, owned by the account */
  readonly directory: string
  /** Starts a command in `directory`; only one at a time. */
  run(command: readonly string[]): Promise<Job>
  /** The last lines that the commands wrote, for an error. */
  lastLines(count: number): Promise<string>
  /** From now on the supervisor does not keep this process alive; when the process ends, so does the server. */
  release(): void
  /** Stops the command that runs; the directory stays. */
  halt(): Promise<void>
  /** Stops the command that runs and removes the directory. May be called again. */
  stop(): Promise<void>
}

const SCRIPT = fileURLToPath(new URL('./supervisor.sh', import.meta.url))

/** An error of the throwaway server: one line, for a person. */
export function throwawayError(message: string, cause?: unknown): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause })
  error.name = 'ThrowawayError'
  return error
}

/**
 * Starts the supervisor, which makes the temporary directory.
 * @throws ThrowawayError where it cannot
 */
export async function supervise(options: SupervisorOptions): Promise<Supervisor> {
  const { account, commandPrefix } = options
  const prefixed = commandPrefix.length > 0
  // by value, since the account may not be able to read the file; without comments, since `ps` shows it
  const script = (await readFile(SCRIPT, 'utf8')).replace(/^ *#.*\n/gm, '')
  const shell = ['sh', '-c', script, 'throwaway', options.parent, options.signals.join(' '), String(options.patience)]
  const [file = 'sh', ...rest] = [...commandPrefix, ...(prefixed && account ? setpriv(account) : []), ...shell]
  const child = spawn(file, rest, {
    cwd: '/',
    detached: true,
    env: options.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(account && !prefixed ? account : {}),
  })
  const words = wordsOf(child)
  const gone = goneOf(child)
  const [, directory] = await words.next('directory')
  if (directory === undefined) {
    const reason = await gone
    throw throwawayError(`no temporary directory in ${options.parent}: ${reason || file}`)
  }
  return supervisorOf(child, directory, words, gone)
}

function supervisorOf(child: ChildProcess, directory: string, words: Words, gone: Promise<string>): Supervisor {
  let stopping: Promise<void> | undefined
  let current: Job | undefined

  async function stop(): Promise<void> {
    hold(child, true)
    child.stdin?.end()
    await gone
    await rm(directory, { recursive: true, force: true }) // what somebody else put there
  }
  return {
    directory,
    async run(command) {
      if (command.some(word => word.includes('\n'))) throw new RangeError('a command cannot contain a line end')
      child.stdin?.write(`${command.map(quote).join(' ')}\n`)
      const [, pid] = await words.next('pid')
      if (pid === undefined) throw throwawayError(`the throwaway server's supervisor ended: ${await gone}`)
      current = { pid: Number(pid), exit: words.next('exit').then(([, status]) => Number(status ?? 0)) }
      return current
    },
    async lastLines(count) {
      const log = await readFile(join(directory, 'server.log'), 'utf8').catch(() => '')
      return log.trimEnd().split('\n').slice(-count).join(' | ').slice(-1000)
    },
    release: () => hold(child, false),
    async halt() {
      child.stdin?.write('stop\n')
      await current?.exit
    },
    stop: () => (stopping ??= stop()),
  }
}

interface Words {
  /** The next line that begins with this word, split in two; [] once the supervisor has ended. */
  next(word: string): Promise<readonly string[]>
}

/**
 * The supervisor's stdout, line by line, each to whoever waits for its first word; a line that comes before anybody
 * waits is kept: a short command's "pid" and "exit" may arrive in one piece.
 */
function wordsOf(child: ChildProcess): Words {
  const waiting = new Map<string, (words: readonly string[]) => void>()
  const early = new Map<string, readonly string[]>()
  let closed = false
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (data: string) => {
    const lines = (text + data).split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) {
      const [, word = '', rest = ''] = /^(\w+) (.*)$/.exec(line) ?? []
      const settle = waiting.get(word)
      if (settle) settle([word, rest])
      else early.set(word, [word, rest])
      waiting.delete(word)
    }
  })
  const close = (): void => {
    closed = true
    for (const settle of waiting.values()) settle([])
  }
  child.on('error', close)
  child.stdout?.on('close', close)
  return {
    next(word) {
      const kept = early.get(word)
      early.delete(word)
      if (kept || closed) return Promise.resolve(kept ?? [])
      return new Promise(resolve => waiting.set(word, resolve))
    },
  }
}

/** Settles when the supervisor has ended or could not be started, with what it said on stderr. */
async function goneOf(child: ChildProcess): Promise<string> {
  let said = ''
  child.stdin?.on('error', () => undefined) // a closed pipe: the exit tells
  child.stderr?.setEncoding('utf8').on('data', (data: string) => {
    said = (said + data).slice(-1000)
  })
  try {
    await once(child, 'exit')
    return said.trim()
  } catch (error) {
    return String(error)
  }
}

/** Whether the supervisor keeps this process alive. */
function hold(child: ChildProcess, held: boolean): void {
  for (const handle of [child, child.stdin, child.stdout, child.stderr] as unknown as (null | {
    ref(): void
    unref(): void
  })[]) {
    if (held) handle?.ref()
    else handle?.unref()
  }
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

const setpriv = ({ uid, gid }: Account): string[] => ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']
