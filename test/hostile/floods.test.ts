/** A peer that says far too much: each in a process of its own, whose memory and time are measured. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Report } from '../../src/report/report.ts'
import { makeCredentials } from '../helpers/clients.ts'
import { type Script, scriptedServer } from '../helpers/scripted.ts'
import { measureStalls, startCli } from '../helpers/target.ts'
import {
  announce,
  dataRow,
  errorResponse,
  noticeResponse,
  parameterStatus,
  readyForQuery,
  rowDescription,
} from '../helpers/wire.ts'
import { type Credentials, environmentOf, firstFailure } from './bounds.ts'

let credentials: Credentials
beforeAll(async () => {
  credentials = await makeCredentials()
})

const DEADLINE_MS = 2000
/**
 * What a run may need beyond a run that meets silence, bytes; an answer without a limit would need all that there is.
 * Rows were seen to need 50 to 105 MiB under Node 20 and 22; V8 of 24 and 26 collects later: 75 to 150.
 */
const GROWTH = (Number.parseInt(process.versions.node, 10) < 24 ? 150 : 200) * 1024 * 1024

/** Says at the end how much memory the process ever held, kilobytes. */
const MEASURED = {
  NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(
    "process.on('exit',()=>process.stderr.write('maxRSS '+process.resourceUsage().maxRSS+'\\n'))",
  )}`,
}

/** Runs the command line against a server that plays the script. */
async function run(script: Script) {
  await using server = await scriptedServer({ tls: credentials.server, ...script })
  const stalls = measureStalls()
  const { child, result } = startCli(['probe', '--json', '--deadline', String(DEADLINE_MS / 1000)], {
    ...environmentOf(server, credentials),
    ...MEASURED,
  })
  const { code, stdout, stderr } = await result
  const report: Report = JSON.parse(stdout)
  expect(child.exitCode).toBe(1)
  expect(report.durationMs).toBeLessThan(DEADLINE_MS + 500 + stalls())
  expect(server.maxOpen).toBeLessThanOrEqual(4)
  expect(server.connections).toBeLessThanOrEqual(12)
  const bytes = Number(/maxRSS (\d+)/.exec(stderr)?.[1]) * 1024
  return { code, bytes, failure: firstFailure(report), text: stdout }
}

let silence: Promise<number>
/** What a run needs that meets nothing but silence after it was let in. */
const usual = (): Promise<number> => {
  silence ??= run({ onStatement: () => 'silent' }).then(({ bytes }) => bytes)
  return silence
}

const notice = noticeResponse({ S: 'NOTICE', C: '00000', M: 'x'.repeat(50) })
/** Eight megabytes of parameters, no two of one name. */
const parameters = Buffer.concat(
  Array.from({ length: 250_000 }, (_, at) => parameterStatus(`parameter_number_${at}`, 'on')),
)
const rows = Buffer.concat(Array.from({ length: 10_000 }, () => dataRow([])))
const GIB = 1024 ** 3

const STARTUP: [string, Script, string][] = [
  ['notices', { onStartup: { flood: notice } }, 'session SESSION_PROTOCOL'],
  ['parameters', { onStartup: { flood: parameters } }, 'session SESSION_PROTOCOL'],
  ['1 GiB announced', { onStartup: { send: announce('S', GIB), next: 'silent' } }, 'session SESSION_PROTOCOL'],
  [
    '1 GiB announced before TLS',
    { onSslRequest: { send: announce('E', GIB), next: 'silent' } },
    'tls TLS_NOT_POSTGRES',
  ],
  ['bytes before TLS', { onSslRequest: { flood: Buffer.from('E\0\0\xff\0') } }, 'tls TLS_NOT_POSTGRES'],
]

const ANSWER: [string, Script][] = [
  ['notices', { onStatement: () => ({ flood: notice }) }],
  ['parameters', { onStatement: () => ({ flood: parameters }) }],
  ['the end of statements', { onStatement: () => ({ flood: Buffer.concat([notice, readyForQuery()]) }) }],
  ['rows', { onStatement: () => ({ flood: Buffer.concat([rowDescription([]), rows]) }) }],
  ['1 GiB announced', { onStatement: () => ({ send: announce('D', GIB), next: 'silent' }) }],
  ['1 GiB of a message', { onStatement: () => ({ flood: Buffer.concat([announce('D', GIB), Buffer.alloc(65_536)]) }) }],
]

describe('at startup', () => {
  test.each(STARTUP)('%s', async (_name, script, expected) => {
    const { failure, bytes } = await run(script)
    expect(failure).toBe(expected)
    expect(bytes).toBeLessThan((await usual()) + GROWTH)
  })
})

describe('in an answer', () => {
  test.each(ANSWER)('%s', async (_name, script) => {
    const { failure, bytes } = await run(script)
    // Whether the size or the time comes first depends on the machine; an early end of the statement has no row.
    expect(failure).toMatch(/^database (SESSION_PROTOCOL|CATALOGUE_FAILED|READ_TIMEOUT)$/)
    expect(bytes).toBeLessThan((await usual()) + GROWTH)
  })
})

test('an error of 60,000 characters, in the form that is slowest to search', async () => {
  const M = 'a.'.repeat(30_000)
  const send = errorResponse({ S: 'FATAL', V: 'FATAL', C: 'XX000', M, R: 'x' })
  const { failure, text } = await run({ onStartup: { send, next: 'close' } })
  expect(failure).toBe('session SESSION_REFUSED')
  expect(text.length).toBeLessThan(50_000)
})
