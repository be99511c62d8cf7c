/**
 * `npm run build`: one file, dist/connection-probe.mjs, that plain Node runs with no node_modules: probe, migrate,
 * explain, bootstrap and certs:check, with the migrations and the bootstrap's SQL inside.
 *
 * What is for developers stays outside: those imports are left as they are, and never reached (cli.ts).
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build as esbuild } from 'esbuild'
import type { Embedded } from '../database/embedded.ts'
import { readMigrations } from '../database/migrations.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Dynamic imports of cli.ts that need the development install. */
const DEVELOPMENT = [
  './development/throwaway/index.ts',
  './development/schema-check/index.ts',
  './development/build.ts',
  '../test/lab/main.ts',
  '../test/bench/main.ts',
]

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
    // Inline, so that it stays one file; cli.ts reads it when there is a stack to print.
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
