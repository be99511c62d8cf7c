/**
 * `--all-addresses` against a thousand addresses: one server that listens on all of them, in a network namespace of
 * its own whose loopback takes a whole prefix (Linux, root).
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ROOT } from './bed.ts'
import type { Section } from './main.ts'

export const addresses: Section = async print => {
  const name = `cp-bench-${process.pid}`
  const made = spawnSync('ip', ['netns', 'add', name])
  if (made.status !== 0) return print('network namespaces: not to be had here\n')
  try {
    for (const words of [
      ['link', 'set', 'lo', 'up'],
      ['-6', 'route', 'add', 'local', 'fdaa:0:1::/112', 'dev', 'lo'],
    ])
      spawnSync('ip', ['-n', name, ...words])
    const script = fileURLToPath(new URL('./addresses-main.ts', import.meta.url))
    const child = spawn('ip', ['netns', 'exec', name, process.execPath, '--import', 'tsx', script], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      out += text
    })
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`the measurement ended with ${code}`)
    await print(out)
  } finally {
    spawnSync('ip', ['netns', 'del', name])
  }
}
