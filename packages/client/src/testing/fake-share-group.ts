import type { Timer, Timers, Uuid } from '@millrace/base'
import {
  createAcquiredRecords,
  createShareAcknowledgeResponse,
  createShareAcknowledgeResponsePartitionData,
  createShareAcknowledgeTopicResponse,
  createShareFetchableTopicResponse,
  createShareFetchResponse,
  createShareFetchResponsePartitionData,
  createShareGroupHeartbeatResponse,
  createShareGroupHeartbeatResponseAssignment,
  createShareGroupHeartbeatResponseTopicPartitions,
  ErrorCode,
  type ShareAcknowledgeRequest,
  type ShareFetchRequest,
  type ShareGroupHeartbeatRequest,
} from '@millrace/protocol'
import type { FakePartition } from './fake-partition.ts'

interface RecordState {
  state: 'available' | 'acquired' | 'acknowledged' | 'archived'
  memberId: string
  deliveryCount: number
  lock: Timer | null
}

interface Run {
  firstOffset: number | bigint
  lastOffset: number | bigint
  acknowledgeTypes: number[]
}

interface Session {
  epoch: number
  partitions: Set<string>
}

/** What the group asks of its cluster. */
export interface ShareHost {
  readonly timers: Timers
  topics(): { name: string; topicId: Uuid; partitions: FakePartition[] }[]
}

/** One share group: its coordinator, and the share partitions and sessions of all brokers (KIP-932). Partitions begin at the log's start. */
export class FakeShareGroup {
  readonly members = new Map<string, { epoch: number; topics: string[] }>()
  lockDurationMs = 5000
  deliveryLimit = 5
  heartbeatIntervalMs = 200
  readonly #host: ShareHost
  readonly #states = new Map<string, Map<number, RecordState>>()
  readonly #sessions = new Map<string, Session>()
  #groupEpoch = 0

  constructor(host: ShareHost) {
    this.#host = host
  }

  heartbeat({ memberId, memberEpoch, subscribedTopicNames }: ShareGroupHeartbeatRequest): object {
    if (memberEpoch === -1) {
      const errorCode = this.members.delete(memberId) ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
      return createShareGroupHeartbeatResponse({ errorCode, memberId, memberEpoch })
    }
    let member = this.members.get(memberId)
    if (memberEpoch === 0 && subscribedTopicNames === null) {
      return createShareGroupHeartbeatResponse({ errorCode: ErrorCode.INVALID_REQUEST })
    }
    if (member === undefined && memberEpoch !== 0) {
      return createShareGroupHeartbeatResponse({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID })
    }
    member ??= { epoch: 0, topics: [] }
    this.members.set(memberId, member)
    if (subscribedTopicNames !== null) {
      member.topics = subscribedTopicNames
      this.#groupEpoch++
    }
    member.epoch = this.#groupEpoch
    const wanted = this.#host.topics().filter(({ name }) => member.topics.includes(name))
    const topicPartitions = wanted.map(({ topicId, partitions }) =>
      createShareGroupHeartbeatResponseTopicPartitions({ topicId, partitions: [...partitions.keys()] }),
    )
    return createShareGroupHeartbeatResponse({
      memberId,
      memberEpoch: member.epoch,
      heartbeatIntervalMs: this.heartbeatIntervalMs,
      assignment: createShareGroupHeartbeatResponseAssignment({ topicPartitions }),
    })
  }

  async fetch(nodeId: number, request: ShareFetchRequest): Promise<object> {
    const memberId = request.memberId!
    const session = this.#openSession(nodeId, memberId, request.shareSessionEpoch)
    if (typeof session === 'number') return createShareFetchResponse({ errorCode: session })
    const acknowledged = new Map<string, number>()
    for (const { topicId, partitions } of request.topics) {
      for (const { partitionIndex, acknowledgementBatches } of partitions) {
        const key = `${topicId}/${partitionIndex}`
        session.partitions.add(key)
        if (acknowledgementBatches.length === 0) continue
        acknowledged.set(key, this.#acknowledge(key, memberId, acknowledgementBatches, false))
      }
    }
    for (const { topicId, partitions } of request.forgottenTopicsData) {
      for (const partition of partitions) session.partitions.delete(`${topicId}/${partition}`)
    }
    let read = this.#read(nodeId, session, memberId, request.maxRecords)
    if (read.size === 0 && acknowledged.size === 0 && request.maxWaitMs > 0) {
      await new Promise<void>((resolve) => {
        this.#host.timers.setTimer(request.maxWaitMs, resolve)
      })
      read = this.#read(nodeId, session, memberId, request.maxRecords)
    }
    return createShareFetchResponse({
      acquisitionLockTimeoutMs: this.lockDurationMs,
      responses: [...new Set([...read.keys(), ...acknowledged.keys()])].map((key) =>
        createShareFetchableTopicResponse({
          topicId: key.slice(0, key.lastIndexOf('/')) as Uuid,
          partitions: [
            createShareFetchResponsePartitionData({
              partitionIndex: Number(key.slice(key.lastIndexOf('/') + 1)),
              records: Buffer.alloc(0),
              ...read.get(key),
              acknowledgeErrorCode: acknowledged.get(key) ?? 0,
            }),
          ],
        }),
      ),
    })
  }

  acknowledge(nodeId: number, request: ShareAcknowledgeRequest): object {
    const memberId = request.memberId!
    if (request.shareSessionEpoch === 0) {
      return createShareAcknowledgeResponse({ errorCode: ErrorCode.INVALID_SHARE_SESSION_EPOCH })
    }
    const session = this.#openSession(nodeId, memberId, request.shareSessionEpoch)
    if (typeof session === 'number') return createShareAcknowledgeResponse({ errorCode: session })
    const responses = request.topics.map(({ topicId, partitions }) =>
      createShareAcknowledgeTopicResponse({
        topicId,
        partitions: partitions.map(({ partitionIndex, acknowledgementBatches }) =>
          createShareAcknowledgeResponsePartitionData({
            partitionIndex,
            errorCode: this.#acknowledge(
              `${topicId}/${partitionIndex}`,
              memberId,
              acknowledgementBatches,
              request.isRenewAck,
            ),
          }),
        ),
      }),
    )
    if (request.shareSessionEpoch === -1) this.endSession(nodeId, memberId)
    return createShareAcknowledgeResponse({ responses, acquisitionLockTimeoutMs: this.lockDurationMs })
  }

  /** Ends a session, as the end of its connection does: what it acquired is given back. */
  endSession(nodeId: number, memberId: string): void {
    const session = this.#sessions.get(`${nodeId}/${memberId}`)
    if (session === undefined) return
    this.#sessions.delete(`${nodeId}/${memberId}`)
    for (const [key, states] of this.#states) {
      if (this.#partition(key)?.leaderId !== nodeId) continue
      for (const record of states.values()) {
        if (record.state === 'acquired' && record.memberId === memberId) this.#release(record)
      }
    }
  }

  /** How many records are in a state. */
  count(state: RecordState['state']): number {
    let count = 0
    for (const states of this.#states.values()) {
      for (const record of states.values()) if (record.state === state) count++
    }
    return count
  }

  /** The state of one record; `place` is `partition/offset`. */
  stateOf(topicId: Uuid, place: string): RecordState['state'] | null {
    const [partition, offset] = place.split('/')
    return this.#states.get(`${topicId}/${partition}`)?.get(Number(offset))?.state ?? null
  }

  /** The session for a request, or the error code that it meets. */
  #openSession(nodeId: number, memberId: string, epoch: number): Session | number {
    const key = `${nodeId}/${memberId}`
    const known = this.#sessions.get(key)
    if (epoch === 0) {
      const session: Session = { epoch: 1, partitions: new Set() }
      this.#sessions.set(key, session)
      return session
    }
    if (known === undefined) return ErrorCode.SHARE_SESSION_NOT_FOUND
    if (epoch === -1) return known
    if (epoch !== known.epoch) return ErrorCode.INVALID_SHARE_SESSION_EPOCH
    known.epoch++
    return known
  }

  #partition(key: string): FakePartition | undefined {
    const slash = key.lastIndexOf('/')
    const topic = this.#host.topics().find(({ topicId }) => topicId === key.slice(0, slash))
    return topic?.partitions[Number(key.slice(slash + 1))]
  }

  #read(nodeId: number, session: Session, memberId: string, maxRecords: number): Map<string, object> {
    const found = new Map<string, object>()
    let left = maxRecords
    for (const key of session.partitions) {
      const partition = this.#partition(key)
      if (partition?.leaderId !== nodeId) {
        found.set(key, { errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER })
        continue
      }
      const offsets = this.#acquire(key, partition, memberId, left)
      if (offsets.length === 0) continue
      left -= offsets.length
      const states = this.#states.get(key)!
      const acquiredRecords = offsets.map((offset) =>
        createAcquiredRecords({
          firstOffset: offset,
          lastOffset: offset,
          deliveryCount: states.get(offset)!.deliveryCount,
        }),
      )
      found.set(key, { records: partition.read(offsets[0]!, 2 ** 30, offsets.at(-1)! + 1000), acquiredRecords })
    }
    return found
  }

  #acquire(key: string, partition: FakePartition, memberId: string, maxRecords: number): number[] {
    const states = this.#states.get(key) ?? new Map<number, RecordState>()
    this.#states.set(key, states)
    const offsets: number[] = []
    for (let offset = partition.logStartOffset; offset < partition.endOffset; offset++) {
      if (offsets.length >= maxRecords) break
      const record = states.get(offset) ?? { state: 'available', memberId: '', deliveryCount: 0, lock: null }
      states.set(offset, record)
      if (record.state !== 'available') continue
      record.state = 'acquired'
      record.memberId = memberId
      record.deliveryCount++
      this.#lock(record)
      offsets.push(offset)
    }
    return offsets
  }

  #lock(record: RecordState): void {
    record.lock?.cancel()
    record.lock = this.#host.timers.setTimer(this.lockDurationMs, () => this.#release(record))
  }

  #acknowledge(key: string, memberId: string, runs: readonly Run[], isRenewAck: boolean): number {
    const states = this.#states.get(key)
    const changes: { record: RecordState; type: number }[] = []
    for (const { firstOffset, lastOffset, acknowledgeTypes } of runs) {
      for (let offset = Number(firstOffset); offset <= Number(lastOffset); offset++) {
        const type =
          acknowledgeTypes.length === 1 ? acknowledgeTypes[0]! : acknowledgeTypes[offset - Number(firstOffset)]!
        const record = states?.get(offset)
        if (type === 4 && !isRenewAck) return ErrorCode.INVALID_REQUEST
        if (record?.state !== 'acquired' || record.memberId !== memberId) return ErrorCode.INVALID_RECORD_STATE
        changes.push({ record, type })
      }
    }
    for (const { record, type } of changes) {
      if (type === 4) this.#lock(record)
      else if (type === 2) this.#release(record)
      else {
        record.lock?.cancel()
        record.state = type === 1 ? 'acknowledged' : 'archived'
      }
    }
    return ErrorCode.NONE
  }

  #release(record: RecordState): void {
    record.lock?.cancel()
    record.lock = null
    record.state = record.deliveryCount >= this.deliveryLimit ? 'archived' : 'available'
  }
}
