/** What may stand on the command line: the commands, their options and words. Pure: nothing is run or printed here. */
import { parseArgs } from 'node:util'
import { redact } from '../failure/error.ts'
import { plain } from '../report/plain.ts'
import type { Options } from '../settings/config.ts'

/** Bad usage: one line that says which, exit 2. */
export class UsageError extends Error {}

/** What was typed, in one line and without what must not be shown, should a URL have slipped in. */
export const quoted = (text: string): string => `"${plain(redact(text), 200)}"`

/** "; did you mean …?" with the nearest of the candidates; nothing where none is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  // One slip in a short word makes another word of it.
  const most = word.length < 4 ? 1 : 2
  const [nearest] = candidates
    .filter(candidate => Math.abs(candidate.length - word.length) <= most)
    .map(candidate => ({ candidate, slips: slipsBetween(word, candidate) }))
    .filter(({ slips }) => slips <= most)
    .sort((one, other) => one.slips - other.slips)
  return nearest ? `; did you mean ${nearest.candidate}?` : ''
}

/** Letters added, left out, changed, or swapped with their neighbour (optimal string alignment distance). */
function slipsBetween(one: string, other: string): number {
  let before: number[] = []
  let above = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (let row = 1; row <= one.length; row++) {
    const line = [row]
    for (let column = 1; column <= other.length; column++) {
      const same = one[row - 1] === other[column - 1]
      const swapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      line[column] = Math.min(
        (above[column] ?? 0) + 1,
        (line[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + (same ? 0 : 1),
        ...(row > 1 && column > 1 && swapped ? [(before[column - 2] ?? 0) + 1] : []),
      )
    }
    before = above
    above = line
  }
  return above[other.length] ?? 0
}

const FLAGS = {
  json: { type: 'boolean' },
  markdown: { type: 'boolean' },
  writes: { type: 'string' },
  'visible-within': { type: 'string' },
  deadline: { type: 'string' },
  wait: { type: 'string' },
  'all-addresses': { type: 'boolean' },
  keep: { type: 'boolean' },
  'certs-dir': { type: 'string' },
  engine: { type: 'string' },
  database: { type: 'string' },
} as const

export type Flag = keyof typeof FLAGS
export type Flags = { [K in Flag]?: (typeof FLAGS)[K]['type'] extends 'boolean' ? boolean : string }

const PROBE_FLAGS = [
  'json',
  'markdown',
  'writes',
  'visible-within',
  'deadline',
  'wait',
  'all-addresses',
  'keep',
  'certs-dir',
] as const satisfies readonly Flag[]

interface CommandUsage {
  readonly flags: readonly Flag[]
  /** how many words may follow */
  readonly words: number
  /** needs packages that a production install does not have */
  readonly development: boolean
}

const ANY = Number.POSITIVE_INFINITY

/** Every command. */
export const COMMANDS = {
  probe: { flags: PROBE_FLAGS, words: 0, development: false },
  start: { flags: PROBE_FLAGS, words: 0, development: true },
  migrate: { flags: ['certs-dir', 'deadline'], words: 0, development: false },
  explain: { flags: [], words: 1, development: false },
  bootstrap: { flags: ['engine', 'database'], words: 0, development: false },
  'certs:check': { flags: [], words: 1, development: false },
  generate: { flags: [], words: ANY, development: true },
  'schema:check': { flags: [], words: 0, development: true },
  build: { flags: [], words: 0, development: true },
  bench: { flags: [], words: ANY, development: true },
  lab: { flags: [], words: 0, development: true },
  test: { flags: [], words: ANY, development: true },
} as const satisfies Readonly<Record<string, CommandUsage>>

export type Command = keyof typeof COMMANDS

export interface Asked {
  readonly command: Command | '--help' | '--version'
  readonly flags: Flags
  readonly words: readonly string[]
}

/**
 * Reads the words after `src/cli.ts`. `--help` and `--version` win over whatever else is right.
 * @param env where npm leaves the options that it took for its own
 * @throws UsageError
 */
export function readArguments(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Asked {
  const [name, ...rest] = argv
  const nothing = { flags: {}, words: [] }
  if (name === undefined) throw new UsageError('no command; --help lists them')
  if (name === '--version') return { command: name, ...nothing }
  if (name === '--help' || name === '-h' || name === 'help') return { command: '--help', ...nothing }
  if (!isCommand(name)) {
    const near = didYouMean(name, [...Object.keys(COMMANDS), 'help', '--help', '--version'])
    throw new UsageError(`there is no command ${quoted(name)}${near || ';'} --help lists them`)
  }
  const { values, positionals } = parse(name, rest)
  const { help, version, ...flags } = values
  if (help) return { command: '--help', ...nothing }
  if (version) return { command: '--version', ...nothing }
  const usage: CommandUsage = COMMANDS[name]
  refuseSwallowed(name, positionals.slice(usage.words), env)
  for (const flag of Object.keys(flags))
    if (!usage.flags.some(known => known === flag)) throw new UsageError(`${name} has no option --${flag}`)
  const surplus = positionals[usage.words]
  if (surplus !== undefined) throw new UsageError(`${quoted(surplus)} is one word too many for ${name}`)
  return { command: name, flags, words: positionals }
}

/** npm has settings of these names itself, which anyone may have set: they do not tell what was typed. */
const NPMS_OWN: readonly string[] = ['json', 'dry-run', 'verbose']

/**
 * Options that npm took for itself: `npm run probe --keep` hands `--keep` on as the variable npm_config_keep only, and
 * the 5 of `--writes 5` as a word without its option.
 * @param surplus the words that the command does not take
 */
function refuseSwallowed(command: Command, surplus: readonly string[], env: NodeJS.ProcessEnv): void {
  const taken = (flag: Flag) => env[`npm_config_${flag.replaceAll('-', '_')}`]
  const { flags }: CommandUsage = COMMANDS[command]
  const swallowed = flags.filter(flag => !NPMS_OWN.includes(flag) && taken(flag) !== undefined)
  if (swallowed.length === 0) return
  const parted = swallowed.filter(flag => FLAGS[flag].type === 'string' && taken(flag) === 'true')
  const again = swallowed.map(flag => {
    if (FLAGS[flag].type === 'boolean') return `--${flag}`
    const value = parted.length === 1 && parted[0] === flag && surplus.length === 1 ? surplus[0] : taken(flag)
    return `--${flag} ${value !== 'true' && /^[\w./:-]{1,50}$/.test(value ?? '') ? value : 'VALUE'}`
  })
  const script = command === 'start' ? command : `run ${command}`
  const names = swallowed.map(flag => `--${flag}`).join(', ')
  throw new UsageError(`npm took ${names} for itself: npm ${script} -- ${again.join(' ')}`)
}

const isCommand = (name: string): name is Command => Object.hasOwn(COMMANDS, name)

function parse(command: Command, args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { ...FLAGS, help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } },
    })
  } catch (error) {
    const [sentence = 'bad usage'] = (error instanceof Error ? error.message : String(error)).split(/\. |(?<=\.)\n/)
    const [, unknown = ''] = /^Unknown option '(--.*)'$/s.exec(sentence) ?? []
    const known = [...COMMANDS[command].flags, 'help', 'version'].map(flag => `--${flag}`)
    throw new UsageError(`${plain(redact(sentence))}${didYouMean(unknown, known)}`)
  }
}

export type Format = 'text' | 'json' | 'markdown'

/**
 * The options of probe, start and migrate, their values read.
 * @throws UsageError
 */
export function probeArguments(flags: Flags): { format: Format; options: Partial<Options> } {
  if (flags.json && flags.markdown) throw new UsageError('--json and --markdown exclude each other')
  const writes = numeric(flags, 'writes', 2, true)
  const visibleWithinMs = numeric(flags, 'visible-within', 1, true)
  const deadline = numeric(flags, 'deadline', 0.001, false, LONGEST_SECONDS)
  const wait = numeric(flags, 'wait', 0, false, LONGEST_SECONDS)
  if (flags['certs-dir'] === '') throw new UsageError('--certs-dir wants a directory')
  return {
    format: flags.json ? 'json' : flags.markdown ? 'markdown' : 'text',
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
function numeric(flags: Flags, flag: Flag, least: number, whole: boolean, most = MOST): number | undefined {
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
