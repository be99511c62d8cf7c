/**
 * What can go wrong, as a value.
 *
 * layer    one stage of the path, in the order in which a connection meets them
 * code     the stable name of one cause (codes.ts)
 * cause    the original error, never replaced or reworded, only redacted: see `causesOf`
 */
import { CODES, type Code, type Layer } from './codes.ts'

/** One link of the chain of original errors, outermost first. */
export interface Cause {
  readonly name: string
  readonly code: string | null
  readonly message: string
}

/** A failure as the report carries it (contract: schemaVersion 1). */
export interface Failure {
  readonly code: Code
  readonly layer: Layer
  readonly message: string
  readonly causes: readonly Cause[]
  readonly sqlstate: string | null
  readonly hint: string
}

/** Facts, not prose: what a check saw. Values must be JSON. */
export type Evidence = { [key: string]: unknown }

/** What a ProbeError may carry besides its code and message. */
export interface ProbeErrorOptions {
  /** the original error */
  readonly cause?: unknown
  /** facts seen on the way to the failure; they join the evidence of the check that fails */
  readonly evidence?: Evidence
  /** a hint that knows more than the code's own */
  readonly hint?: string
  /** for a configuration with several problems: all of them, the first one's code being this error's */
  readonly problems?: readonly Cause[]
}

/**
 * The one error class: a cause that has a code. Everything that fails on the target's side is one of these;
 * any other error that reaches the runner is a bug in the program (exit 70).
 */
export class ProbeError extends Error {
  override readonly name = 'ProbeError'
  readonly code: Code
  readonly layer: Layer
  readonly evidence: Evidence
  readonly hint: string | undefined
  readonly problems: readonly Cause[] | undefined
  /** how long it took, ms, where that was measured elsewhere than around the check that fails */
  durationMs: number | undefined

  constructor(code: Code, message: string, options: ProbeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.layer = CODES[code].layer
    this.evidence = options.evidence ?? {}
    this.hint = options.hint
    this.problems = options.problems
  }

  /** The SQLSTATE that the server answered with; null where it was not the server's answer. */
  get sqlstate(): string | null {
    return typeof this.evidence.sqlstate === 'string' ? this.evidence.sqlstate : null
  }

  /** The same failure for another report of it, with evidence of its own, or with what is known besides. */
  again(message = this.message, more: Pick<ProbeErrorOptions, 'evidence' | 'hint'> = {}): ProbeError {
    const hint = more.hint ?? this.hint
    const again = new ProbeError(this.code, message, {
      cause: this.cause,
      evidence: { ...this.evidence, ...more.evidence },
      ...(hint !== undefined && { hint }),
      ...(this.problems && { problems: this.problems }),
    })
    again.durationMs = this.durationMs
    return again
  }

  /** The failure as the report carries it. */
  toFailure(): Failure {
    const causes = this.problems ?? causesOf(this.cause)
    return {
      code: this.code,
      layer: this.layer,
      message: redact(this.message, 4000),
      causes,
      sqlstate: causes.map(cause => cause.code).find(isSqlstate) ?? null,
      hint: this.hint ?? CODES[this.code].hint,
    }
  }
}

const isSqlstate = (code: string | null): code is string => code !== null && /^[0-9A-Z]{5}$/.test(code)

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

const PEM = /-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(-----END [A-Z0-9 ]+-----|$)/g
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/?#@]*):[^\s/?#@]*@/gi

/** Text without PEM blocks and URL passwords, should a library or a server ever quote one; so many characters at most. */
export function redact(text: string, longest = 1000): string {
  // Cut first as well: these patterns take quadratic time on what a hostile server can say.
  return text.slice(0, 4000).replace(PEM, '[PEM]').replace(URL_PASSWORD, '$1@').slice(0, longest)
}

/** Evidence, every text in it redacted: what a server says of itself may quote anything. */
export const redactAll = (evidence: Evidence): Evidence => redactValue(evidence, 0) as Evidence

/** Nested deeper than this is nothing that a reader wants, and what walks through it by recursion ends in a crash. */
const DEEPEST = 40

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.length < 8 ? value : redact(value, 4000)
  if (typeof value !== 'object' || value === null) return value
  if (depth > DEEPEST) return '[nested deeper]'
  if (Array.isArray(value)) return value.map(inner => redactValue(inner, depth + 1))
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [redact(key), redactValue(inner, depth + 1)]))
}

/** The same failure as a one-line sentence. */
export const failureLine = (failure: Failure): string => `${failure.layer} ${failure.code}: ${failure.message}`
