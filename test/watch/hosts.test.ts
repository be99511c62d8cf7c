import { expect, test } from 'vitest'
import { isServed, oneSpelling } from '../../src/watch/hosts.ts'

const names = new Set(['probe.internal', '10.0.0.1'].map(oneSpelling))

test.each([
  ['[::1]:9464', '::1'],
  ['[::1]', '::1'],
  ['[0:0:0:0:0:0:0:1]:80', '::1'],
  ['[FDAA:0:1::3]:9464', 'fdaa:0:1::3'],
  // The socket is for both kinds of address, and Fly's checks come by IPv4.
  ['172.19.0.2:9464', '::ffff:172.19.0.2'],
  ['[::ffff:172.19.0.2]:9464', '::ffff:172.19.0.2'],
  ['[fe80::1]:9464', 'fe80::1%eth0'],
  ['probe.internal', '::1'],
  ['Probe.Internal.:9464', '::1'],
  ['10.0.0.1:80', '::1'],
])('%s is served at %s', (host, local) => {
  expect(isServed(host, local, names)).toBe(true)
})

test.each([
  '',
  'localhost:9464',
  'evil.example',
  '[::2]:9464',
  '127.0.0.1:9464',
  '::1',
  '[::1',
  '[::1]x',
  '[::1]:x',
  'probe.internal.evil.example',
  'probe.internal:80:80',
  'probe.internal/',
  'user@probe.internal',
])('%s is not served at ::1', host => {
  expect(isServed(host, '::1', names)).toBe(false)
})
