/** The forms for machines, read by the machines' own programs. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { renderJson } from '../../src/report/json.ts'
import { renderJunit } from '../../src/report/junit.ts'
import { cli } from '../helpers/target.ts'
import { SAMPLES } from '../report/samples.ts'
import { findProgram, pipe } from './program.ts'

const xmllint = await findProgram(['xmllint'], 'libxml2-utils')
const jq = await findProgram(['jq'], 'jq')

const SCHEMA = fileURLToPath(new URL('../report/junit.xsd', import.meta.url))
const validate = (xml: string) => pipe(xmllint ?? '', ['--noout', '--schema', SCHEMA, '-'], xml)
const ask = async (xml: string, xpath: string) => (await pipe(xmllint ?? '', ['--xpath', xpath, '-'], xml)).trim()

describe.skipIf(xmllint === null)('JUnit', () => {
  it.each(Object.entries(SAMPLES))('%s is valid, and says of every check what became of it', async (_, report) => {
    const xml = renderJunit(report)
    await validate(xml)
    const count = (status: string) => String(report.checks.filter(check => check.status === status).length)
    expect(await ask(xml, 'string(//testsuite/@tests)')).toBe(String(report.checks.length))
    expect(await ask(xml, 'count(//testcase[failure])')).toBe(count('failed'))
    expect(await ask(xml, 'string(//testsuite/@failures)')).toBe(count('failed'))
    expect(await ask(xml, 'count(//testcase[skipped])')).toBe(count('blocked'))
    expect(await ask(xml, 'string(//testsuite/@skipped)')).toBe(count('blocked'))
    expect(await ask(xml, 'string(//failure[1]/@type)')).toBe(report.failure?.code ?? '')
    expect(await ask(xml, 'string((//testcase[failure])[1]/@classname)')).toBe(
      report.checks.find(({ status }) => status === 'failed')?.layer ?? '',
    )
    expect(await ask(xml, 'string(//property[@name="target.host"]/@value)')).toBe(report.target.host)
  })

  it.each([
    ['a count that is none', (xml: string) => xml.replace(/tests="\d+"/, 'tests="many"')],
    ['a testcase without a name', (xml: string) => xml.replace(/<testcase name="[^"]*"/, '<testcase')],
    ['an element of another kind', (xml: string) => xml.replace('<properties>', '<note/><properties>')],
    ['text that is not escaped', (xml: string) => xml.replace('</system-out>', '<b></system-out>')],
  ])('with %s is refused: the schema is one', async (_, spoil) => {
    const report = SAMPLES.failing
    if (!report) throw new Error('no sample')
    await expect(validate(spoil(renderJunit(report)))).rejects.toThrow()
  })

  it('of the command is valid, whatever is wrong with the settings', async () => {
    const { code, stdout } = await cli(['probe', '--format', 'junit'])
    expect(code).toBe(2)
    await validate(stdout)
    expect(await ask(stdout, 'string(//failure/@type)')).toBe('CONFIG_MISSING')
  })
})

describe.skipIf(jq === null)('JSON', () => {
  it.each(Object.entries(SAMPLES))("%s: README's line finds the code", async (_, report) => {
    const code = await pipe(jq ?? '', ['-r', '.failure.code'], renderJson(report))
    expect(code).toBe(`${report.failure?.code ?? null}\n`)
  })
})
