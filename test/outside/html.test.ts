/** The HTML report in a real browser: it needs nothing, shows everything as text, and everybody can read it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { AxeResults } from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CODES } from '../../src/failure/codes.ts'
import { renderHtml } from '../../src/report/html.ts'
import type { Report } from '../../src/report/report.ts'
import { SAMPLES } from '../report/samples.ts'
import { findProgram } from './program.ts'

const executablePath = await findProgram(['chromium', 'chromium-browser', 'google-chrome'], 'chromium')
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const WIDTHS = [360, 1280] as const
const SCHEMES = ['light', 'dark'] as const

/** What steers the program itself, and no server or machine can say. */
const OWN = ['verdict', 'status', 'code', 'layer', 'id', 'criterion', 'blockedBy', 'check', 'checks', 'schemaVersion']
const SCRIPT = '<script>document.title="owned"</script><img src=x onerror="document.title=\'owned\'">'

/** In the page: what reaches beyond the window, or is wider than what it stands in. */
const BEYOND = `(() => {
  const width = document.documentElement.clientWidth
  const isWide = element => {
    const { right, width: own } = element.getBoundingClientRect()
    const isCut = getComputedStyle(element).display === 'block' && element.scrollWidth > element.clientWidth + 1
    return own > 0 && (right > width + 0.5 || isCut)
  }
  const wide = [...document.querySelectorAll('body *')].filter(isWide)
  return [
    ...(document.documentElement.scrollWidth > width ? ['the page'] : []),
    ...wide.map(element => element.tagName + ': ' + element.textContent.slice(0, 40)),
  ]
})()`

/** In the page: whether all evidence can be seen. */
const ALL_SHOWN = "[...document.querySelectorAll('details dl')].every(one => one.checkVisibility())"

/** In the page: opens what is folded. */
const UNFOLD = "for (const one of document.querySelectorAll('details')) one.open = true"

/** In the page: tries to add a script and a style, as whoever broke out of a text would. */
const INJECT = `for (const [name, text] of [['script', 'document.title = "owned"'], ['style', 'body { display: none }']]) {
  const element = document.createElement(name)
  element.textContent = text
  document.head.append(element)
}`

/** In the page: a computed style. */
const styleOf = (page: Page, selector: string, property: string): Promise<string> =>
  page.evaluate<string>(`getComputedStyle(document.querySelector('${selector}')).${property}`)

/** A report in which every text that is not the program's own is markup with a script. */
function scripted(report: Report): Report {
  const spoil = (value: unknown, name: string): unknown => {
    if (typeof value === 'string') return OWN.includes(name) ? value : `${SCRIPT}${name}`
    if (Array.isArray(value)) return value.map(inner => spoil(inner, name === 'checks' ? '' : name))
    if (typeof value !== 'object' || value === null) return value
    const isEvidence = name === 'evidence'
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [isEvidence ? `${SCRIPT}${key}` : key, spoil(inner, key)]),
    )
  }
  return spoil(report, '') as Report
}

describe.skipIf(executablePath === null)('the HTML report', () => {
  let browser: Browser
  let dir: string
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'probe-html-'))
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: ['--no-sandbox'] })
  })
  afterAll(async () => {
    await browser?.close()
    rmSync(dir, { recursive: true, force: true })
  })

  /** Opens a report as a file, does something with it, and tells what it asked for besides itself. */
  async function open<T>(report: Report, options: BrowserContextOptions, work: (page: Page) => Promise<T>) {
    const file = join(dir, 'report.html')
    writeFileSync(file, renderHtml(report, { remark: 'a recorded run' }))
    const context = await browser.newContext(options)
    try {
      const page = await context.newPage()
      const requested: string[] = []
      const complaints: string[] = []
      page.on('request', request => requested.push(request.url()))
      page.on('console', message => complaints.push(message.text()))
      const url = pathToFileURL(file).href
      await page.goto(url)
      const result = await work(page)
      return { result, requested: requested.filter(one => one !== url), complaints }
    } finally {
      await context.close()
    }
  }

  const eachSample = Object.entries(SAMPLES)

  it.each(eachSample)('%s: is whole without scripts, and asks for nothing', async (_, report) => {
    const { result, requested, complaints } = await open(report, { javaScriptEnabled: false }, async page => ({
      heading: await page.locator('h1').innerText(),
      text: await page.locator('main').innerText(),
      rows: await page.locator('.waterfall li').count(),
      wide: await page
        .locator('.waterfall rect')
        .evaluateAll(rects => rects.every(rect => rect.getBoundingClientRect().width >= 1)),
      styled: await styleOf(page, 'header', 'borderLeftWidth'),
    }))
    expect({ requested, complaints }).toEqual({ requested: [], complaints: [] })
    expect(result).toMatchObject({ rows: report.timeline.length, wide: true, styled: '8px' })
    const { failure } = report
    expect(result.heading).toContain(failure ? `FAIL at ${failure.layer}, ${failure.code}` : 'PASS')
    for (const { id } of report.checks) expect(result.text).toContain(id)
    if (failure) expect(result.text).toContain(`What ${failure.code} means`)
    for (const { code } of report.warnings) expect(result.text).toContain(code)
  })

  it.each(eachSample)('%s: nothing overflows, at 360 and 1280 px and in print', async (_, report) => {
    for (const width of WIDTHS) {
      const { result } = await open(report, { viewport: { width, height: 800 } }, async page => {
        await page.evaluate(UNFOLD)
        return await page.evaluate<string[]>(BEYOND)
      })
      expect(result).toEqual([])
    }
    const { result } = await open(report, { viewport: { width: 720, height: 1000 } }, async page => {
      await page.emulateMedia({ media: 'print' })
      return await page.evaluate<string[]>(BEYOND)
    })
    expect(result).toEqual([])
  })

  it('is dark for whom it is dark, and light for whom it is light', async () => {
    const grounds = await Promise.all(
      SCHEMES.map(async colorScheme => {
        const { result } = await open(SAMPLES.failing as Report, { colorScheme }, page =>
          styleOf(page, 'body', 'backgroundColor'),
        )
        return result
      }),
    )
    expect(grounds).toEqual(['rgb(255, 255, 255)', 'rgb(13, 17, 23)'])
  })

  it.each(['failing', 'passing', 'denied'])('%s: markup in every text stays text, whatever the policy', async name => {
    const report = scripted(SAMPLES[name] as Report)
    const { result, requested } = await open(report, { bypassCSP: true }, async page => ({
      title: await page.title(),
      elements: await page.locator('script, img, iframe, object, link, form, a').count(),
      text: await page.locator('body').innerText(),
    }))
    expect(requested).toEqual([])
    expect(result.elements).toBe(0)
    expect(result.title).not.toBe('owned')
    expect(result.text.split('<script>').length).toBeGreaterThan(20)
  })

  it('has a policy of its own, by which no script runs', async () => {
    const { result } = await open(SAMPLES.failing as Report, {}, async page => {
      await page.evaluate(INJECT)
      return { title: await page.title(), display: await styleOf(page, 'body', 'display') }
    })
    expect(result).toEqual({ title: expect.not.stringContaining('owned'), display: 'block' })
  })

  it.each(['failing', 'passing', 'bad-config'].flatMap(name => SCHEMES.map(scheme => [name, scheme] as const)))(
    '%s, %s: axe finds nothing at 360 and 1280 px',
    async (name, colorScheme) => {
      const report = SAMPLES[name] as Report
      for (const width of WIDTHS) {
        const options = { colorScheme, viewport: { width, height: 800 }, bypassCSP: true }
        const { result } = await open(report, options, async page => {
          await page.addScriptTag({ content: AXE })
          return await page.evaluate(async () => {
            const { violations } = await (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run()
            return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes[0]?.html}`)
          })
        })
        expect(result).toEqual([])
      }
    },
  )

  it('folds the evidence on a screen, and shows it on paper', async () => {
    const { result } = await open(SAMPLES.denied as Report, {}, async page => {
      const shown = () => page.evaluate<boolean>(ALL_SHOWN)
      const onScreen = await shown()
      await page.emulateMedia({ media: 'print' })
      return { onScreen, onPaper: await shown() }
    })
    expect(result).toEqual({ onScreen: false, onPaper: true })
  })

  it('explains every code that there is', async () => {
    const report = SAMPLES.failing as Report
    for (const [code, { layer }] of Object.entries(CODES)) {
      const failure = { ...(report.failure ?? {}), code, layer } as Report['failure']
      expect(renderHtml({ ...report, failure })).toContain(`<h2>What ${code} means</h2>`)
    }
  })
})
