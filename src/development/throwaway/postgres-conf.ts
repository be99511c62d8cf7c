/** postgresql.conf and pg_hba.conf of the throwaway server. */
import { chown, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDirectory } from './account.ts'
import type { Certificates } from './certificates.ts'
import type { Account } from './supervisor.ts'
import type { ThrowawayOptions } from './types.ts'

/** Nothing here is to survive a crash, and messages are the same on every machine. */
const SETTINGS = {
  unix_socket_directories: '',
  ssl: 'on',
  ssl_min_protocol_version: 'TLSv1.2',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  // in the data directory, so that nothing stays in /dev/shm
  dynamic_shared_memory_type: 'mmap',
  shared_buffers: '16MB',
  io_method: 'sync',
  lc_messages: 'C',
  timezone: 'UTC',
  log_timezone: 'UTC',
} as const

/** root bootstraps, everybody else comes with a certificate, and there is no other way in. */
const ROOT_RULE = 'hostssl all root all cert'
const RULES = ['hostssl all all all cert'] as const

/** Writes `dir`: the server's own copy of its certificate and key, and its configuration. */
export async function writeServerFiles(
  dir: string,
  account: Account | null,
  certificates: Certificates,
  options: ThrowawayOptions,
): Promise<void> {
  await makeDirectory(dir, account)
  const path = (name: string): string => join(dir, name)
  await writeFile(path('server.crt'), certificates.node.chain)
  await writeFile(path('server.key'), certificates.node.key, { mode: 0o600 })
  await writeFile(path('ca.crt'), certificates.clientAuthority.certificate)
  await writeFile(path('pg_hba.conf'), `${[ROOT_RULE, ...(options.hba ?? RULES)].join('\n')}\n`)
  await writeFile(path('pg_ident.conf'), '')
  const settings = {
    ...SETTINGS,
    listen_addresses: (options.listen ?? ['::1']).join(','),
    ssl_cert_file: path('server.crt'),
    ssl_key_file: path('server.key'),
    ssl_ca_file: path('ca.crt'),
    hba_file: path('pg_hba.conf'),
    ident_file: path('pg_ident.conf'),
    ...options.settings,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`)
  await writeFile(path('postgresql.conf'), `${lines.join('\n')}\n`)
  if (!account) return
  for (const name of await readdir(dir)) await chown(path(name), account.uid, account.gid)
}
