/** Every command, in the order of the help. One is loaded when it is asked for. */
import { readFileSync } from 'node:fs'
import { build } from '../invocation.ts'
import type { Command, Commands, Declared } from './command.ts'

export const COMMANDS = {
  start: async () => (await import('./start.ts')).start,
  probe: async () => (await import('./probe.ts')).probe,
  witness: async () => (await import('./witness.ts')).witness,
  watch: async () => (await import('./watch.ts')).watch,
  migrate: async () => (await import('./migrate.ts')).migrate,
  explain: async () => (await import('./explain.ts')).explain,
  'certs:check': async () => (await import('./certs-check.ts')).certsCheck,
  bootstrap: async () => (await import('./bootstrap.ts')).bootstrap,
  generate: async () => (await import('./generate.ts')).generate,
  'schema:check': async () => (await import('./schema-check.ts')).schemaCheck,
  'schema:review': async () => (await import('./schema-review.ts')).schemaReview,
  docs: async () => (await import('./docs.ts')).docs,
  build: async () => (await import('./build.ts')).build,
  bench: async () => (await import('./bench.ts')).bench,
  lab: async () => (await import('./lab.ts')).lab,
  test: async () => (await import('./test.ts')).test,
} satisfies Readonly<Record<string, () => Promise<Command>>>

export type CommandName = keyof typeof COMMANDS

/**
 * What every command says of itself, by name. From the tree it is read from declared.json, which `npm run docs` writes:
 * for `--help` and a wrong option a dozen files need not be compiled.
 */
export async function declarations(): Promise<Commands> {
  if (build) return loadCommands()
  return JSON.parse(readFileSync(new URL('./declared.json', import.meta.url), 'utf8'))
}

/** What one of them says of itself. */
export async function declarationOf(name: CommandName): Promise<Declared> {
  const found = build ? undefined : (await declarations()).find(([declared]) => declared === name)
  return found ? found[1] : COMMANDS[name]()
}

/** All of them with their names, loaded. */
export const loadCommands = (): Promise<Commands<Command>> =>
  Promise.all(Object.entries(COMMANDS).map(async ([name, load]) => [name, await load()] as const))
