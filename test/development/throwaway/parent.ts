/** A process that starts a throwaway server, says where it is, and waits to be ended: argv[2] is startThrowaway's options. */
import { dirname } from 'node:path'
import { startThrowaway } from '../../../src/development/throwaway/index.ts'

const server = await startThrowaway(JSON.parse(process.argv[2] ?? '{}'))
const rows = await server.runAsRoot('SELECT session_user AS who')
process.stdout.write(`${JSON.stringify({ pid: server.pid, directory: dirname(server.certsDir), rows })}\n`)
process.stdin.resume()
