/** The reporters, held by golden files (test/report/golden); UPDATE_GOLDEN=1 writes them anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FORMAT_NAMES, FORMATS, rendererOf } from '../../src/commands/renderer.ts'
import { CODES } from '../../src/failure/codes.ts'
import type { Failure } from '../../src/failure/error.ts'
import { renderJson } from '../../src/report/json.ts'
import { layout, line, widthOf } from '../../src/report/lines.ts'
import { escapeMarkdown, renderMarkdown } from '../../src/report/markdown.ts'
import { plain, printableJson } from '../../src/report/plain.ts'
import type { Report } from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'
import { schemaProblems } from '../helpers/schema.ts'
import { HOSTILE, SAMPLES } from './samples.ts'

/** Every form that there is, by the extension of its golden files; the text for a terminal, too. */
const RENDERERS = Object.fromEntries([
  ['80.txt', (report: Report) => renderText(report, { colour: false, columns: 80, note: 'a recorded run' })] as const,
  ...(await Promise.all(
    FORMAT_NAMES.map(async name => {
      const render = await rendererOf(name)
      const text = (report: Report) => render(report, { colour: false, remark: 'a recorded run' })
      return [FORMATS[name].extension, text] as const
    }),
  )),
])

/** A page without its style, and the hash of it: no golden file changes with a colour. */
const withoutStyle = (text: string): string =>
  text.replace(/(?<=<style>).*?(?=<\/style>)/s, '').replace(/'sha256-[^']*'/, "'sha256-'")

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
    const text = withoutStyle(render(sample(name)))
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text)
    expect(text).toBe(readFileSync(file, 'utf8'))
  })

  it.each(Object.entries(RENDERERS))('holds nothing that steers a terminal, as .%s', (_, render) => {
    expect(render(sample(name))).not.toMatch(STEERING)
  })

  it('is as the schema says', () => {
    expect(schemaProblems(JSON.parse(renderJson(sample(name))))).toEqual([])
  })

  it('is whole as JSON', () => {
    const half = '\\ud800'
    const whole = JSON.parse(JSON.stringify(sample(name)).replaceAll(half, '\\ufffd'))
    expect(JSON.parse(renderJson(sample(name)))).toEqual(whole)
  })
})

/** The report for a log; the report for a terminal of so many columns. */
const log = (name: string): string => renderText(sample(name), { colour: false })
const onTerminal = (name: string, columns = 80, verbose = false): string =>
  renderText(sample(name), { colour: false, columns, verbose })
const linesOf = (text: string): string[] => text.trimEnd().split('\n')

describe('text for a log', () => {
  it.each(Object.keys(SAMPLES).filter(name => SAMPLES[name]?.failure?.layer !== 'config'))(
    '%s: has the verdict first, every check in order on a line of its own, and the verdict last',
    name => {
      const { failure, checks, command } = sample(name)
      const program = `connection-probe 1.0.0${command === 'witness' ? ' witness' : ''}`
      const lines = linesOf(log(name))
      expect(lines.flatMap(line => /^[√×-] (\S+) {1,20}\S.*\[/.exec(line)?.[1] ?? [])).toEqual(
        checks.map(({ id }) => id),
      )
      if (failure === null) {
        const verdict = `${program}: PASS, all ${checks.length} checks`
        expect(lines[0]).toBe(verdict)
        expect(lines[1]).toMatch(/^proved: /)
        expect(lines.at(-1)).toContain(`${verdict}. ${checks.length} passed, 0 failed, 0 blocked; `)
      } else {
        const verdict = `${program}: FAIL at ${failure.layer}, ${failure.code}`
        expect(lines[0]).toContain(`${verdict}: `)
        expect(lines[1]).toBe(`next: ${failure.hint}`)
        expect(lines.slice(-3)).toEqual([
          expect.stringMatching(`^${verdict}\\. \\d+ passed, \\d+ failed`),
          `next: ${failure.hint}`,
          `more: npm run explain -- ${failure.code}`,
        ])
      }
    },
  )

  it('says what a check is blocked by, and how to learn more', () => {
    expect(log('failing')).toMatch(/^- session .*\[blocked by tls\]$/m)
    expect(log('failing')).toContain('more: npm run explain -- TLS_SERVER_NAME')
  })

  it('keeps every line bounded, whatever a server says', () => {
    for (const line of linesOf(log('hostile'))) expect(line.length).toBeLessThanOrEqual(1600)
  })
})

describe('text of refused settings', () => {
  const texts = [log('bad-config'), onTerminal('bad-config', 1000), onTerminal('bad-config', 1000, true)]

  it.each(texts)('lists every problem once, with its setting, code and own next step, and no check', text => {
    const lines = linesOf(text)
    const problems = lines.flatMap((line, at) => (line.startsWith('    problem: ') ? [[line, lines[at + 1]]] : []))
    const form = 'postgresql://USER@HOST:26257/DATABASE?sslmode=verify-full'
    const first = `take the password out of the URL, the client certificate is the login: ${form}`
    expect(problems.map(([problem = '', next]) => [problem.split(': ').slice(1, 4), next])).toEqual([
      [['DATABASE_URL', 'CONFIG_INSECURE', expect.stringContaining('holds a password')], `        next: ${first}`],
      [
        ['DATABASE_URL', 'CONFIG_INSECURE', expect.stringContaining('sslmode=require')],
        '        next: write sslmode=verify-full instead',
      ],
      [
        ['CRDB_SNI', 'CONFIG_INVALID', expect.stringContaining('neither a host name')],
        expect.stringContaining('or unset it'),
      ],
      [
        ['CRDB_CLIENT_WRITER_KEY', 'KEY_MISMATCH', expect.stringContaining('not the key')],
        `        next: ${CODES.KEY_MISMATCH.hint}`,
      ],
    ])
    for (const [problem = ''] of problems) expect(text.split(problem)).toHaveLength(2)
    expect(text).not.toMatch(/blocked|row-visible|\bvisible\b/)
    expect(lines.slice(-3)).toEqual([
      'connection-probe 1.0.0: FAIL at config, CONFIG_INSECURE. Nothing was sent.',
      `next: ${first}`,
      'more: npm run explain -- CONFIG_INSECURE',
    ])
  })
})

describe('text for a terminal', () => {
  it.each(Object.keys(SAMPLES).flatMap(name => [40, 60, 80, 200].map(columns => [name, columns] as const)))(
    '%s, %i columns: no line is longer unless it is one word, and no word is broken',
    (name, columns) => {
      for (const verbose of [false, true]) {
        const wide = onTerminal(name, 100_000, verbose)
        const narrow = onTerminal(name, columns, verbose)
        for (const line of linesOf(narrow).filter(line => !line.includes('█')))
          if (widthOf(line) > columns)
            expect(widthOf(line.split(BREAKS).slice(0, -1).join(' '))).toBeLessThan(LONGEST_LEAD)
        // the bars are as long as there is room for
        const words = (text: string) => text.replace(/^.*█.*$/gm, '').split(/\s+/)
        expect(words(narrow)).toEqual(words(wide))
      }
    },
  )

  /** What stands before the only word of a line that is too long: a check's mark and id. */
  const LONGEST_LEAD = 24
  /** A line can be broken nowhere else. */
  const BREAKS = / (?!m?s\b)/

  it('folds what passed into a line per layer, and what is blocked into one per failure', () => {
    const text = onTerminal('failing', 200)
    expect(text).toMatch(/^√ config .*\n√ dns .*\n√ tcp .*\n× tls: the server speaks TLS/m)
    expect(text).toMatch(/^- 12 checks blocked by tls: session, database, certificate-required, /m)
    expect(onTerminal('passing', 200).match(/^√ .*/gm)).toHaveLength(10)
    expect(onTerminal('passing', 200)).toMatch(/^√ privilege +role, dml, ddl-refused \[/m)
  })

  it('shows every check with --verbose, and what was done when', () => {
    const text = onTerminal('interrupted', 200, true)
    for (const { id } of sample('interrupted').checks) expect(text).toMatch(new RegExp(`^[√×-] ${id} `, 'm'))
    expect(text).toMatch(/^ {2}SSLRequest +\d.* ms +█+$/m)
    expect(text).toMatch(/^ {2}insert .*█+\n {4}7 times: p50 1\.5 ms, p95 /m)
    expect(log('interrupted')).not.toContain('█')
  })

  it('says of a failure that is the consequence of another one which that is, in one line', () => {
    const { checks, ...rest } = sample('denied')
    const lost = sample('interrupted').checks.find(({ failure }) => failure)?.failure
    if (!lost) throw new Error('a run that was interrupted has a failure')
    const again: Failure = { ...lost, code: 'CONNECTION_LOST', layer: 'write', hint: 'look at the node' }
    const first: Failure = { ...again, code: 'SERVER_DRAINING', layer: 'session', hint: 'wait' }
    const of = (id: string) => (id === 'dml' ? first : id === 'ddl-refused' ? again : null)
    const report = { ...rest, checks: checks.map(check => ({ ...check, failure: of(check.id) })), failure: first }
    for (const columns of [null, 80]) {
      const text = renderText(report, { colour: false, columns })
      expect(text.replace(/\n {2}(?=\S)/g, ' ')).toMatch(
        /^× ddl-refused.*\n {4}CONNECTION_LOST: the same cause as dml\n[-√×]/m,
      )
      expect(text).not.toContain('look at the node')
    }
  })

  it('wraps what takes two columns, and nothing, as the terminal does', () => {
    expect(widthOf('Grüße 世界 ✅ e\u0301')).toBe(15)
    const text = layout([line('a: ', '世界 世界 世界 世界 世界 世界')], 20)
    expect(text).toBe('a: 世界 世界 世界\n    世界 世界 世界\n'.replace('\n    ', '\n    '))
  })
})

describe('the schema', () => {
  it.each([
    ['a layer that is none', (report: Report) => ({ ...report, failure: { ...report.failure, layer: 'elsewhere' } })],
    ['a code that is none', (report: Report) => ({ ...report, failure: { ...report.failure, code: 'TLS_NOPE' } })],
    ['no target', ({ target: _, ...report }: Report) => report],
    ['what it does not name', (report: Report) => ({ ...report, more: 1 })],
    ['a negative time', (report: Report) => ({ ...report, durationMs: -1 })],
    ['a check of another shape', (report: Report) => ({ ...report, checks: [{ id: 'tls' }] })],
    ['no schemaVersion', (report: Report) => ({ ...report, schemaVersion: 2 })],
  ])('refuses %s', (_, spoil) => {
    expect(schemaProblems(JSON.parse(JSON.stringify(spoil(sample('failing')))))).not.toEqual([])
  })
})

describe('colour', () => {
  const ESC = String.fromCharCode(27)
  const styles = new RegExp(`${ESC}\\[[0-9]+m`, 'g')

  it.each(Object.values(SAMPLES).flatMap(report => [null, 60].map(columns => ({ report, columns }))))(
    'differs only by ANSI styles, which end with each line',
    ({ report, columns }) => {
      for (const verbose of [false, true]) {
        const coloured = renderText(report, { colour: true, columns, verbose })
        expect(coloured).toMatch(styles)
        expect(coloured.replace(styles, '')).toBe(renderText(report, { colour: false, columns, verbose }))
        for (const line of coloured.split('\n')) expect(line.match(styles)?.at(-1) ?? `${ESC}[0m`).toBe(`${ESC}[0m`)
      }
    },
  )
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

describe('JSON', () => {
  it.each([
    ['half \ud800 a pair', 'half \ufffd a pair'],
    ['the other \udfff', 'the other \ufffd'],
    ['a whole \ud83d\ude00 one, and \\ud800 in letters', 'a whole \ud83d\ude00 one, and \\ud800 in letters'],
    ['a tag \u{e0001}', 'a tag \u{e0001}'],
  ])('of %j is what others read, too', (text, read) => {
    expect(JSON.parse(printableJson({ [text]: [text] }))).toEqual({ [read]: [read] })
    expect(printableJson(text)).not.toMatch(/(?<!\\)(\\\\)*\\ud[89ab]..(?!\\ud[c-f])/)
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
