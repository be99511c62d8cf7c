/** The sequential writes do not stay on one connection, or leave named statements behind. */
import { expect } from 'vitest'
import type { CheckId } from '../../src/report/report.ts'
import {
  type Case,
  describeFaults,
  idsIn,
  isDelete,
  isFinalRead,
  isInsert,
  isSettling,
  onInsert,
  onRead,
  type ProxyFault,
  sequenceOf,
  useBase,
} from '../helpers/faults.ts'
import type { Fault } from '../helpers/proxy.ts'
import { changed, cut } from '../helpers/statement-faults.ts'
import { backendKeyData, query, readyForQuery } from '../helpers/wire.ts'

/** The answer comes from another session: its name is the last column of every statement about a row. */
const ELSEWHERE: Fault = { row: values => [...values.slice(0, -1), 'somebody else'] }

const replaced = (fault: string, proxy: () => ProxyFault, id: CheckId, evidence: object = {}): Case => ({
  fault,
  proxy,
  check: id,
  code: 'CONNECTION_REPLACED',
  evidence: { after: 'somebody else', ...evidence },
})

/** Other startup options than the client's; its own statement_timeout stays. */
const startingWith = (change: (options: string) => string) => (): ProxyFault => ({
  startup: ({ startup = {} }) => ({ ...startup, options: change(startup.options ?? '') }),
})
const TOKEN = / -c connection_probe\.session=\w+/

/** Every connection is let in under one number, and every statement says that it ran there. */
const oneSessionForAll = (): ProxyFault => ({
  onServerMessage: ({ type }) => (type === 'K' ? backendKeyData(4242, 1) : undefined),
  onStatement: sql =>
    /pg_backend_pid\(\)/.test(sql) ? { row: values => [...values.slice(0, -1), '4242'] } : undefined,
})

/** These statements really run first on the writer's session, in one text with its first question. */
function first(sql: string): () => ProxyFault {
  return () => ({
    onClientMessage: message =>
      message.kind === 'Query' && /^SELECT 1 FROM /.test(message.sql) ? query(`${sql}; ${message.sql}`) : undefined,
  })
}

/** The first ReadyForQuery of each connection says this instead of I. */
function firstReady(status: 'T' | 'E'): ProxyFault['onServerMessage'] & {} {
  const seen = new Set<number>()
  return ({ type }, { id }) => {
    if (type !== 'Z' || seen.has(id)) return undefined
    seen.add(id)
    return readyForQuery(status)
  }
}

const CASES: readonly Case[] = [
  {
    ...replaced('the insert of dml answered by another session', onInsert(-1, ELSEWHERE), 'dml'),
    // PostgreSQL has said before who it is, CockroachDB says it here first: then what follows comes from elsewhere.
    evidence: { statement: expect.stringMatching(/^the (insert of row -1|select of a row)$/) },
  },
  replaced(
    'the update answered by another session',
    () => ({ onStatement: sql => (/^update /.test(sql) ? ELSEWHERE : undefined) }),
    'dml',
    { statement: 'the update' },
  ),
  replaced(
    'the independent read answered by another session',
    onRead(0, () => ELSEWHERE),
    'row-visible',
  ),
  replaced('two writes in the middle answered by another session', onInsert(3, ELSEWHERE), 'sequential-writes', {
    statement: 'the insert of row 3',
    writes: 2,
  }),
  replaced(
    'the select at the end answered by another session',
    () => ({ onStatement: sql => (isFinalRead(sql) ? ELSEWHERE : undefined) }),
    'sequential-writes',
    { statement: 'the select of all rows', writes: 5 },
  ),
  replaced(
    'the removal answered by another session',
    () => ({ onStatement: sql => (isDelete(sql) && idsIn(sql).length > 1 ? ELSEWHERE : undefined) }),
    'sequential-writes',
    { statement: 'the removal of the rows' },
  ),
  replaced(
    'the prepared statements of another session',
    () => ({ onStatement: sql => (sql.includes('pg_prepared_statements') ? ELSEWHERE : undefined) }),
    'statements-unnamed',
  ),
  {
    ...replaced(
      'a pooler that lets in under a number of its own',
      () => ({ onServerMessage: ({ type }) => (type === 'K' ? backendKeyData(424242, 1) : undefined) }),
      'database',
      { before: 'process 424242 (BackendKeyData)', after: expect.stringMatching(/^\d+$/) },
    ),
    engines: ['postgresql'],
  },
  {
    ...replaced('one session behind both connections', oneSessionForAll, 'row-visible', { session: '4242' }),
    engines: ['postgresql'],
    evidence: { session: '4242' },
  },
  {
    ...replaced(
      'startup options dropped on the way',
      startingWith(all => all.replace(TOKEN, '')),
      'database',
    ),
    evidence: { missing: 'connection_probe.session' },
    hint: 'a pooler, a proxy',
  },
  {
    ...replaced(
      'the startup options of another client',
      startingWith(all => all.replace(TOKEN, ' -c connection_probe.session=0123456789abcdef')),
      'database',
    ),
    evidence: { setting: 'connection_probe.session' },
    hint: 'a pooler, a proxy',
  },
  {
    fault: 'a session handed over inside a transaction',
    proxy: () => ({ onServerMessage: firstReady('T') }),
    check: 'database',
    code: 'SESSION_PROTOCOL',
  },
  {
    fault: 'the link lost between two writes',
    proxy: onInsert(4, cut('before')),
    check: 'sequential-writes',
    code: 'CONNECTION_LOST',
    evidence: { outcome: 'the row had not been written', writes: 3 },
  },
  {
    ...replaced(
      'a write whose connection is lost, and the same write again answered by another session',
      () => ({
        onStatement: (sql, params) =>
          isSettling(sql) ? ELSEWHERE : isInsert(sql) && sequenceOf(params) === 4 ? cut('before') : undefined,
      }),
      'sequential-writes',
      { statement: 'the same insert again', writes: 3 },
    ),
    // CockroachDB's BackendKeyData names no session: the first name that the new connection gives is its name.
    engines: ['postgresql'],
  },
  {
    fault: 'a named prepared statement left on the session',
    proxy: first('PREPARE leaked AS SELECT 1'),
    check: 'statements-unnamed',
    code: 'STATEMENTS_NAMED',
    evidence: { named: ['leaked'] },
  },
  {
    fault: 'rows missing in the select at the end',
    proxy: () => ({
      onStatement(sql) {
        let left = 2
        return isFinalRead(sql) ? { row: values => (left-- > 0 ? undefined : values) } : undefined
      },
    }),
    check: 'sequential-writes',
    code: 'ROW_NOT_VISIBLE',
    evidence: { absent: [expect.anything(), expect.anything()] },
  },
  {
    fault: 'a value changed in the select at the end',
    proxy: () => ({ onStatement: sql => (isFinalRead(sql) ? changed('origin', 'elsewhere') : undefined) }),
    check: 'sequential-writes',
    code: 'ROW_MISMATCH',
    evidence: { differing: [expect.objectContaining({ column: 'origin' })] },
  },
]

describeFaults('one connection for all writes', useBase(), CASES)
