import type { Opened } from '../session/open.ts'
import { EXPIRES_SOON_DAYS } from '../settings/lint.ts'
import { type Context, defineCheck } from './check.ts'
import { stageOutcome } from './stage.ts'
import { tcp } from './tcp.ts'

/** Warnings about the server's certificate. */
function warnOfCertificate({ warn }: Context, { handshake }: Opened): void {
  if (!handshake) return
  const { expires, usages } = handshake.server
  const days = (expires.getTime() - Date.now()) / 86_400_000
  if (days < EXPIRES_SOON_DAYS)
    warn('CERT_EXPIRES_SOON', `the server's certificate expires ${expires.toISOString()}, in ${Math.floor(days)} days`)
  if (usages && !usages.includes('clientAuth'))
    warn('NODE_CERT_USAGE', "the server's certificate lacks clientAuth, which CockroachDB needs between nodes")
}

export const tls = defineCheck({
  id: 'tls',
  layer: 'tls',
  criterion: 'mtls',
  needs: { tcp },
  title: 'the server speaks TLS, and its certificate is trusted, valid, names the host and is for servers',
  async run(context, { tcp: { opened } }) {
    warnOfCertificate(context, opened)
    return stageOutcome(opened, 'tls', {})
  },
})
