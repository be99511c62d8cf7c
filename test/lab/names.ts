/** The names of the lab, as Fly's resolver has them: AAAA of started machines, TXT about machines and applications. */
import type { NameRecords, Records } from '../helpers/dns.ts'
import { addressOf, NOWHERE, otherAddressOf } from './network.ts'

/** application → the addresses of its started machines */
const STARTED = {
  'multiplayer-fabric-crdb': [addressOf('db1')],
  'multiplayer-fabric-uro': [addressOf('app')],
  /** the server listens on an IPv4 address only */
  'ipv4-only': [addressOf('db3')],
  /** the machine's other address, where its server does not listen */
  'other-address': [otherAddressOf('db2')],
  /** no machine has this address any more */
  'gone-machine': [NOWHERE],
  /** the second machine of three is where the probe succeeds if the first is down */
  'three-machines': [addressOf('db3'), addressOf('db2'), addressOf('db1')],
  'moving-machine': [addressOf('db2')],
  'small-certificate': [addressOf('db2')],
} as const

/** exists, and its only machine is not started */
const STOPPED = 'stopped-machine'
/** is not in this organisation, so nothing is known about it */
const ELSEWHERE = 'other-organisation'

export type App = keyof typeof STARTED | typeof STOPPED | typeof ELSEWHERE

export const hostOf = (app: App): string => `${app}.internal`

const machines = (count: number) => Array.from({ length: count }, (_, at) => `e286500${at}a94${at} ams`).join(',')

const recordsOf = (app: string, addresses: readonly string[], created: number): [string, NameRecords][] => [
  [`${app}.internal`, { AAAA: addresses }],
  [`ams.${app}.internal`, { AAAA: addresses }],
  [`vms.${app}.internal`, { TXT: [machines(addresses.length)] }],
  [`all.vms.${app}.internal`, { TXT: [machines(created)] }],
  [`regions.${app}.internal`, { TXT: [created > 0 ? 'ams' : ''] }],
]

/** The whole table; `changes` gives an application's machines other addresses. */
export const records = (changes: Partial<Record<App, readonly string[]>> = {}): Records =>
  Object.fromEntries([
    ...Object.entries({ ...STARTED, ...changes }).flatMap(([app, addresses]) =>
      recordsOf(app, addresses, addresses.length),
    ),
    ...recordsOf(STOPPED, [], 1),
    ['_apps.internal', { TXT: [[...Object.keys(STARTED), STOPPED].join(',')] }],
  ])

/** What the servers' certificates name. */
export const SERVED = Object.keys(STARTED).map(app => hostOf(app as App))
