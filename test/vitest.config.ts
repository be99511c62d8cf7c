import { accessSync, constants, statfsSync } from 'node:fs'
import { defineConfig } from 'vitest/config'
import { type Engine, findCockroach } from '../src/development/throwaway/index.ts'

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

/** What is about the database, and runs on every engine there is; the rest needs no engine or plays one itself. */
const ABOUT_THE_DATABASE = [
  'test/probe.test.ts',
  'test/database/{migrate,tables}.test.ts',
  'test/checks/{ledger,addresses}.test.ts',
  'test/signals.test.ts',
  'test/bundle.test.ts',
  'test/bootstrap.test.ts',
  'test/schema-column.test.ts',
  'test/witness/{session,waiting,command}.test.ts',
  'test/lab/lab.test.ts',
  'test/attribution/{schema,privileges,writes,lost-link,visibility,reuse,liars,poolers}.test.ts',
]
/** What only a real CockroachDB can be asked. */
const COCKROACH_ONLY = 'test/cockroach/**/*.test.ts'
/** What needs another program than npm installs, or takes long (test/outside/vitest.config.ts). */
export const OUTSIDE = [
  'test/outside/**/*.test.ts',
  'test/lab/**/*.test.ts',
  // npm itself, a user of the system, drizzle-kit as a process
  'test/{nodes,production,ordinary-user,schema-column}.test.ts',
  'test/development/drizzle-config.test.ts',
  // a minute of servers that say anything
  'test/hostile/**/*.test.ts',
  // psql
  'test/witness/{session,waiting}.test.ts',
  // the servers and helpers of the tests themselves
  'test/{development/throwaway,helpers}/**/*.test.ts',
]

export const project = (engine: Engine, test: object) => ({
  extends: true as const,
  test: { name: engine, provide: { engine }, ...test },
})

/** What both configurations have. */
export const settings = {
  globalSetup: ['test/helpers/global-setup.ts'],
  pool: 'forks' as const,
  // A process for each file would load and compile the same modules sixty times over.
  isolate: false,
  // Two cores, and more than half of the time is spent waiting for servers.
  maxWorkers: 4,
  testTimeout: 30_000,
  hookTimeout: 60_000,
}

export default defineConfig({
  test: {
    ...settings,
    projects: [
      project('postgresql', { include: ['test/**/*.test.ts'], exclude: [COCKROACH_ONLY, ...OUTSIDE] }),
      // COCKROACH_BINARY set and unusable throws here: the run fails, it does not pass over an engine.
      ...(findCockroach() === null
        ? []
        : [
            project('cockroachdb', {
              include: [...ABOUT_THE_DATABASE, COCKROACH_ONLY],
              // A schema change is a job there: seconds each, where PostgreSQL takes milliseconds.
              testTimeout: 180_000,
              hookTimeout: 300_000,
            }),
          ]),
    ],
  },
})
