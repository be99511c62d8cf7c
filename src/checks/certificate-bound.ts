import { ProbeError } from '../failure/error.ts'
import type { Opened } from '../session/open.ts'
import { defineCheck } from './check.ts'
import { factsOf, isRefused, otherOutcome, tryLogin } from './refused-login.ts'
import { role } from './role.ts'
import { session } from './session.ts'

/** gateway_admin and root first, whom a writer's certificate must not be in any case. */
const rank = (name: string): number => (['gateway_admin', 'root'].indexOf(name) + 3) % 3

export const certificateBound = defineCheck({
  id: 'certificate-bound',
  layer: 'session',
  criterion: 'mtls',
  needs: { role, session },
  title: 'the same certificate is refused as every other role that it could name',
  async run(context, { role: { roles }, session: { opened } }) {
    const { user } = context.config
    const strangers = roles.filter(({ name }) => name !== user)
    const others = strangers
      .filter(({ login }) => login)
      .map(({ name }) => name)
      .sort((one, other) => rank(one) - rank(other))
    if (others.length === 0)
      throw new ProbeError(
        'NEGATIVE_INCONCLUSIVE',
        'neither gateway_admin nor root exists and may log in, so a refusal would prove nothing',
        { evidence: { roles: strangers.map(({ name, login }) => `${name}${login ? '' : ' NOLOGIN'}`) } },
      )
    const tried: { readonly name: string; readonly opened: Opened }[] = []
    for (const name of others)
      tried.push({ name, opened: await tryLogin(context, opened, { user: name, certificate: 'own', tls: true }) })
    const letIn = tried.filter(({ opened }) => opened.startup?.authenticated)
    const notRefused = tried.filter(({ opened }) => opened.startup?.challenge || !isRefused(opened))
    // The one that decides comes first.
    const [first, ...rest] = [...new Set([...letIn, ...notRefused, ...tried])].map(({ name, opened }) => ({
      triedAs: name,
      ...factsOf(opened),
    }))
    const evidence = { ...first, others: rest }
    if (letIn.length > 0) {
      const names = letIn.map(({ name }) => name).join(', ')
      throw new ProbeError('FOREIGN_LOGIN_ALLOWED', `this certificate logged in as ${names}`, { evidence })
    }
    const [other] = notRefused
    if (other) throw otherOutcome(`the login as ${other.name} with this certificate`, other.opened, evidence)
    return { evidence, found: {} }
  },
})
