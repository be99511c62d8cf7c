/**
 * `npm run lab`: builds the private network and leaves it up until Ctrl-C or the end of its input, so that a person
 * can enter the application's machine, run the probe there and break the network meanwhile.
 *
 * /run/app on the application's machine (a tmpfs that goes with it) runs a command, or a shell, with the deployed back
 * end's secrets in the environment.
 */
import { fileURLToPath } from 'node:url'
import { createTemplate, defaultEngine } from '../../src/development/throwaway/index.ts'
import { findWay, type Host } from './host.ts'
import { buildLab, type Lab } from './lab.ts'
import { hostOf } from './names.ts'
import { bracket, ETHERNET_HEADER, tbf } from './network.ts'

export interface LabHooks {
  readonly print: (text: string) => Promise<void>
  readonly note: (text: string) => void
  /** aborted when the lab is to be taken down */
  readonly signal: AbortSignal
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Resolves with whether there was a lab, once it is taken down. */
export async function runLab({ print, note, signal }: LabHooks): Promise<boolean> {
  const found = await findWay()
  if ('obstacle' in found) {
    note(found.obstacle)
    return false
  }
  const stack = bracket()
  try {
    note('building the private network and three servers')
    const template = defaultEngine() === 'postgresql' ? stack.use(await createTemplate()).directory : undefined
    const lab = stack.use(await buildLab({ way: found.way, ...(template !== undefined && { template }) }))
    for (const app of ['multiplayer-fabric-crdb', 'small-certificate'] as const) {
      const { code, stderr } = await migrateIn(lab, lab.environment(app))
      if (code !== 0) throw new Error(`the migration of ${hostOf(app)} failed: ${stderr}`)
    }
    await lab.network.app.run(`umask 077; cat >/run/app <<'END'\n${script(lab)}\nEND`)
    if (signal.aborted) return true
    await print(instructions(lab))
    await ended(signal)
    note('taking it down')
    return true
  } finally {
    await stack.dispose()
  }
}

const migrateIn = (lab: Lab, env: Readonly<Record<string, string>>) =>
  lab.start(['node', '--import', 'tsx', 'src/cli.ts', 'migrate'], env).result

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

/** Only the back end's own variables: whatever else the person has set stays, except what would be read as settings. */
const script = (lab: Lab): string =>
  [
    `cd ${quote(ROOT)} || exit`,
    'unset COCKROACH_CERTS_DIR PGSSLROOTCERT PGSSLCERT PGSSLKEY CRDB_SNI',
    ...Object.entries(lab.environment()).map(([name, value]) => `export ${name}=${quote(value)}`),
    '[ $# -gt 0 ] || set -- sh',
    'exec "$@"',
  ].join('\n')

const on = (host: Host, words: string) => `  ${host.prefix.join(' ')} ${words}\n`

function instructions({ network, servers }: Lab): string {
  const { app, router, databases } = network
  const hole = tbf(1280 + ETHERNET_HEADER)
  return `
The private network is up: ${servers.db1.version.replace(/ (on|\().*/, '')} on three machines, migrated.

  ${hostOf('multiplayer-fabric-crdb')}   db1, in the application's DATABASE_URL
  ${hostOf('small-certificate')}         db2
  ${hostOf('three-machines')}            db3 (listens on IPv4 only), db2, db1
  ${hostOf('stopped-machine')}, ${hostOf('ipv4-only')}, ${hostOf('gone-machine')}: as they say

A shell on the application's machine, with the back end's secrets; or one command there:
${on(app, 'sh /run/app')}${on(app, 'sh /run/app npm run -s probe -- --writes 5000')}
What breaks it, and what mends it:
  the link to db1 is down
${on(router, 'ip link set db1 down')}${on(router, 'ip link set db1 up')}  every packet to db1 is lost, and nobody says so
${on(router, `tc qdisc add dev db1 root ${tbf(1)}`)}${on(router, 'tc qdisc del dev db1 root')}  a path-MTU hole: what db1 sends in large packets is lost
${on(databases.db1, `tc qdisc add dev eth0 root ${hole}`)}${on(databases.db1, 'tc qdisc del dev eth0 root')}
Ctrl-C or Ctrl-D takes everything down.
`
}

/** Settles at the end of our input, or when we are told to end. */
function ended(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      process.stdin.pause()
      resolve()
    }
    process.stdin.once('end', done).once('error', done).resume()
    if (signal.aborted) done()
    signal.addEventListener('abort', done, { once: true })
  })
}
