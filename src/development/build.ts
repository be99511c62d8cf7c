/**
 * `npm run build`: one file, dist/connection-probe.mjs, that plain Node runs with no node_modules: every command but
 * those for developers, with the migrations and the bootstrap's SQL inside.
 *
 * What those import stays outside, and is never reached: cli.ts refuses them.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build as esbuild } from 'esbuild'
import type { Embedded } from '../database/embedded.ts'
import { readMigrations } from '../database/migrations.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What stays outside, whatever is imported from there: src/commands/ imports it when a command is run. */
const DEVELOPMENT = ['./src/development/*', './test/*']

const sqlOf = (engine: string) => readFileSync(new URL(`../database/bootstrap/${engine}.sql`, import.meta.url), 'utf8')

/** Bundles into `outfile`. Rejects with esbuild's message where it cannot. */
export async function build(outfile = `${ROOT}dist/connection-probe.mjs`): Promise<string> {
  const embedded: Embedded = {
    migrations: readMigrations(),
    bootstrap: { cockroachdb: sqlOf('cockroachdb'), postgresql: sqlOf('postgresql') },
  }
  await esbuild({
    absWorkingDir: ROOT,
    entryPoints: ['src/cli.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // Inline, so that it stays one file.
    sourcemap: 'inline',
    sourcesContent: false,
    minifySyntax: true,
    minifyWhitespace: true,
    external: [...DEVELOPMENT, '@opentelemetry/api'],
    define: { CONNECTION_PROBE_EMBEDDED: JSON.stringify(embedded) },
    // Dependencies in CommonJS ask for `require`, which a module does not have.
    banner: { js: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);" },
    logLevel: 'warning',
  })
  return outfile
}
