import { ProbeError } from '../failure/error.ts'
import type { Opened } from '../session/open.ts'
import { defineCheck } from './check.ts'
import { factsOf, isCockroach, isRefused, otherOutcome, tryLogin } from './refused-login.ts'
import { role } from './role.ts'
import { session } from './session.ts'

/** gateway_admin and root first, whom a writer's certificate must not be in any case. */
const rank = (name: string): number => (['gateway_admin', 'root'].indexOf(name) + 3) % 3

/**
 * No role is called so, and no session is opened as it: CockroachDB lets a certificate with this name, CN or DNS SAN, make
 * the calls of its nodes on the same port (measured on 22.1: Admin/Drain, Status/Nodes; a writer's is refused both).
 */
const namesNode = (principals: readonly string[]): boolean =>
  principals.some(principal => principal.toLowerCase() === 'node')

const NAMES_NODE =
  'make a client certificate that names {user} alone (cockroach cert create-client {user} --overwrite), and set the secrets again; the old one stays valid as a node until the CA is replaced'

/** The certificate names nobody but the user: reading it again finds nothing. */
const NOT_NAMED =
  'the certificate does not name that role, so a rule or a map of the server lets it in: as root SHOW CLUSTER SETTING server.host_based_authentication.configuration, then RESET CLUSTER SETTING it (PostgreSQL: SELECT * FROM pg_hba_file_rules; SELECT * FROM pg_ident_file_mappings)'

/** A password that is asked for is a rule's, and none of the user's own: with this certificate the user has logged in. */
const asksForPassword = (name: string): string =>
  `the server asks ${name} for a password, and does not look at the certificate: the rule for ${name}, not the one for {user}, must have the method cert. As root SHOW CLUSTER SETTING server.host_based_authentication.configuration, and SET CLUSTER SETTING it with cert in that rule, or RESET CLUSTER SETTING it (PostgreSQL: SELECT * FROM pg_hba_file_rules)`

export const certificateBound = defineCheck({
  id: 'certificate-bound',
  layer: 'session',
  criterion: 'mtls',
  needs: { role, session },
  title: 'the same certificate is refused as every other role that it could name',
  async run(context, { role: { roles }, session: { opened } }) {
    const { user } = context.config
    const strangers = roles.filter(({ name }) => name !== user)
    if (isCockroach(opened) && namesNode(context.config.principals))
      throw new ProbeError(
        'FOREIGN_LOGIN_ALLOWED',
        'this certificate names node, and whoever has it is a node of the cluster to CockroachDB: it may drain the server, and read what is stored there',
        { evidence: { names: context.config.principals }, hint: NAMES_NODE },
      )
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
      const isNamed = letIn.some(({ name }) => context.config.principals.includes(name))
      throw new ProbeError('FOREIGN_LOGIN_ALLOWED', `this certificate logged in as ${names}`, {
        evidence,
        hint: isNamed ? undefined : NOT_NAMED,
      })
    }
    const [other] = notRefused
    if (other) {
      const error = otherOutcome(`the login as ${other.name} with this certificate`, other.opened, evidence)
      throw other.opened.startup?.challenge ? error.with({ hint: asksForPassword(other.name) }) : error
    }
    return { evidence, found: {} }
  },
})
