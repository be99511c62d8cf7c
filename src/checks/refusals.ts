/**
 * What must be refused, really tried: the login without a certificate, without TLS, and as somebody else.
 * A refusal counts only if it is the refusal asked for; AuthenticationOk means let in, whatever follows.
 */
import { type Evidence, ProbeError } from '../failure/failure.ts'
import { type Login, type Opened, open } from '../session/open.ts'
import { isPathLost, PATH_LOST } from '../session/path.ts'
import type { Check, CheckContext } from './check.ts'
import { isAdministrator } from './role.ts'

/** Opens a connection to the address in use, as somebody, and lets it go again. */
async function tryLogin(context: CheckContext, login: Login): Promise<Opened> {
  const at = context.path.opened
  if (!at) throw new Error('a refusal was tried before there was a path')
  const opened = await open(context, at, login)
  opened.socket?.destroy()
  return opened
}

const evidenceOf = ({ failure, startup }: Opened): Evidence => ({
  outcome: startup?.authenticated ? 'let in' : (failure?.code ?? 'let in'),
  challenge: startup?.challenge ?? null,
  sqlstate: startup?.serverError?.sqlstate ?? null,
  routine: startup?.serverError?.routine ?? null,
  alert: failure?.evidence.alert ?? null,
})

/**
 * Whether the server's own words were an authentication refusal: SQLSTATE class 28, and not CockroachDB's way to say
 * with it that it could not look the user up, which is no refusal (classify.ts).
 */
const isRefused = ({ startup, failure }: Opened): boolean =>
  (startup?.serverError?.sqlstate.startsWith('28') ?? false) && failure?.code !== 'SERVER_UNAVAILABLE'

/** Anything else than the refusal asked for: its own cause, never a pass. */
function otherOutcome(what: string, { failure }: Opened, evidence: Evidence): ProbeError {
  if (!failure) throw new Error(`${what} had no outcome`)
  const hint = isPathLost(failure) ? PATH_LOST : failure.hint
  return new ProbeError(failure.code, `${what} was not refused but ended otherwise: ${failure.message}`, {
    cause: failure.cause ?? failure,
    evidence,
    ...(hint !== undefined && { hint }),
  })
}

export const certificateRequired: Check = {
  id: 'certificate-required',
  async run(context) {
    const { user } = context.config
    const [certless, plaintext] = await Promise.all([
      tryLogin(context, { user, certificate: false, tls: true }),
      tryLogin(context, { user, certificate: false, tls: false }),
    ])
    const evidence = { withoutCertificate: evidenceOf(certless), withoutTls: evidenceOf(plaintext) }
    if (certless.startup?.authenticated)
      throw new ProbeError('CERTLESS_LOGIN_ALLOWED', `${user} was let in without a certificate`, { evidence })
    if (plaintext.startup?.authenticated)
      throw new ProbeError('CERTLESS_LOGIN_ALLOWED', `${user} was let in without TLS`, { evidence })
    // Before the keys are exchanged the server cannot know that no certificate will come.
    const { code, evidence: said } = certless.failure ?? {}
    const alerted = code?.startsWith('TLS_CLIENT') && said?.alert && said.keysExchanged
    if (!(certless.startup?.challenge || isRefused(certless) || alerted))
      throw otherOutcome('the login without a certificate', certless, evidence)
    if (!(plaintext.startup?.challenge || isRefused(plaintext) || plaintext.startup?.serverError?.sqlstate === '08P01'))
      throw otherOutcome('the login without TLS', plaintext, evidence)
    if (plaintext.startup?.challenge)
      context.warn('PLAINTEXT_ACCEPTED', 'the server goes on talking without TLS, though it let nobody in')
    return { evidence }
  },
}

export const certificateBound: Check = {
  id: 'certificate-bound',
  async run(context) {
    const { user } = context.config
    const facts = await context.facts()
    const roles = await facts.roles
    if (
      isAdministrator(
        user,
        roles.find(({ name }) => name === user),
      )
    )
      return { blockedBy: 'role' }
    const somebody = ['gateway_admin', 'root'].find(name => roles.some(role => role.name === name && role.login))
    if (!somebody)
      throw new ProbeError(
        'NEGATIVE_INCONCLUSIVE',
        'neither gateway_admin nor root exists and may log in, so a refusal would prove nothing',
        { evidence: { roles: roles.map(({ name, login }) => `${name}${login ? '' : ' NOLOGIN'}`) } },
      )
    const tried = await tryLogin(context, { user: somebody, certificate: true, tls: true })
    const evidence = { triedAs: somebody, ...evidenceOf(tried) }
    if (tried.startup?.authenticated)
      throw new ProbeError('FOREIGN_LOGIN_ALLOWED', `this certificate was let in as ${somebody}`, { evidence })
    if (tried.startup?.challenge || !isRefused(tried))
      throw otherOutcome(`the login as ${somebody} with this certificate`, tried, evidence)
    return { evidence }
  },
}
