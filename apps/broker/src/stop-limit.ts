import { BaseError, type Timers } from '@millrace/base'

/**
 * How long a node may take to stop: leaderships, the quorum's log and the logs' last records each have less time than that where their disks
 * work. A disk that hangs answers never.
 */
export const STOP_LIMIT_MS = 120_000

export class StopLimitError extends BaseError {
  constructor() {
    super('STOP_LIMIT', `the node did not stop within ${STOP_LIMIT_MS / 1000} s: one of its disks may hang`)
  }
}

/** Settles as `stopping`, but rejects with {@link StopLimitError} after {@link STOP_LIMIT_MS}. */
export async function withinStopLimit(stopping: Promise<void>, timers: Timers): Promise<void> {
  const late = Promise.withResolvers<never>()
  const limit = timers.setTimer(STOP_LIMIT_MS, () => late.reject(new StopLimitError()))
  try {
    await Promise.race([stopping, late.promise])
  } finally {
    limit.cancel()
  }
}
