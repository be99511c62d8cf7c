/**
 * The part of a scripted session that answers statements, in the simple and in the extended protocol.
 *
 * A statement is answered once, when its parameters are known. A driver that prepares without a name sends
 *   Parse · Describe · Flush,   waits for the parameters' types,   then sends   Bind · Execute · Sync
 * so the row description, which depends on the answer, is held back until Bind comes: the order of the messages is a
 * real server's, only their time is not. A client that syncs before it binds is told that there are no columns.
 */
import type { Duplex } from 'node:stream'
import { type Act, type Ends, perform, write } from './acts.ts'
import {
  bindComplete,
  type ClientMessage,
  type Column,
  closeComplete,
  commandComplete,
  dataRow,
  emptyQueryResponse,
  errorResponse,
  type Fields,
  noData,
  noticeResponse,
  parameterDescription,
  parseComplete,
  readyForQuery,
  rowDescription,
  type Status,
  type Value,
} from './wire.ts'

/** What a statement leads to. With `error`, what stands beside it is sent first and the error ends the statement. */
export interface Result {
  /** absent: the statement returns no rows */
  readonly columns?: readonly (Column | string)[]
  readonly rows?: readonly (readonly Value[])[]
  /** the command tag; absent: derived from the statement and the number of rows */
  readonly tag?: string
  readonly notices?: readonly Fields[]
  readonly error?: Fields
  /** the transaction's state afterwards; absent: as BEGIN, COMMIT, ROLLBACK and errors have it */
  readonly status?: Status
}

/** A result, or an act: `silent` never answers, `close` and `reset` cut the connection, `send` answers with these bytes. */
export type Reply = Result | Act

/** Decides on a statement; undefined is success without rows. The text parameters are null for SQL's NULL. */
export type OnStatement<Session> = (
  sql: string,
  params: readonly Value[],
  session: Session,
) => Reply | undefined | Promise<Reply | undefined>

const isResult = (reply: Reply): reply is Result =>
  typeof reply === 'object' && !('send' in reply) && !('flood' in reply)

/** Splits the text of a simple query at the semicolons outside quotes; leaves out empty statements. */
export function statementsOf(sql: string): string[] {
  const parts = sql.match(/(?:'(?:[^']|'')*'|"[^"]*"|\$(\w*)\$[\s\S]*?\$\1\$|--[^\n]*|[^;])+/g) ?? []
  return parts.map(part => part.trim()).filter(part => part !== '')
}

/** How many parameters a statement has, by its highest $n. */
const parametersOf = (sql: string): number =>
  Math.max(0, ...[...sql.matchAll(/\$(\d+)/g)].map(match => Number(match[1])))

function tagOf(sql: string, rows: number | undefined): string {
  const [verb = '', object = ''] = sql.toUpperCase().split(/\s+/)
  if (verb === 'INSERT') return `INSERT 0 ${rows ?? 1}`
  if (verb === 'UPDATE' || verb === 'DELETE') return `${verb} ${rows ?? 1}`
  if (verb === 'SELECT' || verb === 'SHOW' || verb === 'WITH') return `SELECT ${rows ?? 0}`
  return verb === 'CREATE' || verb === 'DROP' || verb === 'ALTER' ? `${verb} ${object}` : verb
}

function statusAfter(sql: string, error: boolean, before: Status): Status {
  if (error) return before === 'I' ? 'I' : 'E'
  const verb = /^\s*(\w+)/.exec(sql)?.[1]?.toUpperCase()
  if (verb === 'BEGIN' || verb === 'START') return 'T'
  return verb === 'COMMIT' || verb === 'ROLLBACK' || verb === 'END' || verb === 'ABORT' ? 'I' : before
}

const described = (result: Result): Buffer => (result.columns === undefined ? noData() : rowDescription(result.columns))

/** Notices, rows, and the tag or the error. */
function executed(sql: string, result: Result): Buffer {
  const rows = result.rows ?? []
  return Buffer.concat([
    ...(result.notices ?? []).map(noticeResponse),
    ...rows.map(dataRow),
    result.error === undefined
      ? commandComplete(result.tag ?? tagOf(sql, result.columns && rows.length))
      : errorResponse(result.error),
  ])
}

/**
 * Answers the messages of a session that has started, one after the other.
 * Returns a function that takes the next message and resolves to false when the conversation is over.
 */
export function answerStatements(
  ends: Ends,
  onStatement: (sql: string, params: readonly Value[]) => Promise<Reply | undefined>,
  onParse: (sql: string) => Promise<Fields | undefined>,
): (message: ClientMessage) => Promise<boolean> {
  const stream: Duplex = ends.stream
  const prepared = new Map<string, string>()
  const portals = new Map<string, { sql: string; result: Result }>()
  let status: Status = 'I'
  let failed = false // an error in the extended protocol: everything is skipped up to Sync
  let describing = false // the row description is held back until Bind

  const fail = async (error: Fields): Promise<void> => {
    failed = true
    status = statusAfter('', true, status)
    await write(stream, errorResponse(error))
  }

  async function simple(text: string): Promise<boolean> {
    const parts = statementsOf(text)
    if (parts.length === 0) await write(stream, emptyQueryResponse())
    for (const sql of parts) {
      const reply = (await onStatement(sql, [])) ?? {}
      if (!isResult(reply)) {
        const left = await perform(reply, ends)
        if (left === false) return false
        if (left === 'answered') return true // the bytes sent were the whole answer, its end included
      }
      const result = isResult(reply) ? reply : {}
      status = result.status ?? statusAfter(sql, result.error !== undefined, status)
      await write(
        stream,
        Buffer.concat([
          ...(result.columns === undefined ? [] : [rowDescription(result.columns)]),
          executed(sql, result),
        ]),
      )
      if (result.error !== undefined) break
    }
    await write(stream, readyForQuery(status))
    return true
  }

  async function bind(portal: string, name: string, params: readonly Value[]): Promise<boolean> {
    const sql = prepared.get(name) ?? ''
    const reply = (await onStatement(sql, params)) ?? {}
    if (!isResult(reply)) {
      const left = await perform(reply, ends)
      if (left === false) return false
      if (left === 'answered') {
        failed = true // what belongs to this statement is skipped up to Sync
        describing = false
        return true
      }
    }
    const result = isResult(reply) ? reply : {}
    portals.set(portal, { sql, result })
    await write(stream, Buffer.concat([...(describing ? [described(result)] : []), bindComplete()]))
    describing = false
    return true
  }

  return async message => {
    if (message.kind === 'Terminate') {
      ends.stream.end(() => ends.socket.destroySoon())
      return false
    }
    if (message.kind === 'Sync') {
      const late = describing ? [noData()] : []
      failed = false
      describing = false
      await write(stream, Buffer.concat([...late, readyForQuery(status)]))
      return true
    }
    if (failed) return true
    switch (message.kind) {
      case 'Query':
        return simple(message.sql)
      case 'Parse': {
        const error = await onParse(message.sql)
        if (error !== undefined) await fail(error)
        else {
          prepared.set(message.name, message.sql)
          await write(stream, parseComplete())
        }
        return true
      }
      case 'Describe': {
        const portal = message.what === 'P' ? portals.get(message.name) : undefined
        if (portal !== undefined) await write(stream, described(portal.result))
        else {
          const count = parametersOf(prepared.get(message.name) ?? '')
          await write(stream, parameterDescription(Array.from({ length: count }, () => 25)))
          describing = true
        }
        return true
      }
      case 'Bind':
        return bind(message.portal, message.name, message.params)
      case 'Execute': {
        const portal = portals.get(message.portal)
        if (portal === undefined) return true
        const { sql, result } = portal
        failed = result.error !== undefined
        status = result.status ?? statusAfter(sql, failed, status)
        await write(stream, executed(sql, result))
        return true
      }
      case 'Close':
        await write(stream, closeComplete())
        return true
      default:
        return true
    }
  }
}
