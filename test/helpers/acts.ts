/**
 * What a misbehaving peer can do at any moment of a connection, as data.
 *
 * moment   a step at which a script may act: accept, SSLRequest, ClientHello, client certificate, startup, …
 * act      what it does there; bytes that it sends take the place of the server's own answer
 * go on    what a well-behaved server would do
 */
import { once } from 'node:events'
import type net from 'node:net'
import type { Duplex } from 'node:stream'

/** How a conversation continues after an act. `silent` keeps the connection and never says another word. */
export type Next = 'go on' | 'close' | 'reset' | 'silent'

export type Act =
  | Next
  /** `everyMs`: one byte at a time, so many milliseconds apart. `next` is 'go on' when absent. */
  | { readonly send: Buffer | readonly Buffer[]; readonly everyMs?: number; readonly next?: Next }
  /** these bytes again and again until the client goes */
  | { readonly flood: Buffer }

/** An act inside the TLS handshake may also be an alert by its number (RFC 8446, 6.2). `next` is 'close' when absent. */
export type HandshakeAct = Act | { readonly alert: number; readonly next?: Next }

/** An act, or a function that decides on it: it may wait for a promise first; undefined is 'go on'. */
export type Moment<What, Does = Act> = Does | ((what: What) => Does | undefined | Promise<Does | undefined>)

/** What the script does at this moment. */
export async function decide<What, Does>(moment: Moment<What, Does> | undefined, what: What): Promise<Does | 'go on'> {
  if (moment === undefined) return 'go on'
  if (typeof moment !== 'function') return moment
  return (await (moment as (what: What) => Does | undefined | Promise<Does | undefined>)(what)) ?? 'go on'
}

/** The two ends of a connection that acts need: the stream that carries the conversation, and the TCP socket below. */
export interface Ends {
  readonly stream: Duplex
  readonly socket: net.Socket
}

/** Writes and waits for room; resolves at once when the stream is gone. */
export async function write(stream: Duplex, bytes: Buffer): Promise<void> {
  if (stream.destroyed || stream.writableEnded || stream.write(bytes)) return
  // What has not happened by then is no longer listened for: a flood writes thousands of times.
  const over = new AbortController()
  const { signal } = over
  await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]).catch(() => {})
  over.abort()
}

/** Waits so long, or until the stream closes; true while it is open. */
function pause(stream: Duplex, ms: number): Promise<boolean> {
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      stream.off('close', done)
      resolve(!stream.destroyed)
    }
    const timer = setTimeout(done, ms)
    stream.once('close', done)
  })
}

/** Ends a conversation in the given way; true when it goes on. */
export function conclude(next: Next, { stream, socket }: Ends): boolean {
  if (next === 'go on') return true
  if (next === 'reset') socket.resetAndDestroy()
  else if (next === 'close') {
    stream.end(() => socket.destroySoon())
    stream.resume()
  } else stream.resume() // what the client says is read and forgotten, so that its going is noticed
  return false
}

/**
 * Does what the act says. Returns what is left to do: nothing (false), the server's own answer ('answer'),
 * or to go on without it because the act has answered already ('answered').
 */
export async function perform(act: Act, ends: Ends): Promise<false | 'answer' | 'answered'> {
  const { stream } = ends
  if (typeof act === 'string') return conclude(act, ends) ? 'answer' : false
  if ('flood' in act) {
    stream.resume()
    const block = Buffer.concat(Array.from({ length: Math.ceil(65_536 / act.flood.length) }, () => act.flood))
    while (!stream.destroyed && !stream.writableEnded) {
      await write(stream, block)
      await pause(stream, 0)
    }
    return false
  }
  const bytes = Buffer.isBuffer(act.send) ? act.send : Buffer.concat(act.send)
  // What a reset follows must have left, and must have come: a reset overtakes it.
  if (act.next === 'reset') await new Promise<void>(sent => stream.write(bytes, () => setTimeout(sent, 5)))
  else if (act.everyMs === undefined) await write(stream, bytes)
  else {
    for (const byte of bytes) {
      await write(stream, Buffer.of(byte))
      if (!(await pause(stream, act.everyMs))) return false
    }
  }
  return conclude(act.next ?? 'go on', ends) ? 'answered' : false
}

/** Reads chunks of a stream one after the other; `release` stops reading and gives back what was not used. */
export interface Reader {
  /** the next chunk; null when the peer has ended or gone */
  next(): Promise<Buffer | null>
  release(unread?: Buffer): void
}

export function reader(stream: Duplex): Reader {
  const chunks: Buffer[] = []
  let ended = false
  let wake: (() => void) | undefined
  const take = (chunk: Buffer): void => {
    chunks.push(chunk)
    wake?.()
  }
  const end = (): void => {
    ended = true
    wake?.()
  }
  stream.on('data', take).on('end', end).on('close', end)
  return {
    async next() {
      while (chunks.length === 0 && !ended) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      return chunks.shift() ?? null
    },
    release(unread) {
      stream.pause()
      stream.off('data', take).off('end', end).off('close', end)
      const rest = Buffer.concat([...(unread === undefined ? [] : [unread]), ...chunks])
      if (rest.length > 0 && !stream.destroyed) stream.unshift(rest)
    },
  }
}
