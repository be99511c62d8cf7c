import { Resolver } from 'node:dns/promises'
import net from 'node:net'
import dnsPacket from 'dns-packet'
import { describe, expect, test } from 'vitest'
import { type DnsOptions, type DnsServer, dnsServer } from './dns.ts'

const records = {
  'db.internal': { AAAA: ['fdaa::1', 'fdaa::2'] },
  'vms.db.internal': { TXT: ['1 ord,2 ord'] },
  'old.internal': { A: ['192.0.2.1'] },
}
function resolver(dns: DnsServer, timeout = 1000) {
  const asks = new Resolver({ timeout, tries: 1 })
  asks.setServers([dns.server])
  return asks
}
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fine',
    (error: { code: string }) => error.code,
  )

test('answers from the table, and tells no such name from no data', async () => {
  await using dns = await dnsServer({ records })
  const asks = resolver(dns)
  expect(await asks.resolve6('DB.internal')).toEqual(['fdaa::1', 'fdaa::2'])
  expect(await asks.resolveTxt('vms.db.internal')).toEqual([['1 ord,2 ord']])
  expect(await codeOf(asks.resolve6('nope.internal'))).toBe('ENOTFOUND')
  expect(await codeOf(asks.resolve6('old.internal'))).toBe('ENODATA')
  expect(await codeOf(asks.resolve6('internal'))).toBe('ENODATA')
  expect(dns.questions.map(({ name, type, over }) => [name.toLowerCase(), type, over])).toEqual([
    ['db.internal', 'AAAA', 'udp'],
    ['vms.db.internal', 'TXT', 'udp'],
    ['nope.internal', 'AAAA', 'udp'],
    ['old.internal', 'AAAA', 'udp'],
    ['internal', 'AAAA', 'udp'],
  ])
  expect(dns.questions[0]?.client).toMatch(/^\[::1\]:\d+$/)
})

describe('misbehaves', () => {
  const table: [DnsOptions['behaviour'], string][] = [
    ['silent', 'ETIMEOUT'],
    ['servfail', 'ESERVFAIL'],
    ['refused', 'EREFUSED'],
    [{ lateMs: 60_000 }, 'ETIMEOUT'],
    [{ lateMs: 20 }, 'fine'],
  ]
  test.each(table)('%j: %s', async (behaviour, code) => {
    await using dns = await dnsServer({ records, ...(behaviour === undefined ? {} : { behaviour }) })
    expect(await codeOf(resolver(dns, 300).resolve6('db.internal'))).toBe(code)
    await dns.until(questions => questions.length > 0)
  })
})

test('answers can change between two questions', async () => {
  await using dns = await dnsServer({
    records: (_question, nth) => ({ 'db.internal': { AAAA: [`fdaa::${nth + 1}`] } }),
  })
  const asks = resolver(dns)
  expect(await asks.resolve6('db.internal')).toEqual(['fdaa::1'])
  expect(await asks.resolve6('db.internal')).toEqual(['fdaa::2'])
})

test('answers over TCP too', async () => {
  await using dns = await dnsServer({ records })
  const socket = net.connect({ host: '::1', port: dns.port })
  socket.write(dnsPacket.streamEncode({ type: 'query', id: 7, questions: [{ type: 'AAAA', name: 'db.internal' }] }))
  for await (const chunk of socket) {
    const reply = dnsPacket.streamDecode(chunk as Buffer)
    expect([reply.id, reply.answers?.length]).toEqual([7, 2])
    break
  }
})
