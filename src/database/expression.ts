/** Types and defaults as schema.ts writes them and as a catalogue prints them, in one form, so that they can be compared. */
import { literal } from './sql.ts'

/** How drizzle-kit writes a type, and how pg_catalog.format_type() prints it. */
const TYPE_NAMES: readonly (readonly [written: RegExp, printed: string])[] = [
  [/^varchar\b/, 'character varying'],
  [/^(char|bpchar)\b/, 'character'],
  [/^character(?!\(| varying)/, 'character(1)'],
  [/^bit(?!\(| varying)/, 'bit(1)'],
  [/^timestamptz\b(\(\d+\))?/, 'timestamp$1 with time zone'],
  [/^(timestamp|time)(\(\d+\))?(?=$|\[)/, '$1$2 without time zone'],
  [/^decimal\b/, 'numeric'],
  [/^numeric\((\d+)\)/, 'numeric($1,0)'],
  [/^(int|int4)\b/, 'integer'],
  [/^int8\b/, 'bigint'],
  [/^int2\b/, 'smallint'],
  [/^bool\b/, 'boolean'],
  [/^float8\b/, 'double precision'],
  [/^float4\b/, 'real'],
  [/^smallserial\b/, 'smallint'],
  [/^bigserial\b/, 'bigint'],
  [/^serial\b/, 'integer'],
]

/** A type as format_type() prints it: `varchar(20)` is `character varying(20)`. Quotes and schema public are left out. */
export function typeName(written: string): string {
  const plain = written
    .trim()
    .replaceAll('"', '')
    .replace(/^public\./, '')
    .replace(/\s*,\s*/g, ',')
    .replace(/ \(/g, '(')
  return TYPE_NAMES.reduce((name, [pattern, printed]) => name.replace(pattern, printed), plain)
}

/** A default in its shortest form, and whether it is one that every release prints alike. */
interface Normal {
  readonly text: string
  readonly comparable: boolean
}

const CAST =
  /:::?\s*(?:"[^"]+"|[a-z_][\w.]*)(?: (?:varying|precision))?(?:\(\d+(?:,\s*\d+)?\))?(?: with(?:out)? time zone)?(?:\[\])*/gi
const STRING = /^'(?:[^']|'')*'$/
/** CockroachDB prints a string with a quote in it so: e'it\\'s' */
const ESCAPED = /^e'((?:[^'\\]|\\.)*)'/i
const NUMBER = /^-?\d+(?:\.\d+)?$/
const CALL = /^[a-z_][\w.]*$/

/** Without casts outside of strings. */
const withoutCasts = (expression: string): string =>
  expression.replace(/('(?:[^']|'')*')|([^']+)/g, (_, string = '', rest = '') => string + rest.replace(CAST, ''))

/**
 * Casts, brackets around everything and the case of names say nothing: `CURRENT_USER`, `current_user()` and
 * `(current_user)::text` are one. A string of digits is the number it is the text of.
 */
function normal(expression: string): Normal {
  const written = expression.replace(ESCAPED, (_, inside: string) => literal(inside.replace(/\\(.)/g, '$1')))
  let text = withoutCasts(written).trim()
  while (/^\([^()]*(?:\([^()]*\)[^()]*)*\)$/.test(text)) text = text.slice(1, -1).trim()
  if (STRING.test(text)) {
    const inside = text.slice(1, -1)
    return { text: NUMBER.test(inside) ? inside : text, comparable: true }
  }
  text = text
    .toLowerCase()
    .replace(/^pg_catalog\./, '')
    .replace(/\(\)$/, '')
  return { text, comparable: NUMBER.test(text) || CALL.test(text) }
}

/** Types whose constants a server prints in its own way: dates, JSON, addresses, arrays and the like. */
const REPRINTED =
  /\[\]$|^(timestamp|time|date|interval|jsonb?|bytea|inet|cidr|macaddr8?|bit|real|double|numeric|point|line|box|vector|geometry|tsvector)\b/

/**
 * Whether a catalogue's default may be the declared one. Constants and calls without arguments are compared; whatever
 * is longer is printed by each server in its own way, and only whether there is a default at all is compared.
 */
export function sameDefault(declared: string | null, found: string | null, type: string): boolean {
  if (declared === null || found === null) return declared === found
  // a serial's: nextval('…') on PostgreSQL, unique_rowid() or nextval on CockroachDB
  if (declared === 'nextval') return /^(nextval|unique_rowid)\(/i.test(found)
  const [wanted, actual] = [normal(declared), normal(found)]
  if (wanted.text === actual.text || !wanted.comparable) return true
  return STRING.test(wanted.text) && REPRINTED.test(typeName(type))
}
