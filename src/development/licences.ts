/** The licence notices of what the single file has inside. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

interface Manifest {
  readonly name: string
  readonly version: string
  readonly license?: string
  readonly author?: string | { readonly name: string }
  readonly homepage?: string
}

/**
 * The notices: ours, and that of every package a file comes from.
 * @param files as esbuild names them, relative to the root of the repository
 * @throws where a package brings no licence, and we have no text of the one that it names
 */
export function licenceNotices(files: readonly string[]): string {
  const packages = new Set(files.flatMap(file => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []))
  const folders = ['', ...[...packages].sort().map(name => `node_modules/${name}`)]
  const texts = new Map<string, string[]>()
  for (const folder of folders) {
    const { name, version, license = 'no licence named', author, homepage } = manifestOf(folder)
    const by = typeof author === 'object' ? author.name : author
    const title = [`${name} ${version} (${license})`, by, homepage].filter(Boolean).join(', ')
    const text = licenceText(folder, license, title)
    texts.set(text, [...(texts.get(text) ?? []), title])
  }
  return [...texts].map(([text, titles]) => `${titles.join('\n')}\n\n${text}`).join(`\n${'-'.repeat(78)}\n`)
}

const manifestOf = (folder: string): Manifest => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'))

/** The package's own file; else ours for the name that it gives (SPDX). */
function licenceText(folder: string, license: string, title: string): string {
  const own = readdirSync(join(ROOT, folder)).find(name => /^(un)?licen[cs]e(\.\w+)?$/i.test(name))
  const common = join(ROOT, 'src/development/licences', `${license}.txt`)
  if (own === undefined && !existsSync(common)) throw new Error(`there is no licence text for ${title}`)
  return readFileSync(own === undefined ? common : join(ROOT, folder, own), 'utf8')
}
