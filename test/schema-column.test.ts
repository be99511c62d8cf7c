/** One more column of connection_probe: `src/schema.ts` and the migration that is generated of it are all that it takes. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Throwaway } from '../src/development/throwaway/index.ts'
import type { Report } from '../src/report/report.ts'
import { copyRepository } from './helpers/copy.ts'
import { TAGS } from './helpers/migrations.ts'
import { engineVariables, startServer } from './helpers/target.ts'
import { checkIds, expectVerdict } from './helpers/verdict.ts'

const ROOT = resolve(import.meta.dirname, '..')
const execute = promisify(execFile)

/** Where the column goes, and what it is called there. */
const LAST = /^ {2}writtenAt: .*\n/m
const COLUMN = `  note: text('note').notNull().default('x'),\n`

describe('a copy of the repository with one column more', () => {
  let copy: string
  let server: Throwaway
  beforeAll(async () => {
    copy = await copyRepository('schema-column-')
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
    const schema = readFileSync(join(copy, 'src/schema.ts'), 'utf8')
    writeFileSync(
      join(copy, 'src/schema.ts'),
      schema.replace(LAST, line => `${line}${COLUMN}`),
    )
    server = await startServer()
  })
  afterAll(async () => {
    rmSync(copy, { recursive: true, force: true })
    await server?.stop()
  })

  /** What a command there says. Rejects, with what it said, where its exit code is not 0. */
  async function command(...words: string[]): Promise<string> {
    const { PATH, HOME } = process.env
    const env = {
      ...{ PATH, HOME, ...engineVariables(), COCKROACH_CERTS_DIR: server.certsDir },
      DATABASE_URL: server.url('gateway_writer'),
      MIGRATION_DATABASE_URL: server.url('gateway_admin'),
    }
    return (await execute(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...words], { cwd: copy, env })).stdout
  }

  test('generates its migration, migrates, and probes: every check passes', { timeout: 120_000 }, async () => {
    await command('generate', '--name', 'note')
    const [migration = ''] = readdirSync(join(copy, 'drizzle')).filter(name => name.endsWith('_note.sql'))
    expect(readFileSync(join(copy, 'drizzle', migration), 'utf8')).toBe(
      `ALTER TABLE "connection_probe" ADD COLUMN "note" text DEFAULT 'x' NOT NULL;`,
    )
    expect(await command('migrate')).toMatch(new RegExp(`^applied ${TAGS.join(', ')}, \\d{4}_note; `))

    const report: Report = JSON.parse(await command('probe', '--json', '--keep', '--writes', '3'))
    expectVerdict(report, { seen: { table: { columns: expect.arrayContaining(['note text']) } } })
    expect(report.checks.map(({ id }) => id)).toEqual(checkIds())
    const rows = await server.runAsRoot('SELECT DISTINCT note FROM public.connection_probe', 'uro')
    expect(rows).toEqual([{ note: 'x' }])
  })
})
