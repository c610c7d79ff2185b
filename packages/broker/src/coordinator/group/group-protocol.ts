import type { ReplyToken, Step } from '../runtime/step.ts'
import type { GroupRecord } from './group-record.ts'
import type { MemberProtocol } from './member-protocol.ts'

/** Where a classic group stands between two rebalances (`coordinators.md`, 2). */
export type ClassicGroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

/**
 * Where a group stands whose partitions the coordinator assigns (KIP-848): Assigning until there is an assignment for its newest epoch,
 * Reconciling until all members have it. Share groups know Empty and Stable only.
 */
export type ModernGroupState = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable'

/** A JoinGroup request, freed of its version. */
export interface JoinInput {
  readonly groupId: string
  /** Empty: the member has no id yet. */
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocolType: string
  readonly protocols: readonly MemberProtocol[]
  /** A new dynamic member must join a second time, with the id it is told (v4, KIP-394). */
  readonly requiresKnownMemberId: boolean
  /** The client understands that a leader need not compute an assignment (v9, KIP-814). */
  readonly supportsSkippingAssignment: boolean
  /** What the client says, for the log (v8, KIP-800). */
  readonly reason: string | null
}

export interface JoinAnswerMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly metadata: Buffer
}

/** The answer to a JoinGroup request. */
export interface JoinAnswer {
  readonly kind: 'join'
  readonly errorCode: number
  readonly memberId: string
  /** -1 in errors. */
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  /** Empty in errors. */
  readonly leader: string
  readonly skipAssignment: boolean
  /** All members for the leader, else none. */
  readonly members: readonly JoinAnswerMember[]
}

/** A SyncGroup request, freed of its version. */
export interface SyncInput {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** Null: not given, so not checked. */
  readonly protocolType: string | null
  readonly protocolName: string | null
  /** From the leader: assignments by member id, the group's own copies. Empty from others. */
  readonly assignments: ReadonlyMap<string, Buffer>
}

/** The answer to a SyncGroup request. */
export interface SyncAnswer {
  readonly kind: 'sync'
  readonly errorCode: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Buffer
}

/** Answers that the machine holds back and releases by token. */
export type GroupReply = JoinAnswer | SyncAnswer

/** What a timer or the end of a write brings back into the machine. */
export type GroupEvent =
  | { readonly type: 'session-expired'; readonly groupId: string; readonly memberId: string }
  | {
      readonly type: 'initial-join-expired'
      readonly groupId: string
      readonly delayMs: number
      readonly remainingMs: number
    }
  | { readonly type: 'join-expired'; readonly groupId: string }
  | { readonly type: 'sync-expired'; readonly groupId: string; readonly generationId: number }
  | {
      readonly type: 'revocation-expired'
      readonly groupId: string
      readonly memberId: string
      readonly memberEpoch: number
    }
  | { readonly type: 'member-rejoin-expired'; readonly groupId: string; readonly memberId: string }
  | { readonly type: 'member-sync-expired'; readonly groupId: string; readonly memberId: string }
  | { readonly type: 'regex-due'; readonly groupId: string }
  | { readonly type: 'share-members-written'; readonly groupId: string; readonly memberIds: readonly string[] }
  | MembersWritten
  | ConsumerJoinWritten
  | {
      readonly type: 'consumer-sync-written'
      readonly groupId: string
      readonly memberId: string
      readonly token: ReplyToken
      readonly answer: SyncAnswer
    }
  | { readonly type: 'offsets-expiry-due' }
  | { readonly type: 'join-written'; readonly groupId: string; readonly token: ReplyToken }
  | { readonly type: 'sync-written'; readonly groupId: string; readonly token: ReplyToken }
  | {
      readonly type: 'stable-sync-written'
      readonly groupId: string
      readonly generationId: number
      readonly memberId: string
      readonly token: ReplyToken
    }
  | {
      readonly type: 'assignment-written'
      readonly groupId: string
      readonly generationId: number
      readonly assignments: ReadonlyMap<string, Buffer>
    }
  | StaticMemberWritten

/** Records about members of a consumer group are written, or could not be. */
export interface MembersWritten {
  readonly type: 'members-written'
  readonly groupId: string
  readonly memberIds: readonly string[]
  /** Of the timer that began the step; null: a request did. If the write fails the runtime lets it fire again soon. */
  readonly firedKey: string | null
}

/** A member that speaks the classic protocol joined a consumer group, and that was written. */
export interface ConsumerJoinWritten {
  readonly type: 'consumer-join-written'
  readonly groupId: string
  readonly token: ReplyToken
  readonly answer: JoinAnswer
  readonly rebalanceTimeoutMs: number
}

/** A static member came back under a new id without a rebalance, and the group's record with the new id was written. */
export interface StaticMemberWritten {
  readonly type: 'static-member-written'
  readonly groupId: string
  readonly groupInstanceId: string
  readonly generationId: number
  readonly token: ReplyToken
  readonly newMemberId: string
  readonly supportsSkippingAssignment: boolean
  /** What was before, to go back to if the record was not written. */
  readonly oldMemberId: string
  readonly oldLeader: string
  readonly oldProtocols: readonly MemberProtocol[]
  readonly oldRebalanceTimeoutMs: number
  readonly oldSessionTimeoutMs: number
}

export type GroupStep = Step<GroupRecord, GroupEvent, GroupReply>

export const EMPTY_BYTES = Buffer.alloc(0)

/** An error answer to JoinGroup. */
export function joinError(errorCode: number, memberId: string): JoinAnswer {
  return {
    kind: 'join',
    errorCode,
    memberId,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    members: [],
  }
}

/** An error answer to SyncGroup. */
export function syncError(errorCode: number): SyncAnswer {
  return { kind: 'sync', errorCode, protocolType: null, protocolName: null, assignment: EMPTY_BYTES }
}
