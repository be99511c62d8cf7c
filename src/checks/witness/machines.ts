/** The machines of an app: AAAA of APP.internal. */
import { resolve } from '../../dial/resolve.ts'
import { asProbeError } from '../../failure/error.ts'
import type { Context } from '../check.ts'

/** Their addresses. Rejects with a ProbeError for what became of the lookup. */
export async function machinesOf({ config, budget }: Context, app: string): Promise<readonly string[]> {
  const name = `${app}.internal`
  const host = { host: name, port: 0, hostaddr: null, tlsName: name }
  return (await resolve(host, config.names, budget)).addresses
}

/** Says so at once where the app has no machine: the row that is awaited would come, and the run be for nothing. */
export async function noteUnknownApp(context: Context, app: string): Promise<void> {
  try {
    await machinesOf(context, app)
  } catch (error) {
    const { code, message } = asProbeError(error)
    context.note(
      `no machine of --app ${app} is found (${code}: ${message}), so the session of the row could not be judged: is the name right (fly apps list), is a machine started? Ctrl-C ends the wait`,
    )
  }
}
