import { engineName, engineOf } from '../database/engine.ts'
import { defineCheck } from './check.ts'
import { stageOutcome } from './stage.ts'
import { tcp } from './tcp.ts'
import { tls } from './tls.ts'

export const session = defineCheck({
  id: 'session',
  layer: 'session',
  criterion: 'mtls',
  needs: { tls, tcp },
  title: 'the server accepts the client certificate as the user',
  async run({ warn }, { tcp: { opened, second } }) {
    const { startup } = opened
    // A server that refuses before it has sent its parameters has not said what it is.
    if (startup && engineName(startup) !== null && engineOf(startup).id !== 'cockroachdb')
      warn('ENGINE_NOT_COCKROACHDB', 'the server is PostgreSQL, not CockroachDB')
    return stageOutcome(opened, 'session', { opened, second })
  },
})
