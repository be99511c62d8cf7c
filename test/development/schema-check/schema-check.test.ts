/** The schema review: one copy of the repository's schema and migrations, one thing varied, the problem it must name. */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { checkSchema } from '../../../src/development/schema-check/index.ts'
import { TAGS } from '../../helpers/migrations.ts'

vi.setConfig({ testTimeout: 60_000 })

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url))
const KIT = join(dirname(createRequire(import.meta.url).resolve('drizzle-kit/api')), 'bin.cjs')
const SCHEMA = 'src/schema.ts'
const TABLE = 'drizzle/0000_connection_probe.sql'
const GRANTS = 'drizzle/0001_grants.sql'
const JOURNAL = 'drizzle/meta/_journal.json'
/** The last migration's number, and that of one more. */
const [OLD, NEW] = [TAGS.length - 1, TAGS.length].map(at => String(at).padStart(4, '0'))
const LAST = `drizzle/meta/${OLD}_snapshot.json`

interface Copy {
  readonly root: string
  read(file: string): Promise<string>
  write(file: string, text: string): Promise<void>
  /** replaces `from`, which must be there, in a file */
  edit(file: string, from: string | RegExp, to: string): Promise<void>
  remove(file: string): Promise<void>
  /** runs drizzle-kit generate there */
  generate(...options: string[]): Promise<void>
}

async function withCopy<T>(use: (copy: Copy) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'schema-check-'))
  const at = (file: string) => join(root, file)
  const read = (file: string) => readFile(at(file), 'utf8')
  const write = (file: string, text: string) => writeFile(at(file), text)
  try {
    await mkdir(at('src'))
    await cp(join(REPOSITORY, SCHEMA), at(SCHEMA))
    await cp(join(REPOSITORY, 'drizzle'), at('drizzle'), { recursive: true })
    await write('package.json', '{ "type": "module" }')
    await symlink(join(REPOSITORY, 'node_modules'), at('node_modules'))
    return await use({
      root,
      read,
      write,
      edit: async (file, from, to) => {
        const before = await read(file)
        const after = before.replace(from, to)
        expect(after, `${file} holds ${from}`).not.toBe(before)
        await write(file, after)
      },
      remove: file => rm(at(file)),
      generate: async (...options) => {
        const what = ['generate', '--dialect=postgresql', '--schema=./src/schema.ts', '--out=./drizzle', ...options]
        await promisify(execFile)(process.execPath, [KIT, ...what], { cwd: root })
      },
    })
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

const problemsAfter = (vary: (copy: Copy) => Promise<void>) =>
  withCopy(async copy => {
    await vary(copy)
    const { ok, problems } = await checkSchema({ root: copy.root })
    expect(ok).toBe(problems.length === 0)
    return problems.join('\n')
  })

const append = (file: string, text: string) => async (copy: Copy) => copy.write(file, `${await copy.read(file)}${text}`)

test('the repository agrees with itself', async () => {
  expect(await checkSchema()).toEqual({ ok: true, problems: [] })
})

interface Refused {
  readonly name: string
  readonly vary: (copy: Copy) => Promise<void>
  /** what the problems must say, all of it */
  readonly says: readonly (string | RegExp)[]
}

const REFUSED: readonly Refused[] = [
  {
    name: 'a renamed column',
    vary: copy => copy.edit(SCHEMA, "text('origin')", "text('place')"),
    says: [SCHEMA, /- tables\.public\.connection_probe\.columns\.origin = /, /\+ .*columns\.place = .*"name":"place"/],
  },
  {
    name: 'an added column',
    vary: copy => copy.edit(SCHEMA, "runId: uuid('run_id')", "note: text('note'),\n  runId: uuid('run_id')"),
    says: [SCHEMA, /^ {4}\+ tables\.public\.connection_probe\.columns\.note = /m],
  },
  {
    name: 'a removed column',
    vary: copy => copy.edit(SCHEMA, /^ {2}runId: .*\n/m, ''),
    says: [SCHEMA, /^ {4}- tables\.public\.connection_probe\.columns\.run_id = /m],
  },
  {
    name: 'a changed type',
    vary: copy =>
      copy.edit(SCHEMA, "withTimezone: true, mode: 'string'", "withTimezone: true, precision: 3, mode: 'string'"),
    says: [
      /- .*written_at\.type = "timestamp with time zone"/,
      /\+ .*written_at\.type = "timestamp\(3\) with time zone"/,
    ],
  },
  {
    name: 'a changed default',
    vary: copy => copy.edit(SCHEMA, 'sql`current_user`', 'sql`session_user`'),
    says: [/- .*written_by\.default = "current_user"/, /\+ .*written_by\.default = "session_user"/],
  },
  {
    name: 'a column that may be null',
    vary: copy => copy.edit(SCHEMA, "uuid('run_id').notNull()", "uuid('run_id')"),
    says: [/- .*run_id\.notNull = true/, /\+ .*run_id\.notNull = false/],
  },
  {
    name: 'a declared grant without SQL',
    vary: copy =>
      copy.edit(
        SCHEMA,
        '] as const satisfies readonly Grant',
        "  { role: 'gateway_reader', table: 'connection_probe', privileges: ['SELECT'] },\n] as const satisfies readonly Grant",
      ),
    says: [/does not give/, /\+ GRANT SELECT ON connection_probe TO gateway_reader/],
  },
  {
    name: 'a schema without GRANTS',
    vary: copy => copy.edit(SCHEMA, 'export const GRANTS', 'const GRANTS'),
    says: [SCHEMA, 'GRANTS'],
  },
  {
    name: 'a syntax error in the schema',
    vary: copy => copy.edit(SCHEMA, "pgTable('connection_probe', {", "pgTable('connection_probe', {{"),
    says: [SCHEMA, 'cannot be imported', /Expected identifier but found "\{"/],
  },
  {
    name: 'an edited type in the SQL',
    vary: copy => copy.edit(TABLE, '"origin" text', '"origin" varchar(20)'),
    says: [TABLE, /- .*"origin" varchar\(20\) NOT NULL/, /\+ .*"origin" text NOT NULL/],
  },
  {
    name: 'a statement added to the SQL of a generated migration',
    vary: append(TABLE, '\nALTER TABLE connection_probe OWNER TO gateway_writer;'),
    says: [TABLE, '- ALTER TABLE connection_probe OWNER TO gateway_writer;'],
  },
  {
    name: 'a generated migration turned into a comment',
    vary: async copy => copy.write(TABLE, `/* ${await copy.read(TABLE)} */`),
    says: [TABLE, '- /* CREATE TABLE "connection_probe" (', '+ CREATE TABLE "connection_probe" ('],
  },
  {
    name: 'a breakpoint inside a statement',
    vary: copy => copy.edit(TABLE, '(\n', '(--> statement-breakpoint\n'),
    says: [TABLE, /^ {4}- --> statement-breakpoint$/m],
  },
  {
    name: 'a deleted SQL file',
    vary: copy => copy.remove(TABLE),
    says: [`${TABLE} is missing`],
  },
  {
    name: 'a deleted file of grants',
    vary: copy => copy.remove(GRANTS),
    says: [`${GRANTS} is missing`, /\+ GRANT SELECT ON connection_probe TO gateway_writer/],
  },
  {
    name: 'a deleted snapshot',
    vary: copy => copy.remove('drizzle/meta/0000_snapshot.json'),
    says: ['drizzle/meta/0000_snapshot.json is missing'],
  },
  {
    name: 'a deleted last snapshot',
    vary: copy => copy.remove(LAST),
    says: [`${LAST} is missing`],
  },
  {
    name: 'a deleted journal',
    vary: copy => copy.remove(JOURNAL),
    says: [`${JOURNAL} is missing`],
  },
  {
    name: 'no migrations at all',
    vary: copy => rm(join(copy.root, 'drizzle'), { recursive: true }),
    says: [`${JOURNAL} is missing`],
  },
  {
    name: 'a snapshot that is not JSON',
    vary: copy => copy.write(LAST, '<<<<<<< HEAD\n'),
    says: [LAST, 'is not JSON'],
  },
  {
    name: 'an edited snapshot',
    vary: copy => copy.edit('drizzle/meta/0000_snapshot.json', '"type": "bigint"', '"type": "integer"'),
    says: [TABLE, /\+ .*"sequence" integer/],
  },
  {
    name: 'a broken chain of snapshots',
    vary: copy => copy.edit(LAST, /"prevId": "[^"]+"/, '"prevId": "11111111-1111-4111-8111-111111111111"'),
    says: [LAST, 'prevId is 11111111'],
  },
  {
    name: 'a stray SQL file',
    vary: copy => copy.write(`drizzle/${NEW}_stray.sql`, 'select 1;'),
    says: [`drizzle/${NEW}_stray.sql belongs to no migration`],
  },
  {
    name: 'a stray snapshot',
    vary: async copy => copy.write(`drizzle/meta/${NEW}_snapshot.json`, await copy.read(LAST)),
    says: [`drizzle/meta/${NEW}_snapshot.json belongs to no migration`],
  },
  {
    name: 'a migration that the migrator would skip',
    vary: copy => copy.edit(JOURNAL, /"when": (\d+)(,\s+"tag": "0001)/, '"when": 1$2'),
    says: [JOURNAL, '0001_grants is not later than 0000_connection_probe'],
  },
  {
    name: 'a renamed SQL file',
    vary: copy => rename(join(copy.root, GRANTS), join(copy.root, 'drizzle/0001_rights.sql')),
    says: [`${GRANTS} is missing`, 'drizzle/0001_rights.sql belongs to no migration'],
  },
  {
    name: "a grant swallowed by the comment of drizzle-kit's custom migrations",
    vary: async copy => {
      await copy.edit(
        SCHEMA,
        '] as const satisfies readonly Grant',
        "  { role: 'gateway_reader', table: 'connection_probe', privileges: ['SELECT'] },\n] as const satisfies readonly Grant",
      )
      await copy.generate('--custom', '--name=reader')
      await append(`drizzle/${NEW}_reader.sql`, 'GRANT SELECT ON connection_probe TO gateway_reader;\n')(copy)
    },
    says: [
      `drizzle/${NEW}_reader.sql holds no statement`,
      '+ GRANT SELECT ON connection_probe TO gateway_reader',
      `a comment in drizzle/${NEW}_reader.sql holds a GRANT`,
    ],
  },
  {
    name: 'a missing verb',
    vary: copy => copy.edit(GRANTS, 'UPDATE, ', ''),
    says: [/does not give:\n {4}\+ GRANT UPDATE ON connection_probe TO gateway_writer$/],
  },
  {
    name: 'a verb revoked again',
    vary: append(GRANTS, 'REVOKE DELETE ON connection_probe FROM gateway_writer;'),
    says: [/does not give:\n {4}\+ GRANT DELETE ON connection_probe TO gateway_writer$/],
  },
  {
    name: 'an extra verb',
    vary: append(GRANTS, 'GRANT TRUNCATE ON connection_probe TO gateway_writer;'),
    says: [/does not declare:\n {4}- GRANT TRUNCATE ON connection_probe TO gateway_writer$/],
  },
  {
    name: 'an extra role',
    vary: copy => copy.edit(GRANTS, 'TO gateway_writer', 'TO gateway_writer, PUBLIC'),
    says: ['- GRANT SELECT ON connection_probe TO public', '- GRANT DELETE ON connection_probe TO public'],
  },
  {
    name: 'a comment that never ends',
    vary: append(GRANTS, '/* so far /* and no further */'),
    says: [`${GRANTS}: a comment is never closed`],
  },
  ...[
    'GRANT SELECT ON connection_probe TO gateway_writer WITH GRANT OPTION',
    'GRANT ALL ON connection_probe TO gateway_writer',
    'GRANT CONNECT ON DATABASE uro TO gateway_writer',
    'GRANT SELECT ON ALL TABLES IN SCHEMA public TO gateway_reader',
    'GRANT SELECT (id) ON connection_probe TO gateway_reader',
    'GRANT SELECT ON connection_probe, other TO gateway_reader',
    'GRANT SELECT ON other TO gateway_writer',
    'GRANT SELECT ON elsewhere.connection_probe TO gateway_writer',
    'GRANT SELECT ON "Connection_probe" TO gateway_writer',
    'GRANT SELECT ON connection_probe TO CURRENT_USER',
    'GRANT gateway_admin TO gateway_writer',
    'REVOKE GRANT OPTION FOR SELECT ON connection_probe FROM gateway_writer',
    'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO gateway_reader',
    'ALTER TABLE connection_probe OWNER TO gateway_writer',
    "DO $$ BEGIN EXECUTE 'GRANT ALL ON connection_probe TO gateway_writer; --'; END $$",
    "UPDATE connection_probe SET origin = '-- ; ' || E'\\';'",
  ].map(statement => ({
    name: `a custom migration with ${statement}`,
    vary: append(GRANTS, `${statement};\n`),
    says: [`${GRANTS}: only plain GRANT and REVOKE on connection_probe are accepted, not: ${statement}`],
  })),
]

describe.concurrent('refused, with the difference', () => {
  test.each(REFUSED)('$name', async ({ vary, says }) => {
    const problems = await problemsAfter(vary)
    for (const text of says) expect(problems).toMatch(text)
  })
})

const ACCEPTED: readonly Omit<Refused, 'says'>[] = [
  {
    name: 'comments and another way to write the grants',
    vary: copy =>
      copy.write(
        GRANTS,
        `/* GRANT ALL ON x TO y; /* nested ' */ */ grant select,Insert -- GRANT DROP ON x TO y
         on public."connection_probe" to "gateway_writer";--> statement-breakpoint
         GRANT UPDATE, DELETE, TRUNCATE ON TABLE connection_probe TO gateway_writer;
         REVOKE TRUNCATE ON connection_probe FROM gateway_writer`,
      ),
  },
  {
    name: 'a column added by drizzle-kit generate',
    vary: async copy => {
      await copy.edit(
        SCHEMA,
        "runId: uuid('run_id')",
        "note: text('note'),\n  tag: text('tag'),\n  runId: uuid('run_id')",
      )
      await copy.generate('--name=note')
      expect(await copy.read(`drizzle/${NEW}_note.sql`)).toContain('ADD COLUMN "note"')
    },
  },
  {
    name: 'columns renamed (what drizzle-kit generate asks on a terminal), with a reason',
    vary: copy => addMigration(copy, accepted('RENAME COLUMN "origin" TO "place"')),
  },
  {
    name: 'a column replaced (the other answer), with reasons',
    vary: copy => addMigration(copy, accepted('ADD COLUMN "place" text NOT NULL'), accepted('DROP COLUMN "origin"')),
  },
]

/** An action with a reason above it. */
const accepted = (action: string): string => `-- accepted: no rows yet\n${action}`

/** Makes the migration that drizzle-kit would, had it been told on a terminal whether origin was renamed to place. */
async function addMigration(copy: Copy, ...actions: string[]): Promise<void> {
  await copy.edit(SCHEMA, "text('origin')", "text('place')")
  const sql = actions
    .map(action => `${action.replace(/^(--.*\n)?/, '$1ALTER TABLE "connection_probe" ')};`)
    .join('--> statement-breakpoint\n')
  await copy.write(`drizzle/${NEW}_place.sql`, sql)
  const last = await copy.read(LAST)
  const prevId: string = JSON.parse(last).id
  const next = last.replaceAll('"origin"', '"place"').replace(/"prevId": "[^"]+"/, `"prevId": "${prevId}"`)
  await copy.write(
    `drizzle/meta/${NEW}_snapshot.json`,
    next.replace(/"id": "[^"]+"/, '"id": "22222222-2222-4222-8222-222222222222"'),
  )
  const journal = JSON.parse(await copy.read(JOURNAL))
  const before = journal.entries.at(-1)
  journal.entries.push({ ...before, idx: TAGS.length, tag: `${NEW}_place`, when: before.when + 1 })
  await copy.write(JOURNAL, JSON.stringify(journal))
}

describe.concurrent('accepted', () => {
  test.each(ACCEPTED)('$name', async ({ vary }) => {
    expect(await problemsAfter(vary)).toBe('')
  })
})

test('a rename that the snapshots do not show is refused', async () => {
  const problems = await problemsAfter(copy => addMigration(copy, 'RENAME COLUMN "run_id" TO "place"'))
  expect(problems).toContain('- ALTER TABLE "connection_probe" RENAME COLUMN "run_id" TO "place";')
})
