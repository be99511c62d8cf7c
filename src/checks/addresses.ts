/**
 * `--all-addresses`: the path, and a write and a read, through every address, a few at a time; each row must be there
 * for the reader through the address in use as well, since two databases may answer to one name. What fails through one
 * of them fails the check that it belongs to; what each address came to is evidence.
 */
import type { Evidence, ProbeError } from '../failure/failure.ts'
import { asFailure, type Login, type OpenContext, type Opened, open, type Stage } from '../session/open.ts'
import { type Candidate, endpoint } from '../session/path.ts'
import { type Session, sessionOf } from '../session/session.ts'
import { verifyTable } from '../verify.ts'
import type { CheckContext } from './check.ts'
import { canWrite, newRow, seenElsewhere, writeAndRead } from './row-visible.ts'

/** Addresses tried at the same time, each with at most two connections. */
const CONCURRENCY = 4

export interface AddressOutcome {
  readonly address: string
  readonly port: number
  /** the check that the failure belongs to */
  readonly failedAt: Stage | 'row-visible' | null
  readonly failure: ProbeError | null
  readonly evidence: Evidence
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
  return outcomes
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
  const outcome = (failedAt: AddressOutcome['failedAt'], failure: ProbeError | null, evidence: Evidence = {}) => ({
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
      await seenElsewhere(context, await context.reader(), row.id, address)
      return outcome(null, null, { writtenMs, visibleMs })
    } catch (error) {
      // Where it was not seen through the address in use it cannot be removed through that either.
      await removeHere(context, writer, row.id)
      return outcome('row-visible', named(asFailure(error), address))
    }
  } finally {
    await Promise.all(sessions.map(session => session.close()))
  }
}

/** Removes the row where it was written: another address may lead to another database. What fails is left to the end. */
async function removeHere({ ledger, config }: CheckContext, writer: Session, id: string): Promise<void> {
  if (config.options.keep || writer.isLost() || !ledger.rows().includes(id)) return
  await ledger.remove(writer, [id]).catch(asFailure)
}

/** The same failure, with the address in front. */
const named = (failure: ProbeError, address: string): ProbeError =>
  failure.message.includes(address) ? failure : failure.again(`through ${address}: ${failure.message}`)

const lastStage = ({ stages }: Opened): Stage =>
  (['database', 'session', 'tls', 'tcp'] as const).find(stage => stages[stage]?.failure) ?? 'tcp'
