/** What a command is, what it is given, and the exit codes. Imports nothing: whatever is asked for loads it. */

/** The exit codes; help.ts says what each means. */
export const EXIT = { ok: 0, failed: 1, usage: 2, bug: 70, unwritten: 74, interrupted: 130 } as const

/** Bad usage: one line that says which, exit 2. */
export class UsageError extends Error {}

/** The groups of the help, in its order. */
export const GROUPS = ['run', 'understand', 'develop'] as const
export type Group = (typeof GROUPS)[number]

/** One option: `--name`, or `--name VALUE`, which of some may be given several times. */
export type Flag =
  | { readonly type: 'boolean'; readonly does: string }
  | { readonly type: 'string'; readonly value: string; readonly does: string; readonly multiple?: true }
export type Flags = Readonly<Record<string, Flag>>

/** What was typed for these options. */
export type Values<Known extends Flags> = {
  readonly [Name in keyof Known]?: Known[Name]['type'] extends 'boolean'
    ? boolean
    : Known[Name] extends { readonly multiple: true }
      ? readonly string[]
      : string
}

/** A command line that has been read. */
export interface Asked<Known extends Flags = Flags> {
  readonly flags: Values<Known>
  readonly words: readonly string[]
}

/** The process around a command: its streams and its signals. cli.ts makes it. */
export interface Program {
  /** name and version, as reports carry them */
  readonly name: string
  /** Writes to stdout; resolves when all of it is written, or cannot be: then the exit code says so. */
  print(text: string): Promise<void>
  /** Says on stderr what else could not be written whole: the exit code says so, too. */
  unwritten(what: string): void
  /** Writes a line to stderr. */
  note(text: string): void
  /** Loads every command. */
  commands(): Promise<Commands>
  /** whether stdout takes colour */
  readonly colour: boolean
  /** the columns of the terminal that stdout is; null where it is none */
  readonly columns: number | null
  /** Writes to a terminal on stderr, without a line end; null where stderr is no terminal. */
  readonly draw: ((text: string) => void) | null
  /** From this call on the first signal aborts, with a ProbeError INTERRUPTED, instead of ending the process. */
  interruption(): AbortSignal
}

/** Commands with their names, in the order of the help. */
export type Commands<One extends Declared = Declared> = readonly (readonly [name: string, command: One])[]

/** What a command says of itself. */
export interface Declared {
  readonly group: Group
  /** its line in the help */
  readonly does: string
  /** the names of the words it takes; a last name that ends with … stands for any number */
  readonly words: readonly string[]
  readonly flags: Flags
  /** needs packages that a production install does not have */
  readonly development: boolean
}

/** A command as the command line sees it. */
export interface Command extends Declared {
  /**
   * Does the work, and imports here what that needs: `npm run docs` loads every command.
   * @returns the exit code
   * @throws UsageError for a value that it cannot take
   */
  run(asked: Asked, program: Program): Promise<number>
}

/** The identity, typed: `run` gets the values of the command's own flags. */
export const defineCommand = <const Known extends Flags>(
  command: Omit<Command, 'flags' | 'run'> & {
    readonly flags: Known
    run(asked: Asked<Known>, program: Program): Promise<number>
  },
) => command
