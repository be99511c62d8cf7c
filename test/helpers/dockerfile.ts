/** What a Dockerfile says, and what .dockerignore keeps out of its context: as much of both as ours use. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface Instruction {
  readonly word: string
  readonly rest: string
}

/** The instructions of a Dockerfile, in their order, without comments. */
export const instructions = (path: string): readonly Instruction[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => ({ word: line.replace(/ .*/, ''), rest: line.replace(/^\S+ /, '') }))

/** The instructions of a stage. */
export function stage(name: string, lines: readonly Instruction[]): readonly Instruction[] {
  const from = lines.findIndex(({ word, rest }) => word === 'FROM' && rest.endsWith(` AS ${name}`))
  const length = lines.slice(from + 1).findIndex(({ word }) => word === 'FROM')
  return lines.slice(from, from + 1 + length)
}

/** The paths of the repository that a stage copies. */
export const copiedInto = (name: string, lines: readonly Instruction[]): string[] =>
  stage(name, lines).flatMap(({ word, rest }) =>
    word === 'COPY' && !rest.startsWith('--from') ? rest.split(' ').slice(0, -1) : [],
  )

const PATTERNS = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
  .split('\n')
  .filter(line => line !== '' && !line.startsWith('#'))
  .map(line => ({ keeps: line.startsWith('!'), pattern: matcher(line.replace(/^!/, '')) }))

/** A pattern matches a path and everything below it. `*` is anything but a slash, a leading double star any folder. */
function matcher(pattern: string): RegExp {
  const text = pattern
    .replace(/^\*\*\//, '\0')
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replace('\0', '(?:.*/)?')
  return new RegExp(`^${text}(?:/|$)`)
}

/** Whether .dockerignore keeps a path out of the context: the last pattern that matches decides. */
export const ignored = (path: string): boolean =>
  PATTERNS.findLast(({ pattern }) => pattern.test(path))?.keeps === false
