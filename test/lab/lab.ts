/**
 * The deployment's private network on one machine: the network, its resolver, a server on each database machine, and
 * the application's machine with the deployed back end's secrets.
 *
 *   db1   multiplayer-fabric-crdb.internal; its certificate is RSA below an RSA intermediate, so that what it sends in
 *         the TLS handshake does not fit into one packet
 *   db2   one small certificate
 *   db3   listens on IPv4 only
 */
import { spawn } from 'node:child_process'
import { type Authority, createAuthority } from '../../src/development/throwaway/authority.ts'
import { issueClient } from '../../src/development/throwaway/certs-dir.ts'
import {
  type Engine,
  startThrowaway,
  type Throwaway,
  type ThrowawayOptions,
} from '../../src/development/throwaway/index.ts'
import { type Ended, ended } from '../helpers/process.ts'
import { command, type Host, type Way } from './host.ts'
import { type App, hostOf, records, SERVED } from './names.ts'
import { addressOf, bracket, buildNetwork, type Database, type Network } from './network.ts'
import { type LabResolver, startResolver } from './resolver.ts'

const PORT = 26257

export interface LabOptions {
  readonly way: Way
  /** default: CockroachDB where there is one */
  readonly engine?: Engine
  /** made by `createTemplate`: saves initdb for each server */
  readonly template?: string
}

export interface Lab extends AsyncDisposable {
  readonly network: Network
  readonly resolver: LabResolver
  readonly servers: Readonly<Record<Database, Throwaway>>
  /** The secrets and variables of the deployed back end, for this application's database. */
  environment(app?: App): Record<string, string>
  /** Runs words on the application's machine, in the repository, with this environment and no other variable. */
  start(words: readonly string[], env: Readonly<Record<string, string>>): { result: Promise<Ended> }
}

/** Builds all of it; what it has made so far is taken down if it cannot. */
export async function buildLab({ way, engine, template }: LabOptions): Promise<Lab> {
  const stack = bracket()
  try {
    const network = stack.use(await buildNetwork(way))
    const authority = await createAuthority({ name: 'lab CA' })
    const serve = async (name: Database, options: ThrowawayOptions = {}) =>
      stack.use(
        await startThrowaway({
          authority,
          port: PORT,
          listen: [addressOf(name)],
          dnsNames: SERVED,
          commandPrefix: serverPrefix(network.databases[name], way),
          ...(engine && { engine }),
          ...(template !== undefined && { template }),
          ...options,
        }),
      )
    const resolver = stack.use(await startResolver(network.router))
    const starting = [
      largeCertificate(authority).then(serverCertificate => serve('db1', { serverCertificate })),
      serve('db2'),
      // Not 0.0.0.0, which a program in Go takes for every address of either kind.
      serve('db3', { listen: ['127.0.0.1'] }),
      resolver.serve(records()),
    ] as const
    // Each one is let settle, so that the bracket holds whatever has been started.
    await Promise.allSettled(starting)
    const [db1, db2, db3] = await Promise.all(starting)
    const secrets = await secretsOf(authority)
    return {
      network,
      resolver,
      servers: { db1, db2, db3 },
      environment: (app = 'multiplayer-fabric-crdb') => ({
        ...secrets,
        ...machineVariables,
        DATABASE_URL: urlOf('gateway_writer', app),
        MIGRATION_DATABASE_URL: urlOf('gateway_admin', app),
      }),
      start: (words, env) => ({ result: run(command(network.app, words), env) }),
      [Symbol.asyncDispose]: () => stack.dispose(),
    }
  } catch (error) {
    await stack.dispose()
    throw error
  }
}

/** Inside a user namespace we are root, which PostgreSQL refuses: a nested one makes us somebody else. */
const serverPrefix = ({ prefix }: Host, way: Way): readonly string[] =>
  way === 'root' ? prefix : [...prefix, 'unshare', '-U', '--map-user=1000', '--map-group=1000']

const largeCertificate = async (authority: Authority) => {
  const intermediate = await authority.issueIntermediate({ name: 'lab intermediate CA', keyAlgorithm: 'RSA 3072' })
  return intermediate.issue({
    commonName: 'node',
    dnsNames: ['localhost', ...SERVED],
    ipAddresses: ['::1', addressOf('db1')],
    keyAlgorithm: 'RSA 3072',
  })
}

const urlOf = (user: string, app: App) => `postgresql://${user}@${hostOf(app)}:${PORT}/uro?sslmode=verify-full`

/** The PEM secrets (src/settings/README.md). */
async function secretsOf(authority: Authority): Promise<Record<string, string>> {
  const [writer, admin] = await Promise.all([
    issueClient(authority, 'gateway_writer'),
    issueClient(authority, 'gateway_admin'),
  ])
  return {
    CRDB_CA_CRT: authority.certificate,
    CRDB_CLIENT_WRITER_CRT: writer.certificate,
    CRDB_CLIENT_WRITER_KEY: writer.key,
    CRDB_CLIENT_ADMIN_CRT: admin.certificate,
    CRDB_CLIENT_ADMIN_KEY: admin.key,
  }
}

/** What every machine of Fly has in its environment. */
export const machineVariables = {
  FLY_APP_NAME: 'multiplayer-fabric-uro',
  FLY_REGION: 'ams',
  FLY_MACHINE_ID: 'e2865001a945',
  FLY_PRIVATE_IP: addressOf('app'),
  PRIMARY_REGION: 'ams',
} as const

/** The path variables as a release machine has them: set, and nothing is there. */
export const PATHS_TO_NOWHERE = {
  CRDB_CA_CERT: '/data/certs/ca.crt',
  CRDB_CLIENT_CERT: '/data/certs/client.gateway_writer.crt',
  CRDB_CLIENT_KEY: '/data/certs/client.gateway_writer.key',
  CRDB_ADMIN_CERT: '/data/certs/client.gateway_admin.crt',
  CRDB_ADMIN_KEY: '/data/certs/client.gateway_admin.key',
} as const

function run([file = '', ...args]: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  const { PATH = '', HOME = '/' } = process.env
  return ended(spawn(file, args, { env: { PATH, HOME, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }))
}
