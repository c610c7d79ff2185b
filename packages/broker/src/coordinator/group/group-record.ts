import type { LeaderEpoch, Offset, TimestampMs, Uuid } from '@millrace/base'
import type { ConsumerGroupRecord } from './consumer/consumer-record.ts'
import type { ShareGroupRecord } from './share/share-group-record.ts'

/** A committed offset as `__consumer_offsets` stores it. */
export interface OffsetValue {
  readonly committedOffset: Offset
  /** -1: unknown. */
  readonly leaderEpoch: LeaderEpoch
  /** Whatever the client wants to find again beside its offset. */
  readonly metadata: string
  readonly commitTimestampMs: TimestampMs
  /** -1: it expires by the retention of the broker, not by one of its own. */
  readonly expireTimestampMs: TimestampMs
  /** The zero id when the commit did not say. */
  readonly topicId: Uuid
}

/** One member in the stored state of a classic group. */
interface GroupMetadataMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  /** The member's metadata for the chosen protocol. */
  readonly subscription: Buffer
  readonly assignment: Buffer
}

/** The stored state of a classic group. */
export interface GroupMetadata {
  /** Empty: none, so a group that only holds offsets. */
  readonly protocolType: string
  readonly generationId: number
  readonly protocolName: string | null
  readonly leaderId: string | null
  /** When the group came into its state; -1: unknown (values before version 2). */
  readonly stateTimestampMs: TimestampMs
  readonly members: readonly GroupMetadataMember[]
}

interface OffsetCommitRecord {
  readonly type: 'offset-commit'
  readonly groupId: string
  readonly topic: string
  readonly partition: number
  /** Null: the offset is deleted. */
  readonly value: OffsetValue | null
  /** Whose share of the node's offsets and groups it takes; not stored. Null or absent: nobody's. */
  readonly owner?: string | null
}

interface GroupMetadataRecord {
  readonly type: 'group-metadata'
  readonly groupId: string
  /** Null: the group is deleted. */
  readonly value: GroupMetadata | null
}

/** The records of `__consumer_offsets` that this coordinator writes and understands (`coordinators.md`, 3.9). */
export type GroupRecord = OffsetCommitRecord | GroupMetadataRecord | ConsumerGroupRecord | ShareGroupRecord
