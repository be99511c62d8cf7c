/**
 * PostgreSQL's protocol, version 3, as bytes: what a server says (encoders), what a client said (decoder).
 *
 * Every message after the startup:   type (1 byte) · length (4, counts itself, not the type) · body
 * Startup, SSLRequest, CancelRequest: length (4) · code (4) · body: no type byte
 * string = UTF-8 up to a zero byte;  value = length (4, -1 is NULL) · bytes
 *
 * server: R authentication   S parameter status  K backend key   Z ready (I idle, T in transaction, E failed one)
 *         E error  N notice (fields: letter · string, ended by 0; C SQLSTATE, M message, R routine, S/V severity)
 *         T row description  D data row  C command complete  I empty query  n no data  t parameter description
 *         1 parse complete  2 bind complete  3 close complete  v negotiate protocol version
 * client: Q query  P parse  B bind  D describe  E execute  S sync  H flush  C close  p password  X terminate
 *
 * Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

/** A value in text format; null is SQL's NULL. */
export type Value = string | null

/** The fields of an ErrorResponse or NoticeResponse by their letter. */
export type Fields = Readonly<Record<string, string>>

/** A column of a row description. */
export interface Column {
  readonly name: string
  /** the OID; text (25) when absent */
  readonly type?: number
  /** bytes; -1, as when absent: varying */
  readonly size?: number
  /** OID of the table and number of the attribute; 0 when it comes from none */
  readonly table?: number
  readonly attribute?: number
  readonly modifier?: number
}

const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const CANCEL_REQUEST = 80877102
const TEXT = 25

const i16 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(2 * values.length)
  values.forEach((value, index) => {
    bytes.writeUInt16BE(value & 0xffff, 2 * index)
  })
  return bytes
}
const i32 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value >>> 0, 4 * index)
  })
  return bytes
}
const string = (value: string): Buffer => Buffer.from(`${value}\0`)

/** One message of any type from its body. */
export function message(type: string, ...body: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(body)
  return Buffer.concat([Buffer.from(type), i32(bytes.length + 4), bytes])
}

/** Only the header of a message that claims `length` bytes (of body, in bytes): nothing of it need ever follow. */
export const announce = (type: string, length: number): Buffer => Buffer.concat([Buffer.from(type), i32(length + 4)])

// What a server says

export const authenticationOk = (): Buffer => message('R', i32(0))

/** An authentication challenge: 3 cleartext password, 5 MD5, 10 SASL (SCRAM-SHA-256). */
export function challenge(kind: 3 | 5 | 10): Buffer {
  if (kind === 3) return message('R', i32(3))
  if (kind === 5) return message('R', i32(5), Buffer.from('salt'))
  return message('R', i32(10), string('SCRAM-SHA-256'), Buffer.alloc(1))
}

export const parameterStatus = (name: string, value: string): Buffer => message('S', string(name), string(value))
export const backendKeyData = (pid: number, secret: number): Buffer => message('K', i32(pid, secret))

/** The state of the session's transaction: idle, in one, in a failed one. */
export type Status = 'I' | 'T' | 'E'
export const readyForQuery = (status: Status = 'I'): Buffer => message('Z', Buffer.from(status))

const fieldList = (fields: Fields): Buffer =>
  Buffer.concat([...Object.entries(fields).map(([letter, text]) => string(letter + text)), Buffer.alloc(1)])
export const errorResponse = (fields: Fields): Buffer => message('E', fieldList(fields))
export const noticeResponse = (fields: Fields): Buffer => message('N', fieldList(fields))

export const rowDescription = (columns: readonly (Column | string)[]): Buffer =>
  message(
    'T',
    i16(columns.length),
    ...columns.map(column => {
      const {
        name,
        type = TEXT,
        size = -1,
        table = 0,
        attribute = 0,
        modifier = -1,
      } = typeof column === 'string' ? { name: column } : column
      // the last one is the format, 0 = text
      return Buffer.concat([string(name), i32(table), i16(attribute), i32(type), i16(size), i32(modifier), i16(0)])
    }),
  )

export const dataRow = (values: readonly Value[]): Buffer =>
  message(
    'D',
    i16(values.length),
    ...values.map(value => {
      if (value === null) return i32(-1)
      const bytes = Buffer.from(value)
      return Buffer.concat([i32(bytes.length), bytes])
    }),
  )

export const commandComplete = (tag: string): Buffer => message('C', string(tag))
export const emptyQueryResponse = (): Buffer => message('I')
export const parseComplete = (): Buffer => message('1')
export const bindComplete = (): Buffer => message('2')
export const closeComplete = (): Buffer => message('3')
export const noData = (): Buffer => message('n')
export const parameterDescription = (types: readonly number[]): Buffer => message('t', i16(types.length), i32(...types))
/** The server knows minor version `minor` at most, and not these options. */
export const negotiateProtocolVersion = (minor: number, unknown: readonly string[] = []): Buffer =>
  message('v', i32((3 << 16) | minor, unknown.length), ...unknown.map(string))

// What a client says, as far as tests and the proxy say it themselves

export const sslRequest = (): Buffer => i32(8, SSL_REQUEST)
export const query = (sql: string): Buffer => message('Q', string(sql))
export const parse = (name: string, sql: string, types: readonly number[]): Buffer =>
  message('P', string(name), string(sql), i16(types.length), i32(...types))
export const sync = (): Buffer => message('S')
export const terminate = (): Buffer => message('X')
export function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const body = Buffer.concat([
    ...Object.entries(parameters).flatMap(([name, value]) => [string(name), string(value)]),
    Buffer.alloc(1),
  ])
  return Buffer.concat([i32(body.length + 8, 3 << 16), body])
}

// Reading

/** Walks over a body: numbers, strings, values. Reading past the end throws a RangeError: the peer is not to be understood. */
function cursor(bytes: Buffer) {
  let at = 0
  const take = (length: number): Buffer => {
    if (length < 0 || at + length > bytes.length) throw new RangeError('message shorter than it says')
    at += length
    return bytes.subarray(at - length, at)
  }
  return {
    byte: () => take(1).toString('latin1'),
    i16: () => take(2).readUInt16BE(),
    i32: () => take(4).readInt32BE(),
    string: () => {
      const end = bytes.indexOf(0, at)
      if (end < 0) throw new RangeError('string without an end')
      const text = take(end - at).toString()
      at = end + 1
      return text
    },
    value: (): Value => {
      const length = take(4).readInt32BE()
      return length < 0 ? null : take(length).toString()
    },
    times: <T>(count: number, read: () => T): T[] => Array.from({ length: count }, read),
  }
}

/** One message of a client; `bytes` is all of it, as it came. */
export type ClientMessage = { readonly bytes: Buffer } & (
  | { readonly kind: 'SSLRequest' | 'GSSENCRequest' | 'CancelRequest' }
  | {
      readonly kind: 'StartupMessage'
      readonly protocol: number
      readonly parameters: Readonly<Record<string, string>>
    }
  | { readonly kind: 'Query'; readonly sql: string }
  | { readonly kind: 'Parse'; readonly name: string; readonly sql: string; readonly types: readonly number[] }
  | { readonly kind: 'Bind'; readonly portal: string; readonly name: string; readonly params: readonly Value[] }
  | { readonly kind: 'Describe' | 'Close'; readonly what: string; readonly name: string }
  | { readonly kind: 'Execute'; readonly portal: string; readonly limit: number }
  | { readonly kind: 'Sync' | 'Flush' | 'Terminate' | 'Password' }
  | { readonly kind: 'Unknown'; readonly type: string }
)

function untyped(bytes: Buffer): ClientMessage {
  const read = cursor(bytes.subarray(4))
  const code = read.i32()
  if (code === SSL_REQUEST) return { kind: 'SSLRequest', bytes }
  if (code === GSS_REQUEST) return { kind: 'GSSENCRequest', bytes }
  if (code === CANCEL_REQUEST) return { kind: 'CancelRequest', bytes }
  const parameters: Record<string, string> = {}
  for (let name = read.string(); name !== ''; name = read.string()) parameters[name] = read.string()
  return { kind: 'StartupMessage', protocol: code, parameters, bytes }
}

function typed(bytes: Buffer): ClientMessage {
  const type = bytes.toString('latin1', 0, 1)
  const read = cursor(bytes.subarray(5))
  switch (type) {
    case 'Q':
      return { kind: 'Query', sql: read.string(), bytes }
    case 'P':
      return { kind: 'Parse', name: read.string(), sql: read.string(), types: read.times(read.i16(), read.i32), bytes }
    case 'B': {
      const portal = read.string()
      const name = read.string()
      read.times(read.i16(), read.i16) // formats: text is assumed
      return { kind: 'Bind', portal, name, params: read.times(read.i16(), read.value), bytes }
    }
    case 'D':
      return { kind: 'Describe', what: read.byte(), name: read.string(), bytes }
    case 'C':
      return { kind: 'Close', what: read.byte(), name: read.string(), bytes }
    case 'E':
      return { kind: 'Execute', portal: read.string(), limit: read.i32(), bytes }
    case 'S':
      return { kind: 'Sync', bytes }
    case 'H':
      return { kind: 'Flush', bytes }
    case 'X':
      return { kind: 'Terminate', bytes }
    case 'p':
      return { kind: 'Password', bytes }
    default:
      return { kind: 'Unknown', type, bytes }
  }
}

/**
 * Reads a client's stream: give it the chunks as they come, it returns the messages that are whole by then.
 * It starts with messages without a type and changes over after the StartupMessage.
 */
export function clientDecoder(): (chunk: Buffer) => ClientMessage[] {
  let rest: Buffer = Buffer.alloc(0)
  let started = false
  return chunk => {
    rest = Buffer.concat([rest, chunk])
    const messages: ClientMessage[] = []
    for (;;) {
      const header = started ? 1 : 0
      if (rest.length < header + 4) return messages
      const end = header + rest.readUInt32BE(header)
      if (rest.length < end) return messages
      const bytes = rest.subarray(0, end)
      rest = rest.subarray(end)
      const next = started ? typed(bytes) : untyped(bytes)
      if (next.kind === 'StartupMessage') started = true
      messages.push(next)
    }
  }
}

/** One message of a server: its type letter and all of its bytes. `readFields` and `readRow` look inside. */
export interface ServerMessage {
  readonly type: string
  readonly bytes: Buffer
}

/** Reads a server's stream after its answer to SSLRequest, as `clientDecoder` reads a client's. */
export function serverDecoder(): (chunk: Buffer) => ServerMessage[] {
  let rest: Buffer = Buffer.alloc(0)
  return chunk => {
    rest = Buffer.concat([rest, chunk])
    const messages: ServerMessage[] = []
    while (rest.length >= 5 && rest.length >= 1 + rest.readUInt32BE(1)) {
      const end = 1 + rest.readUInt32BE(1)
      messages.push({ type: rest.toString('latin1', 0, 1), bytes: rest.subarray(0, end) })
      rest = rest.subarray(end)
    }
    return messages
  }
}

/** The fields of an ErrorResponse or NoticeResponse. */
export function readFields(bytes: Buffer): Fields {
  const read = cursor(bytes.subarray(5))
  const fields: Record<string, string> = {}
  for (let field = read.string(); field !== ''; field = read.string()) fields[field.slice(0, 1)] = field.slice(1)
  return fields
}

/** The values of a DataRow. */
export function readRow(bytes: Buffer): Value[] {
  const read = cursor(bytes.subarray(5))
  return read.times(read.i16(), read.value)
}

/** The columns of a RowDescription. */
export function readColumns(bytes: Buffer): Required<Column>[] {
  const read = cursor(bytes.subarray(5))
  return read.times(read.i16(), () => {
    const name = read.string()
    const [table, attribute, type] = [read.i32(), read.i16(), read.i32()]
    const [size, modifier] = [(read.i16() << 16) >> 16, read.i32()]
    read.i16() // format
    return { name, type, size, table, attribute, modifier }
  })
}

/** The text after the header of a message that is one string: CommandComplete's tag. */
export const readText = (bytes: Buffer): string => cursor(bytes.subarray(5)).string()
