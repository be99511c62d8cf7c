/** The reports that the reporters' golden files are made from: recorded ones, and one of a server that means ill. */
import { checksOf } from '../../src/checks/index.ts'
import { openEvidence, ProbeError } from '../../src/failure/error.ts'
import { assembleReport, type Report, type Run } from '../../src/report/report.ts'
import { RECORDED, recorded } from './recorded.ts'

const ESC = '\u001b'
/** What a hostile server may say: it clears the screen, sets the title, and turns the text into a passing line. */
export const HOSTILE = [
  `${ESC}[2J${ESC}[1;1H√ all is well${ESC}[0m`,
  `${ESC}]0;owned\u0007title`,
  `${ESC}]8;;https://evil.example${ESC}\\link${ESC}]8;;${ESC}\\`,
  'first\r\nsecond\u2028third\u0085fourth',
  'a | b ` c <img src=x onerror=alert(1)> [x](javascript:1) **bold** # head',
  'right\u202eto left\u2066\u200b, \u009b31mC1, lone \ud800 half',
].join(' ~ ')

const hostile = new ProbeError('TLS_NOT_POSTGRES', `the server said ${HOSTILE}`, {
  cause: Object.assign(new Error(`${HOSTILE}${'x'.repeat(3000)}`), { code: HOSTILE }),
  evidence: { banner: HOSTILE, [`key ${HOSTILE}`]: { nested: HOSTILE }, long: 'y'.repeat(5000) },
})

/** A recorded report of a failed handshake, in which everything that a server or a machine says is hostile. */
function hostileReport(): Report {
  const report = recorded('failing')
  const { target, origin } = report
  const run: Run & Pick<Report, 'timeline'> = {
    ...report,
    target: { ...target, engine: HOSTILE, tlsName: HOSTILE, database: HOSTILE, user: HOSTILE },
    origin: { ...origin, hostname: HOSTILE, region: HOSTILE },
    warnings: [{ code: 'NODE_CERT_USAGE', message: HOSTILE }],
  }
  const checks = report.checks.map(check =>
    check.id === 'tls' ? { ...check, evidence: openEvidence(hostile.evidence), failure: hostile.toFailure() } : check,
  )
  return assembleReport(run, checksOf(false), checks)
}

/** By the name of their golden files. */
export const SAMPLES: Readonly<Record<string, Report>> = {
  ...Object.fromEntries(RECORDED.map(name => [name, recorded(name)])),
  hostile: hostileReport(),
}
