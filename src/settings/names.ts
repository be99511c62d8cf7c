/** Where names are looked up: getaddrinfo, as everybody else does. */
import dns from 'node:dns'

/** Where names are looked up; tests bring their own. */
export interface NameService {
  /** getaddrinfo, all addresses of one family */
  lookup(host: string, family: 4 | 6): Promise<string[]>
  /** resolvers asked directly to explain a failure ("ip" or "[ip]:port"); null: those of resolv.conf */
  readonly servers: readonly string[] | null
}

/** The system's own: getaddrinfo (with /etc/hosts, as everybody else's), and resolv.conf. */
export const SYSTEM_NAMES: NameService = Object.freeze({
  lookup: (host: string, family: 4 | 6) =>
    canEndAtOnce || dns.lookup !== nodesOwn ? lookupHere(host, family) : lookupInChild(host, family),
  servers: null,
})

const nodesOwn = dns.lookup

/**
 * A lookup cannot be cancelled, and a process cannot end before it (libuv waits for the thread) unless it replaces
 * itself: process.execve, which Node has from 22.15 on (cli.ts). Before that another process looks up.
 */
const canEndAtOnce = 'execve' in process

function lookupHere(host: string, family: 4 | 6): Promise<string[]> {
  return new Promise((resolve, reject) => {
    // Looked up on the module each time: what replaces dns.lookup in a process replaces it here, too.
    dns.lookup(host, { family, all: true, verbatim: true }, (error, found) => {
      if (error) reject(error)
      // What replaces it may know nothing of `all`.
      else resolve([found].flat().map(one => (typeof one === 'string' ? one : one.address)))
    })
  })
}

/** Prints what getaddrinfo found, or its error, as JSON. Its stdin ends with us, and then it is killed, lookup or not. */
const CHILD = `
process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL')).resume()
const [host, family] = process.argv.slice(1)
require('node:dns').lookup(host, { family: Number(family), all: true, verbatim: true }, (error, found) => {
  const { message, code, errno, syscall, hostname } = error ?? {}
  const text = JSON.stringify(error ? { message, more: { code, errno, syscall, hostname } } : { found })
  process.stdout.write(text, () => process.exit())
})`

interface Answer {
  readonly found?: { readonly address: string }[]
  readonly message?: string
  readonly more?: object
}

async function lookupInChild(host: string, family: 4 | 6): Promise<string[]> {
  const { execFile } = await import('node:child_process')
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['-e', CHILD, '--', host, String(family)], (failed, stdout) => {
      const answer = failed ? null : readAnswer(stdout)
      // There is no room for another process.
      if (!answer) lookupHere(host, family).then(resolve, reject)
      else if (answer.found) resolve(answer.found.map(({ address }) => address))
      else reject(Object.assign(new Error(answer.message), answer.more))
    })
  })
}

function readAnswer(text: string): Answer | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
