/** The direction of imports: a file imports only from its own tier or one to its left. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { COMMANDS } from '../src/commands/index.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/**
 * The tiers, leftmost first; an entry is a file, or a directory with a slash at its end. Of several that match a file
 * the longest counts.
 */
const TIERS: readonly (readonly string[])[] = [
  ['invocation.ts'],
  ['failure/'],
  ['budget.ts'],
  ['schema.ts'],
  ['driver/'],
  ['settings/'],
  ['dial/'],
  // what differs between the engines, and what ships with the program
  [
    'session/',
    'database/engine.ts',
    'database/sql.ts',
    'database/embedded.ts',
    'database/migrations.ts',
    'database/bootstrap/',
  ],
  ['database/'],
  ['row/'],
  ['checks/'],
  ['report/evidence.ts', 'report/report.ts'],
  // what makes a report of the checks
  ['checks/attempts.ts'],
  ['report/'],
  ['watch/'],
  ['failure/explain.ts', 'failure/explain-line.ts', 'development/'],
  ['development/throwaway/'],
  // tries migrations on a throwaway server
  ['development/schema-review/'],
  ['commands/'],
  ['cli.ts'],
  // entries, which nobody imports
  ['probe.ts', 'migrate.ts'],
]

interface Import {
  readonly from: string
  /** relative to src/, "../test/…" for what lies outside; a package as it is written */
  readonly to: string
  readonly isPackage: boolean
  readonly how: 'static' | 'type' | 'dynamic'
}

/** A source without comments; strings and templates stay as they are. */
const withoutComments = (source: string): string =>
  source.replace(/('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, '$1')

/** A static import or re-export, the formatter's way: at the beginning of a line, in single quotes. */
const STATIC = /^(?:import|export)\b(?:([^;'"`=]*?)\bfrom|) '([^']+)'/gm
const DYNAMIC = /\bimport\(\s*['"`]([^'"`]+)['"`]/g

function importsOf(file: string): Import[] {
  const source = withoutComments(readFileSync(join(ROOT, 'src', file), 'utf8'))
  const found = (path: string, how: Import['how']): Import => {
    const isPackage = !path.startsWith('.')
    return { from: file, to: isPackage ? path : normalize(join(dirname(file), path)), isPackage, how }
  }
  return [
    ...[...source.matchAll(STATIC)].map(([, clause = '', path = '']) =>
      found(path, /^\s*type\b/.test(clause) ? 'type' : 'static'),
    ),
    ...[...source.matchAll(DYNAMIC)].map(([, path = '']) => found(path, 'dynamic')),
  ]
}

const FILES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))
const ALL = FILES.flatMap(importsOf)
/** Those of our own files. */
const IMPORTS = ALL.filter(({ isPackage }) => !isPackage)

/** The number of a file's tier; -1 if it has none. */
function tierOf(file: string): number {
  const matches = (entry: string) => (entry.endsWith('/') ? file.startsWith(entry) : file === entry)
  const best = TIERS.flat()
    .filter(matches)
    .sort((a, b) => b.length - a.length)[0]
  return TIERS.findIndex(tier => best !== undefined && tier.includes(best))
}

const line = ({ from, to, how }: Import): string => `${from} imports ${to} (${how})`

/** A file that only a command needs is imported when it runs; its types cost nothing. */
const isFromCommand = ({ from, how }: Import): boolean => from.startsWith('commands/') && how !== 'static'

describe('the imports of src/', () => {
  test('are all found: as many as there are relative paths in quotes', () => {
    expect(FILES.length).toBeGreaterThan(50)
    for (const file of FILES) {
      const quoted = withoutComments(readFileSync(join(ROOT, 'src', file), 'utf8')).match(
        /(?:from |import\(|import )'\.\.?\//g,
      )
      const found = IMPORTS.filter(({ from }) => from === file)
      expect([file, found.length]).toEqual([file, quoted?.length ?? 0])
    }
  })

  test('lead to files that exist and have a tier', () => {
    expect(FILES.filter(file => tierOf(file) < 0)).toEqual([])
    const inside = IMPORTS.filter(({ to }) => !to.startsWith('..'))
    expect(inside.filter(({ to }) => !FILES.includes(to)).map(line)).toEqual([])
  })

  test('go to their own tier or to the left', () => {
    const wrong = IMPORTS.filter(({ from, to }) => !to.startsWith('..') && tierOf(to) > tierOf(from))
    expect(wrong.map(line)).toEqual([])
  })

  // A second way to them would load them twice under tsx, once as CommonJS and once as ES modules.
  test('reach Drizzle, the driver and the tables through driver/ only, but for types', () => {
    const direct = ALL.filter(
      ({ from, to, how }) =>
        how !== 'type' &&
        /^(drizzle-orm\b.*|postgres|schema\.ts)$/.test(to) &&
        !/^(driver|development)\/|^schema\.ts$/.test(from),
    )
    // One file, which reads the migrations.
    expect(direct.map(line)).toEqual(['database/migrations.ts imports drizzle-orm/migrator (static)'])
  })

  test('open evidence in report/ only: nothing is decided by it', () => {
    const naming = FILES.filter(file =>
      /\bopenEvidence\b/.test(withoutComments(readFileSync(join(ROOT, 'src', file), 'utf8'))),
    )
    expect(naming.sort()).toEqual(['failure/error.ts', 'report/evidence.ts'])
  })

  test('lead to no entry but cli.ts, and to that from the entries only', () => {
    const entries = ['cli.ts', 'probe.ts', 'migrate.ts']
    const into = IMPORTS.filter(({ to }) => entries.includes(to))
    expect(into.map(line)).toEqual(['migrate.ts imports cli.ts (dynamic)', 'probe.ts imports cli.ts (dynamic)'])
    // At the top only what is one may be called like a command: tsx of anything else would exit 0 and have done nothing.
    const named = FILES.filter(file => Object.hasOwn(COMMANDS, file.replace(/\.ts$/, '').replace('-', ':')))
    expect(named.sort()).toEqual(['migrate.ts', 'probe.ts'])
  })

  test('reach development/ from commands/ only, and dynamically', () => {
    const inside = /^development\//
    const into = IMPORTS.filter(({ from, to }) => inside.test(to) && !inside.test(from))
    expect(into.filter(isFromCommand).map(({ to }) => to)).not.toEqual([])
    expect(into.filter(found => !isFromCommand(found)).map(line)).toEqual([])
    const throwaway = into.filter(({ to, how }) => to.startsWith('development/throwaway/') && how === 'dynamic')
    expect(throwaway.map(({ from }) => from)).toEqual(['commands/start.ts'])
  })

  test('leave src/ from commands/ only, and dynamically: what is not there in production', () => {
    const out = IMPORTS.filter(({ to }) => to.startsWith('..'))
    expect(out.filter(found => !isFromCommand(found)).map(line)).toEqual([])
  })

  test('load a command when it is asked for: nothing of a command but its types is imported statically', () => {
    const files = IMPORTS.filter(({ from, how }) => from === 'commands/index.ts' && how === 'dynamic').map(
      ({ to }) => to,
    )
    expect(files).toHaveLength(Object.keys(COMMANDS).length)
    expect(IMPORTS.filter(({ to, how }) => files.includes(to) && how === 'static').map(line)).toEqual([])
  })

  const reachedFrom = (files: readonly string[]): Set<string> => {
    const reached = new Set(files)
    for (const file of reached)
      for (const { from, to, how } of IMPORTS) if (from === file && how === 'static') reached.add(to)
    return reached
  }

  test('of a text about refused settings reach no check: who forgot one waits for it', () => {
    const reached = reachedFrom(['commands/probe.ts', 'settings/config.ts', 'commands/refused-settings.ts'])
    const light = /^(commands|invocation|failure|settings|report\/(evidence|lines|parts|plain|refusal))[/.]/
    expect([...reached].filter(file => !light.test(file))).toEqual([])
  })

  test('of the command line reach no driver, no Drizzle and no settings before a command runs', () => {
    const reached = reachedFrom([
      'cli.ts',
      ...IMPORTS.filter(({ from }) => from === 'commands/index.ts').map(({ to }) => to),
    ])
    const light =
      /^(cli\.ts|invocation\.ts|commands\/.*|failure\/(error|codes|hints|secrets)\.ts|settings\/nearest\.ts|report\/(plain|evidence)\.ts)$/
    expect([...reached].filter(file => !light.test(file))).toEqual([])
  })
})

describe('the parser', () => {
  test.each([
    ["import { a } from './a.ts'", 1],
    ["import {\n  a,\n  type B,\n} from './a.ts'", 1],
    ["import type { A } from './a.ts'", 1],
    ["import './a.ts'", 1],
    ["export * from './a.ts'", 1],
    ["export type { A } from './a.ts'", 1],
    ["export const folder = new URL('../a', import.meta.url)", 0],
    ["// import { a } from './a.ts'", 0],
    ["/*\nimport { a } from './a.ts'\n*/", 0],
    ["const url = 'https://x'\nimport { a } from './a.ts'", 1],
  ])('%j', (source, count) => {
    expect([...withoutComments(source).matchAll(STATIC)]).toHaveLength(count)
  })
})
