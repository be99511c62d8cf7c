/** The witness in this process, and the back end that it waits for. */
import { randomUUID } from 'node:crypto'
import { type WitnessHooks, witness } from '../../src/checks/attempts.ts'
import { rowIdOf } from '../../src/checks/witness/row-id.ts'
import { sqlStatement } from '../../src/database/witness-statement.ts'
import type { Engine, Throwaway } from '../../src/development/throwaway/index.ts'
import type { Report } from '../../src/report/report.ts'
import type { ProbeConfig } from '../../src/settings/config.ts'
import { pemOf } from './clients.ts'
import type { ProxyFault } from './faults.ts'
import { proxyTo } from './target.ts'

export interface Ids {
  readonly engine: Engine
  readonly runId: string
  readonly rowId: string
}

/** The ids of a new run. */
export function newIds(engine: Engine): Ids {
  const runId = randomUUID()
  return { engine, runId, rowId: rowIdOf(runId) }
}

/** What is printed for any client, with something in it replaced. */
export function printed(ids: Ids, from: string | RegExp = '', to = ''): string {
  const sql = sqlStatement(ids)
  const changed = sql.replace(from, to)
  if (from !== '' && changed === sql) throw new Error(`${sql} has no ${from}`)
  return changed
}

export interface WitnessRun extends Partial<Omit<WitnessHooks, 'announce'>> {
  readonly ids: Ids
  readonly app?: string | null
  /** done when the witness has looked once, and waits for it to be done */
  readonly backEnd?: () => Promise<unknown>
}

/** Runs the witness. */
export const runWitness = (
  config: ProbeConfig,
  { ids, app = null, backEnd = async () => undefined, ...hooks }: WitnessRun,
): Promise<Report> =>
  witness(
    config,
    {
      signal: new AbortController().signal,
      note: () => undefined,
      waiting: () => undefined,
      program: 'connection-probe test',
      announce: async () => void (await backEnd()),
      ...hooks,
    },
    { runId: ids.runId, app },
  )

/** A proxy that comes to the server as its client came to it: with its certificate, with none, or without TLS. */
export const relayTo = (server: Throwaway, more: ProxyFault) =>
  proxyTo(server, {
    credentials({ sslRequested, peerName }) {
      if (!sslRequested) return undefined
      return peerName === undefined ? { ca: server.authority.certificate } : pemOf(server, peerName)
    },
    ...more,
  })
