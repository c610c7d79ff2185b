/**
 * What the promise gives, or null as soon as the signal aborts: for waits that Ctrl-C must be able to end. What becomes of the promise
 * afterwards is nobody's concern any more.
 */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const aborted = Promise.withResolvers<null>()
  const onAbort = () => aborted.resolve(null)
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
