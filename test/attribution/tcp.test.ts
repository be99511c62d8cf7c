/** Layer tcp, and run: what connect() meets, on this machine only: no packet leaves it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { beforeAll, describe, expect, test } from 'vitest'
import { classifyConnect } from '../../src/failure/classify.ts'
import type { Report } from '../../src/report/report.ts'
import { listen } from '../helpers/listen.ts'
import { makePki, type Pki } from '../helpers/pki.ts'
import { ended } from '../helpers/process.ts'
import { scriptedServer } from '../helpers/scripted.ts'
import { cli, namesOf, run, settings, startCli, target } from '../helpers/target.ts'
import { expectSaid, expectVerdict } from '../helpers/verdict.ts'

let pki: Pki
beforeAll(async () => {
  pki = await makePki()
})

/** A port of [::1] on which nobody listens: it was free a moment ago. */
async function closedPort(): Promise<number> {
  await using server = await listen(() => undefined)
  return server.port
}

/**
 * A port of [::1] that drops every SYN: its queue of connections that nobody accepts is full (listen(2)). The listener
 * lives in a thread that sleeps; `backlog` + 1 connections fill the queue.
 */
async function fullPort(): Promise<AsyncDisposable & { readonly port: number }> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     const server = require('node:net').createServer()
     server.listen({ host: '::1', port: 0, backlog: 1 }, () => {
       parentPort.postMessage(server.address().port)
       setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
     })`,
    { eval: true },
  )
  const [port] = (await once(worker, 'message')) as [number]
  const fillers = [0, 1].map(() => net.connect({ host: '::1', port }).on('error', () => undefined))
  await Promise.all(fillers.map(filler => once(filler, 'connect')))
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy()
      await worker.terminate()
    },
  }
}

test('refused: nobody listens', async () => {
  const report = await run(target({ port: await closedPort() }, pki.pem))
  expectVerdict(report, {
    code: 'TCP_REFUSED',
    check: 'tcp',
    evidence: { address: '::1', tried: [{ address: '::1', outcome: 'TCP_REFUSED' }] },
    message: /^\[::1\]:\d+ refuses the connection$/,
  })
  expect(report.failure?.causes).toMatchObject([{ code: 'ECONNREFUSED' }])
})

test('silently dropped', async () => {
  await using full = await fullPort()
  const report = await run(target(full, pki.pem, { deadlineMs: 1_600 }))
  expectVerdict(report, {
    code: 'TCP_TIMEOUT',
    check: 'tcp',
    message: /did not answer within 400 ms$/,
    evidence: { tried: [{ outcome: 'TCP_TIMEOUT' }] },
  })
  expect(report.durationMs).toBeLessThan(1_600)
})

describe('unreachable: an address to which the kernel itself has no way', () => {
  const addresses: readonly (readonly [string, string, string])[] = [
    ['multicast', 'ff02::1', 'ENETUNREACH'],
    ['link-local, over an interface that has no such network', 'fe80::1%lo', 'ENETUNREACH'],
  ]
  test.each(addresses)('%s', async (_name, address, errno) => {
    const report = await run(target({ port: 26257 }, pki.pem, { host: `[${address.replace('%', '%25')}]` }))
    expectVerdict(report, { code: 'TCP_UNREACHABLE', check: 'tcp', evidence: { address } })
    expect(report.failure?.causes).toMatchObject([{ code: errno }])
  })

  // Told before connect(2) is called: some releases of Node would choose an interface by themselves, and time out.
  test('link-local without a zone', async () => {
    const names = namesOf({ 'db.internal': ['fe80::1'] })
    const report = await run(target({ port: 26257 }, pki.pem, { host: 'db.internal', names }))
    const message = /^\[fe80::1\]:26257 is a link-local address without a zone/
    const hint = /names an interface/
    expectVerdict(report, { code: 'TCP_UNREACHABLE', check: 'tcp', message, hint, evidence: { address: 'fe80::1' } })
  })

  // So for libuv a zone that it cannot find is none; a number is no interface's name.
  test.each(['nope', '1', '99'])('link-local with the zone %s, which names no interface', async zone => {
    const report = await run(target({ port: 26257 }, pki.pem, { host: `[fe80::1%25${zone}]` }))
    expectVerdict(report, {
      code: 'TCP_UNREACHABLE',
      check: 'tcp',
      message: new RegExp(`^\\[fe80::1%${zone}\\]:26257 has the zone ${zone}, which names no interface`),
      hint: /names an interface/,
    })
  })
})

test('reset, before the server said anything', async () => {
  await using server = await scriptedServer({ onAccept: 'reset' })
  expectVerdict(await run(target(server, pki.pem)), {
    code: 'TCP_RESET',
    check: 'tcp',
    evidence: { tried: [{ outcome: 'TCP_RESET' }] },
  })
  expect(server.connections).toBeLessThanOrEqual(2)
})

test('any other errno: no file descriptors left', async () => {
  const env = settings({ port: await closedPort(), host: 'db.internal', pem: pki.pem })
  const script = fileURLToPath(new URL('without-descriptors.ts', import.meta.url))
  const child = spawn('sh', ['-c', `ulimit -n 256; exec "$0" --import tsx "$1"`, process.execPath, script], {
    // tsx writes what it compiled while the program runs, and gives those descriptors back, too.
    env: { PATH: process.env.PATH, TSX_DISABLE_CACHE: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const result = await ended(child)
  expect(result).toMatchObject({ code: 0, stderr: '' })
  const report: Report = JSON.parse(result.stdout)
  expectVerdict(report, { code: 'TCP_FAILED', check: 'tcp', message: /fails with EMFILE$/ })
  expect(report.failure?.causes).toMatchObject([{ code: 'EMFILE' }])
})

test('as a process: exit code 1, hint and code at the top', async () => {
  const env = settings({ port: await closedPort(), pem: pki.pem })
  const [text, json] = await Promise.all([cli(['probe'], env), cli(['probe', '--json'], env)])
  expect([text.code, json.code]).toEqual([1, 1])
  const report: Report = JSON.parse(json.stdout)
  expect(report.failure).toMatchObject({ code: 'TCP_REFUSED', layer: 'tcp' })
  expectSaid(text.stdout, 'TCP_REFUSED', report.failure?.hint ?? '')
})

test('every errno that means that there is no way there is TCP_UNREACHABLE', () => {
  // Which of them connect() gives depends on routes, firewalls and kernels
  const all = ['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EACCES', 'EPERM', 'EINVAL']
  expect(new Set(all.map(classifyConnect))).toEqual(new Set(['TCP_UNREACHABLE']))
  expect(['ECONNREFUSED', 'ETIMEDOUT', 'ECONNRESET', 'EMFILE', undefined].map(classifyConnect)).toEqual([
    'TCP_REFUSED',
    'TCP_TIMEOUT',
    'TCP_RESET',
    'TCP_FAILED',
    'TCP_FAILED',
  ])
})

test('the deadline comes where too little is left for a wait: steps that were slow, none of which overran', async () => {
  const deadlineMs = 3_000
  const lookup = () => new Promise<string[]>(resolve => setTimeout(resolve, 0.145 * deadlineMs, ['::1']))
  await using server = await scriptedServer({ onSslRequest: 'silent' })
  // six lookups, one after the other, each within its quarter of the deadline; then silence
  const hosts = Array.from({ length: 6 }, () => `localhost:${server.port}`).join()
  const env = { DATABASE_URL: `postgresql://gateway_writer@${hosts}/uro` }
  const report = await run(target(server, pki.pem, { deadlineMs, env, names: { lookup, servers: null } }))
  expectVerdict(report, { code: 'DEADLINE', check: 'tls', message: /^the deadline passed while/ })
})

test('interrupted: exit code 130 within a second, and still a report', async () => {
  await using server = await scriptedServer({ onSslRequest: 'silent' })
  const { child, result } = startCli(['probe', '--json'], settings({ port: server.port, pem: pki.pem }))
  await server.until(({ sessions }) => sessions.some(({ sslRequested }) => sslRequested))
  child.kill('SIGINT')
  const { code, stdout } = await result
  expect(code).toBe(130)
  expectVerdict(JSON.parse(stdout), { code: 'INTERRUPTED', check: 'tls' })
})
