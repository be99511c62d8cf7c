/**
 * squawk, a linter of PostgreSQL migrations, as a second opinion: five of its rules and no other. The rest asks for what
 * drizzle-kit cannot write (IF NOT EXISTS, CONCURRENTLY) or what migrate does itself (timeouts, one transaction).
 */
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Migration } from './folder.ts'

export interface SquawkFinding {
  readonly rule: string
  readonly file: string
  /** from 1 */
  readonly line: number
  readonly message: string
  readonly help: string
}

const RULES = /^(adding-required-field|renaming-column|changing-column-type|ban-drop-.+)$/

const TIMEOUT_MS = 30_000

interface Said {
  readonly file: string
  /** from 0 */
  readonly line: number
  readonly message: string
  readonly help: string | null
  readonly rule_name: string
}

/** Without one of these words none of the rules can match, and no process is started. */
const OF_INTEREST = /\b(alter|drop)\b/i

/**
 * What it says of these files.
 * @param all with paths relative to `root`
 * @throws Error where it cannot be run
 */
export async function squawk(root: string, all: readonly Migration[]): Promise<SquawkFinding[]> {
  const files = all.filter(({ sql }) => OF_INTEREST.test(sql ?? '')).map(({ file }) => file)
  if (files.length === 0) return []
  const bin = join(dirname(createRequire(import.meta.url).resolve('squawk-cli/package.json')), 'js/bin/squawk')
  const options = { cwd: root, timeout: TIMEOUT_MS, maxBuffer: 2 ** 26 }
  const said = await new Promise<Said[]>((resolve, reject) => {
    execFile(process.execPath, [bin, '--reporter', 'json', ...files], options, (error, stdout, stderr) => {
      // Its exit code is 1 where it has found something.
      try {
        resolve(JSON.parse(stdout))
      } catch {
        reject(new Error(`squawk-cli cannot be run: ${stderr.trim() || error?.message}`))
      }
    })
  })
  return said
    .filter(({ rule_name }) => RULES.test(rule_name))
    .map(({ file, line, message, help, rule_name: rule }) => ({
      rule,
      file,
      line: line + 1,
      message,
      help: help ?? '',
    }))
}
