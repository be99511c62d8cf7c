/**
 * A host of the lab: namespaces of its own for the network and the host's name, on request also for mounts.
 *
 * anchor     a shell in those namespaces that reads commands from a pipe. Nothing has a name outside (no /run/netns,
 *            no /etc/netns): when the pipe closes, be it because this process was killed, the shell ends, and with the
 *            last process in them the kernel removes the namespaces, the links and the mounts. Nothing is to be swept,
 *            and two labs cannot collide.
 * prefix     the words before a command that make it run in the host
 * way        how namespaces can be had: by root, or by anybody inside a user namespace
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export type Way = 'root' | 'user'

export interface Host extends AsyncDisposable {
  readonly name: string
  /** of the anchor: /proc/PID/net is the host's network */
  readonly pid: number
  readonly prefix: readonly string[]
  /** Runs shell text in the anchor, as the administrator of the host. Rejects with what it said if it fails. */
  run(text: string): Promise<string>
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** A command that runs in a host, in the repository's directory (a new mount namespace begins in its root). */
export const command = (host: Host, words: readonly string[]): string[] => [
  ...host.prefix,
  'sh',
  '-c',
  'cd "$0" && exec "$@"',
  ROOT,
  ...words,
]

/** Where the tools are that only root usually has on PATH. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }

const TOOLS = ['ip', 'tc', 'unshare', 'nsenter', 'setpriv', 'sysctl', 'hostname'] as const

/** A link, an address, a queue that limits, and a mount: what the lab needs, tried in namespaces that vanish. */
const TRIAL =
  'ip link add lab0 type veth peer name lab1 && ip link set lab0 up && ip addr add fdaa::1/128 dev lab0 nodad && ' +
  'tc qdisc add dev lab0 root tbf rate 1gbit burst 2k limit 2k && sysctl -qw net.ipv6.conf.all.forwarding=1 && ' +
  'mount -t tmpfs lab /run && hostname lab'

const UNSHARE = { root: ['-n', '-u', '-m'], user: ['-U', '-r', '-n', '-u', '-m'] } as const

/** The way that works here, or why none does, in one line. */
export async function findWay(): Promise<{ way: Way } | { obstacle: string }> {
  if (process.platform !== 'linux')
    return { obstacle: `network namespaces are Linux's, and this is ${process.platform}` }
  const run = promisify(execFile)
  const here = async (tool: string) =>
    run('sh', ['-c', `command -v ${tool}`], { env }).then(
      () => null,
      () => tool,
    )
  const missing = (await Promise.all(TOOLS.map(here))).filter(tool => tool !== null)
  if (missing.length > 0)
    return { obstacle: `not installed: ${missing.join(', ')} (packages iproute2, util-linux, procps, hostname)` }
  // Root without the right to make namespaces could make a user's, but could not run PostgreSQL there.
  const way = process.getuid?.() === 0 ? 'root' : 'user'
  try {
    await run('unshare', [...UNSHARE[way], 'sh', '-c', TRIAL], { env, timeout: 10_000 })
    return { way }
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr || error).trim()
    return { obstacle: `no network namespaces can be made here (${said.split('\n').at(-1)})` }
  }
}

export interface HostOptions {
  /** a mount namespace of its own */
  readonly mounts?: boolean
  /** way `user`: the host whose user namespace this one shares; without it a new one is made */
  readonly beside?: Host
}

/** Starts a host with its loopback up and no other link. */
export async function startHost(name: string, way: Way, { mounts = false, beside }: HostOptions = {}): Promise<Host> {
  const spaces = ['-n', '-u', ...(mounts ? ['-m'] : [])]
  const shared = way === 'user' && beside ? ['nsenter', '-t', String(beside.pid), '-U', '--preserve-credentials'] : []
  const own = way === 'user' && !beside ? ['-U', '-r'] : []
  const [file = 'unshare', ...args] = [...shared, 'unshare', ...own, ...spaces, 'sh']
  // A session of its own: Ctrl-C in a terminal is for us, and the anchor ends when we have finished.
  const anchor = spawn(file, args, { cwd: '/', env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
  const pid = anchor.pid
  if (pid === undefined) throw new Error(`${file} could not be started for the host ${name}`)
  const { run, end } = conversation(anchor, name)
  const user = way === 'user' ? ['-U', '--preserve-credentials'] : []
  const host: Host = {
    name,
    pid,
    prefix: ['nsenter', '-t', String(pid), ...user, ...spaces, '--'],
    run,
    [Symbol.asyncDispose]: end,
  }
  await host.run(`hostname ${name} && ip link set lo up`)
  return host
}

/** Commands to a shell, one after another; what each one says ends with a line of its own. */
function conversation(shell: ChildProcess, name: string) {
  let said = ''
  let settle: (() => void) | null = null
  let ended = false
  const exit = once(shell, 'close').then(() => {
    ended = true
    settle?.()
  })
  exit.catch(() => undefined)
  shell.stdin?.on('error', () => undefined) // a closed pipe: the end tells
  shell.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text
    if (END.test(said)) settle?.()
  })
  let last: Promise<unknown> = Promise.resolve()
  async function one(text: string): Promise<string> {
    if (ended) throw new Error(`the host ${name} is gone`)
    said = ''
    const answered = new Promise<void>(resolve => {
      settle = resolve
    })
    shell.stdin?.write(`{ ${text}\n} </dev/null 2>&1; printf '\\036%s\\n' $?\n`)
    await answered
    const [, output = said, status = 'none'] = END.exec(said) ?? []
    if (status !== '0') throw new Error(`on ${name}: ${text}: ${output.trim()} (status ${status})`)
    return output
  }
  return {
    run(text: string): Promise<string> {
      const mine = last.then(() => one(text))
      last = mine.catch(() => undefined)
      return mine
    },
    async end() {
      shell.stdin?.end()
      await exit
    },
  }
}

/** Everything said, and the status, behind the record separator. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the mark is one that no command prints
const END = /^([\s\S]*)\u001e(\d+)\n$/
