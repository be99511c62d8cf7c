/**
 * A password that is stored for the user lets in whoever knows it, without a certificate. CockroachDB tells by how it
 * goes on after our answer to its challenge: played with its bytes, since a role of ours has none.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import type { Act } from '../helpers/acts.ts'
import { cockroachServer } from '../helpers/cockroach.ts'
import { makePki, type Pki } from '../helpers/pki.ts'
import { refusal, scriptedServer } from '../helpers/scripted.ts'
import { run, target } from '../helpers/target.ts'
import { check } from '../helpers/verdict.ts'
import { challenge, message } from '../helpers/wire.ts'

let pki: Pki
beforeAll(async () => {
  pki = await makePki()
})

/** AuthenticationSASLContinue: the server has looked up a password to go on with. */
const saslContinue = message('R', Buffer.of(0, 0, 0, 11), Buffer.from('r=nonce,s=c2FsdA==,i=4096'))

const LOGINS = { withoutCertificate: true, withoutTls: false } as const
type Login = keyof typeof LOGINS

/** What the check says where one of its logins is answered so, and the other one as a node answers it. */
async function certificateRequired(login: Login, onStartup: Act, onPassword?: Act) {
  const tls = LOGINS[login]
  await using server = await cockroachServer({
    tls: pki.server,
    onStartup: ({ peer, protocol }) => (peer === undefined && (protocol !== undefined) === tls ? onStartup : undefined),
    ...(onPassword && { onPassword }),
  })
  const { status, evidence, failure } = check(await run(target(server, pki.pem)), 'certificate-required')
  const { passwordStored } = evidence[login] as { passwordStored: unknown }
  return { status, passwordStored, code: failure?.code, message: failure?.message, hint: failure?.hint }
}

describe.each(Object.keys(LOGINS) as Login[])('CockroachDB, %s', login => {
  const sasl = { send: challenge(10) } as const

  test('goes on with the password: one is stored', async () => {
    const said = await certificateRequired(login, sasl, { send: saslContinue, next: 'silent' })
    expect(said).toMatchObject({ status: 'failed', passwordStored: true, code: 'CERTLESS_LOGIN_ALLOWED' })
    expect(said.message).toMatch(/^gateway_writer has a password, so a login without (a certificate|TLS) is possible$/)
    expect(said.hint).toContain('ALTER ROLE gateway_writer WITH PASSWORD NULL')
  })

  test('asks for it in clear text: one may be stored', async () => {
    const said = await certificateRequired(login, { send: challenge(3) })
    expect(said).toMatchObject({ status: 'failed', passwordStored: 'perhaps', code: 'CERTLESS_LOGIN_ALLOWED' })
    expect(said.message).toContain('in clear text')
  })

  test.each(['28000', '28P01'])('refuses our answer with %s: none is', async sqlstate => {
    const onPassword = refusal(sqlstate, 'password authentication failed for user gateway_writer')
    expect(await certificateRequired(login, sasl, onPassword)).toMatchObject({
      status: 'passed',
      passwordStored: false,
    })
  })

  test('asks for it by a way that is not answered: not known, and nobody was let in', async () => {
    expect(await certificateRequired(login, { send: challenge(5) })).toMatchObject({
      status: 'passed',
      passwordStored: null,
    })
  })

  test.each([
    ['a close', 'close', 'SESSION_CLOSED'],
    ['draining', refusal('57P01', 'server is not accepting clients, try another node'), 'SERVER_DRAINING'],
  ] as const)('ends otherwise after our answer, by %s: its own cause', async (_name, onPassword, code) => {
    expect(await certificateRequired(login, sasl, onPassword)).toMatchObject({
      status: 'failed',
      passwordStored: null,
      code,
    })
  })
})

test('PostgreSQL, which goes on in either case, is not answered', async () => {
  await using server = await scriptedServer({
    tls: pki.server,
    onStartup: ({ peer }) => (peer === undefined ? { send: challenge(10) } : undefined),
    onPassword: { send: saslContinue, next: 'silent' },
  })
  expect(check(await run(target(server, pki.pem)), 'certificate-required')).toMatchObject({
    status: 'passed',
    evidence: { withoutCertificate: { passwordStored: null }, withoutTls: { passwordStored: null } },
  })
  expect(server.sessions.map(({ passwords }) => passwords)).not.toContain(1)
})
