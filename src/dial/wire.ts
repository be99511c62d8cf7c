/**
 * PostgreSQL's protocol, version 3.0, as far as a connection's beginning and its guard need it
 * (PostgreSQL manual, "Message Formats").
 *
 * message          byte type, int32 length (itself included, the type not), body
 * StartupMessage   no type: int32 length, int32 196608, then pairs of C strings, then a zero byte
 * R  Authentication…: int32, 0 is AuthenticationOk, anything else asks for something
 * S  ParameterStatus: name, value        K  BackendKeyData: int32 process, secret key
 * Z  ReadyForQuery: transaction status   v  NegotiateProtocolVersion
 * E  ErrorResponse and N  NoticeResponse: byte field, C string, …, zero byte
 */
import type { ServerError } from '../failure/classify.ts'

export interface Message {
  /** the type byte as a character */
  readonly type: string
  readonly body: Buffer
  /** all of it, as it came */
  readonly bytes: Buffer
}

/**
 * Cuts a byte stream into messages. It never holds more than one message beyond the limit: what announces more, or
 * less than its own length field, sets `error` and ends the reading.
 */
export class MessageReader {
  #held: Buffer = Buffer.alloc(0)
  readonly #limit: number
  /** why the bytes cannot be understood, once that is so */
  error: string | null = null

  constructor(limit = 64 * 1024) {
    this.#limit = limit
  }

  /** What follows the messages taken so far. */
  get rest(): Buffer {
    return this.#held
  }

  /** Takes the next bytes and gives the messages that they complete, one at a time: who stops leaves the others held. */
  *push(chunk: Buffer): Generator<Message, void, undefined> {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    while (!this.error && this.#held.length > 0) {
      const type = this.#held[0] ?? 0
      if (!isMessageType(type)) this.error = `byte 0x${type.toString(16).padStart(2, '0')} is no message type`
      if (this.error || this.#held.length < 5) break
      const length = this.#held.readUInt32BE(1)
      if (length < 4 || length > this.#limit)
        this.error = `a message of type ${String.fromCharCode(type)} announces ${length} bytes`
      if (this.error || this.#held.length < length + 1) break
      const bytes = this.#held.subarray(0, length + 1)
      this.#held = this.#held.subarray(length + 1)
      yield {
        type: String.fromCharCode(type),
        bytes,
        get body() {
          return bytes.subarray(5)
        },
      }
    }
  }
}

const isMessageType = (byte: number): boolean =>
  (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x31 && byte <= 0x33)

/** The C strings of a body, as far as they are complete. */
export function cStrings(body: Buffer): string[] {
  const strings: string[] = []
  for (let at = 0; at < body.length; ) {
    const end = body.indexOf(0, at)
    if (end < 0) break
    strings.push(body.toString('utf8', at, end))
    at = end + 1
  }
  return strings
}

/** The fields of an ErrorResponse or NoticeResponse body; null if it has no SQLSTATE, which every server sends. */
export function serverError(body: Buffer): ServerError | null {
  const fields = new Map(cStrings(body).map(text => [text[0] ?? '', text.slice(1)]))
  const sqlstate = fields.get('C')
  if (!sqlstate || !/^[0-9A-Z]{5}$/.test(sqlstate)) return null
  return {
    severity: fields.get('V') ?? fields.get('S') ?? '',
    sqlstate,
    // A server may say as much as it likes; this much of it is quoted.
    message: (fields.get('M') ?? '').slice(0, 1000),
    routine: fields.get('R') ?? null,
    file: fields.get('F') ?? null,
    hint: fields.get('H') ?? null,
  }
}

/**
 * The text of an error as protocol 2 had it, in which a PostgreSQL that cannot start a process for the connection says
 * so (postmaster.c, report_fork_failure_to_client): `E`, the text, a zero byte. Null for anything else.
 */
export function unversionedError(bytes: Buffer): string | null {
  const text = bytes.toString('utf8', 1, bytes.length - 1).trim()
  const whole = bytes[0] === 0x45 && bytes.length < 1000 && bytes.indexOf(0) === bytes.length - 1
  return whole && /^[^\p{Cc}]{4,}$/u.test(text) ? text : null
}

/** A server's error as the `cause` of a ProbeError, with the properties that the driver's own errors have. */
export const asCause = ({ message, sqlstate: code, routine, severity }: ServerError): Error =>
  Object.assign(new Error(message), { name: 'ErrorResponse', code, routine, severity })

/** A StartupMessage with these parameters, in this order. */
export function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const body = Buffer.from(
    `${Object.entries(parameters)
      .map(([key, value]) => `${key}\0${value}\0`)
      .join('')}\0`,
  )
  const head = Buffer.alloc(8)
  head.writeInt32BE(body.length + 8, 0)
  head.writeInt32BE(196608, 4)
  return Buffer.concat([head, body])
}

/** Terminate: the polite end of a session. */
export const TERMINATE = Buffer.from([0x58, 0, 0, 0, 4])

const AUTHENTICATION: Readonly<Record<number, string>> = {
  0: 'AuthenticationOk',
  2: 'AuthenticationKerberosV5',
  3: 'AuthenticationCleartextPassword',
  5: 'AuthenticationMD5Password',
  7: 'AuthenticationGSS',
  9: 'AuthenticationSSPI',
  10: 'AuthenticationSASL',
}

/** The protocol manual's name of an authentication request. */
export const authenticationName = (code: number): string => AUTHENTICATION[code] ?? `Authentication ${code}`
