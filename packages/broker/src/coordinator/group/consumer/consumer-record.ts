import type { TimestampMs } from '@millrace/base'
import type { MemberProtocol } from '../member-protocol.ts'
import type { Assignment } from '../modern/assignment.ts'
import type { EpochAssignment } from './epoch-assignment.ts'

/** Where a member stands on its way to its target; the number is what records hold. */
export const MemberState = { STABLE: 0, UNREVOKED_PARTITIONS: 1, UNRELEASED_PARTITIONS: 2, UNKNOWN: 127 } as const
export type MemberState = (typeof MemberState)[keyof typeof MemberState]

/** What a member of a consumer group has besides if it speaks the classic protocol. */
export interface ClassicMetadata {
  readonly sessionTimeoutMs: number
  /** In the order of its preference, at least one. */
  readonly protocols: readonly MemberProtocol[]
}

/** What a member says of itself. */
export interface MemberMetadata {
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly subscribedTopics: readonly string[]
  /** Null: none. */
  readonly topicRegex: string | null
  readonly rebalanceTimeoutMs: number
  /** Null: it leaves the choice to others. */
  readonly serverAssignor: string | null
  /** Null: it speaks the consumer protocol. */
  readonly classic: ClassicMetadata | null
}

/** How far a member has come. */
export interface CurrentAssignment {
  readonly memberEpoch: number
  readonly previousMemberEpoch: number
  readonly state: MemberState
  readonly assigned: EpochAssignment
  readonly pendingRevocation: EpochAssignment
}

/** The topics that a regular expression was found to match. */
export interface ResolvedRegex {
  /** Ascending. */
  readonly topics: readonly string[]
  /** Of the metadata it was matched against. */
  readonly version: number
  readonly timestampMs: TimestampMs
}

/** The records of consumer groups in `__consumer_offsets` (`coordinators.md`, 3.9: types 3 to 8 and 16). A null value deletes. */
export type ConsumerGroupRecord =
  | {
      readonly type: 'consumer-group'
      readonly groupId: string
      readonly value: { readonly epoch: number; readonly metadataHash: bigint } | null
    }
  /** Written by Kafka before 4.1; all that counts is that there is one, which is deleted with the next epoch. */
  | { readonly type: 'consumer-partitions'; readonly groupId: string; readonly value: 'present' | null }
  | {
      readonly type: 'consumer-member'
      readonly groupId: string
      readonly memberId: string
      readonly value: MemberMetadata | null
      /** Whose share of the node's members it takes; not stored. Null or absent: nobody's. */
      readonly owner?: string | null
    }
  | {
      readonly type: 'consumer-targets'
      readonly groupId: string
      readonly value: { readonly epoch: number; readonly timestampMs: TimestampMs } | null
    }
  | {
      readonly type: 'consumer-target'
      readonly groupId: string
      readonly memberId: string
      readonly value: Assignment | null
    }
  | {
      readonly type: 'consumer-current'
      readonly groupId: string
      readonly memberId: string
      readonly value: CurrentAssignment | null
    }
  | {
      readonly type: 'consumer-regex'
      readonly groupId: string
      readonly regex: string
      readonly value: ResolvedRegex | null
    }
