/** Free ports: PostgreSQL has no port 0, and a cluster's nodes must know each other's. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** A port that nobody listens on at this address now; somebody may in the next moment, so be ready to try another. */
export async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server without a port')
  return address.port
}

/** Whether somebody listens on this address and port. */
export async function portTaken(host: string, port: number): Promise<boolean> {
  const server = createServer().listen(port, host)
  try {
    await once(server, 'listening')
    server.close()
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
  }
}
