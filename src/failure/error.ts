/**
 * What can go wrong, as a value.
 *
 * layer      one stage of the path, in the order in which a connection meets them
 * code       the stable name of one cause (codes.ts)
 * origin     who said it: the server, TLS, or the operating system
 * evidence   facts for the reader; sealed, since nothing is ever decided by them
 * cause      the original error, never replaced or reworded, only redacted: see `causesOf`
 */
import { CODES, type Code, type Layer } from './codes.ts'
import { redact } from './secrets.ts'

export { redact } from './secrets.ts'

/** "1 row", "2 rows", as every text counts. */
export const count = (n: number, one: string, several = `${one}s`): string => `${n} ${n === 1 ? one : several}`

/** One link of the chain of original errors, outermost first. */
export interface Cause {
  readonly name: string
  readonly code: string | null
  readonly message: string
  /** of a problem with a setting: what to do about this one */
  readonly hint?: string
}

/** Something wrong with one setting. */
export interface Problem {
  /** the name of the setting */
  readonly name: string
  readonly code: Code
  readonly message: string
  /** a next step that knows more than the code's own */
  readonly hint?: string | undefined
}

const problemCause = ({ name, code, message, hint = CODES[code].hint }: Problem): Cause => ({
  ...{ name, code, hint },
  message: redact(message, 4000),
})

/** A failure as the report carries it (schemaVersion 1). */
export interface Failure {
  readonly code: Code
  readonly layer: Layer
  readonly message: string
  readonly causes: readonly Cause[]
  readonly sqlstate: string | null
  readonly hint: string
}

/** Who said it. */
export type Origin =
  /** an ErrorResponse: its fields C and R */
  | { readonly kind: 'server'; readonly sqlstate: string; readonly routine: string | null }
  /** the handshake: the alert that the peer sent (null: none), and whether the key exchange had taken place */
  | { readonly kind: 'tls'; readonly alert: string | null; readonly keysExchanged: boolean }
  /** a system call */
  | { readonly kind: 'system'; readonly errno: string }

/** Facts, not prose: what was seen. Values must be JSON. */
export type Facts = Readonly<Record<string, unknown>>

declare const sealed: unique symbol
/** Facts for the reader. The type has no property to read, so no code can decide by them; report/ alone opens it. */
export interface Evidence {
  readonly [sealed]: never
}

/** Facts and evidence, sealed as one; of the same key the last one counts. */
export const evidence = (...parts: readonly (Facts | Evidence)[]): Evidence =>
  Object.freeze(Object.assign({}, ...parts)) as Evidence

/** What was sealed. For report/ alone: a test holds that nobody else imports it. */
export const openEvidence = (sealed: Evidence): Facts => sealed as unknown as Facts

/** What a ProbeError may carry besides its code and message. */
export interface ProbeErrorOptions {
  /** the original error */
  readonly cause?: unknown
  readonly origin?: Origin | null
  /** facts seen on the way to the failure; they join the evidence of the check that fails */
  readonly evidence?: Facts | Evidence
  /** a hint that knows more than the code's own */
  readonly hint?: string | undefined
  /** for a configuration with several problems: all of them, the first one's code being this error's */
  readonly problems?: readonly Problem[] | undefined
  /** how often a statement was tried again before it was given up */
  readonly retries?: number
}

/**
 * The one error class: a cause that has a code. Everything that fails on the target's side is one of these, and nobody
 * changes one; any other error that reaches the runner is a bug in the program (exit 70).
 */
export class ProbeError extends Error {
  override readonly name = 'ProbeError'
  readonly code: Code
  readonly layer: Layer
  readonly origin: Origin | null
  readonly evidence: Evidence
  readonly hint: string | undefined
  readonly problems: readonly Problem[] | undefined
  readonly retries: number

  constructor(code: Code, message: string, options: ProbeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.layer = CODES[code].layer
    this.origin = options.origin ?? null
    this.evidence = evidence(options.evidence ?? {})
    this.hint = options.hint
    this.problems = options.problems
    this.retries = options.retries ?? 0
  }

  /** The SQLSTATE that the server answered with; null where it was not the server's answer. */
  get sqlstate(): string | null {
    return this.origin?.kind === 'server' ? this.origin.sqlstate : null
  }

  /** The SQLSTATE of an answer about what was asked; null where there is none, since the node or the session went away. */
  get answered(): string | null {
    return CODES[this.code].endsSession ? null : this.sqlstate
  }

  /** The same failure with what is known besides; `more.evidence` joins what it has. */
  with(more: Omit<ProbeErrorOptions, 'cause' | 'problems'> & { readonly message?: string }): ProbeError {
    const { message, cause, origin, hint, problems, retries } = this
    return new ProbeError(this.code, more.message ?? message, {
      ...{ cause, origin, hint, problems, retries },
      ...more,
      evidence: evidence(this.evidence, more.evidence ?? {}),
    })
  }

  /** The failure as the report carries it. */
  toFailure(): Failure {
    return {
      code: this.code,
      layer: this.layer,
      message: redact(this.message, 4000),
      causes: this.problems?.map(problemCause) ?? causesOf(this.cause),
      sqlstate: sqlstateIn(this),
      hint: this.hint ?? CODES[this.code].hint,
    }
  }
}

/** Whether an error is a server's: the driver's for an ErrorResponse, or ours (wire.ts). */
export const isServerError = ({ name }: Error): boolean => name === 'PostgresError' || name === 'ErrorResponse'

/** The first SQLSTATE in a chain of errors. */
function sqlstateIn(error: unknown): string | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (at instanceof ProbeError && at.sqlstate !== null) return at.sqlstate
    if (isServerError(at) && 'code' in at) return String(at.code)
  }
  return null
}

/** Whether TLS was broken off over our certificate: before the keys are exchanged the server cannot know of it. */
export const isCertificateRefusal = ({ code, origin }: ProbeError): boolean =>
  (code === 'TLS_CLIENT_REQUIRED' || code === 'TLS_CLIENT_REJECTED') && keysExchanged(origin)

/** Whether the server ended the connection inside the handshake, after the keys: it had our certificate to verify. */
export const isClosedAfterKeys = ({ code, origin }: ProbeError): boolean =>
  code === 'TLS_CLOSED' && keysExchanged(origin)

const keysExchanged = (origin: ProbeError['origin']): boolean => origin?.kind === 'tls' && origin.keysExchanged

/** Only a ProbeError is the target's doing; anything else is a bug, and is thrown. */
export function asProbeError(error: unknown): ProbeError {
  if (error instanceof ProbeError) return error
  throw error
}

/**
 * The chain of original errors, outermost first, without anything secret: DrizzleQueryError's message holds the
 * statement's parameters, so it contributes its name only; of a server's error only message and SQLSTATE are taken
 * (not D, W and q, which quote values). Depth is bounded, cycles end it.
 */
export function causesOf(error: unknown): Cause[] {
  const causes: Cause[] = []
  const seen = new Set<unknown>()
  for (let at = error; at !== undefined && at !== null && !seen.has(at) && causes.length < 8; ) {
    seen.add(at)
    if (!(at instanceof Error)) {
      causes.push({ name: typeof at, code: null, message: redact(String(at)) })
      break
    }
    const code = (at as { code?: unknown }).code
    const wrapsParameters = 'query' in at && 'params' in at
    causes.push({
      name: at.name === 'Error' ? at.constructor.name : at.name,
      code: typeof code === 'string' ? code : null,
      message: wrapsParameters ? '' : redact(at.message),
    })
    if (at instanceof AggregateError && at.cause === undefined) at = at.errors[0]
    else at = at.cause
  }
  return causes
}

/** The same failure as a one-line sentence. */
export const failureLine = (failure: Failure): string => `${failure.layer} ${failure.code}: ${failure.message}`
