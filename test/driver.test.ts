/** How Drizzle and postgres.js are loaded where tsx runs the program (src/driver/). */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { ended } from './helpers/process.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** The files that Node has compiled where it loads a file of src/ through tsx: V8 lists them with its coverage. */
async function loadedWith(file: string): Promise<string[]> {
  const coverage = mkdtempSync(join(tmpdir(), 'driver-'))
  onTestFinished(() => rmSync(coverage, { recursive: true }))
  const words = ['--import', 'tsx', '--input-type=module', '--eval', `await import('./src/${file}')`]
  const child = spawn(process.execPath, words, {
    cwd: ROOT,
    env: { ...process.env, NODE_V8_COVERAGE: coverage },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { code, stderr } = await ended(child)
  expect(code, stderr).toBe(0)
  const urls = readdirSync(coverage).flatMap(name =>
    (JSON.parse(readFileSync(join(coverage, name), 'utf8')).result as { url: string }[]).map(({ url }) => url),
  )
  return [...new Set(urls)]
}

test.each(['row/index.ts', 'database/migrate.ts'])('%s loads them as CommonJS, and the tables once', async file => {
  const urls = await loadedWith(file)
  const ofDrizzle = urls.filter(url => url.includes('/node_modules/drizzle-orm/'))
  expect(ofDrizzle.filter(url => url.endsWith('.cjs')).length).toBeGreaterThan(50)
  expect(ofDrizzle.filter(url => !/\.cjs$|\/drizzle-orm\/migrator\.js$/.test(url))).toEqual([])
  expect(urls.filter(url => url.includes('/node_modules/postgres/src/'))).toEqual([])
  expect(urls.filter(url => url.includes('/node_modules/postgres/cjs/')).length).toBeGreaterThan(5)
  expect(urls.filter(url => /\/src\/schema\.ts/.test(url))).toHaveLength(1)
})
