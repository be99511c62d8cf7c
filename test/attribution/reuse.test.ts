/** The sequential writes do not stay on one connection, or leave named statements behind. */
import { expect } from 'vitest'
import {
  BLOCKED_BY,
  type Case,
  describeFaults,
  isFinalRead,
  onInsert,
  type ProxyFault,
  useBase,
} from '../helpers/faults.ts'
import { changed, cut } from '../helpers/statement-faults.ts'
import { backendKeyData, query } from '../helpers/wire.ts'

const IDENTITY = /pg_backend_pid\(\)|show session_id/i

/**
 * The writer's session is asked who it is before, along with the second and the fourth of five writes, and after; from
 * this time on the answer is another one.
 */
const identityChanges = (from: number) => (): ProxyFault => {
  let asked = 0
  return {
    onStatement: sql =>
      IDENTITY.test(sql) && ++asked >= from ? { row: values => values.map(() => 'somebody else') } : undefined,
  }
}

const replaced = (fault: string, proxy: () => ProxyFault, evidence: object): Case => ({
  fault,
  proxy,
  top: 'reuse CONNECTION_REPLACED',
  failed: { 'sequential-writes': 'CONNECTION_REPLACED' },
  blocked: BLOCKED_BY.writes,
  evidence: { 'sequential-writes': evidence },
})

/** These statements really run first on the writer's session, in one text with its first question. */
function first(sql: string): () => ProxyFault {
  return () => ({
    onClientMessage: message =>
      message.kind === 'Query' && /^SELECT 1 FROM /.test(message.sql) ? query(`${sql}; ${message.sql}`) : undefined,
  })
}

const CASES: readonly Case[] = [
  replaced('another session at the end than at the beginning', identityChanges(4), {
    after: 'somebody else',
    writes: 5,
  }),
  replaced('another session in the middle of the writes', identityChanges(2), { after: 'somebody else', writes: 1 }),
  {
    ...replaced(
      'a pooler that lets in under a number of its own',
      () => ({ onServerMessage: ({ type }) => (type === 'K' ? backendKeyData(424242, 1) : undefined) }),
      { before: 'process 424242 (BackendKeyData)', writes: 0 },
    ),
    engines: ['postgresql'],
  },
  {
    fault: 'the link lost between two writes',
    proxy: onInsert(4, cut('before')),
    top: 'write CONNECTION_LOST',
    failed: { 'sequential-writes': 'CONNECTION_LOST' },
    blocked: BLOCKED_BY.writes,
    evidence: { 'sequential-writes': { outcome: 'the row had not been written', writes: 3 } },
  },
  {
    fault: 'a named prepared statement left on the session',
    proxy: first('PREPARE leaked AS SELECT 1'),
    top: 'reuse STATEMENTS_NAMED',
    failed: { 'statements-unnamed': 'STATEMENTS_NAMED' },
    evidence: { 'statements-unnamed': { named: ['leaked'] } },
  },
  {
    fault: 'rows missing in the select at the end',
    proxy: () => ({
      onStatement(sql) {
        let left = 2
        return isFinalRead(sql) ? { row: values => (left-- > 0 ? undefined : values) } : undefined
      },
    }),
    top: 'visibility ROW_NOT_VISIBLE',
    failed: { 'sequential-writes': 'ROW_NOT_VISIBLE' },
    blocked: BLOCKED_BY.writes,
    evidence: { 'sequential-writes': { absent: [expect.anything(), expect.anything()] } },
  },
  {
    fault: 'a value changed in the select at the end',
    proxy: () => ({ onStatement: sql => (isFinalRead(sql) ? changed('origin', 'elsewhere') : undefined) }),
    top: 'visibility ROW_MISMATCH',
    failed: { 'sequential-writes': 'ROW_MISMATCH' },
    blocked: BLOCKED_BY.writes,
    evidence: { 'sequential-writes': { differing: [expect.objectContaining({ column: 'origin' })] } },
  },
]

describeFaults('one connection for all writes', useBase(), CASES)
