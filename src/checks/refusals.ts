/**
 * What must be refused, really tried: the login without a certificate, without TLS, with a certificate that no CA has
 * signed, and as somebody else. A refusal counts only if it is the refusal asked for; AuthenticationOk means let in,
 * whatever follows.
 */
import { engineOf } from '../database/engine.ts'
import { type Evidence, ProbeError } from '../failure/error.ts'
import { type Login, type Opened, open } from '../session/open.ts'
import { isPathLost, PATH_LOST } from '../session/path.ts'
import type { Check, CheckContext } from './check.ts'

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

/** Whether TLS was broken off over our certificate: before the keys are exchanged the server cannot know of it. */
const isTurnedDown = ({ failure }: Opened): boolean =>
  (failure?.code.startsWith('TLS_CLIENT') ?? false) && failure?.evidence.keysExchanged !== false

/** The same, said with an alert. */
const isAlerted = (opened: Opened): boolean => isTurnedDown(opened) && Boolean(opened.failure?.evidence.alert)

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
    const { startup } = context.path.opened ?? {}
    // PostgreSQL goes on with a user that has no password as it does with one that has: only CockroachDB tells.
    const whetherPassword = startup !== undefined && startup !== null && engineOf(startup).id === 'cockroachdb'
    const [certless, plaintext] = await Promise.all([
      tryLogin(context, { user, certificate: 'none', tls: true, whetherPassword }),
      tryLogin(context, { user, certificate: 'none', tls: false, whetherPassword }),
    ])
    const evidence = {
      withoutCertificate: { ...evidenceOf(certless), passwordStored: certless.startup?.passwordStored ?? null },
      withoutTls: { ...evidenceOf(plaintext), passwordStored: plaintext.startup?.passwordStored ?? null },
    }
    for (const [tried, how] of [
      [certless, 'without a certificate'],
      [plaintext, 'without TLS'],
    ] as const) {
      if (tried.startup?.authenticated)
        throw new ProbeError('CERTLESS_LOGIN_ALLOWED', `${user} was let in ${how}`, { evidence })
      if (tried.startup?.passwordStored)
        throw new ProbeError(
          'CERTLESS_LOGIN_ALLOWED',
          tried.startup.passwordStored === true
            ? `${user} has a password, which lets in ${how}`
            : `${user} is asked for a password in clear text, so one may be stored, which lets in ${how}`,
          {
            evidence,
            hint: `whoever knows the password needs no certificate. As root: ALTER ROLE ${user} WITH PASSWORD NULL; if it is asked for in clear text all the same: RESET CLUSTER SETTING server.user_login.cert_password_method.auto_scram_promotion.enabled, and look at server.host_based_authentication.configuration`,
          },
        )
    }
    const isChallenged = ({ startup }: Opened) => startup?.challenge != null && (!whetherPassword || isDecided(startup))
    if (!(isChallenged(certless) || isRefused(certless) || isAlerted(certless)))
      throw otherOutcome('the login without a certificate', certless, evidence)
    if (!(isChallenged(plaintext) || isRefused(plaintext) || plaintext.startup?.serverError?.sqlstate === '08P01'))
      throw otherOutcome('the login without TLS', plaintext, evidence)
    if (plaintext.startup?.challenge)
      context.warn('PLAINTEXT_ACCEPTED', 'the server goes on talking without TLS, though it let nobody in')
    return { evidence }
  },
}

/** A challenge that was answered has told whether there is a password; another kind of challenge was not answered. */
const isDecided = ({ passwordStored, failure }: NonNullable<Opened['startup']>): boolean =>
  passwordStored !== null || failure?.code === 'AUTH_NO_CERTIFICATE'

export const certificateVerified: Check = {
  id: 'certificate-verified',
  async run(context) {
    const { user } = context.config
    const tried = await tryLogin(context, { user, certificate: 'forged', tls: true })
    const evidence = evidenceOf(tried)
    const what = 'a certificate whose signature is broken'
    if (tried.startup?.authenticated)
      throw new ProbeError('FORGED_LOGIN_ALLOWED', `${user} was let in with ${what}`, { evidence })
    // Inside a handshake of TLS 1.2, after the keys, our certificate is what the server has to think about.
    const isBrokenOff = tried.failure?.code === 'TLS_CLOSED' && tried.failure.evidence.keysExchanged === true
    if (!(isTurnedDown(tried) || isBrokenOff || (isRefused(tried) && !tried.startup?.challenge)))
      throw otherOutcome(`the login with ${what}`, tried, evidence)
    return { evidence }
  },
}

/** gateway_admin and root first, whom a writer's certificate must not be in any case. */
const rank = (name: string): number => (['gateway_admin', 'root'].indexOf(name) + 3) % 3

export const certificateBound: Check = {
  id: 'certificate-bound',
  async run(context) {
    const { user } = context.config
    const roles = (await (await context.facts()).roles).filter(({ name }) => name !== user)
    const others = roles
      .filter(({ login }) => login)
      .map(({ name }) => name)
      .sort((one, other) => rank(one) - rank(other))
    if (others.length === 0)
      throw new ProbeError(
        'NEGATIVE_INCONCLUSIVE',
        'neither gateway_admin nor root exists and may log in, so a refusal would prove nothing',
        { evidence: { roles: roles.map(({ name, login }) => `${name}${login ? '' : ' NOLOGIN'}`) } },
      )
    const tried = await Promise.all(
      others.map(async name => ({
        name,
        opened: await tryLogin(context, { user: name, certificate: 'own', tls: true }),
      })),
    )
    const letIn = tried.filter(({ opened }) => opened.startup?.authenticated)
    const notRefused = tried.filter(({ opened }) => opened.startup?.challenge || !isRefused(opened))
    // The one that decides comes first.
    const [first, ...rest] = [...new Set([...letIn, ...notRefused, ...tried])].map(({ name, opened }) => ({
      triedAs: name,
      ...evidenceOf(opened),
    }))
    const evidence = { ...first, others: rest }
    if (letIn.length > 0) {
      const names = letIn.map(({ name }) => name).join(', ')
      throw new ProbeError('FOREIGN_LOGIN_ALLOWED', `this certificate was let in as ${names}`, { evidence })
    }
    const [other] = notRefused
    if (other) throw otherOutcome(`the login as ${other.name} with this certificate`, other.opened, evidence)
    return { evidence }
  },
}
