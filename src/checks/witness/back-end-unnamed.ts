/** No named prepared statement in that session, after a query of Ecto's: the server tells it to nobody but that session. */
import { count, ProbeError } from '../../failure/error.ts'
import { defineCheck } from '../check.ts'
import type { backEndRowOf } from './back-end-row.ts'
import type { backEndSessionOf } from './back-end-session.ts'

const TOLD = 'told by the client: a session shows its prepared statements to itself only'

export const backEndUnnamedOf = (
  backEndRow: ReturnType<typeof backEndRowOf>,
  backEndSession: ReturnType<typeof backEndSessionOf>,
) =>
  defineCheck({
    id: 'back-end-unnamed',
    layer: 'reuse',
    criterion: null,
    needs: { backEndRow, backEndSession },
    title: 'that session holds no named prepared statement after a query of its own',
    async run(_, { backEndRow: { row } }) {
      const { named, expression } = row
      const after = expression === 'elixir' ? 'an Ecto query' : 'no Ecto query: another client wrote the row'
      const evidence = { named: named === null ? null : Number(named), toldBy: TOLD, after }
      if (named === null || !/^\d+$/.test(named))
        throw new ProbeError('ROW_MISMATCH', 'the payload does not say how many named statements the session holds', {
          evidence: { ...evidence, named },
          hint: 'run in the back end what npm run witness prints, unchanged: the count is a part of it',
        })
      if (Number(named) > 0)
        throw new ProbeError(
          'STATEMENTS_NAMED',
          `the session of the back end holds ${count(Number(named), 'named prepared statement')}`,
          {
            evidence,
            hint: 'prepare: :unnamed in the Repo configuration of the back end (config/runtime.exs), then deploy it: named ones pile up in the memory of the server',
          },
        )
      return { evidence, found: {} }
    },
  })
