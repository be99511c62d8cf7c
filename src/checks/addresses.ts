/**
 * `--all-addresses`: a session, a write and an independent read through every address but the one in use, which the
 * other checks go through; a few at a time. Each row must be there for the reader through the address in use as well,
 * since two databases may answer to one name.
 */
import { type Evidence, ProbeError } from '../failure/error.ts'
import { asFailure, open } from '../session/open.ts'
import { type Candidate, endpoint } from '../session/path.ts'
import { sessionOf } from '../session/postgres.ts'
import type { Check, CheckContext } from './check.ts'
import { proveOwnSession } from './facts.ts'
import { newRow, notThere, writeAndRead } from './row-visible.ts'

/** Addresses tried at the same time, each with at most two connections. */
const CONCURRENCY = 4

interface AddressOutcome {
  readonly candidate: Candidate
  readonly failure: ProbeError | null
  readonly evidence: Evidence
  /** the row that was written through it and read through it, by id */
  readonly row: string | null
}

export const everyAddress: Check = {
  id: 'every-address',
  async run(context) {
    const { opened, candidates, tried } = context.path
    const clock = await (await context.facts()).clock
    const others = candidates.filter(candidate => !opened || endpoint(candidate) !== endpoint(opened))
    const outcomes: AddressOutcome[] = []
    let next = 0
    const work = async () => {
      for (let at = next++; at < others.length; at = next++) {
        const candidate = others[at]
        if (candidate) outcomes[at] = await tryAddress(context, candidate, clock)
      }
    }
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, others.length) }, work))
    const compared = await compareThere(context, outcomes)
    const inUse = tried.filter(({ address, port }) => address === opened?.address && port === opened?.host.port)
    const addresses = [...inUse, ...compared.map(({ evidence }) => evidence)]
    const failure = compared.find(outcome => outcome.failure)?.failure
    if (failure) throw failure.again(failure.message, { evidence: { addresses } })
    const { ledger, config } = context
    if (!config.options.keep)
      await ledger.remove(
        await context.reader(),
        compared.flatMap(({ row }) => row ?? []),
      )
    return { evidence: { addresses } }
  },
}

const NOT_ONE =
  'two databases answer to one name (two clusters, or a node that never joined): fly machine list, and as root on each SELECT * FROM crdb_internal.gossip_nodes'

/**
 * Whether what was written through the others is there for the reader through the address in use. A row that is not
 * is removed where it was written: it would not be found from here.
 */
async function compareThere(
  context: CheckContext,
  outcomes: readonly AddressOutcome[],
): Promise<readonly AddressOutcome[]> {
  const ids = outcomes.flatMap(({ row }) => row ?? [])
  if (ids.length === 0) return outcomes
  const reader = await context.reader()
  const missing = await notThere(context, reader, ids)
  return Promise.all(
    outcomes.map(async outcome => {
      const { row, candidate, evidence } = outcome
      if (row === null || !missing.includes(row)) return outcome
      const says = `a row written through ${candidate.address} is not there for a reader through ${reader.address}: not one database`
      const facts = { writtenThrough: candidate.address, readThrough: reader.address, id: row }
      const failure = new ProbeError('ROW_NOT_VISIBLE', says, { evidence: facts, hint: NOT_ONE })
      if (!context.config.options.keep) await removeThrough(context, candidate, row)
      return { ...outcome, failure, evidence: { ...evidence, outcome: failure.code } }
    }),
  )
}

/** Removes a row through an address. What fails is left to the end of the run, and named then. */
async function removeThrough(context: CheckContext, candidate: Candidate, id: string): Promise<void> {
  try {
    const session = await sessionOf(await open(context, candidate, context.login), context.budget)
    await context.ledger.remove(session, [id]).finally(() => session.close())
  } catch (error) {
    asFailure(error)
  }
}

async function tryAddress(context: CheckContext, candidate: Candidate, clock: string): Promise<AddressOutcome> {
  const { address, host } = candidate
  const from = performance.now()
  const outcome = (failure: ProbeError | null, more: Evidence = {}, row: string | null = null): AddressOutcome => ({
    candidate,
    failure,
    evidence: {
      address,
      port: host.port,
      outcome: failure?.code ?? 'written and read',
      durationMs: Math.round(performance.now() - from),
      ...more,
    },
    row,
  })
  const dialled = await Promise.all([1, 2].map(() => open(context, candidate, context.login)))
  const failed = dialled.find(opened => opened.failure)?.failure
  if (failed) {
    for (const { socket } of dialled) socket?.destroy()
    return outcome(named(failed, address))
  }
  const [writer, reader] = await Promise.all(dialled.map(opened => sessionOf(opened, context.budget)))
  if (!writer || !reader) throw new Error('two connections were dialled')
  try {
    await proveOwnSession(writer)
    const row = newRow(context, 0, clock)
    const { writtenMs, visibleMs } = await writeAndRead(context, writer, reader, row)
    return outcome(null, { writtenMs, visibleMs }, row.id)
  } catch (error) {
    return outcome(named(asFailure(error), address))
  } finally {
    await Promise.all([writer.close(), reader.close()])
  }
}

/** The same failure, with the address in front. */
const named = (failure: ProbeError, address: string): ProbeError =>
  failure.message.includes(address) ? failure : failure.again(`through ${address}: ${failure.message}`)
