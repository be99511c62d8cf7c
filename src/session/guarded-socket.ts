/**
 * What postgres.js sees of a session's socket: only whole messages that have a place in the answer to a statement.
 *
 * The driver trusts its server. Left alone with a hostile one it waits for a message of any length, turns in circles
 * for a column without a name's end, rejects promises that nobody holds (a second Authentication), throws from streams
 * that nobody asked for (COPY), prints what it does not know, and writes to a socket that it has let go. So:
 *
 * login     the StartupMessage that it writes is not sent, ours has been; it is told AuthenticationOk and ReadyForQuery
 * answers   messages are cut, limited and looked at here; what does not belong ends the session
 * rows      the driver counts them until CommandComplete, and goes on counting in the next answer where an error came
 *           instead: it is told that they end first
 * notices   N, S and A (notice, parameter, notification) may come at any time, and are for nobody; a notice that the
 *           server goes away is the reason if the connection ends next
 * FATAL     ends the session, even where the server leaves the connection open
 */
import { EventEmitter } from 'node:events'
import type net from 'node:net'
import type tls from 'node:tls'
import { asCause, type Message, MessageReader, serverError } from '../dial/wire.ts'
import { endsSession, isGoingAway } from '../failure/classify-statement.ts'
import { ProbeError } from '../failure/error.ts'

/** One message, and all that may come between two messages of ours, bytes: no question has a larger answer. */
const MESSAGE_LIMIT = 1024 * 1024
const EXCHANGE_LIMIT = 4 * 1024 * 1024

/** AuthenticationOk, ReadyForQuery (idle); and the answer to an empty query: EmptyQueryResponse, ReadyForQuery. */
const LOGIN_ANSWER = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])
const EMPTY_ANSWER = Buffer.from([0x49, 0, 0, 0, 4, 0x5a, 0, 0, 0, 5, 0x49])

/** CommandComplete, for rows that an error has cut off. */
const SELECT_0 = Buffer.from('C\0\0\0\x0dSELECT 0\0')
const END_OF_ROWS: Message = { type: 'C', bytes: SELECT_0, body: SELECT_0.subarray(5) }

/** T row description, D row, C complete, E error, Z ready, 1 parsed, 2 bound, n no data, t parameters, I empty query */
const ANSWERS: ReadonlySet<string> = new Set('TDCEZ12ntI')
const NOTICES: ReadonlySet<string> = new Set('NSA')
/** What may follow a row. */
const ENDS_ROWS: ReadonlySet<string> = new Set('DCE')

export interface GuardedSocket {
  /** as much of a socket as postgres.js's connection.js uses */
  readonly socket: EventEmitter
  /** The driver is ready: from now on it hears the server. */
  start(): void
}

/**
 * Stands between a logged-in, paused socket and the driver.
 * @param lose called when the connection is gone or must go, with the reason: a ProbeError, the error that the server
 *   sent last, or the socket's
 */
export function guardedSocket(channel: net.Socket | tls.TLSSocket, lose: (reason: Error) => void): GuardedSocket {
  const refuse = (why: string, cause?: unknown) =>
    lose(new ProbeError('SESSION_PROTOCOL', `the server's answer is not understood: ${why}`, { cause }))
  /** Gives messages that stand one after another to the driver; false where it stumbled over them. */
  const pass = (messages: readonly Message[]): boolean => {
    const bytes = inOne(messages)
    try {
      if (bytes) socket.emit('data', bytes)
      return true
    } catch (error) {
      refuse(`messages of type ${messages.map(({ type }) => type).join('')}`, error)
      return false
    }
  }
  const answers = checkedAnswers(pass, refuse, lose)
  const socket = driverSocket(channel, answers.statementSent)
  const closed = () => lose(answers.lastError() ?? new Error('the server closed the connection'))
  channel.on('error', error => lose(answers.lastError() ?? error))
  channel.once('end', closed).once('close', closed)
  return {
    socket,
    start() {
      if (channel.destroyed) return closed()
      channel.on('data', answers.take)
      channel.resume()
    },
  }
}

/** What the driver writes to: its first two messages, a StartupMessage and the empty query, are answered here. */
function driverSocket(channel: net.Socket | tls.TLSSocket, statementSent: () => void): EventEmitter {
  const local = [LOGIN_ANSWER, EMPTY_ANSWER]
  const socket = Object.assign(new EventEmitter(), {
    readyState: 'open',
    write(bytes: Buffer): boolean {
      statementSent()
      const answer = local.shift()
      if (answer) setImmediate(() => socket.emit('data', answer))
      else if (channel.writable) channel.write(bytes)
      return true
    },
    pause: () => undefined,
    resume: () => undefined,
    end: () => undefined,
    destroy: () => undefined,
  })
  return socket
}

/**
 * Cuts what the server sends into messages and holds them against what may come.
 * @param pass takes those that may; false where the driver stumbled over them
 * @param refuse takes what is wrong with the first that may not
 * @param lose takes the error by which the server ends the session
 */
function checkedAnswers(
  pass: (messages: readonly Message[]) => boolean,
  refuse: (why: string) => void,
  lose: (reason: Error) => void,
) {
  const reader = new MessageReader(MESSAGE_LIMIT)
  let exchange = 0
  /** an error that no ReadyForQuery has followed yet: if the connection ends now, it is why */
  let said: Error | null = null
  /** an error that ends the session */
  let last: Error | null = null
  /** rows have come, and nothing has ended them */
  let inRows = false
  const hear = (message: Message): void => {
    if (message.type === 'Z') said = null
    if (message.type !== 'E' && message.type !== 'N') return
    const error = serverError(message.body)
    if (!error || (message.type === 'N' && !isGoingAway(error.sqlstate))) return
    said = asCause(error)
    if (message.type === 'E' && endsSession(error.severity)) last ??= said
  }
  return {
    lastError: () => said,
    statementSent: () => {
      exchange = 0
    },
    take(chunk: Buffer): void {
      exchange += chunk.length
      // What stands together goes on together, as it would from the socket.
      let piece: Message[] = []
      for (const message of reader.push(chunk)) {
        const why = objection(message, inRows)
        if (why !== null || NOTICES.has(message.type)) {
          if (!pass(piece)) return
          piece = []
        }
        if (why !== null) {
          refuse(why)
          return
        }
        hear(message)
        if (inRows && message.type === 'E') {
          if (!pass(piece) || !pass([END_OF_ROWS])) return
          piece = []
        }
        inRows = message.type === 'D' || (inRows && NOTICES.has(message.type))
        if (!NOTICES.has(message.type)) piece.push(message)
      }
      if (!pass(piece)) return
      if (last) lose(last)
      else if (reader.error) refuse(reader.error)
      else if (exchange > EXCHANGE_LIMIT) refuse(`more than ${EXCHANGE_LIMIT} bytes for one statement`)
    },
  }
}

/** The bytes of messages that stand one after another in one buffer. */
function inOne(messages: readonly Message[]): Buffer | null {
  const [first, last] = [messages[0]?.bytes, messages.at(-1)?.bytes]
  if (!first || !last) return null
  return first === last
    ? first
    : Buffer.from(first.buffer, first.byteOffset, last.byteOffset + last.length - first.byteOffset)
}

/** What is wrong with a message that comes while a statement is answered, null if nothing is. */
function objection({ type, body }: Message, inRows: boolean): string | null {
  if (inRows && !ENDS_ROWS.has(type) && !NOTICES.has(type)) return `a message of type ${type} in the middle of rows`
  if (type === 'E' && !serverError(body)) return 'an ErrorResponse without a SQLSTATE'
  if (type === 'T' && !isRowDescription(body)) return 'a RowDescription that does not hold what it announces'
  if (!ANSWERS.has(type) && !NOTICES.has(type)) return `a message of type ${type} has no place in an answer`
  return null
}

/** int16 count, then for each column a C string and 18 bytes, and nothing else. */
function isRowDescription(body: Buffer): boolean {
  if (body.length < 2) return false
  let at = 2
  for (let column = body.readUInt16BE(0); column > 0; column--) {
    const end = body.indexOf(0, at)
    if (end < 0) return false
    at = end + 19
  }
  return at === body.length
}
