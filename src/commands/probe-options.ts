/** The options of a run against a database. */
import type { Options } from '../settings/config.ts'
import type { Flags, Values } from './command.ts'
import { FORMAT_NAMES, FORMATS, type FormatName } from './renderer.ts'
import { quoted, UsageError } from './usage.ts'

type FormatFlags = Readonly<Record<FormatName, { readonly type: 'boolean'; readonly does: string }>>

/** Of every command that prints a report. */
export const REPORT_FLAGS = Object.fromEntries(
  FORMAT_NAMES.map(name => [name, { type: 'boolean', does: FORMATS[name].does }]),
) as FormatFlags

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

/**
 * The values of these options.
 * @throws UsageError
 */
export function probeArguments(flags: ProbeValues): { format: FormatName | 'text'; options: Partial<Options> } {
  const [format = 'text', another] = FORMAT_NAMES.filter(name => flags[name])
  if (another) throw new UsageError(`--${format} and --${another} exclude each other`)
  const writes = numeric(flags, 'writes', 2, true)
  const visibleWithinMs = numeric(flags, 'visible-within', 1, true)
  const deadline = numeric(flags, 'deadline', 0.001, false, LONGEST_SECONDS)
  const wait = numeric(flags, 'wait', 0, false, LONGEST_SECONDS)
  if (flags['certs-dir'] === '') throw new UsageError('--certs-dir wants a directory')
  return {
    format,
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
const LONGEST_SECONDS = 2147483

/** A whole or decimal number within bounds. */
function numeric(
  flags: ProbeValues,
  flag: keyof ProbeValues,
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
