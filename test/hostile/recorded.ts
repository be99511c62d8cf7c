/**
 * A whole probe as a real PostgreSQL answered it, and a server that answers so again: the catalogue from the recording,
 * byte by byte, rows from a table of its own. No process stands behind it, so hundreds of runs cost little.
 */
import { pemOf } from '../helpers/clients.ts'
import { idsIn, isDelete } from '../helpers/faults.ts'
import { faultyProxy } from '../helpers/proxy.ts'
import { refusal, type Script, scriptedServer } from '../helpers/scripted.ts'
import type { Session, SessionServer } from '../helpers/sessions.ts'
import type { Reply, Result } from '../helpers/statements.ts'
import { migrated, probeWith, verdictOf } from '../helpers/target.ts'
import { type Column, readColumns, type ServerMessage, type Value } from '../helpers/wire.ts'
import { type Credentials, targetOf } from './bounds.ts'

export interface Recording {
  /** AuthenticationOk up to ReadyForQuery */
  readonly startup: readonly ServerMessage[]
  /** the answers to the statements without parameters, ReadyForQuery included */
  readonly answers: ReadonlyMap<string, readonly ServerMessage[]>
  /** the table's columns */
  readonly columns: readonly Column[]
}

/** Runs the probe once against a server of its own. Throws if it does not pass. */
export async function record(credentials: Credentials): Promise<Recording> {
  await using target = await migrated({ engine: 'postgresql' })
  const writer = pemOf(target, 'gateway_writer')
  const startups = new Map<Session, ServerMessage[]>()
  const asked = new Map<Session, (string | undefined)[]>()
  const current = new Map<Session, ServerMessage[]>()
  const answers = new Map<string, ServerMessage[]>()
  let columns: readonly Column[] = []
  /** the session that is asked who it is: its startup and that answer name one process */
  let identified: Session | undefined
  await using server = await faultyProxy({
    upstream: target,
    tls: credentials.server,
    credentials: ({ peerName, protocol }) =>
      protocol === undefined ? undefined : peerName === undefined ? { ca: writer.ca } : writer,
    onClientMessage(message, session) {
      if (message.kind === 'Query' && message.sql.includes('pg_backend_pid')) identified = session
      if (message.kind === 'Query') asked.set(session, [...(asked.get(session) ?? []), message.sql])
      if (message.kind === 'Sync') asked.set(session, [...(asked.get(session) ?? []), undefined])
      return undefined
    },
    onServerMessage(message, session) {
      const unit = [...(current.get(session) ?? []), message]
      current.set(session, message.type === 'Z' ? [] : unit)
      if (message.type === 'T' && readColumns(message.bytes).length === 7 && asked.get(session)?.[0] === undefined)
        columns = readColumns(message.bytes)
      if (message.type !== 'Z') return undefined
      if (!startups.has(session)) startups.set(session, unit)
      else {
        const sql = asked.get(session)?.shift()
        if (sql !== undefined) answers.set(sql.trim(), unit)
      }
      return undefined
    },
  })
  const report = await probeWith(targetOf(server, credentials), { options: { writes: 3 } })
  if (report.verdict !== 'pass') throw new Error(JSON.stringify(verdictOf(report)))
  const startup = identified && startups.get(identified)
  return { startup: startup ?? [], answers, columns }
}

export interface Replay extends SessionServer {
  /** the ids of the rows that are in the table */
  readonly rows: ReadonlyMap<string, readonly Value[]>
}

/** What removes rows, and looks whether they are gone: the ids stand in the text. */
function removal(rows: Map<string, readonly Value[]>, columns: readonly Column[], sql: string): Result {
  const found = idsIn(sql).filter(id => rows.has(id))
  if (isDelete(sql)) for (const id of found) rows.delete(id)
  return { columns: columns.slice(0, 1), rows: found.map(id => [id]) }
}

/** Answers one of the probe's three statements with parameters. */
function execute(
  rows: Map<string, readonly Value[]>,
  columns: readonly Column[],
  sql: string,
  params: readonly Value[],
) {
  const returning = (sent: readonly (readonly Value[])[]): Result =>
    / returning "id"$/.test(sql)
      ? { columns: columns.slice(0, 1), rows: sent.map(row => row.slice(0, 1)) }
      : / returning |^select/.test(sql)
        ? { columns, rows: sent }
        : { tag: `INSERT 0 ${sent.length}` }
  const at = (ids: readonly Value[]) => ids.map(id => rows.get(id ?? '')).filter(row => row !== undefined)
  if (sql.startsWith('insert')) {
    const [id] = params
    if (rows.has(id ?? '')) return returning([])
    rows.set(id ?? '', params)
    return returning([params])
  }
  if (sql.startsWith('select')) return returning(at(params))
  if (sql.startsWith('update')) {
    const [payload = null, id = null] = params
    for (const row of at([id]))
      rows.set(
        id ?? '',
        row.map((value, index) => (columns[index]?.name === 'payload' ? payload : value)),
      )
    return returning(at([id]))
  }
  throw new Error(`the probe has a new statement: ${sql}`)
}

/**
 * Starts the server.
 * @param script what goes before the recorded answers, where it answers at all
 */
export async function replay(
  { startup, answers, columns }: Recording,
  credentials: Credentials,
  { onStatement, onStartup, ...script }: Script = {},
): Promise<Replay> {
  const rows = new Map<string, readonly Value[]>()
  const answer = (sql: string, params: readonly Value[]): Reply => {
    if (params.length > 0) return execute(rows, columns, sql, params)
    if (idsIn(sql).length > 0) return removal(rows, columns, sql)
    const recorded = answers.get(sql)
    if (!recorded) throw new Error(`the probe asks something new: ${sql}`)
    return { send: recorded.map(({ bytes }) => bytes) }
  }
  const server = await scriptedServer({
    tls: credentials.server,
    ...script,
    async onStartup(session) {
      if (session.peerName === undefined) return refusal('28000', 'certificate required', 'ClientAuthentication')
      if (session.startup?.user !== session.peerName) return refusal('28000', 'certificate authentication failed')
      const act = typeof onStartup === 'function' ? await onStartup(session) : onStartup
      return act ?? { send: startup.map(({ bytes }) => bytes) }
    },
    onStatement: async (sql, params, session) => (await onStatement?.(sql, params, session)) ?? answer(sql, params),
  })
  return Object.assign(Object.create(server), { rows }) as Replay
}
