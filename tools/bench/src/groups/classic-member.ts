import { setTimeout as delay } from 'node:timers/promises'
import {
  apiVersionsApi,
  createApiVersionsRequest,
  createConsumerProtocolAssignment,
  createConsumerProtocolAssignmentTopicPartition,
  createConsumerProtocolSubscription,
  createHeartbeatRequest,
  createJoinGroupRequest,
  createJoinGroupRequestProtocol,
  createLeaveGroupRequest,
  createMemberIdentity,
  createSyncGroupRequest,
  createSyncGroupRequestAssignment,
  decodeConsumerProtocolAssignment,
  ErrorCode,
  encodeConsumerProtocolAssignment,
  encodeConsumerProtocolSubscription,
  heartbeatApi,
  type JoinGroupResponse,
  joinGroupApi,
  leaveGroupApi,
  Reader,
  type SyncGroupRequestAssignment,
  syncGroupApi,
  Writer,
} from '@millrace/protocol'
import { ProtocolWire } from '../protocol-wire.ts'
import { type GroupPlan, isRetriable, type Member, type MemberEvents, RETRY_MS } from './member.ts'

const VERSIONS = { join: 9, sync: 5, heartbeat: 4, leave: 5 }
/** What a consumer has for `max.poll.interval.ms` unless it is told otherwise. */
const REBALANCE_TIMEOUT_MS = 300_000

/** A member of the classic protocol that gives up all it has at each rebalance; as leader it deals the partitions out evenly. */
export class ClassicMember implements Member {
  readonly #number: number
  readonly #plan: GroupPlan
  readonly #events: MemberEvents
  readonly #wire: ProtocolWire
  readonly #subscription: Buffer
  #memberId = ''
  #isOver = false

  constructor(number: number, plan: GroupPlan, events: MemberEvents) {
    this.#number = number
    this.#plan = plan
    this.#events = events
    this.#wire = new ProtocolWire(plan.port)
    const writer = new Writer(256)
    writer.int16(1)
    encodeConsumerProtocolSubscription(writer, createConsumerProtocolSubscription({ topics: [plan.topic] }), 1)
    this.#subscription = Buffer.from(writer.toBuffer())
  }

  async connect(): Promise<void> {
    await this.#wire.call(apiVersionsApi, 0, createApiVersionsRequest())
  }

  start(): void {
    this.#takePart().catch((error: Error) => {
      if (!this.#isOver) this.#events.onFailed(error)
    })
  }

  async leave(): Promise<void> {
    this.#isOver = true
    const members = [createMemberIdentity({ memberId: this.#memberId })]
    const request = createLeaveGroupRequest({ groupId: this.#plan.groupId, members })
    const { errorCode } = await this.#wire.call(leaveGroupApi, VERSIONS.leave, request)
    this.#wire.close()
    if (isRetriable('LeaveGroup', errorCode)) throw new Error('LeaveGroup: the coordinator was not there')
  }

  vanish(): void {
    this.#isOver = true
    this.#wire.close()
  }

  async #takePart(): Promise<void> {
    while (!this.#isOver) {
      this.#events.onOwned(this.#number, [])
      const generation = await this.#join()
      const partitions = await this.#sync(generation)
      if (this.#isOver || partitions === null) continue
      this.#events.onOwned(this.#number, partitions)
      await this.#beat(generation.generationId)
    }
  }

  async #join(): Promise<JoinGroupResponse> {
    const { groupId, sessionTimeoutMs } = this.#plan
    for (;;) {
      const request = createJoinGroupRequest({
        ...{ groupId, sessionTimeoutMs, rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS },
        memberId: this.#memberId,
        protocolType: 'consumer',
        protocols: [createJoinGroupRequestProtocol({ name: 'range', metadata: this.#subscription })],
      })
      const response = await this.#wire.call(joinGroupApi, VERSIONS.join, request)
      if (this.#isOver) return response
      if (response.errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.#memberId = response.memberId
      else if (isRetriable('JoinGroup', response.errorCode)) await delay(RETRY_MS)
      else return response
    }
  }

  /** The partitions of this generation; null: there is another one already. */
  async #sync({ generationId, protocolType, protocolName, leader, members }: JoinGroupResponse) {
    const isLeader = leader === this.#memberId
    const request = createSyncGroupRequest({
      ...{ groupId: this.#plan.groupId, memberId: this.#memberId, generationId, protocolType, protocolName },
      assignments: isLeader ? this.#dealOut(members.map(({ memberId }) => memberId)) : [],
    })
    for (;;) {
      const { errorCode, assignment } = await this.#wire.call(syncGroupApi, VERSIONS.sync, request)
      if (this.#isOver || errorCode === ErrorCode.REBALANCE_IN_PROGRESS) return null
      if (!isRetriable('SyncGroup', errorCode)) return this.#partitionsOf(assignment)
      await delay(RETRY_MS)
    }
  }

  #dealOut(memberIds: readonly string[]): SyncGroupRequestAssignment[] {
    const { topic, partitionCount } = this.#plan
    const writer = new Writer(1024)
    return memberIds.map((memberId, slot) => {
      const partitions: number[] = []
      for (let partition = slot; partition < partitionCount; partition += memberIds.length) partitions.push(partition)
      const assignedPartitions = [createConsumerProtocolAssignmentTopicPartition({ topic, partitions })]
      writer.reset()
      writer.int16(1)
      encodeConsumerProtocolAssignment(writer, createConsumerProtocolAssignment({ assignedPartitions }), 1)
      return createSyncGroupRequestAssignment({ memberId, assignment: Buffer.from(writer.toBuffer()) })
    })
  }

  #partitionsOf(assignment: Buffer): number[] {
    const reader = new Reader(assignment)
    const version = reader.int16()
    return decodeConsumerProtocolAssignment(reader, version).assignedPartitions.flatMap(({ partitions }) => partitions)
  }

  /** Until the next rebalance. Members begin at different moments of the interval: they did not start together, as a rule. */
  async #beat(generationId: number): Promise<void> {
    const { groupId, heartbeatMs, memberCount } = this.#plan
    const request = createHeartbeatRequest({ groupId, generationId, memberId: this.#memberId })
    await delay((heartbeatMs * this.#number) / memberCount)
    while (!this.#isOver) {
      const startMs = performance.now()
      const { errorCode } = await this.#wire.call(heartbeatApi, VERSIONS.heartbeat, request)
      this.#events.onHeartbeat(performance.now() - startMs)
      if (this.#isOver || errorCode === ErrorCode.REBALANCE_IN_PROGRESS) return
      isRetriable('Heartbeat', errorCode)
      await delay(heartbeatMs)
    }
  }
}
