/** The id of the row that the back end writes: the run's id gives it, so that whoever has the one has the other. */
import { createHash } from 'node:crypto'

/** The row's id, for a run's: a name-based UUID (RFC 9562, 5.5), the run's id being its namespace. */
export function rowIdOf(runId: string): string {
  const namespace = Buffer.from(runId.replaceAll('-', ''), 'hex')
  const hash = createHash('sha1').update(namespace).update('the row of the witness').digest().subarray(0, 16)
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6)
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8)
  return hash.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
