import { accessSync, constants, statfsSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

/** Servers' directories go into memory where there is room: a copied data directory is a thousand small files. */
function temporaryDirectory(): string | undefined {
  const memory = '/dev/shm'
  try {
    accessSync(memory, constants.W_OK | constants.X_OK)
    const { bavail, bsize } = statfsSync(memory)
    return bavail * bsize > 2 * 1024 ** 3 ? memory : undefined
  } catch {
    return undefined
  }
}

const TMPDIR = process.env.TMPDIR ?? temporaryDirectory()
if (TMPDIR !== undefined) process.env.TMPDIR = TMPDIR

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    pool: 'forks',
    // Two cores, and much of the time is spent waiting for servers.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
