/**
 * Whose session wrote the row. Only what the server lists can say so: the one whose statement is an INSERT that holds
 * the row's id. What the row says of itself can take a yes away, and never give one.
 *
 * The server lists what a session was told, not what came of it: an INSERT that is refused because the row is there
 * looks like the one that wrote it. So where several sessions may have written it, all must be right; the row, if it
 * names its session, must name one of them; and where the server keeps the time of a row, none may have begun after it.
 */
import { isIPv6 } from 'node:net'
import type { ListedSession } from '../../database/sessions.ts'
import { asProbeError, ProbeError } from '../../failure/error.ts'
import { settingWithoutSecrets } from '../../failure/secrets.ts'
import { microseconds } from '../../row/row.ts'
import { isWrappedIPv4, sameAddress } from '../../settings/address.ts'
import { type Context, defineCheck } from '../check.ts'
import type { Awaited } from './awaited.ts'
import { type backEndRowOf, unwatched, type Witnessed } from './back-end-row.ts'
import { machinesOf } from './machines.ts'

/** How far the clocks of two nodes may be apart (CockroachDB's --max-offset), µs. */
const MAX_OFFSET_US = 500_000n

/** What is printed holds its session for 3 s; after so long without a look it may be gone, ms. */
const HELD_MS = 2_500

/** The address of a client: "[ADDRESS]:PORT" or "ADDRESS:PORT" on CockroachDB; null where there is none. */
export function addressOf(client: string | null): string | null {
  if (!client) return null
  const [, bracketed, plain] = /^\[(.*)\](?::\d+)?$|^([^:]*):\d+$/s.exec(client) ?? []
  return (bracketed ?? plain ?? client) || null
}

const factsOf = ({ session, user, client, application, startedAt, tls, certificate }: ListedSession) => ({
  ...{ address: addressOf(client), user, session, application, startedAt },
  ...(tls !== null && { tls, certificate }),
})

const unknown = (message: string, evidence: object, hint?: string): ProbeError =>
  new ProbeError('WITNESS_UNKNOWN_SESSION', message, { evidence: { ...evidence }, hint })

/** @throws ProbeError WITNESS_UNKNOWN_SESSION unless one of these wrote the row, as far as can be told */
function expectKnown({ row, writers, others, recordedAt, unwatchedMs }: Witnessed): void {
  const { claimed } = row
  const evidence = { sessions: writers.map(factsOf), ...others, claimed }
  if (writers.length === 0)
    throw unknown(
      others.ours > 0
        ? "the row was written on this program's own session, not on one of the back end"
        : 'the row is there, and of the sessions that the server lists none wrote it',
      evidence,
      others.ours === 0 && unwatchedMs !== null && unwatchedMs > HELD_MS ? unwatched(unwatchedMs) : undefined,
    )
  if (claimed !== null && !writers.some(({ session }) => session === claimed))
    throw unknown(
      `by its payload the row was written by session ${claimed}, which is not the one that the server lists`,
      evidence,
      'another client wrote the row, or its payload was copied: run what is printed, unchanged, once, with a run id of its own',
    )
  for (const { session, startedAt } of writers) {
    // CockroachDB 22.1 lists it as a time without a zone, in UTC.
    const began = microseconds(startedAt) ?? microseconds(`${startedAt}+00`)
    if (began === null || recordedAt === null || began <= recordedAt + MAX_OFFSET_US) continue
    throw unknown(
      `session ${session}, which the server lists, began when the row was there already`,
      evidence,
      'the row was written before, by a session that is gone: run what is printed once, with a run id of its own',
    )
  }
}

/** @throws ProbeError WITNESS_ROLE unless row and sessions say that it was the configured user */
function expectUser(user: string, { row: { writtenBy }, writers }: Witnessed): void {
  const found = writers.map(factsOf)
  const evidence = { ...found[0], writtenBy, sessions: writers.length }
  const other = found.find(session => session.user !== user)
  if (other)
    throw new ProbeError('WITNESS_ROLE', `the session that wrote the row is ${other.user}'s, not ${user}'s`, {
      evidence,
    })
  if (writtenBy !== user)
    throw new ProbeError(
      'WITNESS_ROLE',
      `the row was written by ${writtenBy}, not by ${user}${found.length > 0 ? ', although its session is' : ''}`,
      { evidence },
    )
}

/** @throws ProbeError WITNESS_NOT_IPV6 unless all of them come from an IPv6 address */
function expectIPv6(writers: readonly ListedSession[]): void {
  for (const writer of writers) {
    const { address, ...facts } = factsOf(writer)
    if (address !== null && isIPv6(address) && !isWrappedIPv4(address)) continue
    const from = address === null ? 'through no network address (a Unix socket)' : `from ${address}`
    throw new ProbeError('WITNESS_NOT_IPV6', `the session that wrote the row comes ${from}, which is not IPv6`, {
      evidence: { address, ...facts },
    })
  }
}

/** PostgreSQL says of each session how it came. @throws ProbeError CERTLESS_LOGIN_ALLOWED */
function expectCertificate({ engine, writers }: Witnessed): void {
  if (engine === 'cockroachdb') return
  const bare = writers.find(({ tls, certificate }) => tls === null || certificate === null)
  if (!bare) return
  const without = bare.tls === null ? 'TLS' : 'a certificate'
  throw new ProbeError('CERTLESS_LOGIN_ALLOWED', `the session that wrote the row came without ${without}`, {
    evidence: factsOf(bare),
    hint: `the server lets {user} in without ${without} from ${addressOf(bare.client)}: look at its login rules (pg_hba.conf) for that address`,
  })
}

/** What to do where the machines of the app are not found; the resolver may have said more. */
const lookupHint = (app: string, { hint }: ProbeError): string =>
  hint ??
  `the row is there, only --app ${app} cannot be decided: is the name right (fly apps list), is a machine of it started (fly machine list -a ${app}), and does this run inside the private network? dig AAAA ${app}.internal @fdaa::3`

/** Whether AAAA of APP.internal has the address of each. @throws ProbeError WITNESS_ELSEWHERE, or what became of the lookup */
async function expectMachines(
  context: Context,
  app: string,
  writers: readonly ListedSession[],
): Promise<readonly string[]> {
  const name = `${app}.internal`
  const addresses = await machinesOf(context, app).catch(error => {
    // Their own next steps are about the host of the database.
    throw asProbeError(error).with({ hint: lookupHint(app, asProbeError(error)), evidence: { app } })
  })
  for (const writer of writers) {
    const { address, ...facts } = factsOf(writer)
    if (address !== null && addresses.some(machine => sameAddress(machine, address))) continue
    throw new ProbeError('WITNESS_ELSEWHERE', `${address} is not one of the machines of ${name}`, {
      evidence: { address, machines: addresses, ...facts },
      hint: `${name} lists started machines only, and no release, console or --skip-dns-registration machine: run it in one of fly machine list -a ${app}; if it was, a proxy or pooler stands in between`,
    })
  }
  return addresses
}

/** CockroachDB does not list how a session came. */
const INFERRED =
  'not listed: a login without it is refused from here; the rules that the server has for other addresses cannot be seen'

/** What an expression says of its pool. */
const PROVES: Readonly<Record<string, string>> = {
  running: "the running application's own pool (told by the client)",
  'one-off': 'a pool made for this: the configuration, not the running pool (told by the client)',
}

export const backEndSessionOf = (awaited: Awaited, backEndRow: ReturnType<typeof backEndRowOf>) =>
  defineCheck({
    id: 'back-end-session',
    layer: 'witness',
    criterion: null,
    needs: { backEndRow },
    title: `a session of ${settingWithoutSecrets(awaited.user)}, not one of ours, wrote it, over IPv6${
      awaited.app === null ? '' : `, from a machine of ${awaited.app}`
    }`,
    async run(context, { backEndRow: found }) {
      const { user } = context.config
      const { row, writers, others } = found
      const { app } = awaited
      // Whoever wrote as another user is not listed to this one: the row itself says so first.
      if (row.writtenBy !== user) expectUser(user, found)
      expectKnown(found)
      expectUser(user, found)
      expectIPv6(writers)
      expectCertificate(found)
      const machines = app === null ? null : await expectMachines(context, app, writers)
      const [first, ...more] = writers.map(factsOf)
      const evidence = {
        ...first,
        ...(machines && { machines }),
        proves: PROVES[row.pool ?? ''] ?? 'a session of this user (the client does not say which pool it is of)',
        ...(found.engine === 'cockroachdb' && { mutualTls: INFERRED }),
        claimed: row.claimed,
        ...(more.length > 0 && { more }),
        ...others,
      }
      return { evidence, found: {} }
    },
  })
