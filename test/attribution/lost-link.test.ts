/** The link is lost in the first write, or before it, for one connection or for all, and does not come back. */
import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { expectNothingLeft, isInsert, useBase } from '../helpers/faults.ts'
import { configOf } from '../helpers/probe.ts'
import { run, settings } from '../helpers/target.ts'
import { expectVerdict } from '../helpers/verdict.ts'
import { errorResponse } from '../helpers/wire.ts'

/** All of it is waited for: what is lost is tried again until then. */
const DEADLINE_MS = 3500

const base = useBase()

/** A way to the server that can go away: for the connections that there are, and for those that come. */
async function road(port: number) {
  type Going = (typeof GOING)[number]
  const links = new Set<{ readonly client: net.Socket; readonly server: net.Socket }>()
  let gone: Going | null = null
  const refuse: Readonly<Record<Going, (socket: net.Socket) => unknown>> = {
    cut: socket => socket.destroy(),
    silent: socket => socket.resume(),
    reset: socket => socket.resetAndDestroy(),
    refused: socket => socket.destroy(),
    draining: socket => socket.once('data', () => socket.end(DRAINING)),
  }
  const front = net.createServer(client => {
    client.on('error', () => undefined)
    if (gone) return void refuse[gone](client)
    const server = net.connect({ host: '::1', port, family: 6 }).on('error', () => undefined)
    const link = { client, server }
    links.add(link)
    client.on('close', () => server.destroy()).pipe(server)
    server.on('close', () => (gone === 'silent' ? undefined : client.destroy())).pipe(client)
  })
  await once(front.listen(0, '::1'), 'listening')
  return {
    port: (front.address() as net.AddressInfo).port,
    /** Goes away: for all connections, or for the one from this port of the client's. */
    go(how: Going, which: 'all' | number) {
      gone = how
      if (how === 'refused') front.close()
      for (const { client, server } of links) {
        if (which !== 'all' && server.localPort !== which) continue
        server.unpipe(client)
        if (how === 'reset') client.resetAndDestroy()
        else if (how !== 'silent') client.destroy()
      }
    },
    async [Symbol.asyncDispose]() {
      for (const { client, server } of links) for (const socket of [client, server]) socket.destroy()
      if (front.listening) await new Promise(closed => front.close(closed))
    },
  }
}
const GOING = ['cut', 'silent', 'reset', 'refused', 'draining'] as const
const DRAINING = errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'server is not accepting clients', R: 'x' })

describe('a link that is lost in the first write and does not come back', () => {
  const ways = GOING.flatMap(how => (['one', 'all'] as const).map(which => ({ how, which })))
  it.each(ways)('$how, $which: the write says so, and what comes after is blocked by it', async ({ how, which }) => {
    const database = await base().restore()
    let lose: (from: number) => void = () => undefined
    await using proxy = await base().proxy({
      onStatement: (sql, _params, { from }) => {
        if (!isInsert(sql)) return undefined
        lose(from)
        return { instead: 'silent' }
      },
    })
    await using way = await road(proxy.port)
    lose = from => way.go(how, which === 'all' ? 'all' : from)
    const env = settings({ port: way.port, database, pem: base().pem('gateway_writer') })
    const report = await run(configOf(env, { options: { deadlineMs: DEADLINE_MS, writes: 5 } }))
    expectVerdict(report, {
      check: 'dml',
      code: 'WRITE_AMBIGUOUS',
      alsoBlocked: { 'ddl-refused': 'dml' },
      hint: 'first: ',
    })
    // Where the other connection lives on, the row is settled and removed through it.
    await expectNothingLeft(base(), database, report, which === 'all' ? 'perhaps' : undefined)
  })

  it.each(ways)('$how, $which, before anything was written: the connection is lost', async ({ how, which }) => {
    const database = await base().restore()
    let go: (from: 'all' | number) => void = () => undefined
    const froms: number[] = []
    await using proxy = await base().proxy({
      // As root: the last login before the first write. The second of the writer's connections is the one.
      onStartup: ({ startup, from, peer }) => {
        if (startup?.user === 'gateway_writer' && peer) froms.push(from)
        if (startup?.user === 'root') go(which === 'all' ? 'all' : (froms[1] ?? 0))
        return undefined
      },
    })
    await using way = await road(proxy.port)
    go = from => way.go(how, from)
    const env = settings({ port: way.port, database, pem: base().pem('gateway_writer') })
    const report = await run(configOf(env, { options: { deadlineMs: DEADLINE_MS, writes: 5 } }))
    const lost = report.checks.find(({ status }) => status === 'failed')
    // The login under way meets it first where all connections go.
    expect([lost?.id, lost?.failure?.code]).toEqual(
      which === 'all'
        ? ['certificate-bound', expect.any(String)]
        : ['dml', how === 'silent' ? 'WRITE_AMBIGUOUS' : 'CONNECTION_LOST'],
    )
    expect(await base().count(database)).toBe(0)
  })
})
