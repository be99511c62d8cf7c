/** How the program was started: its name, what it was built from, and what to type for one of its commands. */
import { basename } from 'node:path'

/** Replaced by esbuild's `define`. */
declare const CONNECTION_PROBE_BUILD: Build | undefined

/** What the single file was built from. */
export interface Build {
  /** the commit, with `-dirty` behind it where the files were not as committed; null where nobody knew it */
  readonly commit: string | null
}

/** Null when the program runs from the tree. */
export const build: Build | null = typeof CONNECTION_PROBE_BUILD === 'undefined' ? null : CONNECTION_PROBE_BUILD

/** Name and version, as reports carry them. */
export const PROGRAM = 'connection-probe 1.0.0'

/** What `--version` prints. */
export const VERSION = build ? `${PROGRAM} (commit ${build.commit ?? 'unknown'})` : PROGRAM

/**
 * npm         npm run probe -- OPTIONS
 * tsx         npx tsx src/probe.ts OPTIONS
 * installed   connection-probe probe OPTIONS: the single file, also as a package's command
 */
export type Form = 'npm' | 'tsx' | 'installed'

/** The commands that are a file of their own. */
const ENTRIES: Readonly<Record<string, string>> = { probe: 'probe.ts', migrate: 'migrate.ts' }

/** The form in which this process was started. */
export const form: Form = formOf(build !== null, process.argv[1], process.env.npm_command)

/**
 * @param file the script that Node runs
 * @param npmCommand what npm sets for its children: `exec` by npx, `run-script` by npm run
 */
export function formOf(isBuilt: boolean, file: string | undefined, npmCommand: string | undefined): Form {
  if (isBuilt) return 'installed'
  const script = basename(file ?? '')
  const isEntry = Object.values(ENTRIES).includes(script)
  return isEntry || (script === 'cli.ts' && npmCommand === 'exec') ? 'tsx' : 'npm'
}

/** The words of the installed package that npm cannot have: a script's name has a colon where it has parts. */
export const SHORT_WORDS: Readonly<Record<string, string>> = { 'certs:check': 'certs' }

/** What to type for a command: npm has `start` and `test` as words of its own. */
export function commandLine(name: string, as: Form = form): string {
  if (as === 'installed') return `connection-probe ${SHORT_WORDS[name] ?? name}`
  if (name === 'test') return 'npm test'
  if (as === 'tsx') return `npx tsx src/${ENTRIES[name] ?? `cli.ts ${name}`}`
  return name === 'start' ? 'npm start' : `npm run ${name}`
}

/** What stands between a command and its options or words. */
export const separator = (as: Form = form): string => (as === 'npm' ? ' -- ' : ' ')

const COMMAND = /\bnpm (?:run (?:-s )?([a-z]+(?::[a-z]+)?)|(start|test)\b)(?: --(?= ))?/g

/** A text of ours, in which commands are written as `npm run NAME -- OPTIONS`, in the form that was started. */
export function asTyped(text: string, as: Form = form): string {
  if (as === 'npm') return text
  return text.replace(COMMAND, (_, name: string | undefined, short: string | undefined) =>
    commandLine(name ?? short ?? '', as),
  )
}
