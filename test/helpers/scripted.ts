/**
 * A scriptable PostgreSQL-speaking server on [::1]: real sockets, real TLS, real bytes, no database.
 *
 * A script is what it does at each moment of a connection; what it does not name, a well-behaved server does:
 *   onAccept, onSslRequest, onClientHello, onClientCertificate   see entry.ts
 *   onStartup       AuthenticationOk, parameters, key, ReadyForQuery
 *   onPassword      28000, the connection ends (only after a challenge)
 *   onParse         no error
 *   onStatement     success without rows
 */
import { type Act, decide, type Moment, perform, write } from './acts.ts'
import { type EntryScript, type Session, type SessionServer, serveSessions } from './sessions.ts'
import { answerStatements, type OnStatement } from './statements.ts'
import { authenticationOk, backendKeyData, errorResponse, type Fields, parameterStatus, readyForQuery } from './wire.ts'

export interface Script extends EntryScript {
  readonly onPassword?: Moment<Session>
  /** an error to give at Parse, before the statement runs (extended protocol only) */
  readonly onParse?: (sql: string, session: Session) => Fields | undefined | Promise<Fields | undefined>
  readonly onStatement?: OnStatement<Session>
}

/** The messages of a login that succeeds. */
export const accepted = (parameters: Readonly<Record<string, string>> = { server_version: '15.0' }): Buffer[] => [
  authenticationOk(),
  ...Object.entries(parameters).map(([name, value]) => parameterStatus(name, value)),
  backendKeyData(1, 1),
  readyForQuery(),
]

/** An ErrorResponse and nothing after it: how a server ends a login. `routine` is field R. */
export const refusal = (sqlstate: string, message: string, routine = 'auth_failed'): Act => ({
  send: errorResponse({ S: 'FATAL', V: 'FATAL', C: sqlstate, M: message, R: routine }),
  next: 'close',
})

/** Starts a server that plays the script to every client. Disposing closes every socket. */
export function scriptedServer(script: Script = {}): Promise<SessionServer> {
  return serveSessions(script, async ({ session, ends, next, answered, recordStatement, recordPassword }) => {
    if (!answered) await write(ends.stream, Buffer.concat(accepted()))
    const answer = answerStatements(
      ends,
      async (sql, params) => {
        recordStatement({ sql, params })
        return script.onStatement?.(sql, params, session)
      },
      async sql => script.onParse?.(sql, session),
    )
    for (let message = await next(); message !== undefined; message = await next()) {
      if (message.kind === 'Password') {
        recordPassword()
        const act = await decide(script.onPassword, session)
        const refused = refusal('28000', `password authentication failed for user ${session.startup?.user}`)
        if (!(await perform(act === 'go on' ? refused : act, ends))) return
      } else if (!(await answer(message))) return
    }
  })
}
