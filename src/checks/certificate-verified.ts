import { isClosedAfterKeys, ProbeError } from '../failure/error.ts'
import { defineCheck } from './check.ts'
import { factsOf, isRefused, isTurnedDown, otherOutcome, tryLogin } from './refused-login.ts'
import { session } from './session.ts'

export const certificateVerified = defineCheck({
  id: 'certificate-verified',
  layer: 'session',
  criterion: 'mtls',
  needs: { session },
  title: 'the same login with a certificate whose signature is broken is refused',
  async run(context, { session: { opened } }) {
    const { user } = context.config
    const tried = await tryLogin(context, opened, { user, certificate: 'forged', tls: true })
    const evidence = factsOf(tried)
    const what = 'a certificate whose signature is broken'
    if (tried.startup?.authenticated)
      throw new ProbeError('FORGED_LOGIN_ALLOWED', `${user} logged in with ${what}`, { evidence })
    // Inside a handshake of TLS 1.2, after the keys, our certificate is what the server has to think about.
    const isBrokenOff = tried.error !== null && isClosedAfterKeys(tried.error)
    if (!(isTurnedDown(tried) || isBrokenOff || (isRefused(tried) && !tried.startup?.challenge)))
      throw otherOutcome(`the login with ${what}`, tried, evidence)
    return { evidence, found: {} }
  },
})
