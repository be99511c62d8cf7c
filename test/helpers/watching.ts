/** What keeps proving, in this process: started, asked for its pages, and stopped. */
import { EventEmitter, once } from 'node:events'
import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import { ProbeError } from '../../src/failure/error.ts'
import type { Report } from '../../src/report/report.ts'
import type { Options } from '../../src/settings/config.ts'
import type { Change, State } from '../../src/watch/change.ts'
import type { ServeOptions } from '../../src/watch/server.ts'
import { watch } from '../../src/watch/watch.ts'

export interface WatchingOptions {
  readonly env: NodeJS.ProcessEnv
  readonly everyMs?: number
  readonly options?: Partial<Options>
  readonly listen?: Partial<ServeOptions>
}

export interface Page {
  readonly status: number | undefined
  readonly type: string | undefined
  readonly body: string
}

export interface Watching extends AsyncDisposable {
  readonly authority: string
  readonly port: number
  readonly changes: readonly Change[]
  readonly reports: readonly Report[]
  readonly notes: readonly string[]
  get(path: string): Promise<Page>
  /** Resolves once the last change is to this. */
  until(state: State): Promise<void>
  /** Resolves once so many more runs have ended. */
  runs(count?: number): Promise<void>
  /** Tells it to stop, and resolves with the time until it has, ms. */
  stop(): Promise<number>
}

/** A page, as Prometheus or a browser asks for it. */
export async function getPage(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Page> {
  const request = get(url, { headers, agent: false })
  const [response] = await once(request, 'response')
  return { status: response.statusCode, type: response.headers['content-type'], body: await text(response) }
}

/** Starts it; resolves when it listens. */
export async function startWatching({ env, everyMs = 50, options, listen }: WatchingOptions): Promise<Watching> {
  const events = new EventEmitter().setMaxListeners(0)
  const changes: Change[] = []
  const reports: Report[] = []
  const notes: string[] = []
  const end = new AbortController()
  const running = watch({
    everyMs,
    env,
    listen: { address: '::1', port: 0, hosts: [], ...listen },
    options: { writes: 2, ...options },
    program: 'connection-probe test',
    signal: end.signal,
    note: line => void notes.push(line),
    async ran(report) {
      reports.push(report)
      events.emit('happened')
    },
    changed(change) {
      changes.push(change)
      events.emit('happened')
    },
  })
  const happened = () => Promise.race([once(events, 'happened'), running])
  while (changes.length === 0) await happened()
  const [, authority = ''] = /http:\/\/(.*)\//.exec(changes[0]?.message ?? '') ?? []
  const stop = async () => {
    const from = performance.now()
    end.abort(new ProbeError('INTERRUPTED', 'stopped by the test'))
    await running
    return performance.now() - from
  }
  return {
    ...{ authority, changes, reports, notes, stop },
    port: Number(authority.split(':').at(-1)),
    get: path => getPage(`http://${authority}${path}`),
    async until(state) {
      while (changes.at(-1)?.to !== state) await happened()
    },
    async runs(count = 1) {
      const wanted = reports.length + count
      while (reports.length < wanted) await happened()
    },
    [Symbol.asyncDispose]: async () => void (await stop()),
  }
}

/** The value of one line of the metrics. */
export function metric(body: string, line: string): number | undefined {
  const found = body.split('\n').find(text => text.startsWith(`${line} `))
  return found === undefined ? undefined : Number(found.slice(line.length + 1))
}
