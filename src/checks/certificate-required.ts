import { type Facts, ProbeError } from '../failure/error.ts'
import type { Opened } from '../session/open.ts'
import { defineCheck } from './check.ts'
import { factsOf, isAlerted, isCockroach, isRefused, otherOutcome, tryLogin } from './refused-login.ts'
import { session } from './session.ts'

/** A challenge that was answered has told whether there is a password; another kind of challenge was not answered. */
const isDecided = ({ passwordStored, error }: NonNullable<Opened['startup']>): boolean =>
  passwordStored !== null || error?.code === 'AUTH_NO_CERTIFICATE'

/** @throws ProbeError CERTLESS_LOGIN_ALLOWED if the login was let in, or a password would have let it in */
function expectNotLetIn(user: string, how: string, { startup }: Opened, evidence: Facts): void {
  if (startup?.authenticated) throw new ProbeError('CERTLESS_LOGIN_ALLOWED', `${user} logged in ${how}`, { evidence })
  if (startup?.passwordStored)
    throw new ProbeError(
      'CERTLESS_LOGIN_ALLOWED',
      startup.passwordStored === true
        ? `${user} has a password, so a login ${how} is possible`
        : `the server asks ${user} for a password in clear text: one may be stored, so a login ${how} may be possible`,
      {
        evidence,
        hint: `anyone who knows the password needs no certificate. As root: ALTER ROLE ${user} WITH PASSWORD NULL; if the server still asks for it in clear text: RESET CLUSTER SETTING server.user_login.cert_password_method.auto_scram_promotion.enabled, and look at server.host_based_authentication.configuration`,
      },
    )
}

export const certificateRequired = defineCheck({
  id: 'certificate-required',
  layer: 'session',
  criterion: 'mtls',
  needs: { session },
  title: 'the same login without a certificate, and without TLS, is refused',
  async run(context, { session: { opened } }) {
    const { user } = context.config
    // PostgreSQL goes on with a user that has no password as it does with one that has: only CockroachDB tells.
    const tells = isCockroach(opened)
    const login = { user, certificate: 'none', ...(tells && { findStoredPassword: true }) } as const
    const certless = await tryLogin(context, opened, { ...login, tls: true })
    const plaintext = await tryLogin(context, opened, { ...login, tls: false })
    const evidence = {
      withoutCertificate: { ...factsOf(certless), passwordStored: certless.startup?.passwordStored ?? null },
      withoutTls: { ...factsOf(plaintext), passwordStored: plaintext.startup?.passwordStored ?? null },
    }
    expectNotLetIn(user, 'without a certificate', certless, evidence)
    expectNotLetIn(user, 'without TLS', plaintext, evidence)
    const isChallenged = ({ startup }: Opened) => startup?.challenge != null && (!tells || isDecided(startup))
    if (!(isChallenged(certless) || isRefused(certless) || isAlerted(certless)))
      throw otherOutcome('the login without a certificate', certless, evidence)
    if (!(isChallenged(plaintext) || isRefused(plaintext) || plaintext.startup?.serverError?.sqlstate === '08P01'))
      throw otherOutcome('the login without TLS', plaintext, evidence)
    if (plaintext.startup?.challenge)
      context.warn('PLAINTEXT_ACCEPTED', 'the server also talks without TLS, although it refused this login')
    return { evidence, found: {} }
  },
})
