import { formatDuration } from '../options/durations.ts'
import type { CliIo } from './cli-io.ts'
import { orAborted } from './or-aborted.ts'

/** Longer than elections and restarts of brokers take, shorter than the patience of somebody who sees nothing. */
const NOTICE_AFTER_MS = 5000

/** Tells somebody who waits what for: one line for each wait that takes long, with what went wrong last. */
export class WaitNotice {
  readonly #io: CliIo
  #lastError: unknown = null

  constructor(io: CliIo) {
    this.#io = io
  }

  /** What the last attempt failed with that is tried again; null: none has failed. */
  get lastError(): unknown {
    return this.#lastError
  }

  onRetry(error: unknown): void {
    this.#lastError = error
  }

  /** What the promise gives, or null once the command is to end. `what` completes "still waiting for …". */
  async during<T>(what: string, promise: Promise<T>): Promise<T | null> {
    const { timers, signal, stderr } = this.#io
    const timer = timers.setTimer(NOTICE_AFTER_MS, () => {
      const reason = this.#lastError instanceof Error ? `: ${this.#lastError.message}` : ''
      const text = `millrace: still waiting for ${what} after ${formatDuration(NOTICE_AFTER_MS)}${reason}\n`
      // Where a progress bar is drawn, the line takes its place.
      void stderr.write(stderr.isTty ? `\r\u001b[K${text}` : text)
    })
    try {
      return await orAborted(promise, signal)
    } finally {
      timer.cancel()
    }
  }
}
