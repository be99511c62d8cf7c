/** What a run noticed on its way that fails nothing. */
import { engineOf } from '../engine.ts'
import type { Warning } from '../report/report.ts'
import type { Path } from '../session/path.ts'

/** A certificate this near its end is worth a warning, days. */
const EXPIRY_DAYS = 30

/** Warnings about the server, its certificate and its address. */
export function pathWarnings({ opened }: Path): Warning[] {
  const warnings: Warning[] = []
  if (!opened) return warnings
  const { handshake, startup, address } = opened
  if (handshake) {
    const days = (handshake.server.expires.getTime() - Date.now()) / 86_400_000
    if (days < EXPIRY_DAYS)
      warnings.push({
        code: 'CERT_EXPIRES_SOON',
        message: `the server's certificate expires ${handshake.server.expires.toISOString()}, in ${Math.floor(days)} days`,
      })
    const { usages } = handshake.server
    if (usages && !usages.includes('clientAuth'))
      warnings.push({
        code: 'NODE_CERT_USAGE',
        message: "the server's certificate lacks clientAuth, which CockroachDB needs between nodes",
      })
  }
  // fdaa::/16 (facts/fly-6pn.md); a literal may be written with leading zeros.
  if (!/^fdaa:/i.test(address))
    warnings.push({ code: 'ADDRESS_NOT_6PN', message: `${address} is outside fdaa::/16, Fly's private network` })
  if (startup?.authenticated && engineOf(startup).id !== 'cockroachdb')
    warnings.push({ code: 'ENGINE_NOT_COCKROACHDB', message: 'the server is PostgreSQL, not CockroachDB' })
  return warnings
}
