/** The lab's resolver, as the test sees it: what it serves, and what it was asked. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { DnsBehaviour, Question, Records } from '../helpers/dns.ts'
import { command, type Host } from './host.ts'

export interface Serving {
  /** the nth question of a name and type is answered from the nth table, later ones from the last */
  readonly tables: readonly Records[]
  /** dead: nobody listens on the resolver's port */
  readonly behaviour: DnsBehaviour | 'dead'
}

/** A line of the resolver's process. */
export type Heard = { readonly ready: true } | { readonly question: Question }

export interface LabResolver extends AsyncDisposable {
  /** every question since `serve` */
  readonly questions: readonly Question[]
  /** Serves these tables from now on, and forgets the questions so far. */
  serve(tables: Records | readonly Records[], behaviour?: Serving['behaviour']): Promise<void>
}

/** Starts the resolver on the host that has its address. */
export async function startResolver(host: Host): Promise<LabResolver> {
  const main = fileURLToPath(new URL('./resolver-main.ts', import.meta.url))
  const [file = '', ...args] = command(host, [process.execPath, '--import', 'tsx', main])
  const child = spawn(file, args, { detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
  const exit = once(child, 'close')
  child.stdin.on('error', () => undefined)
  let questions: Question[] = []
  let ready = () => undefined as unknown
  createInterface({ input: child.stdout }).on('line', line => {
    const heard = JSON.parse(line) as Heard
    if ('question' in heard) questions.push(heard.question)
    else ready()
  })
  return {
    get questions() {
      return questions
    },
    async serve(tables, behaviour = 'answer') {
      const serving: Serving = { tables: Array.isArray(tables) ? tables : [tables], behaviour }
      const answered = new Promise(resolve => {
        ready = () => {
          questions = []
          return resolve(undefined)
        }
      })
      child.stdin.write(`${JSON.stringify(serving)}\n`)
      const ended = await Promise.race([answered, exit])
      if (ended !== undefined) throw new Error('the resolver has ended')
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await exit
    },
  }
}
