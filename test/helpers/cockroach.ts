/**
 * CockroachDB's side of a conversation, from what a real node was recorded saying (cockroach-wire.json)
 * and, where a later release differs, from src/database/README.md.
 *
 * scenario   one recorded conversation: its name says what the client did
 * principal  a name that a client certificate stands for: its CN and each of its DNS SANs
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Act, decide } from './acts.ts'
import { type Script, scriptedServer } from './scripted.ts'
import type { Session, SessionServer } from './sessions.ts'
import type { Result } from './statements.ts'
import type { ServerTls } from './tls-side.ts'
import {
  authenticationOk,
  backendKeyData,
  challenge,
  errorResponse,
  type Fields,
  parameterStatus,
  readColumns,
  readFields,
  readRow,
  readText,
  readyForQuery,
  type ServerMessage,
  type Status,
} from './wire.ts'

/** The file's own form: `hex` is the whole message; one error was recorded with its fields only. */
interface RecordedMessage {
  readonly type: string
  readonly hex?: string
  readonly fields?: Fields
  readonly parameter?: string
  readonly value?: string
}
interface RecordedStep {
  readonly client: string
  readonly server: string | readonly RecordedMessage[]
  readonly end?: string
}
interface Recording {
  readonly scenarios: readonly { readonly name: string; readonly steps: readonly RecordedStep[] }[]
}

const recording: Recording = JSON.parse(readFileSync(new URL('cockroach-wire.json', import.meta.url), 'utf8'))

/** One recorded conversation. */
export interface Scenario {
  readonly name: string
  /** the client's certificate, in words; undefined: no TLS */
  readonly certificate: string | undefined
  /** the parameters of the recorded StartupMessage */
  readonly login: Readonly<Record<string, string>>
  /** the answer to SSLRequest where it was an error, not S */
  readonly sslAnswer: Buffer | undefined
  /** the alert about the client certificate, where there was one */
  readonly alert: number | undefined
  /** the answer to the StartupMessage */
  readonly startup: readonly ServerMessage[]
  /** the statements that followed, each with its messages and the same as a result */
  readonly statements: readonly {
    readonly sql: string
    readonly messages: readonly ServerMessage[]
    readonly result: Result
  }[]
}

const messagesOf = ({ server }: RecordedStep): ServerMessage[] =>
  typeof server === 'string'
    ? []
    : server.map(({ type, hex, fields = {} }) => ({
        type,
        bytes: hex === undefined ? errorResponse(fields) : Buffer.from(hex, 'hex'),
      }))

/** The messages that answer a simple query, as a result that either protocol can send. */
export function resultOf(messages: readonly ServerMessage[]): Result {
  const one = (type: string): Buffer | undefined => messages.find(message => message.type === type)?.bytes
  const [columns, tag, error, ready] = [one('T'), one('C'), one('E'), one('Z')]
  return {
    ...(columns === undefined ? {} : { columns: readColumns(columns) }),
    rows: messages.filter(({ type }) => type === 'D').map(({ bytes }) => readRow(bytes)),
    ...(tag === undefined ? {} : { tag: readText(tag) }),
    ...(error === undefined ? {} : { error: readFields(error) }),
    ...(ready === undefined ? {} : { status: ready.toString('latin1', 5, 6) as Status }),
  }
}

const after = (text: string, prefix: string): string | undefined =>
  text.startsWith(prefix) ? text.slice(prefix.length) : undefined

/** The names of all recorded conversations. */
export const cockroachScenarios: readonly string[] = recording.scenarios.map(({ name }) => name)

/** A recorded conversation by its name. Throws when there is none of that name. */
export function cockroachScenario(name: string): Scenario {
  const found = recording.scenarios.find(scenario => scenario.name === name)
  if (found === undefined)
    throw new Error(`no recorded conversation "${name}"; there are: ${cockroachScenarios.join('; ')}`)
  const step = (start: string): RecordedStep | undefined => found.steps.find(({ client }) => client.startsWith(start))
  const ssl = step('SSLRequest')
  const sslAnswer = ssl === undefined ? [] : messagesOf(ssl)
  const startup = step('StartupMessage ')
  const rejected = found.steps.some(({ server, end }) => /BAD_CERTIFICATE/.test(`${end} ${server}`))
  return {
    name,
    certificate: step('TLS ClientHello')?.client.replace(/^TLS ClientHello, certificate (of )?/, ''),
    login: Object.fromEntries(
      (startup?.client.match(/\w+=\S+/g) ?? []).map(pair => pair.split('=') as [string, string]),
    ),
    sslAnswer: sslAnswer.length === 0 ? undefined : Buffer.concat(sslAnswer.map(({ bytes }) => bytes)),
    alert: rejected ? 42 : undefined,
    startup: startup === undefined ? [] : messagesOf(startup),
    statements: found.steps.flatMap(recorded => {
      const sql = after(recorded.client, 'Query ') ?? after(recorded.client, 'COMMIT or ')
      const messages = messagesOf(recorded)
      return sql === undefined || messages.length === 0 ? [] : [{ sql, messages, result: resultOf(messages) }]
    }),
  }
}

/** A script that says what was said in a recorded conversation, to whoever comes. */
export function cockroachReplay(name: string, tls: ServerTls): Script {
  const { sslAnswer, alert, startup, statements } = cockroachScenario(name)
  const left = [...statements]
  const bytes = startup.map(message => message.bytes)
  const ended = startup.some(({ type }) => type === 'E')
  return {
    tls,
    ...(sslAnswer === undefined ? {} : { onSslRequest: { send: sslAnswer, next: 'close' } as const }),
    // a node leaves the connection open after its alert (20 s seen)
    ...(alert === undefined ? {} : { onClientCertificate: { alert, next: 'silent' } as const }),
    ...(bytes.length === 0 ? {} : { onStartup: { send: bytes, next: ended ? 'close' : 'go on' } as const }),
    onStatement(sql) {
      const same = (recorded: { sql: string }): boolean => recorded.sql.toLowerCase() === sql.trim().toLowerCase()
      const index = left.findIndex(same) // the same statement may be answered differently the second time
      return (index < 0 ? statements.findLast(same) : left.splice(index, 1)[0])?.result
    },
  }
}

/** How the played node differs from a quiet 22.1 with the deployment's roles. */
export interface CockroachOptions extends Script {
  /** certificate, key and, to reject client certificates of another CA, `ca` */
  readonly tls: ServerTls & { readonly ca: string }
  /** default: the recorded 22.1.0-alpha. `current`: 28P01 for an unknown role, alerts 48 and 45 beside 42 */
  readonly release?: '22.1' | 'current'
  /** the roles, and whether they may log in */
  readonly roles?: Readonly<Record<string, boolean>>
  readonly draining?: boolean
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

const ROLES = { root: true, gateway_admin: true, gateway_writer: true, gateway_reader: false }

const principals = (peer: X509Certificate): string[] => [
  ...[...peer.subject.matchAll(/^CN=(.*)$/gm)].map(match => match[1] ?? ''),
  ...[...(peer.subjectAltName ?? '').matchAll(/DNS:([^,]+)/g)].map(match => match[1] ?? ''),
]

const denied = (recorded: string, replace: (text: string) => string, sqlstate?: string): Act => {
  const error = cockroachScenario(recorded).startup.find(({ type }) => type === 'E')
  if (error === undefined) throw new Error(`"${recorded}" has no error`)
  const fields = readFields(error.bytes)
  const changed = { ...fields, C: sqlstate ?? fields.C ?? '', M: replace(fields.M ?? '') }
  return { send: errorResponse(changed), next: 'close' }
}

/** The recorded messages of a login that succeeded, with this session's user and application name in them. */
function welcome({ startup = {} }: Session): Buffer[] {
  const user = startup.user ?? ''
  const own: Record<string, string> = {
    session_authorization: user,
    application_name: startup.application_name ?? '',
    is_superuser: user === 'root' ? 'on' : 'off',
  }
  const parameters = recording.scenarios[0]?.steps
    .flatMap(({ server }) => (typeof server === 'string' ? [] : server))
    .filter(({ type }) => type === 'S')
    .map(({ parameter = '', value = '' }) => parameterStatus(parameter, own[parameter] ?? value))
  return [authenticationOk(), ...(parameters ?? []), backendKeyData(1, 1), readyForQuery()]
}

const ALERT = { badCertificate: 42, certificateExpired: 45, unknownCa: 48 } as const

/** The alert with which Go's TLS refuses a client certificate (crypto/tls, processCertsFromClient); no intermediates. */
function objection(peer: X509Certificate, authority: X509Certificate): number | undefined {
  if (!(peer.checkIssued(authority) && peer.verify(authority.publicKey))) return ALERT.unknownCa
  const now = Date.now()
  if (Date.parse(peer.validTo) < now || Date.parse(peer.validFrom) > now) return ALERT.certificateExpired
  const usages: readonly string[] | undefined = peer.keyUsage
  return usages === undefined || usages.includes(CLIENT_AUTH) ? undefined : ALERT.badCertificate
}

/**
 * Plays a CockroachDB up to ReadyForQuery: TLS, its alerts, the order in which it looks at role, LOGIN and certificate,
 * and its parameters. Statements, and any moment, are the caller's: what `options` names goes before what is played.
 */
export function cockroachServer(options: CockroachOptions): Promise<SessionServer> {
  const { release = '22.1', draining = false, tls } = options
  const roles: Readonly<Record<string, boolean>> = options.roles ?? ROLES
  const authority = new X509Certificate(tls.ca)

  function login(session: Session): Act {
    const { peer, startup = {} } = session
    const user = startup.user ?? ''
    const named = (text: string): string => text.replace(/\bnobody_here\b|\bgateway_reader\b/, user)
    if (session.protocol === undefined) return denied('startup without TLS', text => text)
    if (roles[user] === undefined) {
      return denied('unknown role, certificate of gateway_writer', named, release === '22.1' ? undefined : '28P01')
    }
    if (!roles[user]) return denied('role without LOGIN', named)
    if (peer === undefined) return { send: challenge(10) }
    const names = principals(peer)
    if (names.includes(user)) return { send: welcome(session) }
    return denied(
      'certificate of another user',
      () => `requested user is ${user}, but certificate is for [${names.join(' ')}]`,
    )
  }

  return scriptedServer({
    ...(draining ? cockroachReplay('draining node', tls) : {}),
    onClientCertificate({ peer }) {
      const alert = peer === undefined ? undefined : objection(peer, authority)
      if (alert === undefined) return 'go on'
      return { alert: release === '22.1' ? ALERT.badCertificate : alert, next: 'silent' }
    },
    ...options,
    onStartup: async session => {
      const act = await decide(options.onStartup, session)
      return act === 'go on' ? login(session) : act
    },
  })
}
