/** The options of a run against a database. */
import type { Options } from '../settings/config.ts'
import type { Flags, Values } from './command.ts'
import { FORMAT_NAMES, FORMATS, type FormatName, formatOf } from './renderer.ts'
import { didYouMean, quoted, UsageError } from './usage.ts'

/** Of every command that prints a report. */
export const REPORT_FLAGS = {
  format: { type: 'string', value: 'FORM', does: 'text (the default), json, markdown, junit or html' },
  json: { type: 'boolean', does: 'the same as --format json' },
  markdown: { type: 'boolean', does: 'the same as --format markdown' },
  output: {
    type: 'string',
    value: 'FILE',
    multiple: true,
    does: 'also writes the report to FILE, by its ending: .txt .json .md .xml .html; may be repeated',
  },
  verbose: { type: 'boolean', does: 'every check on a terminal too, and what was done when' },
} as const satisfies Flags

/** All of them; migrate takes two. */
export const PROBE_FLAGS = {
  ...REPORT_FLAGS,
  writes: { type: 'string', value: 'N', does: 'sequential writes on one connection, at least 2 (20)' },
  'visible-within': { type: 'string', value: 'MS', does: 'the limit within which the row must be seen (1000)' },
  deadline: { type: 'string', value: 'SECONDS', does: 'of one attempt (30)' },
  wait: {
    type: 'string',
    value: 'SECONDS',
    does: 'repeat attempts for so long while waiting can cure the cause (0)',
  },
  'all-addresses': { type: 'boolean', does: 'try every address of the host' },
  keep: { type: 'boolean', does: 'leave the rows' },
  'certs-dir': { type: 'string', value: 'DIR', does: 'ca.crt, client.USER.crt and client.USER.key' },
} as const satisfies Flags

type ProbeValues = Values<typeof PROBE_FLAGS>

/** Where the report goes, and in which form. */
export interface Delivery {
  /** on stdout */
  readonly format: FormatName
  readonly verbose: boolean
  /** besides */
  readonly files: readonly { readonly path: string; readonly format: FormatName }[]
}

/** The form that stdout is to have. */
function formatFor(flags: ProbeValues): FormatName {
  const { format: named } = flags
  const format = FORMAT_NAMES.find(name => name === named)
  if (named !== undefined && !format)
    throw new UsageError(
      `--format wants ${FORMAT_NAMES.join(', ')}, not ${quoted(named)}${didYouMean(named, FORMAT_NAMES)}`,
    )
  const asked: (readonly [name: FormatName, typed: string])[] = [
    ...(format ? [[format, `--format ${format}`] as const] : []),
    ...(['json', 'markdown'] as const).filter(name => flags[name]).map(name => [name, `--${name}`] as const),
  ]
  const [first = 'text'] = asked.map(([name]) => name)
  const typed = asked.map(([, typed]) => typed)
  if (asked.some(([name]) => name !== first))
    throw new UsageError(`${typed.length === 2 ? typed.join(' and ') : typed.join(', ')} exclude each other`)
  return first
}

/** The files that the report is to be written to. */
const filesFor = ({ output = [] }: ProbeValues): Delivery['files'] =>
  output.map(path => {
    const format = formatOf(path)
    if (format) return { path, format }
    const endings = FORMAT_NAMES.map(name => `.${FORMATS[name].extension}`).join(' ')
    throw new UsageError(`--output wants a file that ends in one of ${endings}, not ${quoted(path)}`)
  })

/**
 * The values of these options.
 * @throws UsageError
 */
export function probeArguments(flags: ProbeValues): { delivery: Delivery; options: Partial<Options> } {
  const writes = numeric(flags, 'writes', 2, true)
  const visibleWithinMs = numeric(flags, 'visible-within', 1, true)
  const deadline = numeric(flags, 'deadline', 0.001, false, LONGEST_SECONDS)
  const wait = numeric(flags, 'wait', 0, false, LONGEST_SECONDS)
  if (flags['certs-dir'] === '') throw new UsageError('--certs-dir wants a directory')
  return {
    delivery: { format: formatFor(flags), verbose: flags.verbose ?? false, files: filesFor(flags) },
    options: {
      ...(writes !== undefined && { writes }),
      ...(visibleWithinMs !== undefined && { visibleWithinMs }),
      ...(deadline !== undefined && { deadlineMs: Math.max(1, Math.round(deadline * 1000)) }),
      ...(wait !== undefined && { waitMs: Math.round(wait * 1000) }),
      ...(flags['all-addresses'] && { allAddresses: true }),
      ...(flags.keep && { keep: true }),
      ...(flags['certs-dir'] !== undefined && { certsDir: flags['certs-dir'] }),
    },
  }
}

const MOST = 1e9
/** What a timer takes, 2^31 - 1 ms, in seconds: 24 days. */
export const LONGEST_SECONDS = 2147483

/** A whole or decimal number within bounds. @throws UsageError */
export function numeric(
  flags: Readonly<Record<string, unknown>>,
  flag: string,
  least: number,
  whole: boolean,
  most = MOST,
): number | undefined {
  const text = flags[flag]
  if (text === undefined) return undefined
  const value = Number(text)
  const wellFormed = whole ? /^\d+$/ : /^\d+(\.\d+)?$/
  if (typeof text !== 'string' || !wellFormed.test(text) || value < least || value > most)
    throw new UsageError(
      `--${flag} wants a ${whole ? 'whole ' : ''}number from ${least} to ${most}, not ${quoted(String(text))}`,
    )
  return value
}
