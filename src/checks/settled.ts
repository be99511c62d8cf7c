/** The value of a promise of `Promise.allSettled`; throws what it was rejected with. */
export function settled<T>(result: PromiseSettledResult<T>): T {
  if (result.status === 'rejected') throw result.reason
  return result.value
}
