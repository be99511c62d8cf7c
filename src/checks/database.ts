/** The database exists and takes the session; and the sessions that the checks after this one work with. */
import { recorded } from '../budget.ts'
import { TABLE_NAME } from '../database/sql.ts'
import { asProbeError, evidence, ProbeError } from '../failure/error.ts'
import { exactlyOne } from '../session/answers.ts'
import type { Opened } from '../session/open.ts'
import type { Second } from '../session/path.ts'
import type { Session } from '../session/postgres.ts'
import type { Endpoint } from '../settings/config.ts'
import { nearest } from '../settings/nearest.ts'
import { type Context, defineCheck, StillLost } from './check.ts'
import { proveOwnSession } from './own-session.ts'
import { session } from './session.ts'
import { settled } from './settled.ts'
import { stageOutcome } from './stage.ts'

/** The sessions of a run, all of the configured user. */
export interface Sessions {
  /** the one that the path ends in: rows are written here */
  readonly writer: Session
  /**
   * The one that was dialled beside it: rows are read here. One that a check lost is replaced for the next: what broke
   * it is that one's matter. One that was lost while nobody used it is the matter of whoever finds it so.
   * Rejects with what became of it; with StillLost where the one that was lost cannot be replaced.
   */
  reader(): Promise<Session>
  /** Opens one for a purpose of its own, on the address in use unless another is given; the caller closes it. */
  another(budget?: Context['budget'], endpoint?: Endpoint): Promise<Session>
}

/** Drizzle and the driver are loaded here: whoever does not get this far does without. */
async function sessionsOn(context: Context, inUse: Opened, second: Second): Promise<Sessions> {
  const { openSession } = await recorded(context.budget, 'loading of the driver', () => import('../row/index.ts'))
  const { budget, dialler, sessions, lostIn } = context
  const kept = async (opening: Promise<Session>): Promise<Session> => {
    const session = await opening
    sessions.push(session)
    return session
  }
  const writer = await kept(openSession(inUse, budget))
  const another: Sessions['another'] = async (within = budget, endpoint = inUse) =>
    openSession(await dialler.open(endpoint, undefined, within), within)
  let reader = kept(second.claim().then(opened => openSession(opened, budget)))
  // Whoever asks for it is told.
  reader.catch(() => undefined)
  return {
    writer,
    another,
    async reader() {
      const metBy = lostIn()
      const current = await reader
      if (!current.isLost() || metBy === null) return current
      try {
        reader = Promise.resolve(await kept(another()))
        return await reader
      } catch (error) {
        // What took the last one away is still there: that one's matter, not the next check's.
        asProbeError(error)
        throw new StillLost(metBy)
      }
    },
  }
}

/** CockroachDB names a missing database only when it is first used, so it is used. */
async function readDatabase(session: Session, configured: string) {
  const what = 'the database query'
  // What is answered with 3D000 is the database; the table, its privileges and its locks are other checks' matter.
  const used = session
    .ask('the first use of the database', `SELECT 1 FROM ${TABLE_NAME} LIMIT 0`)
    .then(() => true)
    .catch(error => {
      const { answered } = asProbeError(error)
      if (answered === null) throw error
      return answered !== '3D000'
    })
  const listed = session.ask<{ name: string; found: string }>(
    what,
    `SELECT current_database() AS name,
            (SELECT count(*)::text FROM pg_catalog.pg_database WHERE datname = current_database()) AS found`,
  )
  const [isUsed, rows] = await Promise.all([used, listed.catch(asProbeError)])
  if (!isUsed) return { exists: false, database: configured }
  if (rows instanceof ProbeError) {
    if (rows.sqlstate === '3D000') return { exists: false, database: configured }
    throw rows
  }
  const { name, found } = exactlyOne(rows, what)
  if (name !== configured)
    throw new ProbeError('CATALOGUE_FAILED', `the session is in database "${name}", not "${configured}"`)
  return { exists: found === '1', database: name }
}

/** What to do where a database of nearly this name exists; undefined where none does, or they cannot be listed. */
async function nearestDatabase({ engine, ask }: Session, configured: string): Promise<string | undefined> {
  if (engine.databases === null) return undefined
  const listed = await ask<{ name: string }>('the databases query', engine.databases).catch(error => {
    asProbeError(error)
    return []
  })
  const others = listed.map(({ name }) => name).filter(name => name !== configured)
  const meant = nearest(configured, others)
  return meant && `there is a database "${meant}": correct the name after the slash in DATABASE_URL`
}

export const database = defineCheck({
  id: 'database',
  layer: 'database',
  criterion: null,
  needs: { session },
  title: 'the configured database exists and takes the session',
  async run(context, { session: { opened, second } }) {
    const stage = stageOutcome(opened, 'database', {})
    if ('error' in stage) return stage
    if (!second) throw new Error('a path that has a session has a second one')
    const sessions = await sessionsOn(context, opened, second)
    const { writer } = sessions
    // In one flight. Whose session it is comes first: of another one nothing that it says counts.
    const { database: configured } = context.config
    const [proof, used] = await Promise.allSettled([proveOwnSession(writer), readDatabase(writer, configured)])
    settled(proof)
    const seen = settled(used)
    if (!seen.exists)
      throw new ProbeError('DATABASE_MISSING', `there is no database "${configured}"`, {
        evidence: seen,
        hint: await nearestDatabase(writer, configured),
      })
    return { evidence: evidence(stage.evidence, seen), found: { opened, sessions } }
  },
})
