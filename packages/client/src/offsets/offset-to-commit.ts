import type { TopicPartition } from '../cluster/topic-partition.ts'
import type { CommittedOffset } from './committed-offsets.ts'
import { offsetNumber } from './offset-number.ts'

/** An offset to commit: that of the next record to read. */
export interface OffsetToCommit extends TopicPartition {
  offset: bigint | number
  leaderEpoch?: number
  metadata?: string
}

/** The offset as this package counts. Throws `ArgumentError` for what is no place in a log. */
export function toCommitted({ topic, partition, offset, leaderEpoch, metadata }: OffsetToCommit): CommittedOffset {
  return { topic, partition, offset: offsetNumber(offset), leaderEpoch: leaderEpoch ?? -1, metadata: metadata ?? '' }
}
