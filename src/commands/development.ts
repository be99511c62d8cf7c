/** Whether the packages are there that a production install leaves out: if one is, so are the others. */
import { createRequire } from 'node:module'
import { build } from '../invocation.ts'
import { UsageError } from './command.ts'

/** @throws UsageError where a command needs them */
export function requireDevelopmentInstall(command: string): void {
  const how = build ? 'a clone of the repository, and npm ci' : 'npm ci without --omit=dev'
  if (build || !hasDrizzleKit()) throw new UsageError(`${command} needs the development install (${how})`)
}

function hasDrizzleKit(): boolean {
  try {
    createRequire(import.meta.url).resolve('drizzle-kit')
    return true
  } catch {
    return false
  }
}
