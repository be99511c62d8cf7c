/** Programs of others that have to be installed first: not part of `npm test`. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/outside/**/*.test.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    provide: { engine: 'postgresql' },
    pool: 'forks',
    testTimeout: 30_000,
    // A schema change is a job on CockroachDB: seconds each.
    hookTimeout: 300_000,
  },
})
