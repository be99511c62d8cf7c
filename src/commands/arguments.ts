/** What may stand on the command line: commands, their options and words. Pure: nothing is run or printed here. */
import { parseArgs } from 'node:util'
import { commandLine, SHORT_WORDS } from '../invocation.ts'
import { type Asked, type Declared, type Flags, UsageError } from './command.ts'
import { COMMANDS, type CommandName, declarationOf, declarations } from './index.ts'

/** A command line that has been read. */
export interface Read extends Asked {
  /** the command's name; with --help or --version that option takes its place */
  readonly command: CommandName | '--help' | '--version'
}

/**
 * Reads the words after `src/cli.ts`. `--help` and `--version` win over whatever else is right.
 * @param env where npm leaves the options that it took for its own
 * @throws UsageError
 */
export async function readArguments(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Read> {
  const [typed, ...rest] = argv
  const name = Object.keys(SHORT_WORDS).find(long => SHORT_WORDS[long] === typed) ?? typed
  const nothing = { flags: {}, words: [] }
  if (name === undefined) throw new UsageError('no command; --help lists them')
  if (name === '--version') return { command: name, ...nothing }
  if (name === '--help' || name === '-h' || name === 'help') return { command: '--help', ...nothing }
  if (!isCommand(name)) {
    const { didYouMean, quoted } = await import('./usage.ts')
    const near = didYouMean(name, [
      ...Object.keys(COMMANDS),
      ...Object.values(SHORT_WORDS),
      'help',
      '--help',
      '--version',
    ])
    throw new UsageError(`there is no command ${quoted(name)}${near || ';'} --help lists them`)
  }
  const command = await declarationOf(name)
  const { values, positionals } = await parse(command, rest)
  const { help, version, ...flags } = values
  if (help) return { command: '--help', ...nothing }
  if (version) return { command: '--version', ...nothing }
  const surplus = positionals.slice(mostWords(command))
  refuseSwallowed(name, command, surplus, env)
  for (const flag of Object.keys(flags))
    if (!Object.hasOwn(command.flags, flag)) throw new UsageError(`${name} has no option --${flag}`)
  const [first] = surplus
  if (first !== undefined) {
    const { quoted } = await import('./usage.ts')
    throw new UsageError(`${quoted(first)} is one word too many for ${name}`)
  }
  return { command: name, flags, words: positionals }
}

const isCommand = (name: string): name is CommandName => Object.hasOwn(COMMANDS, name)

const mostWords = ({ words }: Declared): number =>
  words.at(-1)?.endsWith('…') ? Number.POSITIVE_INFINITY : words.length

/** npm has settings of these names itself, which anyone may have set: they do not tell what was typed. */
const NPMS_OWN: readonly string[] = ['json', 'dry-run', 'verbose']

/**
 * Options that npm took for itself: `npm run probe --keep` hands `--keep` on as the variable npm_config_keep only, and
 * the 5 of `--writes 5` as a word without its option.
 * @param surplus the words that the command does not take
 */
function refuseSwallowed(
  name: CommandName,
  { flags }: Declared,
  surplus: readonly string[],
  env: NodeJS.ProcessEnv,
): void {
  const taken = (flag: string) => env[`npm_config_${flag.replaceAll('-', '_')}`]
  const swallowed = Object.entries(flags).filter(([flag]) => !NPMS_OWN.includes(flag) && taken(flag) !== undefined)
  if (swallowed.length === 0) return
  const parted = swallowed.filter(([flag, { type }]) => type === 'string' && taken(flag) === 'true')
  const again = swallowed.map(([flag, { type }]) => {
    if (type === 'boolean') return `--${flag}`
    const value = parted.length === 1 && parted[0]?.[0] === flag && surplus.length === 1 ? surplus[0] : taken(flag)
    return `--${flag} ${value !== 'true' && /^[\w./:-]{1,50}$/.test(value ?? '') ? value : 'VALUE'}`
  })
  const names = swallowed.map(([flag]) => `--${flag}`).join(', ')
  throw new UsageError(`npm took ${names} for itself: ${commandLine(name, 'npm')} -- ${again.join(' ')}`)
}

const parsed = (args: string[], flags: Flags) => {
  const options = { ...flags, help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } } as const
  return parseArgs({ args, allowPositionals: true, options })
}

/** Options of other commands are read as well: of them it is said that this one does not have them. */
async function parse(command: Declared, args: string[]) {
  try {
    return parsed(args, command.flags)
  } catch {
    const all = (await declarations()).map(([, { flags }]) => flags)
    try {
      return parsed(args, Object.assign({}, ...all))
    } catch (error) {
      const [sentence = 'bad usage'] = (error instanceof Error ? error.message : String(error)).split(/\. |(?<=\.)\n/)
      const [{ didYouMean }, { plain, redact }] = await Promise.all([
        import('./usage.ts'),
        import('../failure/secrets.ts'),
      ])
      const [, unknown = ''] = /^Unknown option '(--.*)'$/s.exec(sentence) ?? []
      const known = [...Object.keys(command.flags), 'help', 'version'].map(flag => `--${flag}`)
      throw new UsageError(`${plain(redact(sentence))}${didYouMean(unknown, known)}`)
    }
  }
}
