/** The generated parts of the documentation are what the program says today. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { CHECKS } from '../../src/checks/index.ts'
import { declaredJson, helpText } from '../../src/commands/help.ts'
import { loadCommands } from '../../src/commands/index.ts'
import { documents } from '../../src/development/docs.ts'
import { CODES } from '../../src/failure/codes.ts'
import { PROGRAM } from '../../src/invocation.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const commands = await loadCommands()
const generated = documents(helpText(PROGRAM, commands, 'npm'), declaredJson(commands))

describe('a generated part of the documentation', () => {
  it.each(generated.map(({ path, text }) => [path, text]))('of %s is what npm run docs writes', (path, text) => {
    expect(read(path) === text ? 'fresh' : `${path} is stale: npm run docs`).toBe('fresh')
  })

  it('lists the commands, and shows a report that fails', () => {
    const readme = generated.find(({ path }) => path === 'README.md')?.text
    expect(readme).toContain('npm run docs                  writes every generated part')
    expect(readme).toMatch(/^```\ntarget .*\n(.*\n){5,30}?× (.*\n){3,}?connection-probe .*: FAIL at (.*\n){3,}?```$/m)
  })
})

describe('src/README.md', () => {
  const map = read('src/README.md')

  it('names files and folders that exist', () => {
    const named = [...map.matchAll(/`((?:src\/|test\/)?[\w-]+(?:\/[\w*-]+)*(?:\.(?:ts|sql|json|md)|\/))`/g)]
    expect(named.length).toBeGreaterThan(60)
    const exists = (path: string) => ['', 'src'].some(folder => existsSync(join(ROOT, folder, path)))
    expect(named.flatMap(([, path = '']) => (exists(path) ? [] : [path]))).toEqual([])
  })

  it('names every folder of src/, every check and every code', () => {
    const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter(entry => entry.isDirectory())
    for (const { name } of folders) expect(map).toContain(`\`${name}/\``)
    for (const { id } of CHECKS) expect(map).toContain(`\`checks/${id}.ts\``)
    for (const code of Object.keys(CODES)) expect(map).toMatch(new RegExp(`\\b${code}\\b`))
  })
})

describe('the repository', () => {
  const { stdout } = spawnSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' })
  const files = stdout.split('\0').filter(file => file !== '')
  // What a hostile server said is no link of ours.
  const texts = files.filter(file => file.endsWith('.md') && !file.startsWith('test/report/golden/'))

  it('has at its top what a newcomer expects, and dot-files', () => {
    const top = new Set(files.map(file => file.replace(/\/.*/s, '')).filter(name => !name.startsWith('.')))
    const wanted = [
      'LICENSE',
      'README.md',
      'drizzle',
      'drizzle.config.ts',
      'package-lock.json',
      'package.json',
      'src',
      'test',
    ]
    expect([...top].sort()).toEqual([...wanted, 'tsconfig.json'].sort())
  })

  it.each(texts)('%s links to files and headings that exist', path => {
    for (const [, target = '', anchor] of read(path).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
      const file = target === '' ? path : normalize(join(path, '..', target))
      expect(existsSync(join(ROOT, file)), `${path} links to ${file}`).toBe(true)
      if (anchor !== undefined) expect(headings(file), `${path} links to ${file}#${anchor}`).toContain(anchor)
    }
  })
})

/** The headings of a file as GitHub makes anchors of them. */
const headings = (path: string): string[] =>
  [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
