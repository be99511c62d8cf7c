/**
 * What must be refused is really tried. A refusal counts only if it is the refusal asked for; AuthenticationOk means let
 * in, whatever follows.
 */
import { engineOf } from '../database/engine.ts'
import { type Facts, isCertificateRefusal, ProbeError } from '../failure/error.ts'
import type { Login, Opened } from '../session/open.ts'
import type { Endpoint } from '../settings/config.ts'
import type { Context } from './check.ts'

/**
 * Opens a connection to the address in use, as somebody, and lets it go again. One after another: with the sessions of
 * the run, and one that the server has not seen go yet, that is never more than four connections.
 */
export async function tryLogin(context: Context, endpoint: Endpoint, login: Login): Promise<Opened> {
  const opened = await context.dialler.open(endpoint, login)
  opened.socket?.destroy()
  return opened
}

/** Whether what logged us in is a CockroachDB. */
export const isCockroach = ({ startup }: Opened): boolean => startup !== null && engineOf(startup).id === 'cockroachdb'

const alertOf = ({ error }: Opened): string | null => (error?.origin?.kind === 'tls' ? error.origin.alert : null)

export const factsOf = (tried: Opened): Facts => ({
  outcome: tried.startup?.authenticated ? 'let in' : (tried.error?.code ?? 'let in'),
  challenge: tried.startup?.challenge ?? null,
  sqlstate: tried.startup?.serverError?.sqlstate ?? null,
  routine: tried.startup?.serverError?.routine ?? null,
  alert: alertOf(tried),
})

/**
 * Whether the server's own words were an authentication refusal: SQLSTATE class 28, and not CockroachDB's way to say
 * with it that it could not look the user up, which is no refusal (classify.ts).
 */
export const isRefused = ({ startup, error }: Opened): boolean =>
  (startup?.serverError?.sqlstate.startsWith('28') ?? false) && error?.code !== 'SERVER_UNAVAILABLE'

/** Whether TLS was broken off over our certificate. */
export const isTurnedDown = ({ error }: Opened): boolean => error !== null && isCertificateRefusal(error)

/** The same, said with an alert. */
export const isAlerted = (tried: Opened): boolean => isTurnedDown(tried) && alertOf(tried) !== null

/**
 * Whether a dial to where a session was opened a moment ago found the way gone: nothing is wrong with the port, the
 * certificates or the settings then, whatever their layer's own hint says.
 */
const isPathLost = ({ code, layer }: ProbeError): boolean =>
  (layer === 'tcp' && code !== 'TCP_FAILED') || code === 'TLS_TIMEOUT' || code === 'SESSION_TIMEOUT'

const PATH_LOST =
  'the address answered when the run began and stopped answering during it: ping -6 {address}, fly machine list -a {app} and fly logs -a {app}; then probe again'

/** A close is no refusal: it may as well be a restart in that very second. */
const CLOSED =
  'and only a refusal in words counts (SQLSTATE class 28, an alert): connect to the .internal name and the port of the database itself, with nothing in between; if fly logs -a {app} shows a restart at that second, probe again'

/** What to do about a login that must be refused and ended so; undefined: its code's own hint says all. */
function hintOf(error: ProbeError, { stages }: Opened): string | undefined {
  if (isPathLost(error)) return PATH_LOST
  if (error.code === 'SESSION_CLOSED')
    return `the server closes ${stages.tls ? 'this login' : 'a login without TLS'} without an answer, ${CLOSED}`
  return error.hint
}

/** Anything else than the refusal asked for: its own cause, never a pass. */
export function otherOutcome(what: string, opened: Opened, evidence: Facts): ProbeError {
  const { error } = opened
  if (!error) throw new Error(`${what} had no outcome`)
  const { code, origin, message } = error
  const hint = hintOf(error, opened)
  const cause = error.cause ?? error
  return new ProbeError(code, `${what} was not refused, but ended with: ${message}`, {
    ...{ cause, origin, evidence, hint },
  })
}
