/**
 * The lab's resolver, a process on the router: what to serve comes as JSON on stdin, one line each; on stdout `ready`
 * after each, and every question. It ends with its stdin.
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type DnsServer, dnsServer } from '../helpers/dns.ts'
import { RESOLVER } from './network.ts'
import type { Heard, Serving } from './resolver.ts'

const say = (heard: Heard) => void process.stdout.write(`${JSON.stringify(heard)}\n`)
process.stdout.on('error', () => process.exit(0)) // whoever listened is gone

let server: DnsServer | null = null
const lines = createInterface({ input: process.stdin })
lines.on('line', async line => {
  lines.pause()
  await server?.[Symbol.asyncDispose]()
  server = null
  const { tables, behaviour } = JSON.parse(line) as Serving
  if (behaviour !== 'dead')
    server = await dnsServer({
      host: RESOLVER,
      port: 53,
      records: (_, nth) => tables[Math.min(nth, tables.length - 1)] ?? {},
      behaviour: question => {
        say({ question })
        return behaviour
      },
    })
  say({ ready: true })
  lines.resume()
})
await once(lines, 'close')
process.exit(0)
