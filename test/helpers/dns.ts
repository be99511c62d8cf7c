/**
 * A DNS resolver of the test's own, UDP and TCP on one port.
 *
 * NXDOMAIN   no such name (response code 3)
 * no data    the name exists, this type of record does not: NOERROR with an empty answer
 * A name exists when it has a record of any type, or another name below it has.
 */
import dgram from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import type net from 'node:net'
import dnsPacket, { type Answer, type DecodedPacket } from 'dns-packet'
import { listen } from './listen.ts'

/** The records of one name: addresses, and texts of one string each. An empty list is "no data". */
export interface NameRecords {
  readonly AAAA?: readonly string[]
  readonly A?: readonly string[]
  readonly TXT?: readonly string[]
}
export type Records = Readonly<Record<string, NameRecords>>

export interface Question {
  readonly name: string
  readonly type: string
  /** address and port of who asked */
  readonly client: string
  readonly over: 'udp' | 'tcp'
}

/** What happens to a question: an answer from the table, an error, nothing, or the answer after so many ms. */
export type DnsBehaviour = 'answer' | 'silent' | 'servfail' | 'refused' | { readonly lateMs: number }

export interface DnsOptions {
  /** the table, or what it is at the nth question (from 0) of this name and type */
  readonly records: Records | ((question: Question, nth: number) => Records)
  /** for every question, or decided for each, where `nth` counts as above */
  readonly behaviour?: DnsBehaviour | ((question: Question, nth: number) => DnsBehaviour)
  /** the address to listen on, `::1` when absent; a port is for the lab only, 0 takes a free one */
  readonly host?: string
  readonly port?: number
  /** seconds; Fly's are 5 */
  readonly ttl?: number
}

export interface DnsServer extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** what `dns.Resolver.setServers` takes */
  readonly server: string
  /** every question so far */
  readonly questions: readonly Question[]
  /** Resolves as soon as `holds` does; it is asked again at every question. */
  until(holds: (questions: readonly Question[]) => boolean): Promise<void>
}

const RCODE = { ok: 0, servfail: 2, nxdomain: 3, refused: 5 } as const
const AUTHORITATIVE_AND_RECURSIVE = dnsPacket.AUTHORITATIVE_ANSWER | dnsPacket.RECURSION_AVAILABLE

/** The answers to a question, and the response code. */
function lookUp(records: Records, name: string, type: string, ttl: number): { answers: Answer[]; rcode: number } {
  const wanted = name.toLowerCase()
  const names = Object.keys(records).map(known => known.toLowerCase())
  if (!names.some(known => known === wanted || known.endsWith(`.${wanted}`)))
    return { answers: [], rcode: RCODE.nxdomain }
  const own = Object.entries(records).find(([known]) => known.toLowerCase() === wanted)?.[1]
  const values = own?.[type as keyof NameRecords] ?? []
  const answers = values.map(data => ({ name, type, ttl, class: 'IN', data }) as Answer)
  return { answers, rcode: RCODE.ok }
}

/** Binds UDP and TCP to the same port; with port 0 to one that is free for both. */
async function bind(host: string, port: number, serve: (socket: net.Socket) => void) {
  for (let attempt = 1; ; attempt += 1) {
    const udp = dgram.createSocket({ type: 'udp6', ipv6Only: true })
    udp.bind(port, host)
    await once(udp, 'listening')
    try {
      return { udp, tcp: await listen(serve, { host, port: udp.address().port }) }
    } catch (error) {
      udp.close()
      if (port !== 0 || attempt === 20) throw error
    }
  }
}

/** Starts a resolver. Disposing closes its sockets and forgets the answers that are still to come. */
export async function dnsServer(options: DnsOptions): Promise<DnsServer> {
  const { host = '::1', port = 0, ttl = 5, behaviour = 'answer' } = options
  const questions: Question[] = []
  const events = new EventEmitter().setMaxListeners(0)
  const late = new Set<NodeJS.Timeout>()

  function answer(query: DecodedPacket, client: string, over: 'udp' | 'tcp', send: (reply: Buffer) => void): void {
    const [asked] = query.questions ?? []
    if (asked === undefined) return
    const question: Question = { name: asked.name, type: asked.type, client, over }
    const nth = questions.filter(({ name, type }) => name === question.name && type === question.type).length
    questions.push(question)
    events.emit('question')
    const does = typeof behaviour === 'function' ? behaviour(question, nth) : behaviour
    if (does === 'silent') return
    const records = typeof options.records === 'function' ? options.records(question, nth) : options.records
    const { answers, rcode } =
      does === 'servfail' || does === 'refused'
        ? { answers: [], rcode: RCODE[does] }
        : lookUp(records, asked.name, asked.type, ttl)
    const flags = AUTHORITATIVE_AND_RECURSIVE | ((query.flags ?? 0) & dnsPacket.RECURSION_DESIRED) | rcode
    const reply = dnsPacket.encode({ type: 'response', id: query.id ?? 0, flags, questions: [asked], answers })
    if (typeof does !== 'object') send(reply)
    else {
      const timer = setTimeout(() => {
        late.delete(timer)
        send(reply)
      }, does.lateMs)
      late.add(timer)
    }
  }

  const serve = (socket: net.Socket): void => {
    let rest: Buffer = Buffer.alloc(0)
    socket.on('data', chunk => {
      rest = Buffer.concat([rest, chunk])
      // over TCP each message has its length (2 bytes) in front: RFC 1035, 4.2.2
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
        const end = 2 + rest.readUInt16BE(0)
        const query = decoded(rest.subarray(2, end))
        rest = rest.subarray(end)
        if (query === undefined) return void socket.destroy()
        answer(query, `[${socket.remoteAddress}]:${socket.remotePort}`, 'tcp', reply => {
          const length = Buffer.alloc(2)
          length.writeUInt16BE(reply.length)
          if (!socket.destroyed) socket.write(Buffer.concat([length, reply]))
        })
      }
    })
  }

  const { udp, tcp } = await bind(host, port, serve)
  udp.on('error', () => {})
  udp.on('message', (bytes, from) => {
    const query = decoded(bytes)
    if (query === undefined) return
    answer(query, `[${from.address}]:${from.port}`, 'udp', reply => udp.send(reply, from.port, from.address))
  })

  return {
    host,
    port: tcp.port,
    server: `[${host}]:${tcp.port}`,
    questions,
    async until(holds) {
      while (!holds(questions)) await once(events, 'question')
    },
    async [Symbol.asyncDispose]() {
      for (const timer of late) clearTimeout(timer)
      const closed = once(udp, 'close')
      udp.close()
      await Promise.all([closed, tcp[Symbol.asyncDispose]()])
    },
  }
}

/** A packet, or undefined when the bytes are none. */
function decoded(bytes: Buffer): DecodedPacket | undefined {
  try {
    return dnsPacket.decode(bytes)
  } catch {
    return undefined
  }
}
