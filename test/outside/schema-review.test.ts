/** Pull requests that change the schema, in copies of the repository: generated as a person would, and reviewed. */
import { execFile, execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { copyRepository } from '../helpers/copy.ts'
import { TAGS } from '../helpers/migrations.ts'
import { engineVariables } from '../helpers/target.ts'

// Commands of a copy, a server among them, and several of them in a test.
vi.setConfig({ testTimeout: 180_000 })

const ROOT = resolve(import.meta.dirname, '../..')
const SCHEMA = 'src/schema.ts'
const NEW = String(TAGS.length).padStart(4, '0')

let copy: string
const git = (...words: string[]) =>
  execFileSync('git', ['-C', copy, '-c', 'user.name=test', '-c', 'user.email=test@localhost', ...words], {
    stdio: 'pipe',
  })
beforeEach(async () => {
  copy = await copyRepository('schema-review-')
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  git('init', '-q', '-b', 'main')
  git('add', '-A')
  git('commit', '-qm', 'base')
  git('checkout', '-qb', 'change')
})
afterEach(() => rmSync(copy, { recursive: true, force: true }))

const text = (file: string) => readFileSync(join(copy, file), 'utf8')
function edit(file: string, from: string | RegExp, to: string): void {
  const before = text(file)
  const after = before.replace(from, () => to)
  expect(after, `${file} holds ${from}`).not.toBe(before)
  writeFileSync(join(copy, file), after)
}

interface Ended {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

/** A command of the copy, without a terminal. */
const command = (words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  new Promise(settle => {
    const { PATH, HOME } = process.env
    const options = { cwd: copy, env: { PATH, HOME, ...engineVariables(), ...env } }
    execFile(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...words], options, (error, stdout, stderr) =>
      settle({ code: error ? error.code : 0, stdout, stderr }),
    )
  })

const GRANTS_END = '] as const satisfies readonly Grant'
const SECOND = `export const audit = pgTable('audit', {
  id: uuid('id').primaryKey().defaultRandom(),
  note: text('note').notNull().default('x'),
})

export type ProbeRow`

describe('generate', () => {
  test('writes a second table and the grants on it, which the review finds nothing against', async () => {
    edit(SCHEMA, 'export type ProbeRow', SECOND)
    edit(SCHEMA, GRANTS_END, `  { role: 'gateway_reader', table: 'audit', privileges: ['SELECT'] },\n${GRANTS_END}`)
    expect(await command(['generate', '--name', 'audit'])).toMatchObject({ code: 0, stderr: '' })
    const written = readdirSync(join(copy, 'drizzle')).filter(
      name => name.startsWith(NEW) || name.includes('audit_grants'),
    )
    expect(written).toEqual([`${NEW}_audit.sql`, expect.stringMatching(/^\d{4}_audit_grants\.sql$/)])
    expect(text(`drizzle/${written[1]}`)).toContain('\nGRANT SELECT ON TABLE audit TO gateway_reader;\n')
    expect((await command(['schema:check'])).code).toBe(0)

    const { code, stdout } = await command(['schema:review'])
    expect(code).toBe(0)
    expect(stdout).toContain('## Schema review: nothing stands against it\n')
    expect(stdout).toContain('| grants on `audit` to `gateway_reader` | – | `SELECT` |')
    expect(stdout).toContain(`applied \`${NEW}_audit\``)
    expect(stdout).toContain('- the probe passes as gateway_writer\n')
  })

  test('takes a grant away again, and says of a dropped table what to think of', async () => {
    edit(SCHEMA, "'UPDATE', 'DELETE'", "'UPDATE'")
    expect((await command(['generate'])).code).toBe(0)
    expect(text(`drizzle/${NEW}_grants.sql`)).toContain('REVOKE DELETE ON TABLE connection_probe FROM gateway_writer;')
  })

  test('says without a terminal what a rename needs, and writes nothing', async () => {
    edit(SCHEMA, "text('origin')", "text('place')")
    const { code, stdout, stderr } = await command(['generate', '--name', 'place'])
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    expect(stdout).toMatch(/^column of connection_probe: origin renamed to place, or dropped and added\?\n/)
    expect(stdout).toContain('run npm run generate in a terminal')
    expect(git('status', '--porcelain').toString()).toBe(' M src/schema.ts\n')
  })

  test('says of a syntax error where it is, without a stack', async () => {
    edit(SCHEMA, "pgTable('connection_probe', {", "pgTable('connection_probe', {{")
    const { code, stdout, stderr } = await command(['generate'])
    expect([code, stdout + stderr]).toEqual([1, expect.stringContaining('src/schema.ts cannot be imported')])
    expect(stdout + stderr).not.toMatch(/ at .*:\d+:\d+\)/)
  })
})

describe('schema:review', () => {
  test('a required column: the finding, the upgrade that fails, the annotation; accepted, empty tables decide', async () => {
    edit(SCHEMA, "runId: uuid('run_id')", "note: text('note').notNull(),\n  runId: uuid('run_id')")
    await command(['generate', '--name', 'note'])
    const file = `drizzle/${NEW}_note.sql`
    const { code, stdout, stderr } = await command(['schema:review', '--base', 'main'], { GITHUB_ACTIONS: 'true' })
    expect(code).toBe(1)
    expect(stdout).toContain('## Schema review: 1 finding to answer, the upgrade of filled tables fails\n')
    expect(stdout).toContain(`**\`${file}:1\`**`)
    expect(stdout).toContain('- **fails**: write WRITE_REFUSED')
    expect(stderr).toMatch(new RegExp(`^::error file=${file},line=1,title=adds the column [^\n]*::it fails`, 'm'))
    const checked = await command(['schema:check'])
    expect([checked.code, checked.stdout]).toEqual([1, expect.stringContaining(`${file}:1 adds the column`)])

    writeFileSync(join(copy, file), `-- accepted: the table is empty\n${text(file)}`)
    expect((await command(['schema:check'])).code).toBe(0)
    const again = await command(['schema:review'])
    expect(again.stdout).toContain('accepted: the table is empty')
    expect(again.stdout).toContain('With empty tables, since every finding is accepted:')
    // The probe gives no value for a column that is not in its row.
    expect(again.stdout).toContain('- **the probe fails**')
  })

  test('an old migration that was edited, in all of its files', async () => {
    edit('drizzle/0000_connection_probe.sql', '"origin" text NOT NULL', '"origin" text')
    for (const tag of TAGS.keys())
      edit(
        `drizzle/meta/${String(tag).padStart(4, '0')}_snapshot.json`,
        /("name": "origin",\s+"type": "text",\s+"primaryKey": false,\s+"notNull": )true/,
        '"name": "origin", "type": "text", "primaryKey": false, "notNull": false',
      )
    edit(SCHEMA, "text('origin').notNull()", "text('origin')")
    expect((await command(['schema:check'])).stdout).toContain('drizzle/ is what src/schema.ts declares')
    const { code, stdout } = await command(['schema:review'])
    expect(code).toBe(1)
    expect(stdout).toContain('## Schema review: 1 old migration edited, the upgrade of filled tables fails\n')
    expect(stdout).toContain('- `drizzle/0000_connection_probe.sql` was edited\n')
    expect(stdout).toContain('column origin is NOT NULL')
  })

  test('a swallowed GRANT', async () => {
    edit(
      SCHEMA,
      GRANTS_END,
      `  { role: 'gateway_reader', table: 'connection_probe', privileges: ['SELECT'] },\n${GRANTS_END}`,
    )
    await command(['generate', '--custom', '--name=reader'])
    const file = `drizzle/${NEW}_reader.sql`
    writeFileSync(join(copy, file), `${text(file)}GRANT SELECT ON connection_probe TO gateway_reader;\n`)
    const { code, stdout } = await command(['schema:review'])
    expect(code).toBe(1)
    expect(stdout).toContain(
      '## Schema review: drizzle/ and src/schema.ts disagree, the upgrade of filled tables fails\n',
    )
    expect(stdout).toContain(`a comment in ${file} holds a GRANT, which is never run`)
    expect(stdout).toContain('gateway_reader lacks SELECT on connection_probe')
  })

  test('no change, and nothing to compare with', async () => {
    const { code, stdout } = await command(['schema:review'])
    expect([code, stdout]).toEqual([0, expect.stringContaining('## Schema review: no change of the schema\n')])
    const unknown = await command(['schema:review', '--base', 'nowhere'])
    expect([unknown.code, unknown.stderr]).toEqual([
      2,
      expect.stringMatching(/^connection-probe[^\n]*there is no commit "nowhere" here[^\n]*\n$/),
    ])
  })
})
