/**
 * The startup phase, up to ReadyForQuery: written and read by ourselves, so that what the server said is evidence and
 * a refusal has a cause. postgres.js takes over after it (postgres.ts).
 */
import { randomBytes } from 'node:crypto'
import type net from 'node:net'
import type tls from 'node:tls'
import { type Budget, within } from '../budget.ts'
import { tlsFailure } from '../dial/handshake.ts'
import { notForked } from '../dial/ssl-request.ts'
import {
  asCause,
  authenticationName,
  cStrings,
  type Message,
  MessageReader,
  serverError,
  startupMessage,
} from '../dial/wire.ts'
import { classifyStartup, type ServerError, startupHint } from '../failure/classify.ts'
import { type Evidence, ProbeError } from '../failure/error.ts'

/** More than this before ReadyForQuery, bytes, is no server's honest startup (a real one sends under 1 KiB). */
const STARTUP_LIMIT = 64 * 1024

export interface Startup {
  /** the server's first byte came: on TLS, it had accepted the handshake */
  readonly answered: boolean
  /** what it asked for before AuthenticationOk; null if nothing */
  readonly challenge: string | null
  /** whether a password is stored for the user, where that was asked (`Asking`) and the server's answer tells */
  readonly passwordStored: boolean | 'perhaps' | null
  /** AuthenticationOk was seen: whoever we said we are, we were let in */
  readonly authenticated: boolean
  readonly parameters: Readonly<Record<string, string>>
  readonly processId: number | null
  readonly serverError: ServerError | null
  /** why there is no session; null when ReadyForQuery came */
  readonly failure: ProbeError | null
}

/** The facts of a startup, as evidence. The secret key of BackendKeyData is none. */
export const startupEvidence = (startup: Startup): Evidence => ({
  authentication: startup.challenge ?? (startup.authenticated ? authenticationName(0) : null),
  processId: startup.processId,
  parameters: startup.parameters,
  ...(startup.serverError && { sqlstate: startup.serverError.sqlstate, routine: startup.serverError.routine }),
})

/** SASLInitialResponse (PostgreSQL protocol): the mechanism, int32 length, client-first-message (RFC 5802, 5.1). */
function scramClientFirst(): Buffer {
  const first = Buffer.from(`n,,n=,r=${randomBytes(18).toString('base64')}`)
  const mechanism = Buffer.from('SCRAM-SHA-256\0')
  const head = Buffer.alloc(5)
  head.write('p')
  head.writeInt32BE(8 + mechanism.length + first.length, 1)
  const length = Buffer.alloc(4)
  length.writeInt32BE(first.length)
  return Buffer.concat([head, mechanism, length, first])
}

const AUTHENTICATION = { ok: 0, cleartext: 3, sasl: 10, saslContinue: 11 } as const

/** How to go about a startup. */
export interface Asking {
  /** whether our certificate's CN or a DNS SAN is the user */
  readonly namesUser: boolean
  /**
   * Answer a challenge as far as it takes to learn whether a password is stored: CockroachDB goes on (SASLContinue), or
   * asks for it in clear text, only where there is one, and refuses at once where there is none. PostgreSQL goes on in
   * either case.
   */
  readonly whetherPassword: boolean
}

/**
 * Sends the StartupMessage and reads the server's answer up to ReadyForQuery, an error, a challenge or the end.
 * Resolves with what happened, whatever it was; the socket is paused then, and still open only if `failure` is null.
 * Rejects with DEADLINE or INTERRUPTED only.
 */
export async function startup(
  socket: net.Socket | tls.TLSSocket,
  parameters: Readonly<Record<string, string>>,
  { namesUser, whetherPassword }: Asking,
  budget: Budget,
): Promise<Startup> {
  const reader = new MessageReader()
  const said = {
    answered: false,
    challenge: null as string | null,
    passwordStored: null as Startup['passwordStored'],
    authenticated: false,
    parameters: {} as Record<string, string>,
    processId: null as number | null,
    serverError: null as ServerError | null,
  }
  let size = 0
  /** our answer to a challenge has gone out */
  let asked = false
  const protocol = (message: string) => new ProbeError('SESSION_PROTOCOL', message)
  const noCertificate = () =>
    new ProbeError(
      'AUTH_NO_CERTIFICATE',
      `the server asks for a password (${said.challenge}): it saw no acceptable client certificate`,
    )

  /** Takes one message; returns the end of the startup, or undefined to read on. */
  const take = ({ type, body }: Message): ProbeError | null | undefined => {
    switch (type) {
      case 'R': {
        if (body.length < 4) return protocol('an Authentication message without a code')
        const request = body.readInt32BE(0)
        if (request === AUTHENTICATION.ok) {
          said.authenticated = true
          return undefined
        }
        if (said.authenticated) return protocol('an authentication request after AuthenticationOk')
        said.challenge ??= authenticationName(request)
        if (whetherPassword) {
          if (request === AUTHENTICATION.sasl && !asked && cStrings(body.subarray(4)).includes('SCRAM-SHA-256')) {
            asked = true
            socket.write(scramClientFirst())
            return undefined
          }
          // In clear text it is asked for where one is stored the old way, or where the server does not do SCRAM at all.
          if (request === AUTHENTICATION.cleartext) said.passwordStored = 'perhaps'
          if (asked && request === AUTHENTICATION.saslContinue) said.passwordStored = true
        }
        return noCertificate()
      }
      case 'E': {
        const error = serverError(body)
        if (!error) return protocol('an ErrorResponse without a SQLSTATE')
        said.serverError = error
        if (asked && error.sqlstate.startsWith('28')) {
          said.passwordStored = false
          return noCertificate()
        }
        const code = classifyStartup(error, namesUser)
        const hint = startupHint(error)
        return new ProbeError(code, `the server refuses the session: ${error.message}`, {
          cause: asCause(error),
          evidence: { sqlstate: error.sqlstate, routine: error.routine },
          ...(hint !== undefined && { hint }),
        })
      }
      case 'S': {
        const [name, value] = cStrings(body)
        if (name === undefined || value === undefined) return protocol('a ParameterStatus without name and value')
        said.parameters[name] = value
        return undefined
      }
      case 'K':
        if (body.length < 8) return protocol('a BackendKeyData that is too short')
        said.processId = body.readInt32BE(0)
        return undefined
      case 'Z':
        if (!said.authenticated) return protocol('ReadyForQuery before AuthenticationOk')
        // Whoever hands out sessions that somebody else has begun a transaction in is no server, and none of ours.
        return body.toString('latin1') === 'I'
          ? null
          : protocol(`the session begins inside a transaction (ReadyForQuery ${body.toString('latin1')})`)
      case 'N':
      case 'v':
        return undefined
      default:
        return protocol(`a message of type ${type} has no place in the startup`)
    }
  }

  const read = (signal: AbortSignal) =>
    new Promise<ProbeError | null>(resolve => {
      const settle = (failure: ProbeError | null) => {
        socket.off('data', data).off('end', ended).off('close', ended).off('error', failed)
        signal.removeEventListener('abort', aborted)
        socket.pause()
        resolve(failure)
      }
      const data = (chunk: Buffer) => {
        said.answered = true
        size += chunk.length
        for (const message of reader.push(chunk)) {
          const end = take(message)
          if (end === undefined) continue
          settle(end)
          // What the server says after ReadyForQuery is for whoever takes over.
          if (end === null && reader.rest.length > 0) socket.unshift(reader.rest)
          return
        }
        if (reader.error)
          settle(notForked(reader.rest) ?? protocol(`the server's answer is not understood: ${reader.error}`))
        else if (size > STARTUP_LIMIT) settle(protocol(`more than ${STARTUP_LIMIT} bytes and no ReadyForQuery`))
      }
      const closed = (cause?: Error) =>
        new ProbeError('SESSION_CLOSED', 'the server closed the connection during startup', { cause })
      const ended = () => settle(closed())
      const failed = (error: NodeJS.ErrnoException) => {
        const lost = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNABORTED'].includes(error.code ?? '')
        settle(lost || said.answered ? closed(error) : tlsFailure(error, 'afterwards'))
      }
      const aborted = () => socket.destroy()
      signal.addEventListener('abort', aborted, { once: true })
      socket.on('data', data).on('end', ended).on('close', ended).on('error', failed)
      socket.write(startupMessage(parameters))
      socket.resume()
    })

  let failure: ProbeError | null
  try {
    failure = await within(
      budget,
      { code: 'SESSION_TIMEOUT', what: 'the server did not answer the StartupMessage with ReadyForQuery' },
      read,
    )
  } catch (error) {
    if (!(error instanceof ProbeError) || error.code !== 'SESSION_TIMEOUT') {
      socket.destroy()
      throw error
    }
    failure = error
  }
  if (failure) socket.destroy()
  return { ...said, failure }
}
