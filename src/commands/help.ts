/** The text of `--help`, made from the commands. */
import { type Command, EXIT, type Flag, GROUPS, npmWords } from './command.ts'

/** What an exit code means, in the order of the help. */
const MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'passed',
  failed: 'a check failed',
  usage: 'usage or configuration',
  bug: 'a bug',
  unwritten: 'the output could not be written',
  interrupted: 'interrupted',
}

/**
 * The help, with a line end.
 * @param program name and version
 * @param commands all of them, in their order
 */
export function helpText(program: string, commands: Commands): string {
  const exits = Object.entries(MEANINGS).map(([name, means]) => `${EXIT[name as keyof typeof EXIT]} ${means}`)
  return `${program}: proves one connection to CockroachDB, over IPv6 and mutual TLS, and says what is wrong with it

usage: npm run COMMAND [-- OPTIONS]

${sections([...commandGroups(commands), ...optionGroups(commands)])}
  --help, --version

exit codes: ${exits.join(', ')}
`
}

interface Section {
  readonly title: string
  readonly lines: readonly (readonly [typed: string, does: string])[]
}

type Commands = readonly (readonly [name: string, command: Command])[]

/** A section for each group, a line for each command. */
const commandGroups = (commands: Commands): Section[] =>
  GROUPS.map(title => ({
    title,
    lines: commands
      .filter(([, { group }]) => group === title)
      .map(([name, { does, words }]) => [`${npmWords(name)}${typedWords(words)}`, does]),
  }))

/** The words of a command; of those that may be left out there may be any number. */
function typedWords(words: Command['words']): string {
  if (words.length === 0) return ''
  const typed = `-- ${words.join(' ')}`
  return words.at(-1)?.endsWith('…') ? ` [${typed}]` : ` ${typed}`
}

/** A section for each set of commands that share options. */
function optionGroups(commands: Commands): Section[] {
  const flags = new Set<Flag>(commands.flatMap(([, command]) => Object.values(command.flags)))
  const groups = new Map<string, [string, string][]>()
  for (const flag of flags) {
    const takers = commands.filter(([, command]) => Object.values(command.flags).includes(flag))
    const [name] = takers.flatMap(([, command]) => Object.entries(command.flags)).find(([, one]) => one === flag) ?? []
    const title = `options of ${takers.map(([name]) => name).join(', ')}`
    const typed = `--${name}${flag.type === 'string' ? ` ${flag.value}` : ''}`
    groups.set(title, [...(groups.get(title) ?? []), [typed, flag.does]])
  }
  return [...groups].map(([title, lines]) => ({ title, lines }))
}

/** Sections with one column for what is typed. */
function sections(all: readonly Section[]): string {
  const width = Math.max(...all.flatMap(({ lines }) => lines.map(([typed]) => typed.length)))
  const text = ({ title, lines }: Section) =>
    [title, ...lines.map(([typed, does]) => `  ${typed.padEnd(width)}   ${does}`), ''].join('\n')
  return all.map(text).join('\n')
}
