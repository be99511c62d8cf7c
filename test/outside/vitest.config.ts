/**
 * What needs another program than `npm ci` installs: another Node, iproute2 for the lab, and whatever a test in this
 * directory asks for. `npm run test:outside` runs it on the newest Node; `npm test` leaves it out.
 */
import { defineConfig } from 'vitest/config'
import { OUTSIDE, project, settings } from '../vitest.config.ts'

export default defineConfig({
  test: {
    ...settings,
    // Four workers start processes of every kind: the machine is as busy as it gets.
    testTimeout: 60_000,
    // A schema change is a job on CockroachDB, where there is one: seconds each.
    hookTimeout: 300_000,
    projects: [project('postgresql', { include: [...OUTSIDE, 'test/attribution/**/*.test.ts'], exclude: [] })],
  },
})
