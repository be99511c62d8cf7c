import { isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CODES } from '../../src/failure/codes.ts'
import { isHostName, isIPv4Notation, isIPv6Literal, isWrappedIPv4, needsZone } from '../../src/settings/address.ts'
import { parseUrl } from '../../src/settings/url.ts'

const codes = (text: string) => parseUrl(text, 'DATABASE_URL').problems.map(({ code }) => code)

describe('a URL that is right', () => {
  test.each([
    ['postgresql://u@db.internal:26258/uro?sslmode=verify-full', 'db.internal', 26258, null],
    ['postgres://u@db.internal/uro', 'db.internal', 26257, null],
    ['postgresql://u:@db.internal:/uro?', 'db.internal', 26257, null],
    ['postgresql://u@[fdaa::3]:1/uro', 'fdaa::3', 1, null],
    ['postgresql://u@[fe80::1%25eth0]/uro', 'fe80::1%eth0', 26257, null],
    ['postgresql://u@[febf::1%251]/uro', 'febf::1%1', 26257, null],
    ['postgresql://u@[fec0::1]/uro', 'fec0::1', 26257, null],
    ['postgresql://u@h/uro?hostaddr=fe80::1%25eth0', 'h', 26257, 'fe80::1%eth0'],
    ['postgresql://u@%5f_x.internal:65535/uro?sslmode=verify-full&', '__x.internal', 65535, null],
    ['postgresql://u@localhost/uro?hostaddr=::1', 'localhost', 26257, '::1'],
    ['postgresql://u@localhost/uro?hostaddr=', 'localhost', 26257, null],
    ['postgresql://u@localhost/uro?hostaddr=%3A%3A1', 'localhost', 26257, '::1'],
  ])('%s', (text, host, port, hostaddr) => {
    expect(parseUrl(text, 'X')).toMatchObject({
      problems: [],
      url: { user: 'u', database: 'uro', endpoints: [{ host, port, hostaddr }] },
    })
  })

  test('several hosts, each with its own port and address to dial', () => {
    const text = 'postgresql://u@a:1,[::1]:2,c/uro?hostaddr=fdaa::1,,fdaa::3'
    expect(parseUrl(text, 'X').url?.endpoints).toEqual([
      { host: 'a', port: 1, hostaddr: 'fdaa::1' },
      { host: '::1', port: 2, hostaddr: null },
      { host: 'c', port: 26257, hostaddr: 'fdaa::3' },
    ])
  })

  test('certificate files', () => {
    const text = 'postgresql://u@h/d?sslrootcert=/a%20b/ca.crt&sslcert=c.crt&sslkey='
    expect(parseUrl(text, 'X').files).toEqual({ sslrootcert: '/a b/ca.crt', sslcert: 'c.crt', sslkey: null })
  })
})

describe('a URL with one fault', () => {
  test.each<readonly [string, string]>([
    ['', 'CONFIG_INVALID'],
    ['"postgresql://u@h/d"', 'CONFIG_INVALID'],
    ['mysql://u@h/d', 'CONFIG_INVALID'],
    ['postgresql:/u@h/d', 'CONFIG_INVALID'],
    ['postgresql://u@h/d\n', 'CONFIG_INVALID'],
    [' postgresql://u@h/d', 'CONFIG_INVALID'],
    ['postgresql://h/d', 'CONFIG_MISSING'],
    ['postgresql://@h/d', 'CONFIG_MISSING'],
    ['postgresql://u@/d', 'CONFIG_MISSING'],
    ['postgresql://u@:26257/d', 'CONFIG_MISSING'],
    ['postgresql://u@[]/d', 'CONFIG_MISSING'],
    ['postgresql://u@a,,b/d', 'CONFIG_MISSING'],
    ['postgresql://u@h', 'CONFIG_MISSING'],
    ['postgresql://u@h/', 'CONFIG_MISSING'],
    ['postgresql://u@h/?sslmode=verify-full', 'CONFIG_MISSING'],
    ['postgresql://u:secret@h/d', 'CONFIG_INSECURE'],
    ['postgresql://u@h/d?password=secret', 'CONFIG_INSECURE'],
    ['postgresql://u@h/d?sslpassword=secret', 'CONFIG_INSECURE'],
    ...['disable', 'allow', 'prefer', 'require', 'verify-ca', 'no-verify', 'VERIFY-FULL', ''].map(
      mode => [`postgresql://u@h/d?sslmode=${mode}`, 'CONFIG_INSECURE'] as const,
    ),
    ['postgresql://u@h/d?host=x', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?user=x', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?port=1', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?options=-c', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?sslmode=verify-full&sslmode=verify-full', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?hostaddr=::1&hostaddr=::1', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?sslmode', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?sslcert=a=b', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?&', 'CONFIG_INVALID'],
    ['postgresql://u@h:0/d', 'CONFIG_INVALID'],
    ['postgresql://u@h:65536/d', 'CONFIG_INVALID'],
    ['postgresql://u@h:-1/d', 'CONFIG_INVALID'],
    ['postgresql://u@h:1e3/d', 'CONFIG_INVALID'],
    ['postgresql://u@h:5432x/d', 'CONFIG_INVALID'],
    ['postgresql://u@::1:26257/d', 'CONFIG_INVALID'],
    ['postgresql://u@fdaa::3/d', 'CONFIG_INVALID'],
    ['postgresql://u@[::1/d', 'CONFIG_INVALID'],
    ['postgresql://u@[::1]5/d', 'CONFIG_INVALID'],
    ['postgresql://u@[::g]/d', 'CONFIG_INVALID'],
    ['postgresql://u@[localhost]/d', 'CONFIG_INVALID'],
    ['postgresql://u@a b/d', 'CONFIG_INVALID'],
    ['postgresql://u@a..b/d', 'CONFIG_INVALID'],
    ['postgresql://u@-a/d', 'CONFIG_INVALID'],
    ['postgresql://u@bücher.internal/d', 'CONFIG_INVALID'],
    ['postgresql://u@%2Fvar%2Frun/d', 'CONFIG_INVALID'],
    ['postgresql://u@1.2.3.4.5/d', 'CONFIG_INVALID'],
    ['postgresql://u@1.2.3.4.0/d', 'CONFIG_INVALID'],
    ['postgresql://u@256.0.0.1/d', 'CONFIG_INVALID'],
    [`postgresql://u@${'a'.repeat(64)}/d`, 'CONFIG_INVALID'],
    [`postgresql://u@${'a.'.repeat(127)}a/d`, 'CONFIG_INVALID'],
    ['postgresql://u@h/a/b', 'CONFIG_INVALID'],
    ['postgresql://u@h/d%zz', 'CONFIG_INVALID'],
    ['postgresql://u@h/d%', 'CONFIG_INVALID'],
    ['postgresql://u@h/d%00', 'CONFIG_INVALID'],
    ['postgresql://u%0a@h/d', 'CONFIG_INVALID'],
    ['postgresql://u@h/%ff', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?hostaddr=localhost', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?hostaddr=[::1]', 'CONFIG_INVALID'],
    ['postgresql://u@h/d?hostaddr=::1,::2', 'CONFIG_INVALID'],
    ...['fe80::1', 'FE80:0:0::1', 'febf:ffff::', 'fe80::192.0.2.1', 'fe%380::1', 'fe80::1%25'].flatMap(
      address =>
        [
          [`postgresql://u@[${address}]/d`, 'CONFIG_INVALID'],
          [`postgresql://u@h/d?hostaddr=${address}`, 'CONFIG_INVALID'],
        ] as const,
    ),
    ['postgresql://u@a,b/d?hostaddr=::1', 'CONFIG_INVALID'],
    ...['127.0.0.1', '10.0.0.1.', '127.1', '0x7f000001', '0X7F.1', '2130706433', '017700000001', '0'].map(
      host => [`postgresql://u@${host}/d`, 'CONFIG_NOT_IPV6'] as const,
    ),
    ['postgresql://u@[127.0.0.1]/d', 'CONFIG_NOT_IPV6'],
    ['postgresql://u@[::ffff:127.0.0.1]/d', 'CONFIG_NOT_IPV6'],
    ['postgresql://u@[0:0::FFFF:7f00:1]/d', 'CONFIG_NOT_IPV6'],
    ['postgresql://u@[64:ff9b::a00:1]/d', 'CONFIG_NOT_IPV6'],
    ['postgresql://u@h/d?hostaddr=10.0.0.1', 'CONFIG_NOT_IPV6'],
    ['postgresql://u@h/d?hostaddr=64:ff9b::10.0.0.1', 'CONFIG_NOT_IPV6'],
  ])('%s → %s', (text, code) => {
    expect(codes(text)).toEqual([code])
    expect(parseUrl(text, 'X').url).toBeNull()
  })

  test('a link-local address is told that it needs a zone, in every place', () => {
    const { problems } = parseUrl('postgresql://u@a,[fe80::1]/d?hostaddr=,fe80::2', 'X')
    const needed = 'which needs a zone, the interface that leads to it: %eth0 (in a URL %25eth0)'
    expect(problems.map(({ message }) => message)).toEqual([
      `has a link-local address as host 2: fe80::1, ${needed}`,
      `has in hostaddr a link-local address: fe80::2, ${needed}`,
    ])
  })

  test('all problems of one URL at once, in reading order', () => {
    expect(codes('postgresql://:pw@127.0.0.1:x/?sslmode=require&foo=1&hostaddr=nope')).toEqual([
      'CONFIG_MISSING',
      'CONFIG_INSECURE',
      'CONFIG_NOT_IPV6',
      'CONFIG_INVALID',
      'CONFIG_MISSING',
      'CONFIG_INVALID',
      'CONFIG_INSECURE',
      'CONFIG_INVALID',
    ])
  })

  test('have each its own next step: never the same for two, and never the one of the code alone', () => {
    const urls = [
      'postgresql://:pw@127.0.0.1:x/?sslmode=require&foo=1&hostaddr=nope',
      'postgresql://u@[fe80::1]/d?sslmode=verify-full&sslmode=verify-full&a',
      'postgresql://u@::1/d/e?hostaddr=::1,::2',
      'mysql://u%@,bad_host/d',
    ]
    for (const url of urls) {
      const { problems } = parseUrl(url, 'X')
      const hints = problems.map(({ code, hint }) => hint ?? CODES[code].hint)
      expect([url, hints.filter((hint, at) => hints.indexOf(hint) !== at)]).toEqual([url, []])
      const own = problems.filter(({ code }) => code !== 'CONFIG_NOT_IPV6')
      expect([url, own.filter(({ hint }) => hint === undefined)]).toEqual([url, []])
    }
  })

  test('what could be read is there for the report', () => {
    expect(parseUrl('postgresql://u@db.internal:5/uro?sslmode=require', 'X').seen).toEqual({
      user: 'u',
      database: 'uro',
      host: 'db.internal',
      port: 5,
    })
  })
})

describe('any text', () => {
  const pieces = fc.constantFrom(
    'postgresql://',
    'u',
    ':',
    '@',
    '/',
    '?',
    '&',
    '=',
    '[',
    ']',
    ',',
    '%',
    '%2',
    '%41',
    '.',
    '::1',
  )
  const anything = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 }))).map(parts => parts.join('')),
  )

  test('is a URL or has problems, never both and never neither', () => {
    fc.assert(
      fc.property(anything, text => {
        for (const candidate of [
          text,
          `postgresql://${text}`,
          `postgresql://u@${text}`,
          `postgresql://u@h/d?${text}`,
        ]) {
          const { url, problems } = parseUrl(candidate, 'X')
          expect(url === null).toBe(problems.length > 0)
          for (const { host, port, hostaddr } of url?.endpoints ?? []) {
            expect(host !== '' && port >= 1 && port <= 65535).toBe(true)
            expect(hostaddr === null || isIPv6(hostaddr)).toBe(true)
            expect([host, hostaddr ?? '::1'].some(text => isIPv4Notation(text) || isWrappedIPv4(text))).toBe(false)
          }
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('is read in linear time', () => {
    const started = performance.now()
    for (const part of ['@', '[', ',', '&', '%', '%41', ':', '/', '=', '0.']) {
      parseUrl(`postgresql://u@${part.repeat(30_000)}`, 'X')
      parseUrl(`postgresql://u@h/d?${part.repeat(30_000)}`, 'X')
    }
    expect(performance.now() - started).toBeLessThan(5000)
  })

  test('never shows the password, wherever it lands', () => {
    const secret = fc.tuple(anything, anything).map(([before, after]) => `${before}S3cr3t-S3cr3t${after}`)
    const prefix = fc.constantFrom(
      'postgresql://u:',
      'postgresql://:',
      'postgres://u%40:',
      'mysql://u:',
      '"postgresql://u:',
      'postgresql:u:',
    )
    const suffix = fc.constantFrom('@h/d', '@h:1/d?sslmode=verify-full', '@[::1]/d', '@127.0.0.1/d', '@', '@h/d?foo=1')
    fc.assert(
      fc.property(prefix, secret, suffix, (before, password, after) => {
        const { url, seen, problems } = parseUrl(before + password + after, 'X')
        expect(url).toBeNull()
        expect(problems.length).toBeGreaterThan(0)
        expect(JSON.stringify([seen, problems])).not.toContain('S3cr3t')
      }),
      { numRuns: 2000 },
    )
    fc.assert(
      fc.property(secret, password => {
        const query = `password=${encodeURIComponent(password)}&passwd=${encodeURIComponent(password)}`
        const { problems } = parseUrl(`postgresql://u@h/d?${query}`, 'X')
        expect(problems.map(({ code }) => code)).toEqual(['CONFIG_INSECURE', 'CONFIG_INVALID'])
        expect(JSON.stringify(problems)).not.toContain('S3cr3t')
      }),
    )
  })
})

const text = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  .filter(value => !/[\p{Cc}\u2028\u2029]/u.test(value))
const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
const literal = groups.map(words => words.map(word => word.toString(16)).join(':'))

test('a well-formed URL comes back as it was put together', () => {
  const label = fc.stringMatching(/^[a-z]([a-z0-9_-]{0,10}[a-z0-9])?$/)
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map(labels => labels.join('.'))
  const isLinkLocal = (value: string) => /^fe[89ab][0-9a-f]:/.test(value)
  const host = fc.oneof(
    name.map(value => ({ host: value, written: value })),
    literal
      .filter(value => !isWrappedIPv4(value) && !isLinkLocal(value))
      .map(value => ({ host: value, written: `[${value}]` })),
  )
  const server = fc.record({ host, port: fc.option(fc.integer({ min: 1, max: 65535 })) })
  fc.assert(
    fc.property(text, text, fc.array(server, { minLength: 1, maxLength: 5 }), (user, database, servers) => {
      const list = servers.map(({ host, port }) => host.written + (port === null ? '' : `:${port}`)).join(',')
      const url = `postgresql://${encodeURIComponent(user)}@${list}/${encodeURIComponent(database)}?sslmode=verify-full`
      expect(parseUrl(url, 'X')).toMatchObject({
        problems: [],
        url: {
          user,
          database,
          endpoints: servers.map(({ host, port }) => ({ host: host.host, port: port ?? 26257, hostaddr: null })),
        },
      })
    }),
  )
})

test.each(["'u", '"u', "'", "u'"])('a quotation mark in a name belongs to it: %s', name => {
  const text = `postgresql://${name}@h/${name}`
  expect(parseUrl(text, 'X')).toMatchObject({ problems: [], url: { user: name, database: name } })
})

/** Textual forms of one address (RFC 4291 2.2): case, leading zeros, `::` at a run of zeros, a dotted tail. */
const forms = (words: readonly number[]): string[] => {
  const hex = words.map(word => word.toString(16))
  const padded = hex.map(word => word.padStart(4, '0'))
  const [high = 0, low = 0] = words.slice(6)
  const dotted = [high >> 8, high & 255, low >> 8, low & 255].join('.')
  const all = [hex.join(':'), padded.join(':').toUpperCase(), `${hex.slice(0, 6).join(':')}:${dotted}`]
  for (let start = 0; start < 8; start++) {
    for (let end = start + 1; end <= 8 && words[end - 1] === 0; end++) {
      all.push(`${hex.slice(0, start).join(':')}::${hex.slice(end).join(':')}`)
      if (end <= 6) all.push(`${hex.slice(0, start).join(':')}::${[...hex.slice(end, 6), dotted].join(':')}`)
    }
  }
  return all.flatMap(form => [form, `${form}%eth0`])
}

const sparse = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })

describe('isIPv6Literal', () => {
  test('takes every form of an address', () => {
    fc.assert(
      fc.property(sparse, words => {
        for (const form of forms(words)) expect([form, isIPv6Literal(form)]).toEqual([form, true])
      }),
    )
  })

  test('takes nothing that is no IPv6 literal', () => {
    for (const none of ['', 'localhost', '127.0.0.1', '[::1]', '::g', '1:2:3', '::1%', '::1%a b', '::1 ', ':::']) {
      expect([none, isIPv6Literal(none)]).toEqual([none, false])
    }
    fc.assert(fc.property(fc.string(), any => void isIPv6Literal(any)))
  })
})

describe('needsZone', () => {
  test('knows fe80::/10 in every form, and no other address', () => {
    const first = fc.oneof(fc.integer({ min: 0xfe00, max: 0xfeff }), fc.integer({ min: 0, max: 0xffff }))
    fc.assert(
      fc.property(first, sparse, (word, [, ...rest]) => {
        const isLinkLocal = word >> 6 === 0xfe80 >> 6
        for (const form of forms([word, ...rest]))
          expect([form, needsZone(form)]).toEqual([form, isLinkLocal && !form.includes('%')])
      }),
    )
  })
})

describe('isWrappedIPv4', () => {
  const tail = fc.tuple(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 0xffff }))

  test('knows the mapped and the NAT64 prefix in every form', () => {
    fc.assert(
      fc.property(tail, fc.constantFrom([0, 0, 0, 0, 0, 0xffff], [0x64, 0xff9b, 0, 0, 0, 0]), (end, start) => {
        for (const form of forms([...start, ...end])) expect([form, isWrappedIPv4(form)]).toEqual([form, true])
      }),
    )
  })

  test('and no other prefix', () => {
    fc.assert(
      fc.property(sparse, words => {
        const start = words.slice(0, 6).join()
        const wrapped = start === '0,0,0,0,0,65535' || start === `${0x64},${0xff9b},0,0,0,0`
        for (const form of forms(words)) expect([form, isWrappedIPv4(form)]).toEqual([form, wrapped])
      }),
    )
  })

  test.each(['::1', '::', 'fdaa::3', '::fffe:1.2.3.4', '::ffff:0:1.2.3.4', '64:ff9b:1::1', '1::ffff:1.2.3.4', 'x'])(
    'says no to %s',
    address => expect(isWrappedIPv4(address)).toBe(false),
  )
})

test('a name is no IPv4 notation, and an IPv4 notation is no name', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-fx.]{1,12}$/)), any => {
      expect(isHostName(any) && isIPv4Notation(any)).toBe(false)
    }),
  )
})
