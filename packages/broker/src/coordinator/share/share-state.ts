import type { LeaderEpoch, Offset, TimestampMs, Uuid } from '@millrace/base'

/** States of records in a share partition, by Kafka's numbers (KIP-932; ARCHIVING is KIP-1191's). ACQUIRED is never stored. */
export const DeliveryState = { AVAILABLE: 0, ACQUIRED: 1, ACKNOWLEDGED: 2, ARCHIVING: 3, ARCHIVED: 4 } as const
export type DeliveryState = (typeof DeliveryState)[keyof typeof DeliveryState]

/** One partition as one share group consumes it. */
export interface ShareKey {
  readonly groupId: string
  readonly topicId: Uuid
  readonly partition: number
}

/** The key as a string: what FindCoordinator takes, and what says which coordinator has it. */
export function shareKeyText({ groupId, topicId, partition }: ShareKey): string {
  return `${groupId}:${topicId}:${partition}`
}

const TOPIC_ID_PATTERN = /^[A-Za-z0-9_-]{22}$/
const PARTITION_PATTERN = /^\d{1,10}$/

/** Read from the right, since a group id may hold colons. Null: no key. */
export function parseShareKey(text: string): ShareKey | null {
  const partitionColon = text.lastIndexOf(':')
  const topicColon = text.lastIndexOf(':', partitionColon - 1)
  if (partitionColon < 0 || topicColon <= 0) return null
  const topicId = text.slice(topicColon + 1, partitionColon)
  const partition = text.slice(partitionColon + 1)
  if (!TOPIC_ID_PATTERN.test(topicId) || !PARTITION_PATTERN.test(partition)) return null
  return { groupId: text.slice(0, topicColon), topicId: topicId as Uuid, partition: Number(partition) }
}

/** Records of one state, as stored and sent: both ends included, as in Kafka. */
export interface StateBatch {
  readonly firstOffset: Offset
  readonly lastOffset: Offset
  readonly deliveryState: number
  readonly deliveryCount: number
}

/** What the coordinator knows of one share partition. Never changes; each record makes a new one. */
export interface ShareState {
  /** Counts snapshots; updates name the one that they build on. */
  readonly snapshotEpoch: number
  /** Grows with each initialisation: writes of before are fenced. */
  readonly stateEpoch: number
  /** Of the leader that read it last; -1: nobody has. */
  readonly leaderEpoch: LeaderEpoch
  /** The first record that is not finished; -1: the group's configuration says where to begin. */
  readonly startOffset: Offset
  /** Finished records above the start; -1: unknown. */
  readonly deliveryCompleteCount: number
  readonly createTimestampMs: TimestampMs
  readonly writeTimestampMs: TimestampMs
  /** In order, without overlaps. */
  readonly stateBatches: readonly StateBatch[]
}

/** A change of a share partition's state. */
export interface ShareUpdate {
  readonly snapshotEpoch: number
  readonly leaderEpoch: LeaderEpoch
  /** -1: unchanged. */
  readonly startOffset: Offset
  readonly deliveryCompleteCount: number
  readonly stateBatches: readonly StateBatch[]
}

/** How an operation on the stored state ended. */
export interface StateOutcome {
  readonly errorCode: number
  /** Null: what the error code says is all. */
  readonly errorMessage: string | null
}

/** What a leader reads when it takes over. */
export interface StateRead extends StateOutcome {
  readonly stateEpoch: number
  readonly startOffset: Offset
  readonly stateBatches: readonly StateBatch[]
}

/** What is told of a share partition to those who describe its group. */
export interface StateSummary extends StateOutcome {
  readonly stateEpoch: number
  readonly leaderEpoch: LeaderEpoch
  readonly startOffset: Offset
  readonly deliveryCompleteCount: number
}

/** A write of the leader of a share partition. */
export interface StateWrite {
  /** -1: not checked. */
  readonly stateEpoch: number
  readonly leaderEpoch: LeaderEpoch
  readonly startOffset: Offset
  readonly deliveryCompleteCount: number
  readonly stateBatches: readonly StateBatch[]
}

/** The durable state of share partitions, wherever its coordinator is. No operation rejects: errors are codes of Kafka. */
export interface ShareStateStore {
  /** Begins anew at `startOffset` (-1: where the group's configuration says), whatever was there. */
  initialize(key: ShareKey, stateEpoch: number, startOffset: Offset): Promise<StateOutcome>
  /** `leaderEpoch` fences earlier leaders from now on; -1: it does not. */
  read(key: ShareKey, leaderEpoch: LeaderEpoch): Promise<StateRead>
  write(key: ShareKey, write: StateWrite): Promise<StateOutcome>
  /** No error where there was nothing. */
  delete(key: ShareKey): Promise<StateOutcome>
  readSummary(key: ShareKey, leaderEpoch: LeaderEpoch): Promise<StateSummary>
}

/** What a failed read answers with. */
export function failedRead(errorCode: number, errorMessage: string | null = null): StateRead {
  return { errorCode, errorMessage, stateEpoch: 0, startOffset: -1, stateBatches: [] }
}

/** What a failed summary answers with; without an error, that of a share partition that has no state. */
export function emptySummary(errorCode: number, errorMessage: string | null = null): StateSummary {
  return { errorCode, errorMessage, stateEpoch: 0, leaderEpoch: 0, startOffset: -1, deliveryCompleteCount: -1 }
}
