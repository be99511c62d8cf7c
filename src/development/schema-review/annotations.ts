/** The review as annotations of a pull request's files (GitHub: workflow commands). */
import { plain } from '../../report/plain.ts'
import type { Review } from './index.ts'

/** GitHub reads % as an escape, and ends the value at these. */
const escaped = (text: string, property: boolean): string => {
  const value = plain(text, 1000).replaceAll('%', '%25')
  return property ? value.replaceAll(':', '%3A').replaceAll(',', '%2C') : value
}

const annotation = (level: 'error' | 'notice', file: string, line: number, title: string, message: string): string =>
  `::${level} file=${escaped(file, true)},line=${line},title=${escaped(title, true)}::${escaped(message, false)}`

/** A line for each finding, edited migration and problem that names a file. */
export function annotations({ findings, edited, problems }: Review): string[] {
  return [
    ...findings.map(({ file, line, what, why, instead, accepted }) =>
      accepted === null
        ? annotation('error', file, line, what, `${why}. Instead: ${instead}`)
        : annotation('notice', file, line, what, `accepted: ${accepted}`),
    ),
    ...edited.map(({ file, what }) =>
      annotation('error', file, 1, `an old migration ${what}`, 'a database that has applied it never runs it again'),
    ),
    ...problems.map(problem => {
      const [file = 'drizzle'] = /(?:drizzle|src)\/[\w./-]+/.exec(problem) ?? []
      return annotation('error', file, 1, 'drizzle/ and src/schema.ts disagree', problem)
    }),
  ]
}
