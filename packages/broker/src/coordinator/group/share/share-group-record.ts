import type { TimestampMs, Uuid } from '@millrace/base'
import type { Assignment } from '../modern/assignment.ts'

/** What a member of a share group says of itself. */
export interface ShareMemberMetadata {
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** Ascending, each once. */
  readonly subscribedTopics: readonly string[]
}

/** How far a member has come. Members of share groups go straight to their targets. */
export interface ShareCurrentAssignment {
  readonly memberEpoch: number
  readonly previousMemberEpoch: number
  readonly assigned: Assignment
}

/** Partitions of a topic whose state the share coordinator has, or is to have. */
export interface StateTopic {
  readonly name: string
  /** Ascending, each once. */
  readonly partitions: readonly number[]
}

/** For which partitions the share coordinator has state, as the group knows it. Never changed: each change is another object. */
export interface StatePartitions {
  /** It was asked to begin with these, and has not said that it has. */
  readonly initializing: ReadonlyMap<Uuid, StateTopic>
  readonly initialized: ReadonlyMap<Uuid, StateTopic>
  /** Names of topics whose state is to go, or gone in part. */
  readonly deleting: ReadonlyMap<Uuid, string>
}

export const NO_STATE_PARTITIONS: StatePartitions = {
  initializing: new Map(),
  initialized: new Map(),
  deleting: new Map(),
}

/** The records of share groups in `__consumer_offsets` (`coordinators.md`, 3.9: types 10 to 15). A null value deletes. */
export type ShareGroupRecord =
  | {
      readonly type: 'share-member'
      readonly groupId: string
      readonly memberId: string
      readonly value: ShareMemberMetadata | null
      /** Whose share of the node's members it takes; not stored. Null or absent: nobody's. */
      readonly owner?: string | null
    }
  | {
      readonly type: 'share-group'
      readonly groupId: string
      readonly value: { readonly epoch: number; readonly metadataHash: bigint } | null
    }
  | {
      readonly type: 'share-targets'
      readonly groupId: string
      readonly value: { readonly epoch: number; readonly timestampMs: TimestampMs } | null
    }
  | {
      readonly type: 'share-target'
      readonly groupId: string
      readonly memberId: string
      readonly value: Assignment | null
    }
  | {
      readonly type: 'share-current'
      readonly groupId: string
      readonly memberId: string
      readonly value: ShareCurrentAssignment | null
    }
  | { readonly type: 'share-partitions'; readonly groupId: string; readonly value: StatePartitions | null }

export function isShareGroupType(type: string): type is ShareGroupRecord['type'] {
  return type.startsWith('share-')
}

export function isShareGroupRecord(record: { readonly type: string }): record is ShareGroupRecord {
  return isShareGroupType(record.type)
}
