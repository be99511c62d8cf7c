/** psql as a client of a throwaway server, fed line by line: a session that lives as long as the test wants it to. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Throwaway } from '../../src/development/throwaway/index.ts'

export interface PsqlOptions {
  /** default gateway_writer */
  readonly user?: string
  /** the address to connect to; default that of the server */
  readonly hostaddr?: string
  /** default the server's */
  readonly port?: number
  readonly database?: string
}

export interface Psql extends AsyncDisposable {
  /** Has it run SQL; resolves when it is through, with what it said since: results and errors. */
  run(sql: string): Promise<string>
  /** Ends its session; resolves when it has ended. */
  end(): Promise<void>
  readonly ended: boolean
}

/** Nothing of whoever runs the tests, and nothing around what a statement gives. */
export const PSQL_OPTIONS = ['--no-psqlrc', '--quiet', '--no-align', '--tuples-only']

/** The environment of a psql that is to connect so. */
export function psqlVariables(server: Throwaway, { user, hostaddr, port, database }: Required<PsqlOptions>) {
  const file = (name: string) => join(server.certsDir, name)
  const { PATH, HOME } = process.env
  return {
    ...{ PATH, HOME, LC_ALL: 'C', PGHOST: 'localhost', PGHOSTADDR: hostaddr, PGPORT: String(port) },
    ...{ PGUSER: user, PGDATABASE: database, PGSSLMODE: 'verify-full', PGSSLROOTCERT: file('ca.crt') },
    ...{ PGSSLCERT: file(`client.${user}.crt`), PGSSLKEY: file(`client.${user}.key`), PGAPPNAME: '' },
  }
}

/** Starts psql and resolves when it is connected. Rejects with what it said if it is not. */
export async function startPsql(server: Throwaway, options: PsqlOptions = {}): Promise<Psql> {
  const { user = 'gateway_writer', hostaddr = server.host, port = server.port, database = server.database } = options
  const child = spawn('psql', PSQL_OPTIONS, {
    env: psqlVariables(server, { user, hostaddr, port, database }),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', text => {
      said += text
    })
  const closed = once(child, 'close')
  child.stdin.on('error', () => undefined)
  let asked = 0
  const run = async (sql: string): Promise<string> => {
    const mark = `through with ${++asked}`
    said = ''
    child.stdin.write(`${sql}\n\\echo ${mark}\n`)
    while (!said.includes(`${mark}\n`)) {
      const ended = await Promise.race([once(child.stdout, 'data').then(() => false), closed.then(() => true)])
      if (ended && !said.includes(`${mark}\n`)) throw new Error(`psql ended: ${said}`)
    }
    return said.replace(`${mark}\n`, '')
  }
  let hasEnded = false
  const end = async () => {
    hasEnded = true
    child.stdin.end()
    await closed
  }
  await run('')
  return {
    run,
    end,
    get ended() {
      return hasEnded
    },
    [Symbol.asyncDispose]: end,
  }
}
