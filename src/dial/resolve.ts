/**
 * Name → IPv6 addresses, as everybody else finds them: getaddrinfo, family 6, all addresses. Only when that fails is
 * a resolver asked directly, since getaddrinfo says the same for "no such name" and "no AAAA record".
 */
import { getServers, Resolver } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import { type Budget, within } from '../budget.ts'
import type { Code } from '../failure/codes.ts'
import { type Facts, ProbeError } from '../failure/error.ts'
import { isWrappedIPv4 } from '../settings/address.ts'
import type { Host, NameService } from '../settings/config.ts'
import { hasIPv6, IPV6_OFF } from './own-host.ts'

/** What a resolver said to one question: the answers, or the error's name (c-ares: ENOTFOUND, ENODATA, …). */
interface DirectAnswer {
  readonly answers: readonly string[]
  readonly error: string | null
}

export interface Resolved {
  readonly addresses: readonly string[]
  readonly evidence: Facts
}

const errorCode = (error: unknown): string => (error as { code?: string }).code ?? String(error)

/** Asks the resolver itself; never rejects. */
async function ask(names: NameService, name: string, type: 'AAAA' | 'TXT', ms: number): Promise<DirectAnswer> {
  const resolver = new Resolver({ timeout: Math.max(1, Math.floor(ms / 2)), tries: 2 })
  const giveUp = setTimeout(() => resolver.cancel(), ms)
  try {
    if (names.servers) resolver.setServers([...names.servers])
    const answers =
      type === 'AAAA' ? await resolver.resolve6(name) : (await resolver.resolveTxt(name)).map(parts => parts.join(''))
    return { answers, error: null }
  } catch (error) {
    return { answers: [], error: errorCode(error) }
  } finally {
    clearTimeout(giveUp)
  }
}

/** What a resolver's error means. Everything it says of itself (SERVFAIL, REFUSED, unreachable) is DNS_FAILED. */
const DIRECT: Readonly<Record<string, Code>> = {
  ENOTFOUND: 'DNS_NOT_FOUND',
  ENODATA: 'DNS_NO_AAAA',
  ETIMEOUT: 'DNS_TIMEOUT',
  ECANCELLED: 'DNS_TIMEOUT',
}

const SAYS: Partial<Record<Code, string>> = {
  DNS_NOT_FOUND: 'the name does not exist',
  DNS_NO_AAAA: 'the name exists but has no usable IPv6 address',
  DNS_TIMEOUT: 'the resolver did not answer in time',
  DNS_FAILED: 'the resolver answered with an error or could not be reached',
}

/**
 * Fly's own TXT records tell a stopped machine from a wrong name (documented: `vms.` lists started machines, `all.vms.`
 * all of them, `_apps.internal` the applications of this organisation).
 */
async function explainInternal(names: NameService, host: string, ms: number) {
  const app = /(?:^|\.)([^.]+)\.internal\.?$/.exec(host)?.[1]
  if (!app || app === '_apps') return null
  const [vms, all, apps] = await Promise.all([
    ask(names, `vms.${app}.internal`, 'TXT', ms),
    ask(names, `all.vms.${app}.internal`, 'TXT', ms),
    ask(names, '_apps.internal', 'TXT', ms),
  ])
  const listed = apps.answers.join(',').split(',').includes(app)
  const evidence = {
    [`vms.${app}.internal`]: vms.error ?? vms.answers,
    [`all.vms.${app}.internal`]: all.error ?? all.answers,
    '_apps.internal': apps.error ?? apps.answers,
  }
  let hint: string | undefined
  const exists = all.answers.some(answer => answer !== '')
  if (exists && !vms.answers.some(answer => answer !== ''))
    hint = `the machine exists but is not started: fly machine list -a ${app}, then fly machine start ID -a ${app}`
  else if (apps.error === null && !listed)
    hint = `no app "${app}" in this organisation: check the name, and that this machine runs in the same Fly organisation (fly apps list)`
  return { evidence, hint }
}

/**
 * The addresses of a host. A hostaddr or an IPv6 literal needs no lookup and says so. Answers that only wrap IPv4
 * (::ffff:0:0/96, 64:ff9b::/96) are discarded and listed.
 * Rejects with DNS_NOT_FOUND, DNS_NO_AAAA, DNS_TIMEOUT or DNS_FAILED.
 */
export async function resolve(host: Host, names: NameService, budget: Budget): Promise<Resolved> {
  const literal = host.hostaddr ?? (host.host.includes(':') ? host.host : null)
  if (literal)
    return {
      addresses: [literal],
      evidence: {
        host: host.host,
        lookup: host.hostaddr ? 'none: hostaddr' : 'none: IPv6 literal',
        addresses: [literal],
      },
    }
  const lookup = names.lookup(host.host, 6).then(
    found => ({ found, error: undefined }),
    (error: unknown) => ({ found: [], error }),
  )
  const wait = { code: 'DNS_TIMEOUT', what: `the lookup of ${host.host} was not answered` } as const
  return within(budget, wait, async signal => {
    // A lookup that is slow is explained while it goes on, so that the explanation does not come too late.
    const early = await Promise.race([lookup, after(budget.waitMs * 0.5, signal)])
    const explanation = early?.found.length ? null : explain(host.host, names, budget.waitMs * 0.35, signal)
    const answer = early ?? (await Promise.race([lookup, after(budget.waitMs * 0.4, signal)]))
    const found = answer?.found ?? []
    const addresses = [...new Set(found.filter(isUsable))]
    const discarded = found.filter(address => !isUsable(address))
    if (addresses.length > 0)
      return { addresses, evidence: { host: host.host, lookup: 'getaddrinfo', addresses, discarded } }
    const explained = await (explanation ?? explain(host.host, names, budget.waitMs * 0.35, signal))
    let { code } = explained
    if (discarded.length > 0) code = 'DNS_NO_AAAA'
    else if (!answer && code === 'DNS_FAILED') code = 'DNS_TIMEOUT'
    throw new ProbeError(code, `${host.host}: ${SAYS[code] ?? code}`, {
      cause: answer?.error,
      evidence: {
        host: host.host,
        lookup: 'getaddrinfo',
        getaddrinfo: answer ? (answer.error === undefined ? found : errorCode(answer.error)) : 'no answer',
        discarded,
        ...explained.evidence,
      },
      hint: cannotAsk(code, names) ? IPV6_OFF : explained.hint,
    })
  })
}

/** Whether no resolver was reached since this host has no IPv6, and every resolver an IPv6 address. */
const cannotAsk = (code: Code, names: NameService): boolean =>
  (code === 'DNS_FAILED' || code === 'DNS_TIMEOUT') &&
  (names.servers ?? getServers()).every(server => isIPv6(server.replace(/^\[(.*)\](:\d+)?$/, '$1'))) &&
  !hasIPv6()

/** Whether it is an IPv6 address, and not one that only wraps IPv4. */
const isUsable = (address: string): boolean => isIPv6(address) && !isWrappedIPv4(address)

/** Resolves with undefined after some time, ms, and no later than the signal. */
const after = (ms: number, signal: AbortSignal) =>
  new Promise<undefined>(settle => {
    const timer = setTimeout(settle, ms, undefined)
    const stop = () => {
      clearTimeout(timer)
      settle(undefined)
    }
    signal.addEventListener('abort', stop, { once: true })
  })

interface Explained {
  readonly code: Code
  readonly evidence: Facts
  readonly hint: string | undefined
}

/** Why a lookup found nothing: a resolver asked directly, and /etc/hosts (a name with an IPv4 address only). */
async function explain(host: string, names: NameService, ms: number, signal: AbortSignal): Promise<Explained> {
  const [direct, ipv4, internal] = await Promise.all([
    ask(names, host, 'AAAA', ms),
    Promise.race([names.lookup(host, 4).catch(() => []), after(ms, signal)]),
    explainInternal(names, host, ms),
  ])
  const unusable = direct.answers.length > 0 && !direct.answers.some(isUsable)
  let code: Code = direct.error ? (DIRECT[direct.error] ?? 'DNS_FAILED') : 'DNS_FAILED'
  if (unusable || ipv4?.length) code = 'DNS_NO_AAAA'
  return {
    code,
    evidence: { resolver: direct.error ?? direct.answers, ...(ipv4?.length && { ipv4 }), ...internal?.evidence },
    hint: internal?.hint,
  }
}
