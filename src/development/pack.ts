/**
 * What `npm pack` runs before and after. An entry: nobody imports it.
 *
 *   pack.ts prepack    builds the single file, and puts the package's own package.json in the place of this one
 *   pack.ts postpack   puts this one back
 *
 * The single file has everything inside. So the package has no dependencies: whoever installs it installs one file, and
 * runs no install script.
 */
import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from './build.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MANIFEST = `${ROOT}package.json`
const KEPT = `${ROOT}dist/package.json.kept`

/** What only a clone of the repository needs. */
const ONLY_HERE: readonly string[] = ['scripts', 'dependencies', 'devDependencies', 'allowScripts']

function restore(): void {
  if (existsSync(KEPT)) renameSync(KEPT, MANIFEST)
}

// One that was cut off left it behind.
restore()
if (process.argv[2] === 'prepack') {
  await build()
  copyFileSync(MANIFEST, KEPT)
  const fields = Object.entries(JSON.parse(readFileSync(MANIFEST, 'utf8')) as object)
  const kept = Object.fromEntries(fields.filter(([name]) => !ONLY_HERE.includes(name)))
  writeFileSync(MANIFEST, `${JSON.stringify(kept, null, 2)}\n`)
}
