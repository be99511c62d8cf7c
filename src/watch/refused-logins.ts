/**
 * The refused logins of one run after another. Each of them is an error line in the server's log, so they are tried in
 * the first run, then every ten minutes, and after a failure: once, however many runs it lasts. In between the checks show
 * what was seen then, and when. Nothing is carried over to another server, other certificates or another user.
 */
import { createHash } from 'node:crypto'
import { certificateBound } from '../checks/certificate-bound.ts'
import { certificateRequired } from '../checks/certificate-required.ts'
import { certificateVerified } from '../checks/certificate-verified.ts'
import type { AnyCheck, Context } from '../checks/check.ts'
import { engineName } from '../database/engine.ts'
import type { Warning } from '../failure/codes.ts'
import { type Evidence, evidence } from '../failure/error.ts'
import type { Report } from '../report/report.ts'
import type { Opened } from '../session/open.ts'
import { endpointKey } from '../settings/config.ts'

/** The checks that log in as nobody must be able to. */
const REFUSED_LOGINS: readonly AnyCheck[] = [certificateRequired, certificateVerified, certificateBound]

const TRIED_EVERY_MS = 600_000

/** A check that passed: what it saw, of whom, and when. */
interface Seen {
  readonly of: string
  readonly evidence: Evidence
  readonly warnings: readonly Warning[]
}

export interface RefusedLogins {
  /** The checks of the next run: these, the refused logins tried or carried over. */
  next(checks: readonly AnyCheck[]): readonly AnyCheck[]
  /** The last run ended so: after the first of several that fail the next one tries them. */
  ended(verdict: Report['verdict']): void
}

/**
 * The memory of what was refused.
 * @param now on performance.now()'s clock, ms: what the wall clock does is no reason to try them
 */
export function createRefusedLogins(now: () => number): RefusedLogins {
  const seen = new Map<string, Seen>()
  let triedAt: number | null = null
  let last: Report['verdict'] = 'pass'
  return {
    next(checks) {
      const isDue = triedAt === null || now() - triedAt >= TRIED_EVERY_MS
      if (isDue) {
        seen.clear()
        triedAt = now()
      }
      return checks.map(check => (REFUSED_LOGINS.includes(check) ? seldom(check, seen) : check))
    },
    ended(verdict) {
      if (verdict === 'fail' && last === 'pass') triedAt = null
      last = verdict
    },
  }
}

/** The same check; what is in `seen` of it is what it shows, and is what it saw afterwards. */
const seldom = (check: AnyCheck, seen: Map<string, Seen>): AnyCheck => ({
  ...check,
  async run(context, needs: { readonly session: { readonly opened: Opened } }) {
    const of = whose(context, needs.session.opened)
    const last = seen.get(check.id)
    if (last?.of === of) {
      for (const { code, message } of last.warnings) context.warn(code, message)
      // No time: it is not measured (metrics.ts).
      return { evidence: last.evidence, found: {}, tookMs: 0 }
    }
    const at = new Date().toISOString()
    const warnings: Warning[] = []
    const warn: Context['warn'] = (code, message) => {
      warnings.push({ code, message })
      context.warn(code, message)
    }
    const outcome = await check.run({ ...context, warn }, needs as never)
    if ('error' in outcome) return outcome
    const shown = evidence(evidence(outcome.evidence), { lastTried: at })
    seen.set(check.id, { of, evidence: shown, warnings })
    return { ...outcome, evidence: shown }
  },
})

/** Who was asked, and who asked, as one text: where any of it is another, nothing is known yet. */
function whose({ config: { user, database, credentials } }: Context, opened: Opened): string {
  const { ca, cert, key } = credentials
  const material = createHash('sha256')
    .update(JSON.stringify([ca, cert, key]))
    .digest('hex')
  const server = [endpointKey(opened), opened.handshake?.server.fingerprint, engineName(opened.startup)]
  return JSON.stringify([...server, opened.host.tlsName, user, database, material])
}
