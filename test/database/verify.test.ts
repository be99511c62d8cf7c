/** What a catalogue says, held against schema.ts: pure, from rows as the engines give them. */
import { describe, expect, it } from 'vitest'
import type { CatalogueColumn, CatalogueGrant } from '../../src/database/catalogue.ts'
import { declare } from '../../src/database/declared.ts'
import { columnDifferences } from '../../src/database/table-differences.ts'
import { verifyGrants, verifyTable } from '../../src/database/verify.ts'
import { connectionProbe } from '../../src/schema.ts'

const [OWN] = declare({ connectionProbe }).tables
if (!OWN) throw new Error('no table is declared')

const COLUMNS: readonly CatalogueColumn[] = OWN.columns.map(({ name, type, notNull, primaryKey }) => ({
  oid: '4711',
  relkind: 'r',
  name,
  type,
  not_null: notNull,
  primary_key: primaryKey,
  generated: false,
}))

const grant = (grantee: string, privilege: string, more: Partial<CatalogueGrant> = {}): CatalogueGrant => ({
  table: 'connection_probe',
  grantee,
  privilege,
  grantable: false,
  column: null,
  ...more,
})
const VERBS = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']
const WRITER = VERBS.map(verb => grant('gateway_writer', verb))
/** What PostgreSQL's owner holds, and CockroachDB's administrators: nobody's business here. */
const OTHERS = [grant('gateway_admin', 'TRUNCATE'), grant('root', 'ALL', { grantable: true }), grant('admin', 'ALL')]

/** The code that a verification throws, and its message; null if it throws nothing. */
function failureOf(verify: () => void): readonly [unknown, unknown] | null {
  try {
    verify()
    return null
  } catch (error) {
    return error instanceof Error && 'code' in error ? [error.code, error.message] : [null, String(error)]
  }
}

describe('columns', () => {
  it('that are as declared have no differences, in any order', () => {
    expect(columnDifferences(COLUMNS, OWN)).toEqual([])
    expect(columnDifferences(COLUMNS.toReversed(), OWN)).toEqual([])
  })

  it.each<{ what: string; found: CatalogueColumn[]; differences: string[] }>([
    { what: 'partitioned', found: COLUMNS.map(column => ({ ...column, relkind: 'p' })), differences: [] },
    {
      what: 'of what is no table, nothing more is said',
      found: COLUMNS.slice(1).map(column => ({ ...column, relkind: 'm' })),
      differences: ['it is a materialized view, not a table'],
    },
    {
      what: 'of what a later release calls t',
      found: COLUMNS.map(column => ({ ...column, relkind: 't' })),
      differences: ['it is a relation of kind t, not a table'],
    },
    ...COLUMNS.flatMap(one => {
      const others = COLUMNS.filter(column => column !== one)
      const now = (change: Partial<CatalogueColumn>) => [...others, { ...one, ...change }]
      return [
        { what: `without ${one.name}`, found: others, differences: [`column ${one.name} is missing`] },
        {
          what: `${one.name} of another type`,
          found: now({ type: 'character varying(20)' }),
          differences: [`column ${one.name} is character varying(20), not ${one.type}`],
        },
        {
          what: `${one.name} nullable`,
          found: now({ not_null: false }),
          differences: [`column ${one.name} is nullable`],
        },
        {
          what: `${one.name} generated`,
          found: now({ generated: true }),
          differences: [`column ${one.name} is generated`],
        },
        {
          what: `${one.name} in or out of the key`,
          found: now({ primary_key: !one.primary_key }),
          differences: [`column ${one.name} is ${one.primary_key ? 'not ' : ''}part of the primary key`],
        },
      ]
    }),
  ])('$what', ({ found, differences }) => {
    expect(columnDifferences(found, OWN)).toEqual(differences)
  })
})

describe('the table', () => {
  it.each([
    { what: 'none', found: [], bareName: { oid: '4711', schema: 'public' }, code: 'TABLE_MISSING' },
    { what: 'the bare name finds it', found: COLUMNS, bareName: { oid: '4711', schema: 'public' }, code: undefined },
    { what: 'the bare name was not asked', found: COLUMNS, bareName: undefined, code: undefined },
    {
      what: 'the bare name finds another',
      found: COLUMNS,
      bareName: { oid: '4712', schema: 'other' },
      code: 'TABLE_MISMATCH',
    },
    { what: 'the bare name finds none', found: COLUMNS, bareName: null, code: 'TABLE_MISMATCH' },
  ])('$what', ({ found, bareName, code }) => {
    expect(failureOf(() => verifyTable(found, bareName))?.[0]).toBe(code)
  })
})

describe('grants', () => {
  it.each<{ what: string; found: CatalogueGrant[]; failure: readonly [string, string] | null }>([
    { what: 'exactly as declared', found: WRITER, failure: null },
    { what: 'what others hold is not looked at', found: [...WRITER, ...OTHERS], failure: null },
    {
      what: 'none at all',
      found: OTHERS,
      failure: ['DML_DENIED', 'gateway_writer lacks SELECT, INSERT, UPDATE, DELETE on connection_probe'],
    },
    ...VERBS.map(verb => ({
      what: `${verb} missing`,
      found: WRITER.filter(({ privilege }) => privilege !== verb),
      failure: ['DML_DENIED', `gateway_writer lacks ${verb} on connection_probe`] as const,
    })),
    {
      what: 'a verb on a column only is missing on the table',
      found: [...WRITER.slice(1), grant('gateway_writer', 'SELECT', { column: 'id' })],
      failure: ['DML_DENIED', 'gateway_writer lacks SELECT on connection_probe'],
    },
    {
      what: 'one privilege more',
      found: [...WRITER, grant('gateway_writer', 'TRUNCATE')],
      failure: ['GRANT_EXCESS', 'gateway_writer holds TRUNCATE on connection_probe, which src/ does not declare'],
    },
    {
      what: 'a verb with grant option',
      found: [...WRITER.slice(1), grant('gateway_writer', 'SELECT', { grantable: true })],
      failure: [
        'GRANT_EXCESS',
        'gateway_writer holds SELECT with grant option on connection_probe, which src/ does not declare',
      ],
    },
    {
      what: 'a column as well',
      found: [...WRITER, grant('gateway_writer', 'REFERENCES', { column: 'id' })],
      failure: [
        'GRANT_EXCESS',
        'gateway_writer holds REFERENCES (id) on connection_probe, which src/ does not declare',
      ],
    },
    {
      what: 'all there is, as CockroachDB lists it, lacks none of the four',
      found: [grant('gateway_writer', 'ALL', { grantable: true }), grant('public', 'ALL')],
      failure: [
        'GRANT_EXCESS',
        'public holds ALL on connection_probe; gateway_writer holds ALL with grant option on connection_probe, which src/ does not declare',
      ],
    },
    {
      what: 'anything to PUBLIC',
      found: [...WRITER, grant('public', 'SELECT')],
      failure: ['GRANT_EXCESS', 'public holds SELECT on connection_probe, which src/ does not declare'],
    },
  ])('$what', ({ found, failure }) => {
    expect(failureOf(() => verifyGrants(found))).toEqual(failure)
  })
})
