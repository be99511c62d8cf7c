/** root.ts behind a command prefix: {login, steps} on stdin, {rows} or {error} on stdout, as JSON. */
import { text } from 'node:stream/consumers'
import type { SqlStep } from '../../database/bootstrap/index.ts'
import { type RootLogin, runSteps } from './root.ts'

const { login, steps } = JSON.parse(await text(process.stdin)) as { login: RootLogin; steps: SqlStep[] }
const answer = await runSteps(login, steps).then(
  rows => ({ rows }),
  (error: unknown) => ({ error: String(error) }),
)
process.stdout.write(JSON.stringify(answer))
