import { engineName } from '../database/engine.ts'
import { defineCheck } from './check.ts'
import { dns } from './dns.ts'
import { stageOutcome } from './stage.ts'

/** Dials the whole path; what its later stages came to is theirs to say. */
export const tcp = defineCheck({
  id: 'tcp',
  layer: 'tcp',
  criterion: null,
  needs: { dns },
  title: 'a TCP connection over IPv6 opens',
  async run(context, { dns: { endpoints } }) {
    const { opened, tried, second } = await context.dialler.openPath(endpoints)
    const { host, address, stages, startup } = opened
    const isConnected = stages.tcp?.error === null
    const { port, tlsName } = host
    context.reached({
      ...{ host: host.host, port, tlsName },
      ...{ address: isConnected ? address : null, engine: engineName(startup) },
    })
    // fdaa::/16 is Fly's; a literal may be written with leading zeros.
    if (!/^fdaa:/i.test(address))
      context.warn('ADDRESS_NOT_6PN', `${address} is outside fdaa::/16, Fly's private network`)
    if (second) context.atEnd(() => second.abandon())
    return stageOutcome(opened, 'tcp', { opened, tried, second }, { tried })
  },
})
