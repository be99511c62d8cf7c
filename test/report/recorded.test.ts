/** The recorded reports are what the probe says today, as far as it says the same in every run. */
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Throwaway } from '../../src/development/throwaway/index.ts'
import { ProbeError } from '../../src/failure/error.ts'
import type { Report } from '../../src/report/report.ts'
import { pemOf } from '../helpers/clients.ts'
import { isInsert, sequenceOf } from '../helpers/faults.ts'
import { CLIENT, days } from '../helpers/pki.ts'
import { startPsql } from '../helpers/psql.ts'
import { cli, migrated, namesOf, proxyTo, run, type TargetVariation, target } from '../helpers/target.ts'
import { newIds, printed, runWitness } from '../helpers/witness.ts'
import { normalised, RECORDED, type Recorded, recorded, recordedFile } from './recorded.ts'

const HOST = 'multiplayer-fabric-crdb.internal'
const OLD_HOST = 'old.internal'

let server: Throwaway
beforeAll(async () => {
  server = await migrated({ engine: 'postgresql', dnsNames: [HOST] })
})
afterAll(() => server?.stop())

const BACK_END = 'multiplayer-fabric-uro'
const names = namesOf({ [HOST]: ['::1'], [OLD_HOST]: ['::1'], [`${BACK_END}.internal`]: ['::1'] })
const options = { deadlineMs: 30_000, writes: 20, visibleWithinMs: 5_000 }
const targetOn = ({ port }: { port: number }, more: TargetVariation = {}, pem = pemOf(server, 'gateway_writer')) =>
  target({ port }, pem, { host: HOST, names, ...options, ...more })

/** Each run, and the port of its target where that is not the server's. */
const RUNS: Readonly<Record<Recorded, () => Promise<Report | { port: number; report: Report }>>> = {
  passing: () => run(targetOn(server)),

  // another name than the certificate's, and a certificate of the client's that ends soon
  async failing() {
    const { chain, key } = await server.clientAuthority.issue({ ...CLIENT, notAfter: days(18.5) })
    const pem = { ca: server.authority.certificate, cert: chain, key }
    return run(targetOn(server, { host: OLD_HOST }, pem))
  },

  // too little on the one hand, too much on the other
  async denied() {
    await server.runAsRoot('REVOKE DELETE ON public.connection_probe FROM gateway_writer', 'uro')
    await server.runAsRoot('GRANT CREATE ON SCHEMA public TO public', 'uro')
    try {
      return await run(targetOn(server))
    } finally {
      await server.runAsRoot('GRANT DELETE ON public.connection_probe TO gateway_writer', 'uro')
      await server.runAsRoot('REVOKE CREATE ON SCHEMA public FROM public', 'uro')
    }
  },

  async 'bad-config'() {
    const { ca, key } = pemOf(server, 'gateway_writer')
    const { stdout } = await cli(['probe', '--json'], {
      DATABASE_URL: `postgresql://gateway_writer:secret@${HOST}/uro?sslmode=require`,
      CRDB_CA_CRT: ca,
      CRDB_CLIENT_WRITER_CRT: pemOf(server, 'gateway_admin').cert,
      CRDB_CLIENT_WRITER_KEY: key,
      CRDB_SNI: 'no name',
    })
    return JSON.parse(stdout)
  },

  async interrupted() {
    const controller = new AbortController()
    const interrupt = (): undefined => {
      controller.abort(new ProbeError('INTERRUPTED', 'interrupted by SIGTERM'))
    }
    await using proxy = await proxyTo(server, {
      onStatement: (sql, params) => (isInsert(sql) && sequenceOf(params) === 7 ? interrupt() : undefined),
    })
    return { port: proxy.port, report: await run(targetOn(proxy), { signal: controller.signal }) }
  },

  // psql stands in for the back end
  async witness() {
    const ids = newIds('postgresql')
    await using psql = await startPsql(server)
    return await runWitness(targetOn(server, { waitMs: 20_000 }), {
      ids,
      app: BACK_END,
      backEnd: () => psql.run(printed(ids)),
    })
  },

  // the same as another role, and without the count of its named statements
  async 'witness-failing'() {
    const ids = newIds('postgresql')
    await using psql = await startPsql(server, { user: 'gateway_admin' })
    return await runWitness(targetOn(server, { waitMs: 20_000 }), { ids, backEnd: () => psql.run(printed(ids)) })
  },
}

test.each(RECORDED)('%s', async name => {
  const ran = await RUNS[name]()
  const { port, report: said } = 'report' in ran ? ran : { port: server.port, report: ran }
  const report = normalised(said, port)
  if (process.env.RECORD === '1') writeFileSync(recordedFile(name), `${JSON.stringify(report, null, 2)}\n`)
  expect(report).toEqual(recorded(name))
})
