/** Name lookups that end soon after the probe has given them up. */
import { waitMsOf } from '../budget.ts'
import type { ProbeConfig } from '../settings/config.ts'

/**
 * A lookup cannot be cancelled, and process.exit() waits for the thread that getaddrinfo blocks (libuv): with a silent
 * resolver for 10 s and more. glibc takes its timeout from RES_OPTIONS (resolv.conf(5)).
 */
export function boundLookups({ options }: Pick<ProbeConfig, 'options'>): void {
  process.env.RES_OPTIONS ??= `timeout:${Math.ceil(waitMsOf(options.deadlineMs) / 2000)} attempts:2`
}
