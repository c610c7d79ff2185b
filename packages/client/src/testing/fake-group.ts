import type { Timers } from '@millrace/base'
import {
  createHeartbeatResponse,
  createJoinGroupResponse,
  createJoinGroupResponseMember,
  createLeaveGroupResponse,
  createOffsetCommitResponse,
  createOffsetCommitResponsePartition,
  createOffsetCommitResponseTopic,
  createSyncGroupResponse,
  ErrorCode,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type JoinGroupRequest,
  type JoinGroupResponse,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type SyncGroupRequest,
  type SyncGroupResponse,
} from '@millrace/protocol'

interface Member {
  memberId: string
  metadata: Buffer
  protocols: string[]
  join: ((response: JoinGroupResponse) => void) | null
  sync: ((response: SyncGroupResponse) => void) | null
}

/** How long members that do not join again are waited for. */
const REBALANCE_MS = 3000

/** The coordinator of one classic group, without session timeouts: members go when they leave or do not join again. */
export class FakeGroup {
  readonly #timers: Timers
  readonly members = new Map<string, Member>()
  generationId = 0
  state: 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' = 'Empty'
  protocol = ''
  leader = ''
  readonly #assignments = new Map<string, Buffer>()
  readonly #handedOut = new Set<string>()
  #nextMember = 1

  constructor(timers: Timers) {
    this.#timers = timers
  }

  join(request: JoinGroupRequest): JoinGroupResponse | Promise<JoinGroupResponse> {
    if (request.memberId === '') {
      const memberId = `member-${this.#nextMember++}`
      this.#handedOut.add(memberId)
      return createJoinGroupResponse({ errorCode: ErrorCode.MEMBER_ID_REQUIRED, memberId, generationId: -1 })
    }
    if (!this.#handedOut.has(request.memberId)) return unknownMember()
    const metadata = request.protocols[0]!.metadata
    const known = this.members.get(request.memberId)
    const member: Member = known ?? { memberId: request.memberId, metadata, protocols: [], join: null, sync: null }
    member.metadata = metadata
    member.protocols = request.protocols.map(({ name }) => name)
    this.members.set(member.memberId, member)
    if (this.state !== 'PreparingRebalance') this.#prepare()
    return new Promise((resolve) => {
      member.join = resolve
      if ([...this.members.values()].every(({ join }) => join !== null)) this.#complete()
    })
  }

  sync(request: SyncGroupRequest): SyncGroupResponse | Promise<SyncGroupResponse> {
    const errorCode = this.#check(request.memberId, request.generationId)
    if (errorCode !== ErrorCode.NONE) return createSyncGroupResponse({ errorCode, assignment: Buffer.alloc(0) })
    if (this.state === 'PreparingRebalance') {
      return createSyncGroupResponse({ errorCode: ErrorCode.REBALANCE_IN_PROGRESS, assignment: Buffer.alloc(0) })
    }
    const member = this.members.get(request.memberId)!
    if (request.memberId === this.leader) {
      for (const { memberId, assignment } of request.assignments) this.#assignments.set(memberId, assignment)
      this.state = 'Stable'
      for (const other of this.members.values()) {
        other.sync?.(this.#synced(other.memberId))
        other.sync = null
      }
      return this.#synced(request.memberId)
    }
    if (this.state === 'Stable') return this.#synced(request.memberId)
    return new Promise((resolve) => {
      member.sync = resolve
    })
  }

  heartbeat(request: HeartbeatRequest): HeartbeatResponse {
    const errorCode = this.#check(request.memberId, request.generationId)
    const rebalancing = this.state === 'PreparingRebalance'
    return createHeartbeatResponse({ errorCode: errorCode || (rebalancing ? ErrorCode.REBALANCE_IN_PROGRESS : 0) })
  }

  leave(request: LeaveGroupRequest): LeaveGroupResponse {
    for (const { memberId } of request.members) this.remove(memberId)
    return createLeaveGroupResponse({})
  }

  /** Throws a member out, as an expired session does. */
  remove(memberId: string): void {
    this.#handedOut.delete(memberId)
    const member = this.members.get(memberId)
    if (member === undefined) return
    this.members.delete(memberId)
    member.join?.(unknownMember())
    member.sync?.(createSyncGroupResponse({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, assignment: Buffer.alloc(0) }))
    if (this.members.size === 0) this.state = 'Empty'
    else this.#prepare()
  }

  /** The error that a member's request meets, 0 for none. */
  check(memberId: string, generationId: number): number {
    if (generationId < 0 && memberId === '') {
      return this.members.size === 0 ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
    }
    const errorCode = this.#check(memberId, generationId)
    return errorCode || (this.state === 'CompletingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : 0)
  }

  #check(memberId: string, generationId: number): number {
    if (!this.members.has(memberId)) return ErrorCode.UNKNOWN_MEMBER_ID
    return generationId === this.generationId ? ErrorCode.NONE : ErrorCode.ILLEGAL_GENERATION
  }

  #prepare(): void {
    this.state = 'PreparingRebalance'
    const generationId = this.generationId
    for (const member of this.members.values()) {
      member.sync?.(
        createSyncGroupResponse({ errorCode: ErrorCode.REBALANCE_IN_PROGRESS, assignment: Buffer.alloc(0) }),
      )
      member.sync = null
    }
    this.#timers.setTimer(REBALANCE_MS, () => {
      if (this.state !== 'PreparingRebalance' || this.generationId !== generationId) return
      for (const [memberId, { join }] of this.members) if (join === null) this.members.delete(memberId)
      if (this.members.size > 0) this.#complete()
    })
  }

  #complete(): void {
    this.state = 'CompletingRebalance'
    this.generationId++
    this.#assignments.clear()
    const members = [...this.members.values()]
    if (!this.members.has(this.leader)) this.leader = members[0]!.memberId
    this.protocol = members[0]!.protocols.find((name) => members.every(({ protocols }) => protocols.includes(name)))!
    for (const member of members) {
      const isLeader = member.memberId === this.leader
      member.join!(
        createJoinGroupResponse({
          generationId: this.generationId,
          protocolType: 'consumer',
          protocolName: this.protocol,
          leader: this.leader,
          memberId: member.memberId,
          members: isLeader
            ? members.map(({ memberId, metadata }) => {
                return createJoinGroupResponseMember({ memberId, groupInstanceId: null, metadata })
              })
            : [],
        }),
      )
      member.join = null
    }
  }

  #synced(memberId: string): SyncGroupResponse {
    return createSyncGroupResponse({
      protocolType: 'consumer',
      protocolName: this.protocol,
      assignment: this.#assignments.get(memberId) ?? Buffer.alloc(0),
    })
  }
}

function unknownMember(): JoinGroupResponse {
  return createJoinGroupResponse({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, memberId: '', generationId: -1 })
}

/** The answer of a coordinator that commits none of the offsets. */
export function refusedCommit({ topics }: OffsetCommitRequest, errorCode: number): OffsetCommitResponse {
  return createOffsetCommitResponse({
    topics: topics.map(({ name, topicId, partitions }) =>
      createOffsetCommitResponseTopic({
        name,
        topicId,
        partitions: partitions.map(({ partitionIndex }) =>
          createOffsetCommitResponsePartition({ partitionIndex, errorCode }),
        ),
      }),
    ),
  })
}
