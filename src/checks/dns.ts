import { defineCheck } from './check.ts'
import { config } from './config.ts'

export const dns = defineCheck({
  id: 'dns',
  layer: 'dns',
  criterion: null,
  needs: { config },
  title: 'the host has an IPv6 address',
  async run({ dialler }) {
    const { endpoints, evidence } = await dialler.lookUp()
    return { evidence, found: { endpoints } }
  },
})
