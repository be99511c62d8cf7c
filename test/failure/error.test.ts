/** A failure as a value: what it says of itself comes from who said it, and nothing changes it. */
import { describe, expect, test } from 'vitest'
import { asCause } from '../../src/dial/wire.ts'
import { causesOf, evidence, type Facts, openEvidence, ProbeError } from '../../src/failure/error.ts'

const system = (code: string): Error => Object.assign(new Error(`connect ${code} ::1:26257`), { code, errno: -1 })

const fromServer = (sqlstate: string): Error =>
  asCause({ severity: 'ERROR', sqlstate, message: 'no', routine: 'r', file: null, hint: null })

/** As postgres.js makes it of an ErrorResponse. */
const fromDriver = (code: string): Error => Object.assign(new Error('no'), { name: 'PostgresError', code })

const wrapped = (cause: unknown, times = 1): Error =>
  new Error(`wrapped ${times} times`, { cause: times > 1 ? wrapped(cause, times - 1) : cause })

const sqlstateOf = (cause: unknown): string | null => new ProbeError('TCP_FAILED', 'x', { cause }).toFailure().sqlstate

describe('the SQLSTATE of a failure', () => {
  // Five characters, each of which a SQLSTATE may have: only who said it tells.
  test.each(['EPERM', 'EPIPE', 'EBUSY', 'EINTR', 'ENXIO', 'EBADF', 'E2BIG'])('is not the errno %s', errno => {
    const origin = { kind: 'system', errno } as const
    const failure = new ProbeError('TCP_UNREACHABLE', 'x', { cause: system(errno), origin })
    expect([failure.sqlstate, failure.toFailure().sqlstate]).toEqual([null, null])
    expect(failure.toFailure().causes).toMatchObject([{ name: 'Error', code: errno }])
    for (const times of [1, 3]) expect(sqlstateOf(wrapped(system(errno), times))).toBeNull()
    expect(sqlstateOf(new ProbeError('TCP_RESET', 'x', { cause: system(errno), origin }))).toBeNull()
  })

  test('is not the code of an error of TLS', () => {
    const origin = { kind: 'tls', alert: 'unknown_ca', keysExchanged: true } as const
    const cause = system('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA')
    expect(new ProbeError('TLS_CLIENT_REJECTED', 'x', { cause, origin }).toFailure().sqlstate).toBeNull()
  })

  test('is none where nothing was said', () => {
    expect([sqlstateOf(undefined), sqlstateOf('42501'), sqlstateOf({ code: '42501' })]).toEqual([null, null, null])
  })

  test.each([
    ['our own reader', fromServer('28000')],
    ['the driver', fromDriver('28000')],
  ])('is what the server said to %s, however deep in the chain', (_name, said) => {
    for (const times of [1, 2, 5]) expect(sqlstateOf(wrapped(said, times))).toBe('28000')
    expect(sqlstateOf(said)).toBe('28000')
  })

  test('is what the failure says of its own origin first', () => {
    const origin = { kind: 'server', sqlstate: '57014', routine: null } as const
    const inner = new ProbeError('WRITE_TIMEOUT', 'x', { origin })
    expect(inner.sqlstate).toBe('57014')
    const outer = new ProbeError('WRITE_AMBIGUOUS', 'x', { cause: inner })
    // Control flow asks who said this failure; a reader is shown what began it.
    expect([outer.sqlstate, outer.toFailure().sqlstate]).toEqual([null, '57014'])
    const both = new ProbeError('WRITE_REFUSED', 'x', { cause: fromServer('42501'), origin })
    expect(both.toFailure().sqlstate).toBe('57014')
  })
})

describe('with()', () => {
  const cause = fromServer('40001')
  const origin = { kind: 'server', sqlstate: '40001', routine: 'r' } as const
  const before = new ProbeError('WRITE_CONTENDED', 'first', {
    ...{ cause, origin, hint: 'this', retries: 2, evidence: { id: 1, kept: true } },
  })
  const factsOf = (error: ProbeError): Facts => openEvidence(error.evidence)

  test('is a copy with what is known besides', () => {
    const after = before.with({ message: 'second', hint: 'that', retries: 6, evidence: { id: 2, more: 'yes' } })
    expect(after).toMatchObject({ code: 'WRITE_CONTENDED', message: 'second', hint: 'that', retries: 6, origin })
    expect(after.cause).toBe(cause)
    expect(factsOf(after)).toEqual({ id: 2, kept: true, more: 'yes' })
  })

  test('keeps what is not given', () => {
    const { message, hint, retries } = before.with({ evidence: { more: 1 } })
    expect({ message, hint, retries }).toEqual({ message: 'first', hint: 'this', retries: 2 })
    const problems = [{ name: 'DATABASE_URL', code: 'CONFIG_MISSING', message: 'is not set' } as const]
    expect(new ProbeError('CONFIG_MISSING', 'x', { problems }).with({}).problems).toBe(problems)
  })

  test('changes nothing', () => {
    const facts = { id: 1 }
    const error = new ProbeError('ROW_LATE', 'x', { evidence: facts })
    error.with({ message: 'y', hint: 'z', retries: 9, evidence: { id: 2, more: 3 } })
    expect([error.message, error.hint, error.retries, factsOf(error)]).toEqual(['x', undefined, 0, { id: 1 }])
    expect(facts).toEqual({ id: 1 })
    expect(() => Object.assign(error.evidence, { id: 3 })).toThrow(TypeError)
    expect(Object.isFrozen(evidence(error.evidence, { a: 1 }))).toBe(true)
  })
})

describe('the causes of a failure', () => {
  test('are bounded in number, outermost first', () => {
    const causes = causesOf(wrapped(new Error('the first of all'), 20))
    expect(causes.map(({ message }) => message)).toEqual(
      Array.from({ length: 8 }, (_, at) => `wrapped ${20 - at} times`),
    )
  })

  test('end where they come round again', () => {
    const one = new Error('one')
    const two = new Error('two', { cause: one })
    one.cause = two
    expect(causesOf(one).map(({ message }) => message)).toEqual(['one', 'two'])
  })

  test('hold no parameter of a statement', () => {
    const query = Object.assign(new Error('Failed query: insert …\nparams: s3cret', { cause: fromDriver('23505') }), {
      name: 'DrizzleQueryError',
      query: 'insert …',
      params: ['s3cret'],
    })
    const failure = new ProbeError('WRITE_REFUSED', 'x', { cause: query }).toFailure()
    expect(failure.causes).toEqual([
      { name: 'DrizzleQueryError', code: null, message: '' },
      { name: 'PostgresError', code: '23505', message: 'no' },
    ])
    expect(JSON.stringify(failure)).not.toContain('s3cret')
    expect(failure.sqlstate).toBe('23505')
  })

  test('hold no key and no password', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----'
    const [cause] = causesOf(new Error(`${key} at postgresql://u:s3cret@h/d`))
    expect(cause?.message).toBe('[PEM] at postgresql://u@h/d')
  })

  test('show the first of several, and what is no error at all', () => {
    expect(causesOf(new AggregateError([system('EPERM'), system('EPIPE')], 'all')).map(({ code }) => code)).toEqual([
      null,
      'EPERM',
    ])
    expect(causesOf('words')).toEqual([{ name: 'string', code: null, message: 'words' }])
  })
})
