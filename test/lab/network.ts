/**
 * The private network: hosts around a router, addresses as on Fly (src/dial/README.md), and ways to break a link.
 *
 *   app   fdaa:0:4e20:a7b:100:0:1:2/112      the application's machine: no IPv4 at all, not even on its loopback
 *   db1…  fdaa:0:4e20:a7b:20N:0:1:2/112      the database machines
 *   router  …:1 on each link, fdaa::3        where the resolver listens
 *
 * Each end of a link knows the other's hardware address (as WireGuard, the network has no neighbour discovery), so
 * that a packet is either delivered or lost, and nothing waits for an answer of the kernel's own.
 *
 * down       the router's end of the link is taken down: the router has no route and says so
 * unplugged  the machine's end is taken down: packets to it vanish
 * silent     every packet is lost, in both directions, and nobody says so
 * narrow     packets larger than so many bytes are lost, and nobody says so
 */
import { type Host, startHost, type Way } from './host.ts'

export const RESOLVER = 'fdaa::3'
const DATABASES = ['db1', 'db2', 'db3'] as const
export type Database = (typeof DATABASES)[number]
type Machine = 'app' | Database

/** As on Fly: WireGuard's. */
const MTU = 1420
export const ETHERNET_HEADER = 14

const network = (machine: Machine) =>
  machine === 'app' ? 'fdaa:0:4e20:a7b:100:0:1:' : `fdaa:0:4e20:a7b:20${machine.slice(2)}:0:1:`
export const addressOf = (machine: Machine): string => `${network(machine)}2`
/** Another address of the same machine, where its server does not listen unless told to. */
export const otherAddressOf = (machine: Database): string => `${network(machine)}b`
/** Of no machine: the router knows no way there. */
export const NOWHERE = 'fdaa:0:4e20:a7b:299:0:1:2'

const mac = (machine: Machine, end: 'router' | 'machine') =>
  `02:00:00:00:0${end === 'router' ? 1 : 2}:0${machine === 'app' ? 0 : machine.slice(2)}`

export interface Network extends AsyncDisposable {
  readonly app: Host
  readonly router: Host
  readonly databases: Readonly<Record<Database, Host>>
  /** Undoes whatever was done to a machine's link. */
  mend(machine: Machine): Promise<void>
  down(machine: Machine): Promise<void>
  unplug(machine: Machine): Promise<void>
  silence(machine: Machine): Promise<void>
  /** @param bytes the largest IPv6 packet that still gets through */
  narrow(machine: Machine, bytes: number): Promise<void>
  /** The application's kernel sends SYNs with no option but the segment size, until it is mended. */
  bareSyn(): Promise<void>
}

/** Builds the hosts and their links. */
export async function buildNetwork(way: Way): Promise<Network> {
  const stack = bracket()
  try {
    const router = stack.use(await startHost('router', way))
    const [app, db1, db2, db3] = await Promise.all([
      startHost('app', way, { mounts: true, beside: router }).then(host => stack.use(host)),
      ...DATABASES.map(name => startHost(name, way, { beside: router }).then(host => stack.use(host))),
    ])
    if (!app || !db1 || !db2 || !db3) throw new Error('a host is missing')
    const machines = { app, db1, db2, db3 }
    await router.run(`sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.keep_addr_on_down=1 \
        net.ipv6.icmp.ratelimit=0 &&
      ip addr add ${RESOLVER}/128 dev lo nodad`)
    for (const machine of Object.keys(machines) as Machine[]) await link(router, machines[machine], machine)
    await app.run(`ip -4 addr flush dev lo && ${ownFiles(app.name)}`)
    const limit = (machine: Machine, burst: number) =>
      Promise.all([
        router.run(`tc qdisc replace dev ${machine} root ${tbf(burst)}`),
        machines[machine].run(`tc qdisc replace dev eth0 root ${tbf(burst)}`),
      ])
    return {
      app,
      router,
      databases: { db1, db2, db3 },
      async mend(machine) {
        await Promise.all([
          router.run(`tc qdisc del dev ${machine} root 2>/dev/null; ${routerEnd(machine)}`),
          machines[machine].run(`tc qdisc del dev eth0 root 2>/dev/null; ${machineEnd(machine)} && ${tcpOptions(1)}`),
        ])
      },
      down: async machine => void (await router.run(`ip link set ${machine} down`)),
      unplug: async machine => void (await machines[machine].run('ip link set eth0 down')),
      silence: async machine => void (await limit(machine, 1)),
      narrow: async (machine, bytes) => void (await limit(machine, bytes + ETHERNET_HEADER)),
      bareSyn: async () => void (await app.run(tcpOptions(0))),
      [Symbol.asyncDispose]: () => stack.dispose(),
    }
  } catch (error) {
    await stack.dispose()
    throw error
  }
}

/** A queue that loses what is larger than `burst` bytes, its Ethernet header included, and delays nothing. */
export const tbf = (burst: number) => `tbf rate 100mbit burst ${burst} limit 1m`

const tcpOptions = (on: 0 | 1) =>
  ['timestamps', 'sack', 'window_scaling'].map(option => `sysctl -qw net.ipv4.tcp_${option}=${on}`).join(' && ')

/** Adds the link between the router and a machine, and brings it up. */
async function link(router: Host, host: Host, machine: Machine): Promise<void> {
  await router.run(`ip link add ${machine} address ${mac(machine, 'router')} mtu ${MTU} type veth \
    peer name eth0 address ${mac(machine, 'machine')} mtu ${MTU} netns ${host.pid}`)
  await host.run('sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1')
  await Promise.all([router.run(routerEnd(machine)), host.run(machineEnd(machine))])
}

/** What an end of a link must have, whatever it has now. */
const end = (device: string, address: string, neighbour: string, theirs: string) =>
  `ip link set ${device} up && ip addr replace ${address}/112 dev ${device} nodad &&
   ip neigh replace ${neighbour} lladdr ${theirs} nud permanent dev ${device}`

const routerEnd = (machine: Machine) =>
  `${end(machine, `${network(machine)}1`, addressOf(machine), mac(machine, 'machine'))} &&
   ip neigh replace ${network(machine)}b lladdr ${mac(machine, 'machine')} nud permanent dev ${machine}`

const machineEnd = (machine: Machine) =>
  `${end('eth0', addressOf(machine), `${network(machine)}1`, mac(machine, 'router'))} &&
   ip -6 route replace default via ${network(machine)}1 &&
   ${machine === 'app' ? 'true' : `ip addr replace ${otherAddressOf(machine)}/112 dev eth0 nodad`}`

/**
 * The files of a machine that say where names are looked up, in the host's own mount namespace: /run is a fresh
 * tmpfs, which also hides the sockets of name services outside.
 */
const ownFiles = (name: string) => `
  at=$(readlink -m /etc/resolv.conf)
  mount -t tmpfs -o mode=755 lab /run
  echo 'nameserver ${RESOLVER}' >/run/resolv.conf
  echo 'hosts: files dns' >/run/nsswitch.conf
  printf '::1 localhost\\n${addressOf('app')} ${name}\\n' >/run/hosts
  case $at in
    /run/*) mkdir -p "\${at%/*}" && cp /run/resolv.conf "$at" ;;
    *) mount --bind /run/resolv.conf "$at" ;;
  esac
  for file in nsswitch.conf hosts; do [ ! -e /etc/$file ] || mount --bind /run/$file /etc/$file; done`

/** What Node 20 lacks of AsyncDisposableStack: the last one taken is the first one let go. */
export function bracket() {
  const resources: AsyncDisposable[] = []
  return {
    use<T extends AsyncDisposable>(resource: T): T {
      resources.push(resource)
      return resource
    },
    async dispose(): Promise<void> {
      for (const resource of resources.splice(0).reverse()) await resource[Symbol.asyncDispose]()
    },
  }
}
