/** The reporters, held by golden files (test/report/golden); UPDATE_GOLDEN=1 writes them anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FORMAT_NAMES, FORMATS, rendererOf } from '../../src/commands/renderer.ts'
import { CODES } from '../../src/failure/codes.ts'
import { fillIn } from '../../src/failure/hints.ts'
import { renderJson } from '../../src/report/json.ts'
import { escapeMarkdown, renderMarkdown } from '../../src/report/markdown.ts'
import { plain } from '../../src/report/plain.ts'
import type { Report } from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'
import { HOSTILE, SAMPLES } from './samples.ts'

/** Every form that there is, by the extension of its golden files. */
const RENDERERS = Object.fromEntries(
  await Promise.all(
    (['text', ...FORMAT_NAMES] as const).map(async name => {
      const render = await rendererOf(name)
      const text = (report: Report) => render(report, { colour: false, remark: 'a recorded run' })
      return [name === 'text' ? 'txt' : FORMATS[name].extension, text] as const
    }),
  ),
)

const sample = (name: string): Report => {
  const report = SAMPLES[name]
  if (report === undefined) throw new Error(`no sample ${name}`)
  return report
}

/** Control and format characters but the line end: none of them may reach a terminal. */
const STEERING = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

describe.each(Object.keys(SAMPLES))('%s', name => {
  it.each(Object.entries(RENDERERS))('matches its golden .%s', (extension, render) => {
    const file = new URL(`golden/${name}.${extension}`, import.meta.url)
    const text = render(sample(name))
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text)
    expect(text).toBe(readFileSync(file, 'utf8'))
  })

  it.each(Object.entries(RENDERERS))('holds nothing that steers a terminal, as .%s', (_, render) => {
    expect(render(sample(name))).not.toMatch(STEERING)
  })

  it('is whole as JSON', () => {
    expect(JSON.parse(renderJson(sample(name)))).toEqual(JSON.parse(JSON.stringify(sample(name))))
  })
})

describe('text', () => {
  it.each(Object.values(SAMPLES).filter(report => report.failure !== null))(
    'names layer, code and the next step of a failure in the first two lines',
    report => {
      const { failure } = report
      const [first, second] = renderText(report, { colour: false }).split('\n')
      expect(first).toContain(`FAIL at ${failure?.layer}, ${failure?.code}: `)
      expect(second).toBe(`next: ${failure?.hint}`)
    },
  )

  it('says plainly that a run passed', () => {
    const report = sample('passing')
    const [first, second] = renderText(report, { colour: false }).split('\n')
    expect(first).toBe(`connection-probe 1.0.0: PASS, all ${report.checks.length} checks`)
    expect(second).toMatch(/^proved: /)
  })

  it('lists every problem of a configuration with its setting, code and hint', () => {
    const text = renderText(sample('bad-config'), { colour: false })
    expect(text).toContain('problem: DATABASE_URL: CONFIG_INSECURE: holds a password')
    expect(text).toContain('problem: DATABASE_URL: CONFIG_INSECURE: has sslmode=require')
    expect(text).toContain('problem: CRDB_SNI: CONFIG_INVALID: ')
    expect(text).toContain('problem: CRDB_CLIENT_WRITER_KEY: KEY_MISMATCH: is not the key of ')
    expect(text).toContain(fillIn(CODES.KEY_MISMATCH.hint))
  })

  it('says what a check is blocked by, and how to learn more', () => {
    const text = renderText(sample('failing'), { colour: false })
    expect(text).toMatch(/^- session .*\[blocked by tls\]$/m)
    expect(text).toContain('more: npm run explain -- TLS_SERVER_NAME')
  })

  it('differs in colour only by ANSI styles', () => {
    for (const report of Object.values(SAMPLES)) {
      const coloured = renderText(report, { colour: true })
      const styles = new RegExp(`${String.fromCharCode(27)}\\[[0-9]+m`, 'g')
      expect(coloured).toMatch(styles)
      expect(coloured.replace(styles, '')).toBe(renderText(report, { colour: false }))
    }
  })

  it('keeps every line bounded, whatever a server says', () => {
    for (const line of renderText(sample('hostile'), { colour: false }).split('\n'))
      expect(line.length).toBeLessThanOrEqual(1600)
  })
})

describe('Markdown', () => {
  it('has the four criteria as a checklist, ticked only where they passed', () => {
    expect(
      renderMarkdown(sample('passing')).match(/^- \[x\] (visible|mtls|privileges|reuse): .*\(.+\)$/gm),
    ).toHaveLength(4)
    expect(renderMarkdown(sample('failing')).match(/^- \[ \] (visible|mtls|privileges|reuse): /gm)).toHaveLength(4)
  })

  it('lets no foreign text break a table, open HTML or end the code block', () => {
    const [head, evidence] = renderMarkdown(sample('hostile')).split('```json')
    const rows = head?.split('\n').filter(line => line.startsWith('| '))
    for (const row of rows ?? []) expect([3, 7]).toContain(row.match(/(?<!\\)\|/g)?.length)
    expect(head).not.toMatch(/<(?!\/?details>|\/?summary>)/)
    expect(evidence?.match(/^ *```/gm)).toHaveLength(1)
  })

  it('escapes what Markdown and HTML would read as markup', () => {
    expect(escapeMarkdown('a_b _c_ a|b `c` <d> & *e* [f] \\|')).toBe(
      'a_b \\_c\\_ a\\|b \\`c\\` &lt;d&gt; &amp; \\*e\\* \\[f\\] \\\\\\|',
    )
  })
})

describe('plain', () => {
  it('is one printable line of bounded length', () => {
    expect(plain(HOSTILE)).not.toMatch(/[\p{C}\n]/u)
    expect(plain(HOSTILE)).toContain('√ all is well')
    expect(plain(HOSTILE)).not.toMatch(/\[2J|owned|evil/)
    expect(plain('x'.repeat(500), 100)).toHaveLength(100)
    expect(plain(`${'x'.repeat(98)}😀y`, 100)).toBe(`${'x'.repeat(98)}…`)
  })

  it('leaves ordinary text alone, whatever its script', () => {
    expect(plain('Grüße, 世界: "a" → b')).toBe('Grüße, 世界: "a" → b')
  })
})
