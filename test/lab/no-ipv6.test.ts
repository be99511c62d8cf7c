/** A host on which IPv6 is switched off, as a kernel's default or a container's: a network namespace of its own. */
import { spawn } from 'node:child_process'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import type { Report } from '../../src/report/report.ts'
import { makePki, type Pki } from '../helpers/pki.ts'
import { ended } from '../helpers/process.ts'
import { settings } from '../helpers/target.ts'
import { expectVerdict } from '../helpers/verdict.ts'
import { findWay } from './host.ts'

const found = await findWay()

/** Switches IPv6 off for every interface that there is and will be. */
const OFF = ['all', 'default', 'lo'].map(name => `net.ipv6.conf.${name}.disable_ipv6=1`).join(' ')
const HINT = /^IPv6 is switched off on this host/

describe.skipIf('obstacle' in found)('IPv6 switched off', () => {
  let pki: Pki
  beforeAll(async () => {
    pki = await makePki()
  })

  /** Probes from there; `/etc/hosts` and resolv.conf are these. */
  async function probe(host: string, files: Readonly<Record<string, string>> = {}): Promise<Report> {
    const { PATH = '', HOME = '/' } = process.env
    const mounted = Object.entries(files).map(
      ([name, text]) => `mount -t tmpfs none /mnt && printf '${text}\\n' > /mnt/f && mount --bind /mnt/f /etc/${name}`,
    )
    const text = ['ip link set lo up', `sysctl -qw ${OFF}`, ...mounted, 'exec "$@"'].join(' && ')
    const isRoot = 'way' in found && found.way === 'root'
    const words = [process.execPath, inject('bundle'), 'probe', '--json', '--deadline', '4']
    const unshare = ['-n', '-m', ...(isRoot ? [] : ['-U', '-r'])]
    const child = spawn('unshare', [...unshare, 'sh', '-c', text, 'sh', ...words], {
      env: { PATH: `${PATH}:/usr/sbin:/sbin`, HOME, ...settings({ port: 26257, host, pem: pki.pem }) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { stdout, stderr } = await ended(child)
    expect(stdout, stderr).toMatch(/^\{/)
    return JSON.parse(stdout)
  }

  test.each(['[::1]', '[fdaa::3]', '[fe80::1%25lo]'])('%s', async host => {
    const message = /cannot be reached: this host has no IPv6 address, not even ::1$/
    expectVerdict(await probe(host), { check: 'tcp', code: 'TCP_UNREACHABLE', hint: HINT, message })
  })

  test('a name that /etc/hosts knows', async () => {
    const report = await probe('db.internal', { hosts: 'fdaa::3 db.internal' })
    expectVerdict(report, { check: 'tcp', code: 'TCP_UNREACHABLE', hint: HINT })
  })

  test('a name that only a resolver over IPv6 knows', async () => {
    const report = await probe('db.internal', { 'resolv.conf': 'nameserver fdaa::3' })
    expectVerdict(report, { check: 'dns', code: 'DNS_FAILED', hint: HINT })
  })
})
