/**
 * The JSON Schema of the report (schemaVersion 1), from which `npm run docs` writes report/report.schema.json. What is
 * required stays; what is added later is no new version, so a reader must not mind what it does not know.
 */
import { CRITERIA } from '../checks/check.ts'
import { CODES, LAYERS } from '../failure/codes.ts'
import type { WarningCode } from '../report/report.ts'

const TEXT = { type: 'string' } as const
const NULLABLE_TEXT = { type: ['string', 'null'] } as const
const MS = { type: 'number', minimum: 0 } as const
const CHECK_ID = { type: 'string', pattern: '^[a-z]+(-[a-z]+)*$' } as const
const STATUS = { $ref: '#/$defs/status' } as const
const FAILURE = { anyOf: [{ $ref: '#/$defs/failure' }, { type: 'null' }] } as const

/** An object all of whose properties are there, but for those that are named. */
const object = (
  description: string,
  properties: Readonly<Record<string, unknown>>,
  optional: readonly string[] = [],
) => ({
  description,
  type: 'object',
  required: Object.keys(properties).filter(name => !optional.includes(name)),
  properties,
})

const listOf = (description: string, items: unknown) => ({ description, type: 'array', items })
const described = (description: string, schema: object) => ({ ...schema, description })

const failure = object('Why a check failed. The code names the cause, the layer where it is.', {
  code: { enum: Object.keys(CODES) },
  layer: { enum: LAYERS },
  message: TEXT,
  causes: listOf(
    'the original errors, outermost first; of refused settings every problem, by the name of its setting',
    object(
      'An error.',
      { name: TEXT, code: NULLABLE_TEXT, message: TEXT, hint: described('of a setting: the next thing to do', TEXT) },
      ['hint'],
    ),
  ),
  sqlstate: NULLABLE_TEXT,
  hint: described('the next thing to do', TEXT),
})

const target = object('What was to be reached; address and engine once they were.', {
  host: NULLABLE_TEXT,
  port: { type: ['integer', 'null'], minimum: 1, maximum: 65535 },
  database: NULLABLE_TEXT,
  user: NULLABLE_TEXT,
  tlsName: described("what the server's certificate must name", NULLABLE_TEXT),
  address: NULLABLE_TEXT,
  engine: NULLABLE_TEXT,
})

const origin = object('Where the probe ran; the last four from FLY_… variables.', {
  hostname: TEXT,
  app: NULLABLE_TEXT,
  region: NULLABLE_TEXT,
  machine: NULLABLE_TEXT,
  privateIp: NULLABLE_TEXT,
})

const criterion = object('Failed if one of its checks failed, else blocked if one is blocked.', {
  id: { enum: CRITERIA.map(({ id }) => id) },
  title: TEXT,
  status: STATUS,
  checks: { type: 'array', items: CHECK_ID },
})

const check = object('One assertion. A blocked one could not be tried, because of the check that blockedBy names.', {
  id: CHECK_ID,
  layer: { enum: LAYERS },
  criterion: { enum: [...CRITERIA.map(({ id }) => id), null] },
  title: described('a present-tense assertion', TEXT),
  status: STATUS,
  durationMs: MS,
  evidence: { description: 'what was seen', type: 'object' },
  failure: FAILURE,
  blockedBy: { anyOf: [CHECK_ID, { type: 'null' }] },
})

const entry = object(
  'A check, whose name is its id, or something that was waited for within it.',
  {
    name: TEXT,
    check: CHECK_ID,
    startMs: described('from startedAt', MS),
    durationMs: described('of several from the beginning of the first to the end of the last', MS),
    count: described('how many there were, where there were several', { type: 'integer', minimum: 2 }),
    latencyMs: object('How long one took.', { min: MS, p50: MS, p95: MS, p99: MS, max: MS }),
  },
  ['count', 'latencyMs'],
)

/**
 * The schema.
 * @param warnings the codes of the warnings
 */
export const reportSchema = (warnings: readonly WarningCode[]) => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'The report of connection-probe',
  ...object('What a run found out: connection-probe probe --json', {
    schemaVersion: { const: 1 },
    command: described("what was run: the probe, or the witness of the back end's own connection", {
      enum: ['probe', 'witness'],
    }),
    program: described('name and version', TEXT),
    runId: { type: 'string', pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' },
    verdict: described('pass only if every check passed', { enum: ['pass', 'fail'] }),
    failure: described('that of the first failed check', FAILURE),
    target,
    origin,
    startedAt: { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' },
    durationMs: MS,
    attempts: described('0 where the settings were refused, and nothing was sent', { type: 'integer', minimum: 0 }),
    criteria: listOf('the four criteria of the probe; the witness has none', criterion),
    checks: { ...listOf('every check of the run, in order', check), minItems: 1 },
    timeline: listOf('what was done when in the last attempt, on one clock; empty where nothing was tried', entry),
    warnings: listOf('what does not fail a run', object('A warning.', { code: { enum: warnings }, message: TEXT })),
  }),
  $defs: { status: { enum: ['passed', 'failed', 'blocked'] }, failure },
})
