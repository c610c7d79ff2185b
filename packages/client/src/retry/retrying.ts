import { ClientClosedError, TimeoutError } from '../errors/client-errors.ts'
import { isRetriable } from '../errors/retriable.ts'
import type { ClientPorts } from '../ports/client-ports.ts'
import { Backoff } from './backoff.ts'
import { wait } from './wait.ts'

export interface RetryOptions {
  /** What is being done, for the error: "describing topics". */
  what: string
  timeoutMs: number
  retryBackoffMs: number
  retryBackoffMaxMs: number
  /** Aborted when the client closes. */
  closing: AbortSignal
}

/**
 * Runs `attempt` until it succeeds, fails with an error that is not retriable, or the time is over: then {@link TimeoutError} with
 * the last error as its cause. The one place of this package where calls (not produce batches or fetches) are retried.
 * `attempt` gets the time left in whole milliseconds, at least 1.
 */
export async function retrying<T>(
  ports: ClientPorts,
  options: RetryOptions,
  attempt: (leftMs: number) => Promise<T>,
): Promise<T> {
  const { what, timeoutMs, closing } = options
  const deadlineMs = ports.clock.monotonicMs() + timeoutMs
  const backoff = new Backoff(options.retryBackoffMs, options.retryBackoffMaxMs, ports.random)
  for (;;) {
    if (closing.aborted) throw new ClientClosedError('client')
    try {
      return await attempt(Math.max(1, Math.ceil(deadlineMs - ports.clock.monotonicMs())))
    } catch (error) {
      if (closing.aborted) throw new ClientClosedError('client')
      if (!isRetriable(error)) throw error
      const pauseMs = backoff.nextMs()
      if (ports.clock.monotonicMs() + pauseMs >= deadlineMs) {
        // A limit inside the limit says less than what was met there.
        const cause = error instanceof TimeoutError && error.cause !== undefined ? error.cause : error
        const reason = cause instanceof Error ? cause.message : String(cause)
        throw new TimeoutError(`${what} did not succeed within ${timeoutMs} ms: ${reason}`, timeoutMs, { cause })
      }
      await wait(ports.timers, pauseMs, closing)
    }
  }
}
