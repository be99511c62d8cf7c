/** The text of `--help`, made from the commands. */
import { commandLine, type Form, form, separator } from '../invocation.ts'
import { type Commands, type Declared, EXIT, GROUPS } from './command.ts'

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
 * @param all every command, in their order; the single file has none that needs the development install
 * @param as the form in which commands are written
 */
export function helpText(program: string, all: Commands, as: Form = form): string {
  const commands = as === 'installed' ? all.filter(([, { development }]) => !development) : all
  const exits = Object.entries(MEANINGS).map(([name, means]) => `${EXIT[name as keyof typeof EXIT]} ${means}`)
  return `${program}: proves one connection to CockroachDB, over IPv6 and mutual TLS, and says what is wrong with it

usage: ${commandLine('COMMAND', as)}${as === 'npm' ? ' [-- OPTIONS]' : ' [OPTIONS]'}

${sections([...commandGroups(commands, as), ...optionGroups(commands)])}
  --help, --version

exit codes: ${exits.join(', ')}
`
}

interface Section {
  readonly title: string
  readonly lines: readonly (readonly [typed: string, does: string])[]
}

/** A section for each group, a line for each command. */
const commandGroups = (commands: Commands, as: Form): Section[] =>
  GROUPS.map(title => ({
    title,
    lines: commands
      .filter(([, { group }]) => group === title)
      .map(([name, { does, words }]) => [`${commandLine(name, as)}${typedWords(words, as)}`, does] as const),
  })).filter(({ lines }) => lines.length > 0)

/** The words of a command; of those that may be left out there may be any number. */
function typedWords(words: Declared['words'], as: Form): string {
  if (words.length === 0) return ''
  const typed = `${separator(as).trimStart()}${words.join(' ')}`
  return words.at(-1)?.endsWith('…') ? ` [${typed}]` : ` ${typed}`
}

/** A section for each set of commands that share options. */
function optionGroups(commands: Commands): Section[] {
  const takers = new Map<string, { line: Section['lines'][number]; names: string[] }>()
  for (const [name, { flags }] of commands)
    for (const [flag, { does, ...kind }] of Object.entries(flags)) {
      const typed = `--${flag}${kind.type === 'string' ? ` ${kind.value}` : ''}`
      const known = takers.get(`${typed} ${does}`) ?? { line: [typed, does], names: [] }
      known.names.push(name)
      takers.set(`${typed} ${does}`, known)
    }
  const groups = new Map<string, Section['lines'][number][]>()
  for (const { line, names } of takers.values()) {
    const title = `options of ${names.join(', ')}`
    groups.set(title, [...(groups.get(title) ?? []), line])
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

/** The text of declared.json: what `--help` and a wrong option need of every command, a line each. */
export function declaredJson(commands: Commands): string {
  const lines = commands.map(
    ([name, { group, does, words, flags, development }]) =>
      `  ${JSON.stringify([name, { group, does, words, flags, development }])}`,
  )
  return `[\n${lines.join(',\n')}\n]\n`
}
