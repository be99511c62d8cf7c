/**
 * What may be printed of a text that is not ours.
 *
 * redact   without what must not be shown, by its look: PEM, its base64 lines, the password of a URL, what follows
 *          `password`. It lands in any setting by mistake, and libraries and servers quote what they were given
 * plain    without what moves a terminal's cursor or breaks a table
 */

const PEM = /-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(-----END [A-Z0-9 ]+-----|$)/g
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/?#@]*):[^\s/?#@]*@/gi

/** `password=…`, `password:…`, `"password": …`; a colon and a space alone are a sentence's. */
const NAMED = /((?:passw(?:or)?d|passphrase|pwd)(?:["']?\s{0,9}=\s{0,9}|["']\s{0,9}:\s{0,9}|:(?=\S)))\S+/gi

/** The same in a setting, which is no sentence: all of the rest. */
const NAMED_TO_THE_END = /((?:passw(?:or)?d|passphrase|pwd)["']?[=:\s]).*$/is

/** A word of base64, with its padding; before a value `=` is none. */
const BASE64 = /[A-Za-z0-9+/]{20,}(?:={1,2}(?![\w+/="']))?/g

/** How the DER of keys and certificates begins (SEQUENCE and its length; short keys whole), and PEM in base64. */
const BEGINNINGS = /^(MI[E-J]|MHcC|MHQC|MC4C|MFMC|LS0tLS1C)/

const HIDDEN = '[not shown]'

/** Text without PEM blocks, base64 lines of one, passwords of URLs, and what follows `password`. */
const withoutSecrets = (text: string): string =>
  text
    .replace(PEM, '[PEM]')
    .replace(URL_PASSWORD, '$1@')
    .replace(NAMED, `$1${HIDDEN}`)
    .replace(BASE64, found => (isKeyMaterial(found) ? HIDDEN : found))

/** The value of a setting without secrets: what comes behind `password` and a space is none of its words. */
export const settingWithoutSecrets = (value: string): string =>
  withoutSecrets(value.slice(0, 4000)).replace(NAMED_TO_THE_END, `$1${HIDDEN}`)

/**
 * Whether a word is base64 of bytes. Letters of both cases and digits alternate there; in names and paths they seldom do.
 * The last line of a key is short, and its padding gives it away: no path ends so. Without padding a word of less than 44
 * characters is missed once in a hundred times.
 */
function isKeyMaterial(word: string): boolean {
  if (BEGINNINGS.test(word)) return true
  const letters = word.replace(/[+/=]/g, '')
  const isPadded = word.endsWith('=') && word.length % 4 === 0
  if (letters.length < (isPadded ? 17 : 20) || !/[a-z]/.test(letters) || !/[A-Z]/.test(letters)) return false
  const changes = letters.match(/[a-z](?![a-z])|[A-Z](?![A-Z])|[0-9](?![0-9])/g)?.length ?? 0
  const share = (changes - 1) / (letters.length - 1)
  if (isPadded) return share >= (word.endsWith('==') ? 0.2 : 0.32)
  // A name in camel case, the nearest thing to it, stays below 0.4 and has no digits.
  if (!/[0-9]/.test(letters)) return share >= 0.45
  return share >= (letters.length < 40 ? 0.42 : 0.35)
}

/** Text without secrets, should a library, a server or a setting hold one; so many characters at most. */
export function redact(text: string, longest = 1000): string {
  // Cut first as well: these patterns take quadratic time on what a hostile server can say.
  return withoutSecrets(text.slice(0, 4000)).slice(0, longest)
}

const ESC = String.fromCharCode(0x1b)
/** CSI sequences, strings ended by BEL or ST (OSC, DCS, …), and the other two-byte escapes. */
const SEQUENCES = new RegExp(
  `${ESC}(?:\\[[0-?]*[ -/]*[@-~]|[\\]PX^_][^\\u0007${ESC}]*(?:\\u0007|${ESC}\\\\)?|[ -/]*[0-~])`,
  'g',
)
/** Control and format characters (the latter turn text around or hide it), line separators, lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu

/** What most texts are: the classes of Unicode above take milliseconds to compile. */
const ASCII_LINE = /^[ -~]*$/

/** One printable line of at most `max` characters: sequences removed, control characters and line ends made spaces. */
export function plain(text: string, max = 400): string {
  const cut = text.slice(0, 8 * max)
  const printable = ASCII_LINE.test(cut) ? cut : cut.replace(SEQUENCES, '').replace(UNPRINTABLE, ' ')
  const line = printable.replace(/ {2,}/g, ' ').trim()
  return line.length <= max ? line : `${line.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '')}…`
}

/** Text that Markdown shows as it stands: markup, HTML and table separators escaped, on one line. */
export function escapeMarkdown(text: string, max?: number): string {
  return plain(text, max)
    .replace(/[\\`*[\]|~#]|(?<![a-z0-9])_|_(?![a-z0-9])/gi, '\\$&')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
}
