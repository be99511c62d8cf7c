/**
 * The SSLRequest exchange (PostgreSQL protocol, "SSL Session Encryption").
 *
 * SSLRequest   8 bytes: int32 length 8, int32 80877103
 * 'S'          one byte: TLS may begin; anything after it and before our ClientHello is not from an honest server
 * 'N'          one byte: no TLS here; what follows is the next thing that the server says
 * 'E'          an ErrorResponse in plaintext (CockroachDB while draining)
 */
import type net from 'node:net'
import { type Budget, within } from '../budget.ts'
import { classifyStartup } from '../failure/classify.ts'
import { ProbeError } from '../failure/error.ts'
import { asCause, MessageReader, serverError, unversionedError } from './wire.ts'

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/** TCP stands, and not even the smallest packet is answered: nothing that a path-MTU hole could do. */
const SILENT =
  'the server accepts connections and says nothing: a node not initialised (cockroach init), a server that hangs (fly logs -a {app}), or packets lost on the way'

/** An ErrorResponse before TLS: a real server, so the SQLSTATE decides. */
function refusedBeforeTls(body: Buffer): ProbeError {
  const error = serverError(body)
  if (!error) return notPostgres(body)
  const { sqlstate, routine } = error
  // What an old server says to a request it does not know: it has no TLS.
  const code = sqlstate === '0A000' || sqlstate === '08P01' ? 'TLS_NOT_OFFERED' : classifyStartup(error, true)
  return new ProbeError(code, `the server answers the SSLRequest with an error: ${error.message}`, {
    cause: asCause(error),
    origin: { kind: 'server', sqlstate, routine },
    evidence: { answer: 'E', sqlstate, routine },
  })
}

const notPostgres = (bytes: Buffer): ProbeError =>
  new ProbeError('TLS_NOT_POSTGRES', 'what answers the SSLRequest is not a PostgreSQL or CockroachDB server', {
    evidence: { answer: bytes.subarray(0, 32).toString('latin1'), hex: bytes.subarray(0, 32).toString('hex') },
  })

/** `N`, and what may have come in the same segment: a message or its beginning; anything else is another protocol. */
function notOffered(chunk: Buffer): ProbeError {
  const reader = new MessageReader()
  const [message] = reader.push(chunk.subarray(1))
  if (!message && reader.error) return notPostgres(chunk)
  const error = message?.type === 'E' ? serverError(message.body) : null
  const followedBy = error && { sqlstate: error.sqlstate, message: error.message }
  return new ProbeError('TLS_NOT_OFFERED', 'the server does not offer TLS', {
    ...(error && { cause: asCause(error) }),
    evidence: { answer: 'N', ...(followedBy && { followedBy }) },
  })
}

/** What a server says that has no process left for us; null if it is not that. */
export function notForked(bytes: Buffer): ProbeError | null {
  const text = unversionedError(bytes)
  return text === null ? null : new ProbeError('SERVER_UNAVAILABLE', `the server cannot take the connection: ${text}`)
}

/**
 * Asks for TLS on a connected socket and returns when the server agreed; the socket is paused then.
 * Rejects with TLS_NOT_OFFERED, TLS_NOT_POSTGRES, TLS_TIMEOUT, TLS_CLOSED, TCP_RESET (a reset before the server's
 * first byte: whether connect() or the first read sees it is a matter of microseconds, so it has one name), or the
 * code of the error that the server sent.
 */
export function requestTls(socket: net.Socket, budget: Budget): Promise<void> {
  const wait = { code: 'TLS_TIMEOUT', what: 'the server did not answer the SSLRequest', hint: SILENT } as const
  return within(
    budget,
    wait,
    signal =>
      new Promise((resolve, reject) => {
        const reader = new MessageReader()
        let refusing = false
        const settle = (error?: ProbeError) => {
          socket.off('data', data).off('end', ended).off('close', ended).off('error', failed)
          signal.removeEventListener('abort', aborted)
          socket.pause()
          if (error) reject(error)
          else resolve()
        }
        const data = (chunk: Buffer) => {
          if (!refusing && chunk[0] === 0x53 && chunk.length === 1) return settle()
          if (!refusing && chunk[0] === 0x4e) return settle(notOffered(chunk))
          if (!refusing && chunk[0] !== 0x45) return settle(notPostgres(chunk))
          refusing = true
          const [message] = reader.push(chunk)
          if (reader.error) settle(notForked(chunk) ?? notPostgres(chunk))
          else if (message) settle(refusedBeforeTls(message.body))
        }
        const ended = () =>
          settle(new ProbeError('TLS_CLOSED', 'the server closed the connection instead of answering the SSLRequest'))
        const failed = (error: NodeJS.ErrnoException) =>
          settle(
            new ProbeError(
              error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'TCP_RESET' : 'TLS_CLOSED',
              'the connection was reset before the server said anything',
              { cause: error, origin: { kind: 'system', errno: error.code ?? '' } },
            ),
          )
        const aborted = () => socket.destroy()
        signal.addEventListener('abort', aborted, { once: true })
        socket.on('data', data).on('end', ended).on('close', ended).on('error', failed)
        socket.write(SSL_REQUEST)
      }),
  )
}
