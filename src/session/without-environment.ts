/**
 * Calls `make` while the process has no environment variables, and gives them back before it returns.
 *
 * postgres.js reads PG* variables for every option that is not given, and target_session_attrs cannot be given as
 * "none": with PGTARGETSESSIONATTRS set it asks a statement of its own, or throws. An option that a later release adds
 * is covered, too. The driver reads them while it is made and never later; a test holds that.
 * @param make synchronous: nothing else runs in between
 */
export function withoutEnvironment<T>(make: () => T): T {
  const { env } = process
  process.env = {}
  try {
    return make()
  } finally {
    process.env = env
  }
}
