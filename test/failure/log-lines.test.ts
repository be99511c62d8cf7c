/** Lines of other clients' logs: each that was measured is known by its own row, and a person is told what to make of it. */
import { describe, expect, it } from 'vitest'
import { CODES, type Code } from '../../src/failure/codes.ts'
import { consequence, explainLines, listCodes, recognise } from '../../src/failure/explain-line.ts'
import { CONSEQUENCES, LOG_LINES } from '../../src/failure/log-lines.ts'

describe('a line that was measured', () => {
  it.each(LOG_LINES.flatMap(row => row.seen.map(line => [line, row.codes] as const)))('%s', (line, codes) => {
    expect(recognise(line)).toEqual([expect.objectContaining({ codes })])
    // as it stands in a log, between others
    const log = `12:00:01.123 app[1] info\n2026-11-29T19:37:30Z app[3d8d] fra [info] ${line}  \nFailed running "sql"\n`
    expect(recognise(log)).toEqual([expect.objectContaining({ codes })])
  })
})

describe('the table', () => {
  it('says of several codes how to tell them apart, and has none twice', () => {
    for (const { codes, apart } of LOG_LINES) {
      expect(new Set(codes).size).toBe(codes.length)
      if (codes.length > 1) expect(apart).toBeTruthy()
    }
  })

  it('knows a line for every code that another client can meet', () => {
    const covered = new Set(LOG_LINES.flatMap(({ codes }) => codes))
    const layers = ['dns', 'tcp', 'tls', 'session', 'database', 'schema']
    const ours: readonly Code[] = [
      'TCP_FAILED',
      'SESSION_PROTOCOL',
      'SESSION_REFUSED',
      'CERTLESS_LOGIN_ALLOWED',
      'FORGED_LOGIN_ALLOWED',
      'FOREIGN_LOGIN_ALLOWED',
      'NEGATIVE_INCONCLUSIVE',
      'CATALOGUE_FAILED',
    ]
    const missing = (Object.keys(CODES) as Code[]).filter(
      code => layers.includes(CODES[code].layer) && !covered.has(code),
    )
    expect(missing.filter(code => !ours.includes(code))).toEqual([])
  })
})

describe('explain', () => {
  it('names several candidates, the likeliest first, with the next step of each and how to tell them apart', () => {
    const text = explainLines(recognise('tcp connect (db:26257): non-existing domain - :nxdomain'))
    expect(text).toMatch(/^> tcp connect \(db:26257\): non-existing domain - :nxdomain\n/)
    expect(text).toMatch(
      / 1\. DNS_NO_AAAA \(layer dns\): [\s\S]* 2\. DNS_NOT_FOUND [\s\S]*To tell them apart\n {2}getent ahosts/,
    )
    expect(text.match(/^ {5}next: /gm)).toHaveLength(3)
    expect(text).toMatch(/\nMore: npm run explain -- DNS_NO_AAAA\n$/)
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
  })

  it('takes each cause of a log once, in the order of the log', () => {
    const refused = 'tcp connect (::1:9): connection refused - :econnrefused'
    const found = recognise(
      [refused, 'nothing', 'ERROR:  permission denied for table connection_probe', refused].join('\n'),
    )
    expect(found.map(({ codes }) => codes)).toEqual([['TCP_REFUSED'], ['DML_DENIED']])
  })

  it("takes a line of this program's own", () => {
    const line = 'connection-probe 1.0.0: FAIL at tls, TLS_VERSION. 3 passed, 1 failed'
    expect(recognise(line)).toEqual([{ line, codes: ['TLS_VERSION'], apart: null }])
  })

  it.each(['', 'all is well', '200 OK', 'certificate', 'FAIL', 'role admin exists', 'ERROR'])(
    'knows nothing of %j',
    text => {
      expect(recognise(text)).toEqual([])
    },
  )

  it.each(CONSEQUENCES)('says where the cause of a consequence stands: $seen', ({ seen, look }) => {
    expect(recognise(seen)).toEqual([])
    expect(consequence(seen)).toBe(look)
  })

  it('prints nothing that steers a terminal, and no password', () => {
    const line = '\u001b[2J\u001b]0;owned\u0007connection refused postgresql://u:hunter2@h/d'
    const text = explainLines(recognise(line))
    expect(text).toContain('TCP_REFUSED')
    for (const secret of ['\u001b', 'hunter2', 'owned']) expect(text).not.toContain(secret)
  })

  it('takes long and hostile texts in no time', () => {
    const from = performance.now()
    recognise(`${'column "'.repeat(1_000_000)}\n${'a'.repeat(5_000_000)}`)
    for (const { seen } of LOG_LINES) recognise(`${seen[0]} `.repeat(2000))
    expect(performance.now() - from).toBeLessThan(2000)
  })

  it('lists every code by layer', () => {
    const text = listCodes()
    expect(text.match(/^\S+$/gm)).toEqual([...new Set(Object.values(CODES).map(({ layer }) => layer))])
    expect([...text.matchAll(/^ {2}([A-Z]\w+) {2}/gm)].map(([, code]) => code)).toEqual(Object.keys(CODES))
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
    // none is cut off inside brackets
    for (const entry of text.split(/^ {2}(?=[A-Z])/m))
      expect(entry.split('(').length, entry).toBe(entry.split(')').length)
  })
})
