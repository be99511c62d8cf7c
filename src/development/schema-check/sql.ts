/**
 * SQL text cut into statements and tokens, as far as a review needs it: where comments, strings and quoted names end.
 * The rules are PostgreSQL's (manual, "Lexical Structure"), which CockroachDB shares: block comments nest, `E'…'`
 * has backslash escapes, `$tag$…$tag$` quotes anything.
 *
 * word     an unquoted name or keyword, folded to lower case
 * quoted   a quoted name, without its quotes
 * string   any string constant; its text is of no interest here
 * other    one character of anything else
 */
export interface Token {
  readonly kind: 'word' | 'quoted' | 'string' | 'other'
  readonly text: string
}

export interface Statement {
  /** the statement as written, comments included, on one line */
  readonly text: string
  /** the same with its line ends */
  readonly source: string
  readonly tokens: readonly Token[]
  /** the line in the file on which it begins, from 1 */
  readonly line: number
  /** the comments between it and what is before it */
  readonly above: readonly string[]
}

interface ParsedSql {
  readonly statements: readonly Statement[]
  readonly comments: readonly string[]
  /** what is never closed, e.g. "comment"; null if everything is */
  readonly unterminated: string | null
}

/** What drizzle-orm's migrator splits a file at, wherever it stands, before anything is parsed. */
export const BREAKPOINT = '--> statement-breakpoint'

const LINE_COMMENT = /--[^\r\n]*/y
const WORD = /[\p{L}_][\p{L}\p{N}_$]*/uy
const DOLLAR_TAG = /\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy
const QUOTED_NAME = /"((?:[^"]|"")*)"/y
const STRING = /'(?:[^']|'')*'/y
const ESCAPE_STRING = /[eE]'(?:[^'\\]|''|\\.)*'/sy

/** The index after the block comment that opens at `start`, or -1 if it never closes. */
function endOfBlockComment(sql: string, start: number): number {
  const edge = /\/\*|\*\//g
  edge.lastIndex = start
  let depth = 0
  for (let match = edge.exec(sql); match; match = edge.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return edge.lastIndex
  }
  return -1
}

/** One piece of SQL at `at`: what it is, its text, and where the next one starts; `end` -1 if it is never closed. */
function pieceAt(sql: string, at: number): { kind: Token['kind'] | 'comment'; text: string; end: number } {
  const matchAt = (pattern: RegExp) => {
    pattern.lastIndex = at
    return pattern.exec(sql)
  }
  const lineComment = matchAt(LINE_COMMENT)
  if (lineComment) return { kind: 'comment', text: lineComment[0], end: at + lineComment[0].length }
  if (sql.startsWith('/*', at)) {
    const end = endOfBlockComment(sql, at)
    return { kind: 'comment', text: sql.slice(at, end === -1 ? sql.length : end), end }
  }
  const string = matchAt(STRING) ?? matchAt(ESCAPE_STRING)
  if (string) return { kind: 'string', text: string[0], end: at + string[0].length }
  if (sql[at] === "'" || /^e'/i.test(sql.slice(at, at + 2))) return { kind: 'string', text: '', end: -1 }
  const name = matchAt(QUOTED_NAME)
  if (name) return { kind: 'quoted', text: (name[1] ?? '').replaceAll('""', '"'), end: at + name[0].length }
  if (sql[at] === '"') return { kind: 'quoted', text: '', end: -1 }
  const tag = matchAt(DOLLAR_TAG)?.[0]
  if (tag) {
    const close = sql.indexOf(tag, at + tag.length)
    return { kind: 'string', text: '', end: close === -1 ? -1 : close + tag.length }
  }
  const word = matchAt(WORD)
  if (word) return { kind: 'word', text: word[0].toLowerCase(), end: at + word[0].length }
  return { kind: 'other', text: sql[at] ?? '', end: at + 1 }
}

/**
 * Parses the text that the migrator sends in one go (a file's text between two breakpoints). Never throws.
 * @param firstLine the line of the file on which it begins
 */
export function parseSql(sql: string, firstLine = 1): ParsedSql {
  const statements: Statement[] = []
  const comments: string[] = []
  let tokens: Token[] = []
  let start = 0
  let above: string[] = []
  let unterminated: string | null = null
  const finish = (end: number) => {
    const source = sql.slice(start, end).trim()
    const line = firstLine + lineEnds(sql.slice(0, start))
    if (tokens.length > 0) statements.push({ text: source.replace(/\s+/g, ' '), source, tokens, line, above })
    ;[tokens, above] = [[], []]
  }
  for (let at = 0; at < sql.length; ) {
    if (/\s/.test(sql[at] ?? '')) {
      at += 1
      continue
    }
    const piece = pieceAt(sql, at)
    if (piece.kind === 'other' && piece.text === ';') finish(at)
    else if (piece.kind === 'comment') {
      comments.push(piece.text)
      if (tokens.length === 0) above.push(piece.text)
    } else {
      if (tokens.length === 0) start = at
      tokens.push({ kind: piece.kind, text: piece.text })
    }
    if (piece.end === -1) {
      unterminated = piece.kind === 'quoted' ? 'quoted name' : piece.kind
      at = sql.length
    } else at = piece.end
  }
  finish(sql.length)
  return { statements, comments, unterminated }
}

const lineEnds = (text: string): number => text.split('\n').length - 1

/** Parses a migration file as drizzle-orm's migrator runs it: cut at the breakpoints first, then piece by piece. */
export function parseMigration(file: string): ParsedSql {
  let line = 1
  const parts = file.split(BREAKPOINT).map(part => {
    const parsed = parseSql(part, line)
    line += lineEnds(part)
    return parsed
  })
  return {
    statements: parts.flatMap(part => part.statements),
    comments: parts.flatMap(part => part.comments),
    unterminated: parts.find(part => part.unterminated)?.unterminated ?? null,
  }
}

/** Whether a statement has these words one after another, and each of the names. */
export function mentions({ tokens }: Statement, words: string, ...names: readonly string[]): boolean {
  const text = tokens
    .map(({ kind, text }) => (kind === 'word' ? text : kind === 'quoted' ? `"${text}"` : text))
    .join(' ')
  return ` ${text} `.includes(` ${words} `) && names.every(name => tokens.some(token => token.text === name))
}
