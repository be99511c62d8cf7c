import { once } from 'node:events'
import net from 'node:net'
import { performance } from 'node:perf_hooks'
import { expect, test } from 'vitest'
import { listen } from './listen.ts'
import { type RelayOptions, relay } from './relay.ts'

/** An echo server, a relay before it, and a client through the relay. */
async function through(options: Omit<RelayOptions, 'target'> = {}) {
  const echo = await listen(socket => void socket.pipe(socket), { allowHalfOpen: true })
  const link = await relay({ target: echo, ...options })
  const client = net.connect({ host: '::1', port: link.port, noDelay: true, allowHalfOpen: true })
  const heard: Buffer[] = []
  const errors: (string | undefined)[] = []
  client.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code))
  client.on('data', chunk => heard.push(chunk))
  await once(client, 'connect')
  return {
    echo,
    link,
    client,
    errors,
    text: () => Buffer.concat(heard).toString(),
    async [Symbol.asyncDispose]() {
      client.destroy()
      await link[Symbol.asyncDispose]()
      await echo[Symbol.asyncDispose]()
    },
  }
}

test('delays each direction by what it says, without one chunk waiting for another', async () => {
  await using pair = await through({ delayMs: { up: 30, down: 15 } })
  const rounds: number[] = []
  for (let round = 0; round < 20; round += 1) {
    const start = performance.now()
    pair.client.write('x')
    await once(pair.client, 'data')
    rounds.push(performance.now() - start)
  }
  rounds.sort((a, b) => a - b)
  // The best of them: the others had to wait for a busy machine, too.
  expect(rounds[0]).toBeGreaterThanOrEqual(45)
  expect(rounds[0]).toBeLessThan(49)

  const start = performance.now()
  for (let n = 0; n < 10; n += 1) {
    pair.client.write(String(n))
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  while (!pair.text().endsWith('0123456789')) await once(pair.client, 'data')
  // One after another the ten would take 450 ms.
  expect(performance.now() - start).toBeLessThan(420)
  expect(pair.link.bytes).toEqual({ up: 30, down: 30 })
})

test('passes on the end of each direction', async () => {
  await using pair = await through({ delayMs: 5 })
  pair.client.end('last')
  await once(pair.client, 'end')
  expect(pair.text()).toBe('last')
  expect([pair.link.connections, pair.link.maxOpen]).toEqual([1, 1])
})

test('holds bytes until it resumes; swallows them for good', async () => {
  await using pair = await through()
  pair.link.hold()
  pair.client.write('held ')
  await expect.poll(() => pair.link.bytes.up).toBe(5)
  expect(pair.link.bytes.down).toBe(0)
  pair.link.resume()
  await once(pair.client, 'data')
  pair.link.swallow()
  pair.client.write('lost ')
  await expect.poll(() => pair.link.bytes.up).toBe(10)
  pair.link.resume()
  pair.client.write('there')
  await once(pair.client, 'data')
  expect(pair.text()).toBe('held there')
})

test('is cut on command and by what passes', async () => {
  await using pair = await through({
    onBytes: ({ direction, total }) => (direction === 'down' && total > 4 ? 'reset' : undefined),
  })
  pair.client.write('four')
  await once(pair.client, 'data')
  pair.client.write('more')
  await once(pair.client, 'close').catch(() => {})
  expect(pair.errors).toEqual(['ECONNRESET'])
  expect(pair.text()).toBe('four')

  const second = net.connect({ host: '::1', port: pair.link.port, noDelay: true })
  second.resume()
  second.write('x')
  await once(second, 'data')
  pair.link.cut('close')
  await once(second, 'close')
  await expect.poll(() => [pair.link.open, pair.echo.open]).toEqual([0, 0])
})

test('a target that refuses resets the client', async () => {
  const gone = await listen(() => {})
  await gone[Symbol.asyncDispose]()
  await using link = await relay({ target: gone })
  const client = net.connect({ host: '::1', port: link.port })
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
  expect(error.code).toBe('ECONNRESET')
})
