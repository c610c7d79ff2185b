import { type Clock, DiskError, type Offset } from '@millrace/base'
import { CorruptBatchError, ErrorCode } from '@millrace/protocol'
import type { Partition } from '../partition/partition.ts'
import type { ShareGroupSettings } from './share-settings.ts'

/**
 * Where a share group begins in a partition that it has no offset for (`share.auto.offset.reset`), or why it cannot be told. The end is
 * that of all records, as in Kafka, whatever the isolation level.
 */
export async function initialOffset(
  partition: Partition,
  { offsetReset }: Pick<ShareGroupSettings, 'offsetReset'>,
  clock: Clock,
): Promise<Offset | { readonly errorCode: number }> {
  if (offsetReset.kind === 'earliest') return partition.log.logStartOffset
  // A new leader does not know at once what is committed: to begin at an older end would deliver what others were told is consumed.
  if (!partition.isHighWatermarkCurrent) return { errorCode: ErrorCode.OFFSET_NOT_AVAILABLE }
  const { log } = partition
  if (offsetReset.kind === 'latest') return log.highWatermark
  try {
    const found = await log.offsetForTimestamp(clock.wallMs() - offsetReset.durationMs, log.highWatermark)
    // All records are older: what comes is not.
    return found === null ? log.highWatermark : found.offset
  } catch (error) {
    if (error instanceof DiskError) return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR }
    if (error instanceof CorruptBatchError) return { errorCode: ErrorCode.OFFSET_NOT_AVAILABLE }
    throw error
  }
}
