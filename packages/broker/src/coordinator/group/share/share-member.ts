import { type Assignment, EMPTY_ASSIGNMENT } from '../modern/assignment.ts'
import { isSameNames, type ModernMember, modernMemberBytes } from '../modern/modern-member.ts'
import type { ShareCurrentAssignment, ShareMemberMetadata } from './share-group-record.ts'

const NO_METADATA: ShareMemberMetadata = { rackId: null, clientId: '', clientHost: '', subscribedTopics: [] }
const NOTHING_ASSIGNED: ShareCurrentAssignment = {
  memberEpoch: 0,
  previousMemberEpoch: 0,
  assigned: EMPTY_ASSIGNMENT,
}

/** A member of a share group. Never changed: what changes is another object. */
export class ShareMember implements ModernMember {
  readonly memberId: string
  readonly metadata: ShareMemberMetadata
  readonly current: ShareCurrentAssignment
  readonly owner: string | null
  readonly keptBytes: number
  /** There are no static members. */
  readonly instanceId = null
  /** It gives up what it is told to, at once. */
  readonly pendingRevocation: Assignment = EMPTY_ASSIGNMENT
  readonly isStable = true

  constructor(memberId: string, metadata: ShareMemberMetadata, current: ShareCurrentAssignment, owner: string | null) {
    this.memberId = memberId
    this.metadata = metadata
    this.current = current
    this.owner = owner
    this.keptBytes = modernMemberBytes(this)
  }

  /** A member that is known by its id only. */
  static unknown(memberId: string, owner: string | null = null): ShareMember {
    return new ShareMember(memberId, NO_METADATA, NOTHING_ASSIGNED, owner)
  }

  withMetadata(metadata: ShareMemberMetadata): ShareMember {
    return new ShareMember(this.memberId, metadata, this.current, this.owner)
  }

  /** Null: deleted. */
  withCurrent(current: ShareCurrentAssignment | null): ShareMember {
    return new ShareMember(this.memberId, this.metadata, current ?? NOTHING_ASSIGNED, this.owner)
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

  get memberEpoch(): number {
    return this.current.memberEpoch
  }

  get previousMemberEpoch(): number {
    return this.current.previousMemberEpoch
  }

  get assigned(): Assignment {
    return this.current.assigned
  }
}

export function isSameShareMetadata(left: ShareMemberMetadata, right: ShareMemberMetadata): boolean {
  return (
    left.rackId === right.rackId &&
    left.clientId === right.clientId &&
    left.clientHost === right.clientHost &&
    isSameNames(left.subscribedTopics, right.subscribedTopics)
  )
}
