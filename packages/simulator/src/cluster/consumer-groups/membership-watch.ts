import type { Uuid } from '@millrace/base'
import {
  ApiKey,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  decodeConsumerProtocolAssignment,
  decodeConsumerProtocolSubscription,
  ErrorCode,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type JoinGroupRequest,
  type JoinGroupResponse,
  type LeaveGroupRequest,
  Reader,
  type SyncGroupRequest,
  type SyncGroupResponse,
} from '@millrace/protocol'
import type { WireWatcher } from '../wire-watch.ts'
import type { MembershipGhost, Place, Sending } from './membership-ghost.ts'

/** What the watch has to know of the world. */
export interface MembershipSurroundings {
  readonly ghost: MembershipGhost
  nowMs(): number
  /** Who alone coordinates now. */
  coordinator(): string | null
  topicName(topicId: Uuid): string
}

/** The group goes on without the member that was told so. */
const REFUSALS: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.FENCED_MEMBER_EPOCH,
  ErrorCode.FENCED_INSTANCE_ID,
  ErrorCode.ILLEGAL_GENERATION,
  ErrorCode.GROUP_ID_NOT_FOUND,
])

/** Tells a {@link MembershipGhost} what members of both protocols say to their coordinator and are told. One watch for each member. */
export class MembershipWatch implements WireWatcher {
  readonly apiKeys: ReadonlySet<number> = new Set([
    ApiKey.CONSUMER_GROUP_HEARTBEAT,
    ApiKey.JOIN_GROUP,
    ApiKey.SYNC_GROUP,
    ApiKey.HEARTBEAT,
    ApiKey.LEAVE_GROUP,
  ])
  readonly #around: MembershipSurroundings
  #memberId = ''
  /** By the classic protocol: it comes with the answer to a join. */
  #instanceId: string | null = null
  /** Joins by the classic protocol that were sent. */
  #joinCount = 0

  constructor(around: MembershipSurroundings) {
    this.#around = around
  }

  /** As which the member was last seen; empty: as none yet. */
  get memberId(): string {
    return this.#memberId
  }

  onRequest(apiKey: number, request: unknown): ((response: unknown) => void) | null {
    switch (apiKey) {
      case ApiKey.CONSUMER_GROUP_HEARTBEAT:
        return this.#onHeartbeat(request as ConsumerGroupHeartbeatRequest)
      case ApiKey.JOIN_GROUP:
        return this.#onJoin(request as JoinGroupRequest)
      case ApiKey.SYNC_GROUP:
        return this.#onSync(request as SyncGroupRequest)
      case ApiKey.HEARTBEAT:
        return this.#onClassicHeartbeat(request as HeartbeatRequest)
      default:
        for (const { memberId } of (request as LeaveGroupRequest).members) this.#around.ghost.onLeaveSent(memberId)
        return null
    }
  }

  #sending(): Sending {
    return { sentMs: this.#around.nowMs(), coordinator: this.#around.coordinator() }
  }

  #onHeartbeat(request: ConsumerGroupHeartbeatRequest): (response: unknown) => void {
    const { ghost } = this.#around
    const { memberId, instanceId, memberEpoch, topicPartitions, rebalanceTimeoutMs } = request
    this.#memberId = memberId
    const owned = topicPartitions === null ? null : this.#placesById(topicPartitions)
    const sent = { ...this.#sending(), memberId, instanceId, memberEpoch, owned, rebalanceTimeoutMs }
    const ordinal = ghost.onHeartbeatSent(sent)
    return (response) => {
      const { errorCode, memberEpoch: epoch, assignment } = response as ConsumerGroupHeartbeatResponse
      if (REFUSALS.has(errorCode)) ghost.onRefused(memberId)
      if (errorCode !== ErrorCode.NONE) return
      const told = { epoch, assignment: assignment && this.#placesById(assignment.topicPartitions) }
      ghost.onHeartbeatTold(sent, ordinal, told, this.#around.coordinator())
    }
  }

  #onJoin({ memberId, groupInstanceId, protocols, rebalanceTimeoutMs }: JoinGroupRequest): (response: unknown) => void {
    const { ghost } = this.#around
    this.#instanceId = groupInstanceId
    this.#joinCount++
    const owned = ownedOf(protocols[0]!.metadata)
    if (memberId !== '') ghost.onJoinSent(memberId, groupInstanceId, owned, rebalanceTimeoutMs)
    else if (groupInstanceId !== null) ghost.onInstanceJoins(groupInstanceId)
    const sent = this.#sending()
    return (response) => {
      const { errorCode, memberId: given } = response as JoinGroupResponse
      if (memberId !== '' && REFUSALS.has(errorCode)) ghost.onRefused(memberId)
      if (errorCode !== ErrorCode.NONE) return
      this.#memberId = given
      if (memberId === '') ghost.onJoinSent(given, groupInstanceId, owned, rebalanceTimeoutMs)
      ghost.onClassicAlive(given, sent, true, this.#around.coordinator())
    }
  }

  #onSync({ memberId, generationId }: SyncGroupRequest): (response: unknown) => void {
    const { ghost } = this.#around
    const ordinal = ghost.onSyncSent(memberId, this.#instanceId)
    const sent = this.#sending()
    return (response) => {
      const { errorCode, assignment } = response as SyncGroupResponse
      if (REFUSALS.has(errorCode)) ghost.onRefused(memberId)
      if (errorCode !== ErrorCode.NONE) return
      const told = { epoch: generationId, assignment: assignedOf(assignment) }
      ghost.onSyncTold(memberId, ordinal, sent, told, this.#around.coordinator())
    }
  }

  #onClassicHeartbeat({ memberId }: HeartbeatRequest): (response: unknown) => void {
    const { ghost } = this.#around
    const sent = this.#sending()
    const joinCount = this.#joinCount
    return (response) => {
      const { errorCode } = response as HeartbeatResponse
      // A member that is joining by then keeps what it has: what it is, the answer to that tells.
      if (REFUSALS.has(errorCode) && joinCount === this.#joinCount) ghost.onRefused(memberId)
      const isRebalancing = errorCode === ErrorCode.REBALANCE_IN_PROGRESS
      if (errorCode !== ErrorCode.NONE && !isRebalancing) return
      ghost.onClassicAlive(memberId, sent, isRebalancing, this.#around.coordinator())
    }
  }

  #placesById(topics: readonly { readonly topicId: Uuid; readonly partitions: readonly number[] }[]): Place[] {
    return placesOf(topics.map(({ topicId, partitions }) => ({ topic: this.#around.topicName(topicId), partitions })))
  }
}

function placesOf(topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[]): Place[] {
  return topics.flatMap(({ topic, partitions }) => partitions.map((partition) => `${topic}/${partition}`))
}

/** What a member of the classic protocol says in its subscription that it owns. */
function ownedOf(metadata: Buffer): Place[] {
  const reader = new Reader(metadata)
  return placesOf(decodeConsumerProtocolSubscription(reader, reader.int16()).ownedPartitions)
}

/** Nothing at all is the assignment of a member that its leader did not know of. */
function assignedOf(assignment: Buffer): Place[] {
  if (assignment.length === 0) return []
  const reader = new Reader(assignment)
  return placesOf(decodeConsumerProtocolAssignment(reader, reader.int16()).assignedPartitions)
}
