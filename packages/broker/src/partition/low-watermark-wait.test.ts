import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { expect, it } from 'vitest'
import { whenDeletedEverywhere } from './low-watermark-wait.ts'
import type { LowWatermarkWaiter, Partition } from './partition.ts'

/** One that waits for a replica which never tells how far it is. */
function waitingPartition() {
  const waiters = new Set<LowWatermarkWaiter>()
  const partition = {
    lowWatermark: 0,
    checkLeader: () => 0,
    addLowWatermarkWaiter: (waiter: LowWatermarkWaiter) => waiters.add(waiter),
    removeLowWatermarkWaiter: (waiter: LowWatermarkWaiter) => waiters.delete(waiter),
  } as unknown as Partition
  return { partition, waiters }
}

const TIMEOUT_MS = 0x7fffffff

it('does not wait for a client that has gone before or while it waits, however much time the client gave', async () => {
  for (const isGoneBefore of [true, false]) {
    const { partition, waiters } = waitingPartition()
    const timers = new SimulatedTimers(new SimulatedClock())
    let tell: () => void = () => undefined
    const done = whenDeletedEverywhere([{ partition, offset: 5 }], TIMEOUT_MS, timers, (callback) => {
      if (isGoneBefore) callback()
      else tell = callback
    })
    expect(waiters.size).toBe(isGoneBefore ? 0 : 1)
    tell()
    await done
    expect([waiters.size, timers.pendingCount]).toEqual([0, 0])
  }
})
