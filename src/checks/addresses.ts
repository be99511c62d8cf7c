/**
 * `--all-addresses`: the path, and a write and a read, through every address, a few at a time; each row must be there
 * for the reader through the address in use as well, since two databases may answer to one name. What fails through one
 * of them fails the check that it belongs to; what each address came to is evidence.
 */

import { verifyTable } from '../database/verify.ts'
import { type Evidence, ProbeError } from '../failure/failure.ts'
import { asFailure, type Login, type OpenContext, type Opened, open, type Stage } from '../session/open.ts'
import { type Candidate, endpoint } from '../session/path.ts'
import { type Session, sessionOf } from '../session/session.ts'
import type { CheckContext } from './check.ts'
import { canWrite, newRow, notThere, writeAndRead } from './row-visible.ts'

/** Addresses tried at the same time, each with at most two connections. */
const CONCURRENCY = 4

export interface AddressOutcome {
  readonly address: string
  readonly port: number
  /** the check that the failure belongs to */
  readonly failedAt: Stage | 'row-visible' | null
  readonly failure: ProbeError | null
  readonly evidence: Evidence
  /** the row that was written through it and read through it, by id */
  readonly row: string | null
}

/** The clock, if the table and the verbs allow a row to be written; the checks say why where they do not. */
async function writableSince(context: CheckContext): Promise<string | null> {
  if (!context.path.opened || context.path.opened.failure) return null
  try {
    const facts = await context.facts()
    verifyTable(await facts.columns, await facts.bareName)
    return canWrite(await facts.held) ? await facts.clock : null
  } catch (error) {
    asFailure(error)
    return null
  }
}

/** Tries every address but the one in use, which the checks themselves go through. */
export async function tryAddresses(
  context: CheckContext,
  opening: OpenContext,
  login: Login,
): Promise<readonly AddressOutcome[]> {
  const clock = await writableSince(context)
  const { opened, candidates } = context.path
  const others = candidates.filter(candidate => !opened || endpoint(candidate) !== endpoint(opened))
  const outcomes: AddressOutcome[] = []
  let next = 0
  const work = async () => {
    for (let at = next++; at < others.length; at = next++) {
      const candidate = others[at]
      if (candidate) outcomes[at] = await tryAddress(context, opening, login, candidate, clock)
    }
  }
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, others.length) }, work))
  await compareThere(context, opening, login, others, outcomes)
  return outcomes
}

const NOT_ONE =
  'two databases answer to one name (two clusters, or a node that never joined): fly machine list, and as root on each SELECT * FROM crdb_internal.gossip_nodes'

/**
 * Whether what was written through the others is there for the reader through the address in use. A row that is not
 * is removed where it was written: it would not be found from here.
 */
async function compareThere(
  context: CheckContext,
  opening: OpenContext,
  login: Login,
  others: readonly Candidate[],
  outcomes: AddressOutcome[],
): Promise<void> {
  const ids = outcomes.flatMap(({ row }) => row ?? [])
  if (ids.length === 0) return
  let failure: ProbeError | null = null
  let missing: readonly string[] = ids
  let readThrough: string | null = null
  try {
    const reader = await context.reader()
    readThrough = reader.address
    missing = await notThere(context, reader, ids)
  } catch (error) {
    failure = asFailure(error)
  }
  for (const [at, outcome] of outcomes.entries()) {
    const { row, address } = outcome
    const candidate = others[at]
    if (row === null || !candidate || !missing.includes(row)) continue
    const says = `a row written through ${address} is not there for a reader through ${readThrough}: not one database`
    const evidence = { writtenThrough: address, readThrough, id: row }
    const wrong = failure ?? new ProbeError('ROW_NOT_VISIBLE', says, { evidence, hint: NOT_ONE })
    outcomes[at] = {
      ...outcome,
      failedAt: 'row-visible',
      failure: wrong,
      evidence: { ...outcome.evidence, outcome: wrong.code },
    }
    if (!failure && !context.config.options.keep) await removeThrough(context, opening, login, candidate, row)
  }
}

/** Removes a row through an address. What fails is left to the end of the run, and named then. */
async function removeThrough(
  { ledger }: CheckContext,
  opening: OpenContext,
  login: Login,
  candidate: Candidate,
  id: string,
): Promise<void> {
  try {
    const session = await sessionOf(await open(opening, candidate, login), opening.budget)
    await ledger.remove(session, [id]).finally(() => session.close())
  } catch (error) {
    asFailure(error)
  }
}

async function tryAddress(
  context: CheckContext,
  opening: OpenContext,
  login: Login,
  candidate: Candidate,
  clock: string | null,
): Promise<AddressOutcome> {
  const { address, host } = candidate
  const from = performance.now()
  const outcome = (
    failedAt: AddressOutcome['failedAt'],
    failure: ProbeError | null,
    evidence: Evidence = {},
    row: string | null = null,
  ): AddressOutcome => ({
    row,
    address,
    port: host.port,
    failedAt,
    failure,
    evidence: {
      address,
      port: host.port,
      outcome: failure?.code ?? (clock === null ? 'connected' : 'written and read'),
      durationMs: Math.round(performance.now() - from),
      ...evidence,
    },
  })
  const sessions: Session[] = []
  try {
    const [writing, reading] = await Promise.all([
      open(opening, candidate, login),
      clock === null ? null : open(opening, candidate, login),
    ])
    const failed = [writing, reading].find(opened => opened?.failure)
    if (failed?.failure) {
      writing.socket?.destroy()
      reading?.socket?.destroy()
      return outcome(lastStage(failed), named(failed.failure, address))
    }
    const writer = await sessionOf(writing, opening.budget)
    sessions.push(writer)
    if (clock === null || !reading) return outcome(null, null)
    const reader = await sessionOf(reading, opening.budget)
    sessions.push(reader)
    const row = newRow(context, 0, clock)
    try {
      const { writtenMs, visibleMs } = await writeAndRead(context, writer, reader, row)
      return outcome(null, null, { writtenMs, visibleMs }, row.id)
    } catch (error) {
      return outcome('row-visible', named(asFailure(error), address))
    }
  } finally {
    await Promise.all(sessions.map(session => session.close()))
  }
}

/** The same failure, with the address in front. */
const named = (failure: ProbeError, address: string): ProbeError =>
  failure.message.includes(address) ? failure : failure.again(`through ${address}: ${failure.message}`)

const lastStage = ({ stages }: Opened): Stage =>
  (['database', 'session', 'tls', 'tcp'] as const).find(stage => stages[stage]?.failure) ?? 'tcp'
