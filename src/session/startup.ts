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
import { classifyStartup, LOGIN_TRIGGER, type ServerError, startupDoubt, startupHint } from '../failure/classify.ts'
import { isGoingAway } from '../failure/classify-statement.ts'
import type { Code } from '../failure/codes.ts'
import { type Facts, ProbeError } from '../failure/error.ts'

/** More than this before ReadyForQuery, bytes, is no server's honest startup (a real one sends under 1 KiB). */
const STARTUP_LIMIT = 64 * 1024

export interface Startup {
  /** the server's first byte came: on TLS, it had accepted the handshake */
  readonly answered: boolean
  /** what it asked for before AuthenticationOk; null if nothing */
  readonly challenge: string | null
  /** whether a password is stored for the user, where that was asked (`StartupOptions`) and the server's answer tells */
  readonly passwordStored: boolean | 'perhaps' | null
  /** AuthenticationOk was seen: whoever we said we are, we were let in */
  readonly authenticated: boolean
  readonly parameters: Readonly<Record<string, string>>
  readonly processId: number | null
  readonly serverError: ServerError | null
  /** why there is no session; null when ReadyForQuery came */
  readonly error: ProbeError | null
}

/** The facts of a startup, as evidence. The secret key of BackendKeyData is none. */
export const startupEvidence = (startup: Startup): Facts => ({
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
export interface StartupOptions {
  /** whether our certificate's CN or a DNS SAN is the user */
  readonly identityMatches: boolean
  /** those names */
  readonly principals: readonly string[]
  /**
   * Answer a challenge as far as it takes to learn whether a password is stored: CockroachDB goes on (SASLContinue), or
   * asks for it in clear text, only where there is one, and refuses at once where there is none. PostgreSQL goes on in
   * either case.
   */
  readonly findStoredPassword: boolean
}

/** What has been heard so far. */
type Heard = { -readonly [Key in keyof Omit<Startup, 'error'>]: Startup[Key] } & {
  parameters: Record<string, string>
  /** a notice that the server goes away: if the connection ends, it is why */
  parting: ServerError | null
  /** our answer to a challenge has gone out */
  clientFirstSent: boolean
}

/** The end of a startup: why there is no session, null where there is one; undefined: read on. */
type End = ProbeError | null | undefined

const protocolError = (message: string) => new ProbeError('SESSION_PROTOCOL', message)

const noCertificate = ({ challenge }: Heard) =>
  new ProbeError(
    'AUTH_NO_CERTIFICATE',
    `the server asks for a password (${challenge}): the client certificate is not enough for it, or it did not take it`,
  )

/** R: AuthenticationOk, or a challenge. */
function takeAuthentication(heard: Heard, body: Buffer, options: StartupOptions, answer: (bytes: Buffer) => void): End {
  if (body.length < 4) return protocolError('an Authentication message without a code')
  const request = body.readInt32BE(0)
  if (request === AUTHENTICATION.ok) {
    heard.authenticated = true
    return undefined
  }
  if (heard.authenticated) return protocolError('an authentication request after AuthenticationOk')
  heard.challenge ??= authenticationName(request)
  if (!options.findStoredPassword) return noCertificate(heard)
  const { clientFirstSent } = heard
  if (request === AUTHENTICATION.sasl && !clientFirstSent && cStrings(body.subarray(4)).includes('SCRAM-SHA-256')) {
    heard.clientFirstSent = true
    answer(scramClientFirst())
    return undefined
  }
  // In clear text it is asked for where one is stored the old way, or where the server does not do SCRAM at all.
  if (request === AUTHENTICATION.cleartext) heard.passwordStored = 'perhaps'
  if (clientFirstSent && request === AUTHENTICATION.saslContinue) heard.passwordStored = true
  return noCertificate(heard)
}

/** What to do where the certificate is another user's. */
const wrongCertificate = (principals: readonly string[]): string =>
  `the certificate names ${principals.join(', ') || 'nobody'}, and the URL says {user}: use the certificate and key of {user} (client.{user}.crt, client.{user}.key), or correct the user in the URL`

/** The certificate names the user, and the server does not take it for that: nothing is wrong with the certificate. */
const NOT_TAKEN =
  'the certificate names {user}, and a rule or a map of the server takes it for somebody else: as superuser SELECT * FROM pg_hba_file_rules; SELECT * FROM pg_ident_file_mappings. PostgreSQL takes the CN only, no SAN'

/** E: an ErrorResponse, which ends the startup. */
function takeError(heard: Heard, body: Buffer, options: StartupOptions): End {
  const error = serverError(body)
  if (!error) return protocolError('an ErrorResponse without a SQLSTATE')
  heard.serverError = error
  const { sqlstate } = error
  if (heard.clientFirstSent && sqlstate.startsWith('28')) {
    heard.passwordStored = false
    return noCertificate(heard)
  }
  return refusal(heard, error, options)
}

/** What to do where the server does not take the certificate for the user's; CockroachDB says itself whose it takes it for. */
function identityHint(code: Code, { routine }: ServerError, options: StartupOptions): string | undefined {
  if (code !== 'AUTH_IDENTITY') return undefined
  if (!options.identityMatches) return wrongCertificate(options.principals)
  return routine === 'auth_failed' ? NOT_TAKEN : undefined
}

/** Whether PostgreSQL had let us in (BackendKeyData): what it runs after that is the event triggers on login. */
const isLoginTrigger = ({ processId, parameters }: Heard, { sqlstate }: ServerError): boolean =>
  processId !== null && parameters.crdb_version === undefined && !isGoingAway(sqlstate)

function refusal(heard: Heard, error: ServerError, options: StartupOptions): ProbeError {
  const { sqlstate, routine, message } = error
  const byTrigger = isLoginTrigger(heard, error)
  const code = byTrigger ? 'SESSION_REFUSED' : classifyStartup(error, options.identityMatches)
  const doubt = startupDoubt(error)
  const why = doubt ? ` (${doubt.causes})` : ''
  const hint = startupHint(error) ?? identityHint(code, error, options) ?? doubt?.hint
  return new ProbeError(code, `the server refuses the session${why}: ${message}`, {
    cause: asCause(error),
    origin: { kind: 'server', sqlstate, routine },
    evidence: { sqlstate, routine },
    hint: byTrigger ? LOGIN_TRIGGER : hint,
  })
}

/** N: a notice. PostgreSQL says with one why it ends its connections at once (quickdie). */
function takeNotice(heard: Heard, body: Buffer): void {
  const notice = serverError(body)
  if (notice && isGoingAway(notice.sqlstate)) heard.parting = notice
}

/** Takes one message. */
function take(heard: Heard, { type, body }: Message, options: StartupOptions, answer: (bytes: Buffer) => void): End {
  switch (type) {
    case 'R':
      return takeAuthentication(heard, body, options, answer)
    case 'E':
      return takeError(heard, body, options)
    case 'S': {
      const [name, value] = cStrings(body)
      if (name === undefined || value === undefined) return protocolError('a ParameterStatus without name and value')
      heard.parameters[name] = value
      return undefined
    }
    case 'K':
      if (body.length < 8) return protocolError('a BackendKeyData that is too short')
      heard.processId = body.readInt32BE(0)
      return undefined
    case 'Z':
      if (!heard.authenticated) return protocolError('ReadyForQuery before AuthenticationOk')
      // Whoever hands out sessions that somebody else has begun a transaction in is no server, and none of ours.
      return body.toString('latin1') === 'I'
        ? null
        : protocolError(`the session begins inside a transaction (ReadyForQuery ${body.toString('latin1')})`)
    case 'N':
      takeNotice(heard, body)
      return undefined
    case 'v':
      return undefined
    default:
      return protocolError(`a message of type ${type} has no place in the startup`)
  }
}

/** Sends the StartupMessage and reads until the startup has ended; the socket is paused then. */
function converse(
  socket: net.Socket | tls.TLSSocket,
  heard: Heard,
  message: Buffer,
  options: StartupOptions,
  signal: AbortSignal,
): Promise<ProbeError | null> {
  const reader = new MessageReader()
  let size = 0
  return new Promise(resolve => {
    const settle = (error: ProbeError | null) => {
      socket.off('data', data).off('end', ended).off('close', ended).off('error', failed)
      signal.removeEventListener('abort', aborted)
      socket.pause()
      resolve(error)
    }
    const data = (chunk: Buffer) => {
      heard.answered = true
      size += chunk.length
      for (const message of reader.push(chunk)) {
        const end = take(heard, message, options, bytes => socket.write(bytes))
        if (end === undefined) continue
        settle(end)
        // What the server says after ReadyForQuery is for whoever takes over.
        if (end === null && reader.rest.length > 0) socket.unshift(reader.rest)
        return
      }
      if (reader.error)
        settle(notForked(reader.rest) ?? protocolError(`the server's answer is not understood: ${reader.error}`))
      else if (size > STARTUP_LIMIT) settle(protocolError(`more than ${STARTUP_LIMIT} bytes and no ReadyForQuery`))
    }
    const closed = (cause?: Error) =>
      heard.parting
        ? refusal(heard, heard.parting, options)
        : new ProbeError('SESSION_CLOSED', 'the server closed the connection during startup', { cause })
    const ended = () => settle(closed())
    const failed = (error: NodeJS.ErrnoException) => {
      const lost = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNABORTED'].includes(error.code ?? '')
      settle(lost || heard.answered ? closed(error) : tlsFailure(error, 'afterwards'))
    }
    const aborted = () => socket.destroy()
    signal.addEventListener('abort', aborted, { once: true })
    socket.on('data', data).on('end', ended).on('close', ended).on('error', failed)
    socket.write(message)
    socket.resume()
  })
}

/**
 * Sends the StartupMessage and reads the server's answer up to ReadyForQuery, an error, a challenge or the end.
 * Resolves with what happened, whatever it was; the socket is paused then, and still open only if `error` is null.
 * Rejects with DEADLINE or INTERRUPTED only.
 */
export async function startup(
  socket: net.Socket | tls.TLSSocket,
  parameters: Readonly<Record<string, string>>,
  options: StartupOptions,
  budget: Budget,
): Promise<Startup> {
  const heard: Heard = {
    answered: false,
    challenge: null,
    passwordStored: null,
    authenticated: false,
    parameters: {},
    processId: null,
    serverError: null,
    parting: null,
    clientFirstSent: false,
  }
  const wait = {
    code: 'SESSION_TIMEOUT',
    what: 'the server did not answer the StartupMessage with ReadyForQuery',
  } as const
  const message = startupMessage(parameters)
  let error: ProbeError | null
  try {
    error = await within(budget, wait, signal => converse(socket, heard, message, options, signal))
  } catch (thrown) {
    socket.destroy()
    if (!(thrown instanceof ProbeError) || thrown.code !== 'SESSION_TIMEOUT') throw thrown
    error = thrown
  }
  if (error) socket.destroy()
  const { clientFirstSent: _sent, parting: _parting, ...said } = heard
  return { ...said, error }
}
