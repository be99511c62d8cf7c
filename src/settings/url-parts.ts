/**
 * Cuts a connection URL into its parts, still percent-encoded. A fault of the whole (another scheme, white space, a raw
 * `@`) hides none of the others: what is left when it is passed over is read as well.
 */
import type { Code } from '../failure/codes.ts'

/** `hint`: the next step where it is another one than the code's own */
export type Complain = (code: Code, message: string, hint?: string) => void

export const SHAPE = 'postgresql://USER@HOST:26257/DATABASE?sslmode=verify-full'
export const NO_PASSWORD = `take the password out of the URL, the client certificate is the login: ${SHAPE}`
export const ENCODE = `percent-encode what stands in one part: node -p 'encodeURIComponent("TEXT")'`

export interface Parts {
  readonly user: string
  readonly hasPassword: boolean
  readonly servers: string
  /** null where it cannot be told from what is around it */
  readonly database: string | null
}

interface Split {
  /** null where it is not certain which is which */
  readonly parts: Parts | null
  /** without the `?` */
  readonly query: string
  /** whether the parts are what was written, so that they may be shown */
  readonly isVerbatim: boolean
}

const SCHEME = /^postgres(ql)?:\/\//
/** Schemes of other drivers, and a quotation mark that belongs to no URL. */
const OTHER_SCHEME = /^["']?[a-z][a-z0-9+.:-]{0,30}:\/\//i
/** What goes on like a URL without a scheme; any other text may be anything, a password too. */
const NO_SCHEME = /^["']?[^@/?]+@[^@/?]+\/[^@]*$/

/** Cuts the URL; null (and a problem) where it is none. */
export function split(text: string, complain: Complain): Split | null {
  const trimmed = text.trim()
  const hasScheme = SCHEME.test(trimmed)
  if (!hasScheme) {
    const message = `does not begin with postgresql:// (the form is ${SHAPE}, without quotes)`
    complain('CONFIG_INVALID', message, `write it in this form: ${SHAPE}`)
  }
  const written = trimmed.replace(/[\s\p{Cc}]+/gu, '')
  const isUrl = hasScheme || OTHER_SCHEME.test(written) || NO_SCHEME.test(written)
  if (isUrl && written !== text)
    complain(
      'CONFIG_INVALID',
      'contains white space, a line end or a control character',
      'write it on one line, without spaces: look at the file or the shell quotes that it comes from',
    )
  if (!isUrl) return null
  const isVerbatim = hasScheme && written === trimmed
  if (hasScheme) return cut(written.replace(SCHEME, ''), isVerbatim, complain)
  // Quotation marks around the whole belong to no URL; one in a name does.
  return cut(written.replace(OTHER_SCHEME, '').replace(/^["']|["']$/g, ''), isVerbatim, complain)
}

/** USER[:PASSWORD]@SERVERS/DATABASE?QUERY */
function cut(rest: string, isVerbatim: boolean, complain: Complain): Split {
  const [login = ''] = /^[^@/]*@/.exec(rest) ?? []
  const target = rest.slice(login.length)
  const [user = '', password = ''] = login.slice(0, -1).split(/:(.*)/s)
  if (target.includes('@')) {
    if (password !== '') complain('CONFIG_INSECURE', 'holds a password', NO_PASSWORD)
    complain('CONFIG_INVALID', 'cannot be split at its @: write @ inside a part as %40, / as %2F, : as %3A', ENCODE)
    const [, query = ''] = target.slice(target.lastIndexOf('@')).split(/\?(.*)/s)
    return { parts: null, query, isVerbatim }
  }
  const [, servers = '', path = '', query = ''] = /^([^/?]*)([^?]*)(.*)$/s.exec(target) ?? []
  const isOnePath = !path.slice(1).includes('/')
  if (!isOnePath) complain('CONFIG_INVALID', 'has a second / after the host: write / inside a part as %2F', ENCODE)
  const database = isOnePath ? path.slice(1) : null
  return { parts: { user, hasPassword: password !== '', servers, database }, query: query.slice(1), isVerbatim }
}
