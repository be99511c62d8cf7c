/**
 * `--all-addresses` against a thousand addresses: one server that listens on all of them, in a network namespace of
 * its own whose loopback takes a whole prefix (Linux, root).
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ROOT } from './bed.ts'
import type { Section } from './section.ts'

export const addresses: Section = async print => {
  if (spawnSync('unshare', ['-n', 'true']).status !== 0) return print('network namespaces: not to be had here\n')
  const script = fileURLToPath(new URL('./addresses-main.ts', import.meta.url))
  // Without a name of its own the namespace goes with the process, however that ends.
  const inside = 'ip link set lo up && ip -6 route add local fdaa:0:1::/112 dev lo && exec "$@"'
  const words = ['-n', 'sh', '-c', inside, 'sh', process.execPath, '--import', 'tsx', script]
  const child = spawn('unshare', words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    out += text
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`the measurement ended with ${code}`)
  await print(out)
}
