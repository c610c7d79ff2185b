/**
 * A callback of the application that cannot break what calls it: what it throws becomes an uncaught exception of its own, as if the
 * event loop had called it.
 */
export function guarded<Arguments extends unknown[]>(
  callback: (...given: Arguments) => void,
): (...given: Arguments) => void {
  return (...given) => {
    try {
      callback(...given)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
