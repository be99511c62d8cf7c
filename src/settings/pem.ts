/**
 * PEM texts and the files they come in. Nothing here quotes a text; paths are quoted only when they are paths.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs'
import type { Code } from '../failure/codes.ts'
import type { Problem } from '../failure/error.ts'
import { settingWithoutSecrets } from '../failure/secrets.ts'
import { bareBase64Kind, type DerKind, derKind, type Wrong } from './der.ts'

/** What one setting holds or points to. */
export interface Pem {
  /** the name of the setting */
  readonly name: string
  readonly text: string
  /** what it holds if it is no text but DER, or PEM without its first and last line */
  readonly binary?: { readonly kind: DerKind; readonly form: 'DER' | 'base64' } | null
  /** null for a setting that holds the text itself */
  readonly file: PemFile | null
}

export interface PemFile {
  readonly path: string
  /** permission bits */
  readonly mode: number
  readonly uid: number
}

/** One block of a PEM text. */
interface Block {
  readonly label: string
  /** the block alone, ended by a line end */
  readonly text: string
}

/** The longest file that is read, in bytes: a bundle of every public CA is a fifth of it. */
const MAX_FILE_BYTES = 1024 * 1024

/** PEM text from an environment variable, where line ends often arrive as the two characters `\n`. */
export const normalisePem = (text: string): string => text.replace(/\\r\\n|\\n|\r\n?/g, '\n')

/**
 * What shows that a block is broken or cut off: one of its lines, whole or not, and base64 outside of any block. Other
 * text between and behind the blocks is a comment, as OpenSSL has it.
 */
const REMAINS = /-----(?:BEGIN|END) |^[A-Za-z0-9+/=]{40,}\s*$|^-{1,5}[A-Z]{0,5}$(?![\s\S])/m

/** The blocks of a PEM text, and whether text before, between or behind them shows that one is broken or cut off. */
export function pemBlocks(text: string): { blocks: Block[]; broken: boolean } {
  const pattern = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*(?:-[^-]+)*-----END \1-----/g
  const blocks: Block[] = []
  let end = 0
  let between = ''
  for (const match of text.matchAll(pattern)) {
    blocks.push({ label: match[1] ?? '', text: `${match[0]}\n` })
    between += `${text.slice(end, match.index)}\n`
    end = match.index + match[0].length
  }
  const isCutOff = blocks.length > 0 || text.includes('-----')
  return { blocks, broken: isCutOff && REMAINS.test(between + text.slice(end)) }
}

/** What is no text at all, or lacks its first and last line. */
export function binaryOf(bytes: Buffer, text: string): NonNullable<Pem['binary']> | null {
  const kind = derKind(bytes)
  if (kind) return { kind, form: 'DER' }
  const bare = bareBase64Kind(text)
  return bare && { kind: bare, form: 'base64' }
}

/**
 * Reads a file that a setting names: a regular file (through symbolic links), at most 1 MiB. What is none is never
 * opened, or opened without waiting (a FIFO would hang).
 */
export function readPemFile(name: string, path: string): Pem | Problem {
  const unreadable = (why: string, hint?: string): Problem => ({
    ...{ name, code: 'CERT_UNREADABLE', hint },
    message: `${quotePath(path)} ${why}`,
  })
  if (path.includes('-----BEGIN')) return unreadable('is PEM text, and this setting takes a path', GIVE_TEXT)
  let fd: number | undefined
  try {
    const wrong = unfit(statSync(path))
    if (wrong !== null) return unreadable(wrong)
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stats = fstatSync(fd)
    const changed = unfit(stats)
    if (changed !== null) return unreadable(changed)
    const bytes = readBounded(fd)
    if (bytes === null) return unreadable('is larger than 1 MiB')
    const text = normaliseLineEnds(bytes.toString('utf8'))
    const file = { path, mode: stats.mode & 0o7777, uid: stats.uid }
    return { name, text, binary: binaryOf(bytes, text), file }
  } catch (error) {
    return unreadable(whyUnreadable(error))
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

const GIVE_TEXT =
  'give the path of the file here; the three texts go into CRDB_CA_CRT, CRDB_CLIENT_WRITER_CRT and CRDB_CLIENT_WRITER_KEY (of migrate: ADMIN for WRITER)'

function unfit(stats: Stats): string | null {
  if (stats.isDirectory()) return 'is a directory, not a file'
  return stats.isFile() ? null : 'is not a regular file'
}

const normaliseLineEnds = (text: string): string => text.replace(/\r\n?/g, '\n')

function readBounded(fd: number): Buffer | null {
  const buffer = Buffer.alloc(MAX_FILE_BYTES + 1)
  let length = 0
  for (;;) {
    const count = readSync(fd, buffer, length, buffer.length - length, null)
    length += count
    if (length > MAX_FILE_BYTES) return null
    if (count === 0) return buffer.subarray(0, length)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist: a part of its path is not a directory',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
  ELOOP: 'is a loop of symbolic links',
  ENAMETOOLONG: 'is too long for a path',
}

function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'an unknown error'
  return REASONS[code] ?? `cannot be read (${code})`
}

/** A path for a message: without control characters, and not at all where the value may be a secret by mistake. */
export function quotePath(path: string): string {
  const isNoPath = /-----|[\r\n]|\\n/.test(path) || path.length > 512 || /^[A-Za-z0-9+/]+=+$/.test(path)
  return isNoPath || settingWithoutSecrets(path) !== path ? 'its value (not shown)' : printable(path)
}

/** Text from outside, fit for a terminal: control, format and separator characters are shown as `?`. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, '?')

/** What is wrong with a setting, as a problem that names it; where it points to a file, the file. */
export const problem = ({ name, file }: Pem, code: Code, { message, hint, fileHint }: Wrong): Problem => ({
  ...{ name, code, hint: file ? (fileHint ?? hint) : hint },
  message: file ? `${quotePath(file.path)} ${message}` : message,
})
