import { metadataBytesOf } from '../classic-member.ts'
import type { Assignment } from '../modern/assignment.ts'
import { isSameNames, LEAVE_GROUP_MEMBER_EPOCH, type ModernMember, modernMemberBytes } from '../modern/modern-member.ts'
import { type ClassicMetadata, type CurrentAssignment, type MemberMetadata, MemberState } from './consumer-record.ts'
import { EMPTY_EPOCH_ASSIGNMENT, type EpochAssignment, isSameEpochAssignment, withEpoch } from './epoch-assignment.ts'

/** What a member is before it has said anything. */
const NO_METADATA: MemberMetadata = {
  instanceId: null,
  rackId: null,
  clientId: '',
  clientHost: '',
  subscribedTopics: [],
  topicRegex: null,
  rebalanceTimeoutMs: -1,
  serverAssignor: null,
  classic: null,
}

/** A member that has joined and got nothing yet. */
export const NOTHING_ASSIGNED: CurrentAssignment = {
  memberEpoch: 0,
  previousMemberEpoch: 0,
  state: MemberState.STABLE,
  assigned: EMPTY_EPOCH_ASSIGNMENT,
  pendingRevocation: EMPTY_EPOCH_ASSIGNMENT,
}

/** A member whose current assignment was deleted: it is about to go. */
const GONE: CurrentAssignment = {
  ...NOTHING_ASSIGNED,
  memberEpoch: LEAVE_GROUP_MEMBER_EPOCH,
  previousMemberEpoch: LEAVE_GROUP_MEMBER_EPOCH,
}

/** A member of a consumer group. Never changed: what changes is another object. */
export class ConsumerMember implements ModernMember {
  readonly memberId: string
  readonly metadata: MemberMetadata
  readonly current: CurrentAssignment
  readonly owner: string | null
  readonly keptBytes: number

  constructor(memberId: string, metadata: MemberMetadata, current: CurrentAssignment, owner: string | null) {
    this.memberId = memberId
    this.metadata = metadata
    this.current = current
    this.owner = owner
    this.keptBytes = modernMemberBytes(this) + (metadata.topicRegex?.length ?? 0) + classicBytes(metadata.classic)
  }

  /** A member that is known by its id only. */
  static unknown(memberId: string, owner: string | null = null): ConsumerMember {
    return new ConsumerMember(memberId, NO_METADATA, NOTHING_ASSIGNED, owner)
  }

  withMetadata(metadata: MemberMetadata, owner: string | null = this.owner): ConsumerMember {
    return new ConsumerMember(this.memberId, metadata, this.current, owner)
  }

  /** Null: deleted. */
  withCurrent(current: CurrentAssignment | null): ConsumerMember {
    return new ConsumerMember(this.memberId, this.metadata, current ?? GONE, this.owner)
  }

  get instanceId(): string | null {
    return this.metadata.instanceId
  }

  get rackId(): string | null {
    return this.metadata.rackId
  }

  get clientId(): string {
    return this.metadata.clientId
  }

  get clientHost(): string {
    return this.metadata.clientHost
  }

  get subscribedTopics(): readonly string[] {
    return this.metadata.subscribedTopics
  }

  get classic(): ClassicMetadata | null {
    return this.metadata.classic
  }

  get memberEpoch(): number {
    return this.current.memberEpoch
  }

  get previousMemberEpoch(): number {
    return this.current.previousMemberEpoch
  }

  get state(): MemberState {
    return this.current.state
  }

  get isStable(): boolean {
    return this.current.state === MemberState.STABLE
  }

  get assigned(): Assignment {
    return this.current.assigned.partitions
  }

  get pendingRevocation(): Assignment {
    return this.current.pendingRevocation.partitions
  }
}

export function isSameMetadata(left: MemberMetadata, right: MemberMetadata): boolean {
  return (
    left.instanceId === right.instanceId &&
    left.rackId === right.rackId &&
    left.clientId === right.clientId &&
    left.clientHost === right.clientHost &&
    left.topicRegex === right.topicRegex &&
    left.rebalanceTimeoutMs === right.rebalanceTimeoutMs &&
    left.serverAssignor === right.serverAssignor &&
    isSameNames(left.subscribedTopics, right.subscribedTopics) &&
    isSameClassic(left.classic, right.classic)
  )
}

export function isSameCurrent(left: CurrentAssignment, right: CurrentAssignment): boolean {
  return (
    left === right ||
    (left.memberEpoch === right.memberEpoch &&
      left.previousMemberEpoch === right.previousMemberEpoch &&
      left.state === right.state &&
      isSameEpochAssignment(left.assigned, right.assigned) &&
      isSameEpochAssignment(left.pendingRevocation, right.pendingRevocation))
  )
}

/** A static member that left for a while (epoch -2): what it has counts as given in epoch 0 to whoever comes back for it. */
export function leftForAWhile(
  { previousMemberEpoch, state, assigned }: CurrentAssignment,
  epoch: number,
): CurrentAssignment {
  const kept: EpochAssignment = withEpoch(assigned.partitions, 0)
  return { memberEpoch: epoch, previousMemberEpoch, state, assigned: kept, pendingRevocation: EMPTY_EPOCH_ASSIGNMENT }
}

function isSameClassic(left: ClassicMetadata | null, right: ClassicMetadata | null): boolean {
  if (left === right) return true
  if (left === null || right === null) return false
  return (
    left.sessionTimeoutMs === right.sessionTimeoutMs &&
    left.protocols.length === right.protocols.length &&
    left.protocols.every(({ name, metadata }, slot) => {
      const other = right.protocols[slot]!
      return name === other.name && metadata.equals(other.metadata)
    })
  )
}

function classicBytes(classic: ClassicMetadata | null): number {
  return classic === null ? 0 : metadataBytesOf(classic.protocols)
}
