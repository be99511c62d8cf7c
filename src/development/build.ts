/**
 * `npm run build`: one file, dist/connection-probe.mjs, that plain Node runs with no node_modules: every command but
 * those for developers, with the migrations and the bootstrap's SQL inside. The same files make the same bytes, wherever
 * they lie and wherever the outcome is written.
 *
 * What those import stays outside, and is never reached: cli.ts refuses them.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build as esbuild } from 'esbuild'
import type { Embedded } from '../database/embedded.ts'
import { readMigrations } from '../database/migrations.ts'
import { type Build, PROGRAM } from '../invocation.ts'
import { licenceNotices } from './licences.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What stays outside, whatever is imported from there: src/commands/ imports it when a command is run. */
const DEVELOPMENT = ['./src/development/*', './test/*']

/** What the file is made of. */
const INPUTS = ['src', 'drizzle', 'package.json', 'package-lock.json', 'tsconfig.json', 'LICENSE']

/** Its first lines. Dependencies in CommonJS ask for `require`, which a module does not have. */
const HEAD = `#!/usr/bin/env node
// ${PROGRAM}: the licences of what is inside are at the end.
import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);`

const sqlOf = (engine: string) => readFileSync(new URL(`../database/bootstrap/${engine}.sql`, import.meta.url), 'utf8')

/** Bundles into `outfile`. Rejects with esbuild's message where it cannot. */
export async function build(outfile = `${ROOT}dist/connection-probe.mjs`): Promise<string> {
  const embedded: Embedded = {
    migrations: readMigrations(),
    bootstrap: { cockroachdb: sqlOf('cockroachdb'), postgresql: sqlOf('postgresql') },
  }
  const built: Build = { commit: commitOf() }
  const { outputFiles, metafile } = await esbuild({
    absWorkingDir: ROOT,
    entryPoints: ['src/cli.ts'],
    // Where the source map's paths begin; it is written below.
    outfile: `${ROOT}dist/connection-probe.mjs`,
    write: false,
    // The same paths where node_modules is a link.
    preserveSymlinks: true,
    metafile: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'external',
    sourcesContent: false,
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    external: [...DEVELOPMENT, '@opentelemetry/api'],
    define: {
      CONNECTION_PROBE_EMBEDDED: JSON.stringify(embedded),
      CONNECTION_PROBE_BUILD: JSON.stringify(built),
    },
    banner: { js: HEAD },
    logLevel: 'warning',
  })
  const [map = '', code = ''] = ['.map', '.mjs'].map(end => outputFiles.find(({ path }) => path.endsWith(end))?.text)
  const [output] = Object.values(metafile.outputs).filter(({ entryPoint }) => entryPoint)
  const notices = licenceNotices(Object.keys(output?.inputs ?? {})).replaceAll('*/', '* /')
  mkdirSync(dirname(outfile), { recursive: true })
  writeFileSync(outfile, `${code}/*\n${notices}*/\n//# sourceMappingURL=data:application/json;base64,${btoa(map)}\n`)
  chmodSync(outfile, 0o755)
  return outfile
}

/**
 * The commit of what is built: CONNECTION_PROBE_COMMIT where there is no repository (in an image), else Git's.
 * Null where nobody knows.
 */
function commitOf(): string | null {
  const given = process.env.CONNECTION_PROBE_COMMIT
  if (given) {
    if (!/^[0-9a-f]{7,64}(-dirty)?$/.test(given)) throw new Error('CONNECTION_PROBE_COMMIT is not a commit')
    return given
  }
  try {
    // In a copy without .git it would be the commit of whatever is around it.
    if (git('rev-parse', '--show-prefix') !== '') return null
    const isDirty = git('status', '--porcelain', '--', ...INPUTS) !== ''
    return `${git('rev-parse', 'HEAD')}${isDirty ? '-dirty' : ''}`
  } catch {
    return null
  }
}

const git = (...words: readonly string[]): string =>
  execFileSync('git', ['-C', ROOT, ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
