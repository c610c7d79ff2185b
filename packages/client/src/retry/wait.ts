import type { Timers } from '@millrace/base'

/** Resolves after `delayMs`, or as soon as the signal aborts: the caller looks at the signal itself. Leaves no timer or listener. */
export function wait(timers: Timers, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const finish = () => {
      timer.cancel()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = timers.setTimer(delayMs, finish)
    signal.addEventListener('abort', finish)
  })
}
