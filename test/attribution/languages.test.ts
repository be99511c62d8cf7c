/**
 * A PostgreSQL that speaks another language (lc_messages): what a 15.18 said, field by field. What decides does not depend
 * on the language; where nothing does, both causes are named.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { makePki, type Pki } from '../helpers/pki.ts'
import { scriptedServer } from '../helpers/scripted.ts'
import { run, target } from '../helpers/target.ts'
import { check, type Expected, expectVerdict } from '../helpers/verdict.ts'
import { authenticationOk, errorResponse } from '../helpers/wire.ts'

let pki: Pki
beforeAll(async () => {
  pki = await makePki()
})

/** Where in PostgreSQL's source it is said, and what it comes to, whatever the words are. */
const CASES = {
  unknown: { F: 'miscinit.c', L: '768', R: 'InitializeSessionUserId' },
  nologin: { F: 'miscinit.c', L: '821', R: 'InitializeSessionUserId' },
  certificate: { F: 'auth.c', L: '428', R: 'ClientAuthentication' },
  unruled: { F: 'auth.c', L: '544', R: 'ClientAuthentication' },
  rejected: { F: 'auth.c', L: '476', R: 'ClientAuthentication' },
  identity: { F: 'auth.c', L: '334', R: 'auth_failed' },
} as const
type Case = keyof typeof CASES

const BOTH: Omit<Expected, 'check'> = {
  code: 'AUTH_LOGIN_DENIED',
  message: /the role does not exist, or it may not log in/,
  hint: /CREATE ROLE .* ALTER ROLE/,
}
const EXPECTED: Readonly<Record<Case, Omit<Expected, 'check'>>> = {
  unknown: BOTH,
  nologin: BOTH,
  certificate: { code: 'AUTH_NO_CERTIFICATE' },
  unruled: { code: 'AUTH_LOGIN_DENIED', hint: /^pg_hba\.conf has no rule/ },
  rejected: { code: 'AUTH_LOGIN_DENIED', hint: /^pg_hba\.conf has no rule/ },
  identity: { code: 'AUTH_IDENTITY', hint: /^the certificate names gateway_writer, and a rule or a map/ },
}

/** Field M, by language. */
const SAID: Readonly<Record<string, Readonly<Partial<Record<Case, string>>>>> = {
  German: {
    unknown: 'Rolle »gateway_writer« existiert nicht',
    nologin: 'Rolle »gateway_writer« hat keine Berechtigung zum Einloggen',
    certificate: 'Verbindung erfordert ein gültiges Client-Zertifikat',
    unruled: 'kein pg_hba.conf-Eintrag für Host »::1«, Benutzer »gateway_writer«, Datenbank »uro«, SSL-Verschlüsselung',
    rejected:
      'pg_hba.conf lehnt Verbindung ab für Host »::1«, Benutzer »gateway_writer«, Datenbank »uro«, SSL-Verschlüsselung',
    identity: 'Zertifikatauthentifizierung für Benutzer »gateway_writer« fehlgeschlagen',
  },
  French: {
    unknown: "le rôle « gateway_writer » n'existe pas",
    nologin: "le rôle « gateway_writer » n'est pas autorisé à se connecter",
    certificate: 'la connexion requiert un certificat client valide',
    unruled:
      "aucune entrée dans pg_hba.conf pour l'hôte « ::1 », utilisateur « gateway_writer »,\nbase de données « uro », chiffrement SSL",
    rejected:
      "pg_hba.conf rejette la connexion pour l'hôte « ::1 », utilisateur « gateway_writer », base\nde données « uro », chiffrement SSL",
    identity: "authentification par le certificat échouée pour l'utilisateur « gateway_writer »",
  },
  Japanese: {
    unknown: 'ロール"gateway_writer"は存在しません',
    nologin: 'ロール"gateway_writer"はログインが許可されません',
    certificate: 'この接続には有効なクライアント証明が必要です',
  },
}

describe.each(Object.entries(SAID))('in %s', (_language, said) => {
  test.each(Object.entries(said) as [Case, string][])('%s', async (name, M) => {
    const { R, F, L } = CASES[name]
    const error = errorResponse({ S: 'FATAL', V: 'FATAL', C: '28000', M, F, L, R })
    const isLetIn = R === 'InitializeSessionUserId'
    await using server = await scriptedServer({
      tls: pki.server,
      onStartup: { send: [...(isLetIn ? [authenticationOk()] : []), error], next: 'close' },
    })
    const report = await run(target(server, pki.pem))
    expectVerdict(report, { check: 'session', sqlstate: '28000', ...EXPECTED[name] })
    expect(check(report, 'session').evidence).toMatchObject({ routine: R })
  })
})

// A server that is not in UTF-8 says it in its own encoding before it knows ours.
test('in German, in LATIN1', async () => {
  const M = Buffer.from('Verbindung erfordert ein gültiges Client-Zertifikat', 'latin1')
  const fields = [['SFATAL'], ['VFATAL'], ['C28000'], ['M', M], ['Fauth.c'], ['L428'], ['RClientAuthentication']]
  const body = Buffer.concat([
    ...fields.flatMap(parts => [...parts.map(part => Buffer.from(part as string)), Buffer.alloc(1)]),
    Buffer.alloc(1),
  ])
  const head = Buffer.from('E\0\0\0\0')
  head.writeInt32BE(body.length + 4, 1)
  await using server = await scriptedServer({
    tls: pki.server,
    onStartup: { send: Buffer.concat([head, body]), next: 'close' },
  })
  expectVerdict(await run(target(server, pki.pem)), { check: 'session', code: 'AUTH_NO_CERTIFICATE' })
})
