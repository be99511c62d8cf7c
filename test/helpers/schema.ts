/** Holds reports against the published JSON Schema. */
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { Report } from '../../src/report/report.ts'

const SCHEMA: object = JSON.parse(readFileSync(new URL('../../src/report/report.schema.json', import.meta.url), 'utf8'))

/** The same schema without room for what it does not name: a reader takes additions, a test wants them described. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const inner = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]))
  return 'properties' in schema ? { ...inner, additionalProperties: false } : inner
}

const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true })
const validate = ajv.compile(closed(SCHEMA) as object)

/** What a timeline must be besides: within the run, a line for each check that ran, and none of one that did not. */
export function timelineProblems({ timeline, checks, durationMs }: Report): readonly string[] {
  const ran = checks.filter(({ status }) => status !== 'blocked').map(({ id }) => id)
  const own = timeline.filter(({ name, check }) => name === check).map(({ check }) => check)
  const isTried = timeline.length > 0
  return [
    ...(isTried && own.join() !== ran.join() ? [`the checks ${own} instead of ${ran}`] : []),
    ...timeline.filter(({ check }) => !ran.some(id => id === check)).map(({ name, check }) => `${name} of ${check}`),
    ...timeline
      .filter(({ startMs, durationMs: took }) => startMs + took > durationMs + 0.01)
      .map(({ name, check }) => `${name} of ${check} ends after the run`),
  ]
}

/** What is wrong with a report by the schema, a line each. */
export function schemaProblems(report: unknown): readonly string[] {
  if (validate(report)) return []
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  )
}
