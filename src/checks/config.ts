import { defineCheck } from './check.ts'

/** A configuration that could not be read never comes here: its report is made of what is wrong with it. */
export const config = defineCheck({
  id: 'config',
  layer: 'config',
  criterion: null,
  needs: {},
  title: "the settings are complete and the client's certificate and key fit together",
  run: async ({ config }) => ({ evidence: config.evidence, found: {} }),
})
