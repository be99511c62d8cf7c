#!/usr/bin/env node
// Behaves like `cockroach start-single-node`, `start --join` and `init` as far as src/development/throwaway/cockroach.ts can see:
// takes a free port, writes the listening-url file, does mutual TLS with the --certs-dir and answers simple queries.
// What it was given and asked is appended to FAKE_RECORD, one JSON object a line.
//
//   FAKE_MODE  absent: stops at SIGTERM · stubborn: only SIGKILL stops it · broken: prints an error and ends
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'

const [command, ...flags] = process.argv.slice(2)
const flag = name => flags.find(text => text.startsWith(`--${name}=`))?.slice(name.length + 3) ?? ''
const record = what => appendFileSync(process.env.FAKE_RECORD, `${JSON.stringify(what)}\n`)
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(COCKROACH|PG)/.test(name)))
record({ command, flags, environment, cwd: process.cwd() })

if (command === 'init') process.exit(0)
if (process.env.FAKE_MODE === 'broken') {
  process.stderr.write('initializing\nERROR: this version cannot be started\nFailed running "start-single-node"\n')
  process.exit(1)
}
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    record({ signal })
    if (process.env.FAKE_MODE !== 'stubborn') process.exit(0)
  })
}

const message = (type, body) => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length + 4)
  return Buffer.concat([Buffer.from(type), length, body])
}
const text = value => Buffer.from(`${value}\0`)
const int16 = value => Buffer.from([value >> 8, value & 255])
const int32 = value => Buffer.concat([int16(value >> 16), int16(value & 0xffff)])
const READY = message('Z', Buffer.from('I'))
const ROW = Buffer.concat([
  message(
    'T',
    Buffer.concat([int16(1), text('version'), int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)]),
  ),
  message('D', Buffer.concat([int16(1), int32(14), Buffer.from('CockroachDB v0')])),
])

function serve(stream) {
  let bytes = Buffer.alloc(0)
  let started = false
  stream.on('error', () => {})
  stream.on('data', data => {
    bytes = Buffer.concat([bytes, data])
    for (;;) {
      const head = started ? 1 : 0
      if (bytes.length < head + 4) return
      const end = head + bytes.readInt32BE(head)
      if (bytes.length < end) return
      const [type, body] = [String.fromCharCode(bytes[0]), bytes.subarray(head + 4, end)]
      bytes = bytes.subarray(end)
      if (!started) {
        started = true
        stream.write(Buffer.concat([message('R', int32(0)), READY]))
      } else if (type === 'Q') {
        const sql = body.subarray(0, -1).toString()
        if (sql !== 'SELECT 1') record({ user: stream.getPeerCertificate().subject.CN, sql })
        stream.write(Buffer.concat([...(sql.startsWith('SELECT') ? [ROW] : []), message('C', text('OK')), READY]))
      }
    }
  })
}

const certificate = name => readFileSync(join(flag('certs-dir'), name))
const tls = { isServer: true, requestCert: true, rejectUnauthorized: true, ca: certificate('ca.crt') }
const server = createServer(socket => {
  socket.once('data', () => {
    socket.write('S')
    serve(new TLSSocket(socket, { ...tls, cert: certificate('node.crt'), key: certificate('node.key') }))
  })
})
const [, host, port] = /^\[(.*)\]:(\d+)$/.exec(flag('listen-addr'))
server.listen(Number(port), host, () => {
  writeFileSync(flag('pid-file'), String(process.pid))
  writeFileSync(
    flag('listening-url-file'),
    `postgresql://root@[${host}]:${server.address().port}/defaultdb?sslmode=x\n`,
  )
})
