/** `--wait`: what waiting can cure is tried again until it is cured; what it cannot cure is said at once. */
import net from 'node:net'
import { beforeAll, describe, expect, test } from 'vitest'
import { ProbeError } from '../../src/failure/error.ts'
import type { NameService } from '../../src/settings/config.ts'
import type { Act } from '../helpers/acts.ts'
import { makeCredentials } from '../helpers/clients.ts'
import { idsIn, isDelete } from '../helpers/faults.ts'
import { type Listener, listen } from '../helpers/listen.ts'
import { configOf } from '../helpers/probe.ts'
import { refusal } from '../helpers/scripted.ts'
import type { Reply } from '../helpers/statements.ts'
import { cli, run, settings } from '../helpers/target.ts'
import { errorResponse } from '../helpers/wire.ts'
import { type Credentials, environmentOf, targetOf } from '../hostile/bounds.ts'
import { type Recording, record, replay } from '../hostile/recorded.ts'

let credentials: Credentials
let recording: Recording
beforeAll(async () => {
  credentials = await makeCredentials()
  recording = await record(credentials)
})

/** A quarter of the deadline is what a silent server costs; half of that the whole run needs, on a busy machine. */
const WAIT = { deadlineMs: 6000, waitMs: 20_000, writes: 3 }
const busy = errorResponse({ S: 'FATAL', V: 'FATAL', C: '53300', M: 'sorry, too many clients already', R: 'x' })
const draining = errorResponse({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'server is not accepting clients', R: 'x' })

type Trouble = Readonly<Partial<Record<'onAccept' | 'onSslRequest' | 'onStartup', Act>>>

/** Probes a server whose trouble is over as soon as the first attempt has been noted; returns the notes as well. */
async function probeUntilCured({ onAccept, onSslRequest, onStartup }: Trouble) {
  let cured = false
  const untilCured = (act: Act | undefined) => () => (cured ? undefined : act)
  const script = {
    onAccept: untilCured(onAccept),
    onSslRequest: untilCured(onSslRequest),
    onStartup: untilCured(onStartup),
  }
  await using server = await replay(recording, credentials, script)
  const notes: string[] = []
  const note = (text: string) => {
    cured = true
    if (text.startsWith('attempt ')) notes.push(text)
  }
  const report = await run(targetOf(server, credentials, WAIT), { note })
  return { report, notes }
}

describe.concurrent('waits for', () => {
  const curable: [string, Trouble, string][] = [
    ['a node that drains', { onSslRequest: { send: draining, next: 'close' } }, 'SERVER_DRAINING'],
    ['a node that is full', { onStartup: refusal('53300', 'sorry, too many clients already') }, 'SERVER_BUSY'],
    ['a node that starts', { onStartup: refusal('57P03', 'the database system is starting up') }, 'SERVER_UNAVAILABLE'],
    ['a node that accepts and stays silent: not initialised', { onSslRequest: 'silent' }, 'TLS_TIMEOUT'],
    ['a node that hangs up', { onAccept: 'close' }, 'TLS_CLOSED'],
    ['a node that does not answer the login', { onStartup: 'silent' }, 'SESSION_TIMEOUT'],
  ]
  test.each(curable)('%s', async (_name, script, code) => {
    const { report, notes } = await probeUntilCured(script)
    expect([report.failure, report.verdict, report.attempts]).toEqual([null, 'pass', notes.length + 1])
    expect(notes[0]).toContain(`attempt 1: ${code}`)
  })

  test('a cluster that lost a node: the node answers, and the data does not', async () => {
    const error = { S: 'ERROR', V: 'ERROR', C: '57014', M: 'query execution canceled due to statement timeout' }
    let notes = 0
    await using server = await replay(recording, credentials, {
      onStatement: sql => (notes < 2 && sql.includes('has_table_privilege') ? { error } : undefined),
    })
    const said: string[] = []
    const note = (text: string) => {
      if (text.startsWith('attempt ')) notes = said.push(text)
    }
    const report = await run(targetOf(server, credentials, WAIT), { note })
    expect([report.verdict, report.attempts]).toEqual(['pass', 3])
    expect(said[0]).toContain('READ_TIMEOUT')
    const once = await run(targetOf(server, credentials, { ...WAIT, waitMs: 0 }))
    expect(once.verdict).toBe('pass')
    notes = 0
    const { failure } = await run(targetOf(server, credentials, { ...WAIT, waitMs: 0 }))
    expect([failure?.code, failure?.sqlstate]).toEqual(['READ_TIMEOUT', '57014'])
    expect(failure?.hint).toContain('the node answers and its data does not')
  })

  test('a server that is not listening yet', async () => {
    await using server = await replay(recording, credentials)
    const { port } = await closed()
    const opened: Promise<Listener>[] = []
    // What comes in is handed on: the server is there, its port opens after the first attempt.
    const serve = (socket: net.Socket) => {
      const inner = net.connect({ host: '::1', port: server.port, family: 6 })
      inner.on('error', () => socket.destroy())
      socket.pipe(inner).pipe(socket)
    }
    const note = () => {
      if (opened.length === 0) opened.push(listen(serve, { port }))
    }
    const report = await run(targetOf({ port }, credentials, WAIT), { note })
    for (const listener of opened) await (await listener)[Symbol.asyncDispose]()
    expect(report.failure).toBeNull()
    expect(report.attempts).toBeGreaterThan(1)
  })

  test('a name that appears', async () => {
    await using server = await replay(recording, credentials)
    let known = false
    const names: NameService = {
      lookup: async (_host, family) => {
        if (known && family === 6) return ['::1']
        throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
      },
      servers: ['[::1]:1'],
    }
    const note = () => {
      known = true
    }
    const env = { ...environmentOf(server, credentials), ...settings({ port: server.port, host: 'localhost' }) }
    const report = await run(configOf(env, { options: WAIT, names }), { note })
    expect(report.failure).toBeNull()
    expect(report.attempts).toBeGreaterThan(1)
  })
})

/** A port on which nobody listens: it was free a moment ago. */
async function closed(): Promise<{ port: number }> {
  await using listener = await listen(() => undefined)
  return { port: listener.port }
}

describe('rows that an attempt could not remove', () => {
  /** The link is lost when the writes are to be removed, and nobody gets in any more until it is mended. */
  function losing() {
    let broken = false
    return {
      onAccept: () => (broken ? 'close' : undefined) satisfies Act | undefined,
      onStatement(sql: string): Reply | undefined {
        broken ||= isDelete(sql) && idsIn(sql).length > 1
        return broken ? 'reset' : undefined
      },
      mend: (): void => {
        broken = false
      },
    }
  }

  test('are removed by a later one', async () => {
    const { mend, ...script } = losing()
    let attempts = 0
    await using server = await replay(recording, credentials, {
      ...script,
      onStatement: sql => (attempts < 2 ? script.onStatement(sql) : undefined),
    })
    let left = 0
    const note = (text: string) => {
      if (!text.startsWith('attempt ')) return
      // The second attempt finds nobody, the third one a server that is right.
      if (++attempts === 2) mend()
      left = server.rows.size
    }
    const report = await run(targetOf(server, credentials, WAIT), { note })
    expect([attempts, left]).toEqual([2, 3])
    expect([report.verdict, report.warnings.map(({ code }) => code)]).toEqual([
      'pass',
      ['ADDRESS_NOT_6PN', 'ENGINE_NOT_COCKROACHDB'],
    ])
    expect([...server.rows.keys()]).toEqual([])
  })

  test('are named by the last one, where none could', async () => {
    const { mend: _, ...script } = losing()
    await using server = await replay(recording, credentials, script)
    const report = await run(targetOf(server, credentials, { ...WAIT, waitMs: 6000 }))
    expect([report.failure?.code, report.attempts > 1]).toEqual(['TLS_CLOSED', true])
    expect(server.rows.size).toBe(3)
    const left = report.warnings.find(({ code }) => code === 'ROWS_LEFT')?.message
    for (const id of server.rows.keys()) expect(left).toContain(id)
  })
})

describe.concurrent('does not wait for', () => {
  test('the server’s certificate', async () => {
    const others = await makeCredentials([])
    await using server = await replay(recording, credentials, { tls: others.server })
    const report = await run(targetOf(server, credentials, WAIT))
    expect([report.failure?.code, report.attempts]).toEqual(['TLS_SERVER_UNTRUSTED', 1])
  })

  test('the identity', async () => {
    const onStartup = refusal('28000', 'certificate authentication failed for user "gateway_writer"')
    await using server = await replay(recording, credentials, { onStartup })
    const report = await run(targetOf(server, credentials, WAIT))
    expect([report.failure?.code, report.attempts]).toEqual(['AUTH_IDENTITY', 1])
  })

  test('privileges, also where something else is busy at the time', async () => {
    const exists = { S: 'ERROR', V: 'ERROR', C: '42P07', M: 'relation exists', R: 'x' }
    await using server = await replay(recording, credentials, {
      onStatement: sql => (sql.startsWith('CREATE TABLE') ? { error: exists } : undefined),
      onSslRequest: session => (session.id > 2 ? { send: busy, next: 'close' } : 'go on'),
    })
    const report = await run(targetOf(server, credentials, { ...WAIT, deadlineMs: 10_000 }))
    const codes = report.checks.flatMap(({ failure }) => (failure ? [failure.code] : []))
    expect(codes).toContain('SERVER_BUSY')
    expect(codes).toContain('DDL_ALLOWED')
    expect(report.attempts).toBe(1)
  })

  test('the configuration, which is not tried at all', async () => {
    const { code, stdout } = await cli(['probe', '--json', '--wait', '30'])
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ attempts: 0, failure: { code: 'CONFIG_MISSING' } })
  })
})

describe.concurrent('ends', () => {
  test('after one attempt where it is not asked for', async () => {
    const { port } = await closed()
    const report = await run(targetOf({ port }, credentials, { ...WAIT, waitMs: 0 }))
    expect([report.failure?.code, report.attempts]).toEqual(['TCP_REFUSED', 1])
  })

  test('when its time is over, with the last attempt and how many there were', async () => {
    const { port } = await closed()
    const notes: string[] = []
    const from = performance.now()
    const report = await run(targetOf({ port }, credentials, { ...WAIT, waitMs: 2500 }), {
      note: text => void notes.push(text),
    })
    expect(report.failure?.code).toBe('TCP_REFUSED')
    expect(report.attempts).toBeGreaterThan(1)
    expect(notes).toHaveLength(report.attempts - 1)
    expect(performance.now() - from).toBeLessThan(2500 + 500)
    // The report is of one attempt, not of the time before it.
    expect(Date.parse(report.startedAt)).toBeGreaterThan(Date.now() - 1500)
    expect(report.durationMs).toBeLessThan(1000)
  })

  test('at once when it is interrupted between two attempts', async () => {
    const { port } = await closed()
    const controller = new AbortController()
    let at = Number.POSITIVE_INFINITY
    const note = () => {
      at = performance.now()
      controller.abort(new ProbeError('INTERRUPTED', 'interrupted by SIGINT'))
    }
    const report = await run(targetOf({ port }, credentials, WAIT), { note, signal: controller.signal })
    expect(performance.now() - at).toBeLessThan(500)
    expect(report.failure?.code).toBe('INTERRUPTED')
  })

  test('at once when it is interrupted inside one', async () => {
    await using server = await replay(recording, credentials, { onStartup: 'silent' })
    const controller = new AbortController()
    const options = { ...WAIT, deadlineMs: 20_000 }
    const ending = run(targetOf(server, credentials, options), { signal: controller.signal })
    await server.until(({ sessions }) => sessions.some(({ startup }) => startup !== undefined))
    const from = performance.now()
    controller.abort(new ProbeError('INTERRUPTED', 'interrupted by SIGINT'))
    const report = await ending
    expect(performance.now() - from).toBeLessThan(500)
    expect([report.failure?.code, report.attempts]).toEqual(['INTERRUPTED', 1])
  })
})
