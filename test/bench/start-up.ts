/** Start-up: what the program costs beyond what any program with this driver and this loader costs. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import module from 'node:module'
import { join } from 'node:path'
import { build as esbuild } from 'esbuild'
import { build } from '../../src/development/build.ts'
import { alternate, installed, median, migratedServer, ROOT, ratio, runNode, table, timePsql } from './bed.ts'
import type { Section } from './section.ts'

const PAIRS = 20

/** Ten lines with the same driver, the same Drizzle and the same TLS: one insert, one select. */
const BASELINE = `
import { readFileSync } from 'node:fs'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/postgres-js'
import { jsonb, pgTable, text, bigint, uuid } from 'drizzle-orm/pg-core'
import postgres from 'postgres'
const { DIR, PORT } = process.env
const probe = pgTable('connection_probe', { id: uuid('id'), runId: uuid('run_id'), sequence: bigint('sequence', { mode: 'number' }), origin: text('origin'), payload: jsonb('payload') })
const [ca, cert, key] = ['ca.crt', 'client.gateway_writer.crt', 'client.gateway_writer.key'].map(name => readFileSync(DIR + '/' + name))
const sql = postgres({ host: ['::1'], port: [Number(PORT)], user: 'gateway_writer', database: 'uro', prepare: false, fetch_types: false, max: 1, ssl: { ca, cert, key, servername: 'localhost' } } as never)
const db = drizzle({ client: sql })
const id = crypto.randomUUID()
await db.insert(probe).values({ id, runId: id, sequence: 1, origin: 'bench', payload: {} })
await db.select().from(probe).where(eq(probe.id, id))
await sql.end()
`

/** The baseline as one file, as the probe's own is made. */
async function bareBundle(entry: string, outfile: string): Promise<string> {
  await esbuild({
    ...{ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20' },
    ...{ minifySyntax: true, minifyWhitespace: true, external: ['@opentelemetry/api'], logLevel: 'warning' },
    banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
  })
  return outfile
}

export const startUp: Section = async print => {
  await using server = await migratedServer()
  // Below the repository, so that the packages are found.
  const dir = await mkdtemp(join(ROOT, 'test/bench/.scratch-'))
  try {
    const baseline = join(dir, 'baseline.ts')
    const empty = join(dir, 'empty.ts')
    await writeFile(baseline, BASELINE)
    await writeFile(empty, '')
    const bare = await bareBundle(baseline, join(dir, 'bare.mjs'))
    const bundle = await build(join(dir, 'connection-probe.mjs'))
    const raw = { DIR: server.certsDir, PORT: String(server.port) }
    const target = { DATABASE_URL: server.url('gateway_writer'), COCKROACH_CERTS_DIR: server.certsDir }
    // V8's cache, where this Node has it; for both.
    const hasCache = 'enableCompileCache' in module
    const cache = hasCache ? { NODE_COMPILE_CACHE: join(dir, 'cache') } : {}
    const peak: Record<string, number[]> = {}
    const run =
      (name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, failing = false) =>
      async () => {
        const timed = await runNode(args, env, failing)
        peak[name] ??= []
        peak[name].push(timed.peakMb)
        return timed.ms
      }
    const tsx = ['--import', 'tsx']
    const psqlThere = installed('psql')
    const times = await alternate(PAIRS, {
      empty: run('empty', [...tsx, empty]),
      help: run('help', [...tsx, 'src/cli.ts', '--help']),
      usage: run('usage', [...tsx, 'src/cli.ts', 'probe', '--nope'], {}, true),
      explain: run('explain', [...tsx, 'src/cli.ts', 'explain', 'TCP_REFUSED']),
      wrong: run('wrong', [...tsx, 'src/cli.ts', 'probe'], {}, true),
      baseline: run('baseline', [...tsx, baseline], raw),
      probe: run('probe', [...tsx, 'src/cli.ts', 'probe', '--writes', '2'], target),
      bare: run('bare', [bare], { ...raw, ...cache }),
      bundle: run('bundle', [bundle, 'probe', '--writes', '2'], { ...target, ...cache }),
      psql: () => (psqlThere ? timePsql(server.certsDir, server.port, server.database) : Promise.resolve(Number.NaN)),
    })
    const row = (what: string, name: keyof typeof times, base: keyof typeof times, limit: string) => [
      what,
      median(times[name]).toFixed(0),
      ratio(times[name], times[base]).toFixed(2),
      limit,
    ]
    await print(
      table(
        ['process', 'ms (median)', 'ratio', 'of, at most'],
        [
          row('empty file under tsx', 'empty', 'empty', ''),
          row('`--help`', 'help', 'empty', 'an empty file, 1.1'),
          row('`probe` with an option that it does not have', 'usage', 'empty', 'an empty file, 1.1'),
          row('`explain TCP_REFUSED`', 'explain', 'empty', 'an empty file, 1.1'),
          row('`probe` without settings', 'wrong', 'empty', 'an empty file'),
          row('baseline: postgres.js and Drizzle, one insert, one select', 'baseline', 'baseline', ''),
          row('`probe --writes 2`', 'probe', 'baseline', 'the baseline, 1.2'),
          row('the baseline as one file', 'bare', 'bare', ''),
          row('the single file, `probe --writes 2`', 'bundle', 'bare', 'the baseline as one file, 1.5'),
          ...(psqlThere ? [row('psql: connect, insert, select', 'psql', 'bare', 'the baseline as one file')] : []),
        ],
      ),
    )
    const memory = ratio(peak.probe ?? [], peak.baseline ?? [])
    await print(
      `\npeak memory: probe ${median(peak.probe ?? []).toFixed(0)} MB, baseline ${median(peak.baseline ?? []).toFixed(0)} MB, ratio ${memory.toFixed(2)} (at most 1.2)\n` +
        `${hasCache ? "both single files with V8's compile cache (NODE_COMPILE_CACHE)" : 'this Node has no compile cache'}\n`,
    )
  } finally {
    await rm(dir, { recursive: true })
  }
}
