/** A real browser on the page, without script, in all three states: no verdict yet, passed, failed. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeResults } from 'axe-core'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { pemOf } from '../helpers/clients.ts'
import { type Relay, relay } from '../helpers/relay.ts'
import { migrated, settings } from '../helpers/target.ts'
import { startWatching, type Watching } from '../helpers/watching.ts'
import { findProgram } from './program.ts'

const executablePath = await findProgram(['chromium', 'chromium-browser', 'google-chrome'], 'chromium')
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

describe.skipIf(executablePath === null)('the page in a browser', () => {
  let server: Throwaway
  let link: Relay
  let watching: Watching
  let browser: Browser
  beforeAll(async () => {
    server = await migrated({ engine: 'postgresql' })
    link = await relay({ target: { port: server.port } })
    link.hold()
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: ['--no-sandbox'] })
    const env = settings({ port: link.port, pem: pemOf(server, 'gateway_writer') })
    // The first run has no end before the target answers.
    watching = await startWatching({ env, everyMs: 2_000, options: { waitMs: 600_000 } })
  })
  afterAll(async () => {
    await browser?.close()
    await watching?.stop()
    await link?.[Symbol.asyncDispose]()
    await server?.stop()
  })

  /** Opens the page as a reader has it; what the browser asks for and complains of is collected. */
  async function opened(colorScheme: 'light' | 'dark', width: number) {
    const context = await browser.newContext({
      ...{ colorScheme, javaScriptEnabled: false },
      viewport: { width, height: 800 },
    })
    const page = await context.newPage()
    const asked: string[] = []
    const complaints: string[] = []
    page.on('request', request => asked.push(new URL(request.url()).pathname))
    page.on('console', message => complaints.push(message.text()))
    page.on('pageerror', error => complaints.push(error.message))
    await page.goto(`http://${watching.authority}/`)
    return { page, asked, complaints, [Symbol.asyncDispose]: () => context.close() }
  }

  const STATES: Readonly<Record<string, () => Promise<string>>> = {
    async 'no verdict yet'() {
      expect(watching.reports).toHaveLength(0)
      return 'no verdict'
    },
    async passed() {
      link.resume()
      await watching.until('pass')
      return 'PASS'
    },
    async failed() {
      await server.runAsRoot('REVOKE DELETE ON connection_probe FROM gateway_writer')
      await watching.until('fail')
      return 'FAIL at privilege, DML_DENIED'
    },
  }

  test.each(Object.entries(STATES))(
    '%s: read at any width, light and dark; it asks for nothing else',
    async (_, come) => {
      const words = await come()
      for (const scheme of ['light', 'dark'] as const)
        for (const width of [360, 1280]) {
          await using reader = await opened(scheme, width)
          const { page, asked, complaints } = reader
          expect(await page.locator('h1').innerText()).toContain(words)
          expect(await page.title()).toContain(words)
          const beyond = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'
          expect(await page.evaluate<number>(beyond)).toBeLessThanOrEqual(0)
          // Its own style is let through: the policy names it.
          const limit = "getComputedStyle(document.querySelector('main')).maxWidth"
          expect(await page.evaluate<string>(limit)).not.toBe('none')
          expect(asked.filter(path => path !== '/favicon.ico')).toEqual(['/'])
          expect(complaints.filter(line => !line.includes('404'))).toEqual([])
          if (words !== 'no verdict') await expectStrip(page)
        }
      for (const scheme of ['light', 'dark'] as const) expect(await violations(scheme)).toEqual([])
    },
    120_000,
  )

  /** What axe finds in the page, in one that stays: this one loads itself anew before all rules are tried. */
  async function violations(colorScheme: 'light' | 'dark') {
    const context = await browser.newContext({ colorScheme })
    try {
      const page = await context.newPage()
      await page.setContent((await watching.get('/')).body.replace(/<meta http-equiv="refresh"[^>]*>/, ''))
      await page.evaluate(AXE)
      const found = await page.evaluate<AxeResults>("axe.run(document, { resultTypes: ['violations'] })")
      return found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])
    } finally {
      await context.close()
    }
  }

  async function expectStrip(page: Page) {
    const strip = page.locator('.strip')
    expect(await strip.getAttribute('aria-label')).toMatch(/^the last \d+ runs: \d+ passed, \d+ failed$/)
    const { height = 0, width = 0 } = (await strip.boundingBox()) ?? {}
    expect([height > 20, width > 200]).toEqual([true, true])
    expect(await strip.locator('rect').count()).toBeGreaterThan(0)
    expect(await page.locator('.changes li').first().innerText()).toMatch(
      /^from \d{4}-\d\d-\d\d .* UTC: (pass|fail \w+), \d+ runs?$/,
    )
  }

  test('loads itself anew', async () => {
    await using reader = await opened('light', 800)
    const before = await reader.page.locator('footer').innerText()
    await reader.page.waitForEvent('load', { timeout: 20_000 })
    expect(await reader.page.locator('footer').innerText()).not.toBe(before)
  })
})
