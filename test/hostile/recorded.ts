/**
 * A whole probe as a real PostgreSQL answered it, and a server that answers so again: the catalogue from the recording,
 * byte by byte, rows from a table of its own. No process stands behind it, so hundreds of runs cost little.
 */

import { pemOf } from '../helpers/clients.ts'
import { EXPECTED_COLUMNS } from '../helpers/declared.ts'
import { idsIn, isDelete } from '../helpers/faults.ts'
import { faultyProxy } from '../helpers/proxy.ts'
import { refusal, type Script, scriptedServer } from '../helpers/scripted.ts'
import type { Session, SessionServer } from '../helpers/sessions.ts'
import type { Reply, Result } from '../helpers/statements.ts'
import { migrated, run } from '../helpers/target.ts'
import { verdictOf } from '../helpers/verdict.ts'
import { backendKeyData, type Column, readColumns, type ServerMessage, type Value } from '../helpers/wire.ts'
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
  await using server = await faultyProxy({
    upstream: target,
    tls: credentials.server,
    credentials: ({ peerName, protocol }) =>
      protocol === undefined ? undefined : peerName === undefined ? { ca: writer.ca } : writer,
    onClientMessage(message, session) {
      if (message.kind === 'Query') asked.set(session, [...(asked.get(session) ?? []), message.sql])
      if (message.kind === 'Sync') asked.set(session, [...(asked.get(session) ?? []), undefined])
      return undefined
    },
    onServerMessage(message, session) {
      const unit = [...(current.get(session) ?? []), message]
      current.set(session, message.type === 'Z' ? [] : unit)
      if (
        message.type === 'T' &&
        readColumns(message.bytes).length === EXPECTED_COLUMNS.length + 1 &&
        asked.get(session)?.[0] === undefined
      )
        columns = readColumns(message.bytes).slice(0, -1)
      if (message.type !== 'Z') return undefined
      if (!startups.has(session)) startups.set(session, unit)
      else {
        const sql = asked.get(session)?.shift()
        if (sql !== undefined) answers.set(sql.trim(), unit)
      }
      return undefined
    },
  })
  const report = await run(targetOf(server, credentials, { writes: 3 }))
  if (report.verdict !== 'pass') throw new Error(JSON.stringify(verdictOf(report)))
  const startup = [...startups].find(([{ peerName, startup }]) => peerName === startup?.user)?.[1]
  return { startup: startup ?? [], answers, columns }
}

export interface Replay extends SessionServer {
  /** the ids of the rows that are in the table */
  readonly rows: ReadonlyMap<string, readonly Value[]>
}

/** The process that a connection of the replay names, in BackendKeyData and in every answer about rows. */
const processOf = ({ id }: Session): string => String(4200 + id)

/** What the answer says that depends on the connection: the setting made at startup, and the process. */
function aboutSession(sql: string, session: Session): Result | undefined {
  const [, token = ''] = /connection_probe\.session=(\w+)/.exec(session.startup?.options ?? '') ?? []
  if (sql.includes('connection_probe.session'))
    return { columns: ['token', 'session'], rows: [[token, processOf(session)]] }
  if (sql.includes('connection_probe.kept')) return { columns: ['kept'], rows: [[token]] }
  // Only a run with a fault asks for these: a setting of the role's or a policy as the cause, who makes what by default,
  // which databases there are, and whether a table that is not listed is there all the same.
  if (sql === 'SELECT 1 FROM public."connection_probe" LIMIT 0') return { columns: ['?column?'], rows: [] }
  if (sql.includes('default_transaction_read_only'))
    return {
      columns: ['default_transaction_read_only', 'default_transaction_use_follower_reads'],
      rows: [['off', 'off']],
    }
  if (sql.includes('r.rolname IN (')) return { columns: ['name'], rows: [] }
  if (sql.includes('pg_policies')) return { columns: ['name', 'kind', 'verb', 'open'], rows: [] }
  return sql.includes('pg_prepared_statements')
    ? { columns: ['name', 'session'], rows: [[null, processOf(session)]] }
    : undefined
}

/** What removes rows, and looks whether they are gone: the ids stand in the text. */
function removal(
  rows: Map<string, readonly Value[]>,
  columns: readonly Column[],
  sql: string,
  session: Session,
): Result {
  const found = idsIn(sql).filter(id => rows.has(id))
  if (!isDelete(sql)) return { columns: columns.slice(0, 1), rows: found.map(id => [id]) }
  for (const id of found) rows.delete(id)
  return { columns: [...columns.slice(0, 1), 'session'], rows: found.map(id => [id, processOf(session)]) }
}

/** The row that an insert makes; a column that it leaves to its default is empty. */
function inserted(columns: readonly Column[], sql: string, params: readonly Value[]): readonly Value[] {
  const [, names = '', values = ''] = /\(([^)]*)\) values \(([^)]*)\)/.exec(sql) ?? []
  const given = values.split(', ')
  const at = new Map(names.split(', ').map((name, index) => [name.replaceAll('"', ''), given[index]]))
  return columns.map(({ name }) => {
    const [, parameter] = /^\$(\d+)$/.exec(at.get(name) ?? '') ?? []
    return parameter === undefined ? '' : (params[Number(parameter) - 1] ?? null)
  })
}

/** Answers one of the probe's three statements with parameters. */
function execute(
  rows: Map<string, readonly Value[]>,
  columns: readonly Column[],
  sql: string,
  params: readonly Value[],
  session: Session,
) {
  const returning = (sent: readonly (readonly Value[])[]): Result =>
    sql.startsWith('insert')
      ? { columns: ['session'], rows: sent.map(() => [processOf(session)]) }
      : { columns: [...columns, 'session'], rows: sent.map(row => [...row, processOf(session)]) }
  const at = (ids: readonly Value[]) => ids.map(id => rows.get(id ?? '')).filter(row => row !== undefined)
  if (sql.startsWith('insert')) {
    const [id] = params
    if (rows.has(id ?? '')) return returning([])
    const row = inserted(columns, sql, params)
    rows.set(id ?? '', row)
    return returning([row])
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
  const answer = (sql: string, params: readonly Value[], session: Session): Reply => {
    if (params.length > 0) return execute(rows, columns, sql, params, session)
    if (idsIn(sql).length > 0) return removal(rows, columns, sql, session)
    const own = aboutSession(sql, session)
    if (own) return own
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
      const own = backendKeyData(Number(processOf(session)), 1)
      return act ?? { send: startup.map(({ type, bytes }) => (type === 'K' ? own : bytes)) }
    },
    onStatement: async (sql, params, session) =>
      (await onStatement?.(sql, params, session)) ?? answer(sql, params, session),
  })
  return Object.assign(Object.create(server), { rows }) as Replay
}
