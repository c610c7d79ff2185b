import type { Offset, SimulatedDisk } from '@millrace/base'
import { DurableMark } from '../durable-mark.ts'
import type { LogManager } from '../log-manager.ts'
import { type Evaluations, fail } from './invariant.ts'
import type { LogExpectation } from './workload-log.ts'

/** A log shorter than this many index intervals gets no producer snapshot: it is read again as a whole. */
const SMALL_LOG_INTERVALS = 8

/** Up to where the durable mark on a disk says that nothing needs to be walked, by partition. The disk is left as it is. */
export function checkpointedOffsets(disk: SimulatedDisk, logs: readonly LogExpectation[]): Map<number, Offset> {
  const found = new Map<number, Offset>()
  if (logs.length === 0) return found
  const mark = new DurableMark(disk.copy(), '/data')
  for (const { topicId, partition } of logs) {
    const entry = mark.get(topicId, partition)
    if (entry !== null) found.set(partition, entry.recoveryPoint)
  }
  return found
}

/**
 * A recovery point is said to be reached once indexes, epochs and a producer snapshot up to it are on the disk: a start after a crash
 * that goes back behind it found one of them missing (S8: it takes a crash for damage, and hours for seconds). Only of logs that were
 * never cut: behind a truncation, a start goes back to the snapshot before it.
 */
export function checkExtent(
  manager: LogManager,
  checkpointed: ReadonlyMap<number, Offset>,
  logs: readonly LogExpectation[],
  indexIntervalBytes: number,
  evaluations: Evaluations,
): void {
  for (const { partition, topicId, batches, logStartOffset } of logs) {
    const log = manager.log('topic', partition)
    const pointOffset = checkpointed.get(partition) ?? 0
    // Of a log whose records were all deleted there was nothing to take a snapshot of.
    if (log?.topicId !== topicId || logStartOffset >= pointOffset) continue
    evaluations.S8++
    let walkedBytes = 0
    for (const { lastOffset, bytes } of batches) {
      if (lastOffset >= log.recoveryPoint && lastOffset < pointOffset) walkedBytes += bytes.length
    }
    if (walkedBytes > SMALL_LOG_INTERVALS * indexIntervalBytes) {
      fail('S8', `recovery began at ${log.recoveryPoint}, the checkpoint at ${pointOffset} was not used`)
    }
  }
}
