/** Evidence for people and machines: opened here, and nowhere else. */
import { type Evidence, type Facts, type Failure, openEvidence, redact } from '../failure/error.ts'
import { fillIn, type Known } from '../failure/hints.ts'
import { settingWithoutSecrets } from '../failure/secrets.ts'

/** Nested deeper than this is nothing that a reader wants, and what walks through it by recursion ends in a crash. */
const DEEPEST = 40

/** Evidence for the report, every text in it redacted: what a server says of itself may quote anything. */
export const opened = (evidence: Evidence): Facts => redactValue(openEvidence(evidence), 0) as Facts

/** Settings as the report shows them: any of them may hold a key by mistake. */
export const withoutSecretTexts = <T extends object>(settings: T): T =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      typeof value === 'string' ? settingWithoutSecrets(value) : value,
    ]),
  ) as T

/** A failure with the target's values in its next steps, as far as they hold no secret by mistake. */
export function withValues(failure: Failure, target: Known): Failure {
  const fill = (hint: string) => fillIn(hint, withoutSecretTexts(target))
  const causes = failure.causes.map(({ hint, ...cause }) =>
    hint === undefined ? cause : { ...cause, hint: fill(hint) },
  )
  return { ...failure, causes, hint: fill(failure.hint) }
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.length < 8 ? value : redact(value, 4000)
  if (typeof value !== 'object' || value === null) return value
  if (depth > DEEPEST) return '[nested deeper]'
  if (Array.isArray(value)) return value.map(inner => redactValue(inner, depth + 1))
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [redact(key), redactValue(inner, depth + 1)]))
}
