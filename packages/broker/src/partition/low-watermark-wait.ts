import type { Offset, Timers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { LowWatermarkWaiter, Partition } from './partition.ts'

/** Records below `offset` are to be gone at all replicas. */
export interface Deletion {
  readonly partition: Partition
  readonly offset: Offset
}

/**
 * Resolves once of each partition all replicas that are alive have told that their logs begin no earlier, or its leadership here is over;
 * after `timeoutMs` in any case, or when nobody wants to know any more (`onAbandoned` is given what to call then).
 */
export function whenDeletedEverywhere(
  deletions: readonly Deletion[],
  timeoutMs: number,
  timers: Timers,
  onAbandoned: (callback: () => void) => void,
): Promise<void> {
  const open = deletions.filter(isOpen)
  if (open.length === 0) return Promise.resolve()
  return new Promise((resolve) => {
    let openCount = open.length
    const waiters: (LowWatermarkWaiter & Deletion)[] = []
    const finish = (): void => {
      timer.cancel()
      for (const waiter of waiters) waiter.partition.removeLowWatermarkWaiter(waiter)
      resolve()
    }
    const timer = timers.setTimer(Math.max(0, timeoutMs), finish)
    for (const { partition, offset } of open) {
      const waiter = {
        partition,
        offset,
        onLowWatermark() {
          if (isOpen(waiter)) return
          partition.removeLowWatermarkWaiter(waiter)
          if (--openCount === 0) finish()
        },
      }
      waiters.push(waiter)
      partition.addLowWatermarkWaiter(waiter)
    }
    // Last: who has gone already is told so at once.
    onAbandoned(finish)
  })
}

function isOpen({ partition, offset }: Deletion): boolean {
  return partition.checkLeader(-1) === ErrorCode.NONE && partition.lowWatermark < offset
}
