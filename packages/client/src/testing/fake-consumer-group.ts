import type { Timers, Uuid } from '@millrace/base'
import {
  type ConsumerGroupHeartbeatRequest,
  createConsumerGroupHeartbeatResponse,
  createConsumerGroupHeartbeatResponseAssignment,
  createConsumerGroupHeartbeatResponseTopicPartitions,
  ErrorCode,
} from '@millrace/protocol'

interface Member {
  memberId: string
  instanceId: string | null
  epoch: number
  previousEpoch: number
  state: 'STABLE' | 'UNREVOKED' | 'UNRELEASED'
  topics: string[]
  pattern: string | null
  rebalanceTimeoutMs: number
  /** Keys `topicId/partition`. */
  assigned: Set<string>
  pending: Set<string>
  target: Set<string>
  /** Counts heartbeats, so that a timer knows whether there was one since. */
  heard: number
}

/** The topics that there are. */
export type TopicsOf = () => { name: string; topicId: Uuid; partitionCount: number }[]

/** The coordinator of one group by the newer protocol (KIP-848), with Kafka's rules of who may own what when. */
export class FakeConsumerGroup {
  readonly members = new Map<string, Member>()
  groupEpoch = 0
  sessionTimeoutMs = 3000
  heartbeatIntervalMs = 200
  readonly #timers: Timers
  readonly #topics: TopicsOf
  #assignmentEpoch = 0
  #topicsSeen = ''

  constructor(timers: Timers, topics: TopicsOf) {
    this.#timers = timers
    this.#topics = topics
  }

  heartbeat(request: ConsumerGroupHeartbeatRequest): object {
    const { memberId, memberEpoch, instanceId } = request
    if (memberEpoch < 0) return this.#leave(memberId, memberEpoch)
    const errorCode = memberEpoch === 0 ? this.#join(request) : this.#checkEpoch(request)
    if (errorCode !== ErrorCode.NONE) return createConsumerGroupHeartbeatResponse({ errorCode })
    const member = this.members.get(memberId)!
    member.instanceId = instanceId
    const before = [...member.assigned].sort().join()
    this.#merge(member, request)
    this.#maybeAssign()
    this.#reconcile(member, request)
    this.#startSession(member)
    const isFull = request.topicPartitions !== null && request.rebalanceTimeoutMs !== -1
    const changed = before !== [...member.assigned].sort().join()
    return createConsumerGroupHeartbeatResponse({
      memberId,
      memberEpoch: member.epoch,
      heartbeatIntervalMs: this.heartbeatIntervalMs,
      assignment: memberEpoch === 0 || isFull || changed ? assignmentOf(member.assigned) : null,
    })
  }

  /** The error that a commit of these partitions meets, 0 for none. */
  check(memberId: string, epoch: number, keys: readonly string[]): number {
    if (epoch < 0 && memberId === '') return this.members.size === 0 ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
    const member = this.members.get(memberId)
    if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    if (epoch === member.epoch) return ErrorCode.NONE
    if (epoch > member.epoch) return ErrorCode.STALE_MEMBER_EPOCH
    const isHeld = keys.every((key) => member.assigned.has(key) || member.pending.has(key))
    return isHeld ? ErrorCode.NONE : ErrorCode.STALE_MEMBER_EPOCH
  }

  /** Throws a member out, as the end of its session does. */
  fence(memberId: string): void {
    if (this.members.delete(memberId)) this.groupEpoch++
  }

  #join(request: ConsumerGroupHeartbeatRequest): number {
    const { memberId, instanceId } = request
    const isComplete = request.topicPartitions?.length === 0 && request.rebalanceTimeoutMs > 0
    const namesTopics = request.subscribedTopicNames !== null || request.subscribedTopicRegex !== null
    if (memberId === '' || !isComplete || !namesTopics) return ErrorCode.INVALID_REQUEST
    const before = instanceId === null ? null : this.#byInstance(instanceId)
    if (before !== null && before.epoch !== -2) return ErrorCode.UNRELEASED_INSTANCE_ID
    const known = this.members.get(memberId)
    if (known !== undefined) return ErrorCode.NONE
    this.members.set(memberId, newMember(memberId, before))
    if (before === null) this.groupEpoch++
    else if (before.memberId !== memberId) this.members.delete(before.memberId)
    return ErrorCode.NONE
  }

  #checkEpoch({ memberId, memberEpoch, topicPartitions }: ConsumerGroupHeartbeatRequest): number {
    const member = this.members.get(memberId)
    if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    if (memberEpoch === member.epoch) return ErrorCode.NONE
    const owned = topicPartitions === null ? null : keysOf(topicPartitions)
    const isBehind = memberEpoch === member.previousEpoch && owned?.every((key) => member.assigned.has(key))
    return isBehind ? ErrorCode.NONE : ErrorCode.FENCED_MEMBER_EPOCH
  }

  #merge(member: Member, request: ConsumerGroupHeartbeatRequest): void {
    const before = JSON.stringify([member.topics, member.pattern])
    if (request.subscribedTopicNames !== null) member.topics = [...request.subscribedTopicNames].sort()
    if (request.subscribedTopicRegex !== null) member.pattern = request.subscribedTopicRegex || null
    if (request.rebalanceTimeoutMs > 0) member.rebalanceTimeoutMs = request.rebalanceTimeoutMs
    if (JSON.stringify([member.topics, member.pattern]) !== before) this.groupEpoch++
  }

  /** Spreads all partitions over the members that want them, in turn. */
  #maybeAssign(): void {
    const topics = this.#topics()
    const seen = JSON.stringify(topics)
    if (seen !== this.#topicsSeen) this.groupEpoch++
    this.#topicsSeen = seen
    if (this.#assignmentEpoch === this.groupEpoch) return
    this.#assignmentEpoch = this.groupEpoch
    const members = [...this.members.values()].sort((a, b) => (a.memberId < b.memberId ? -1 : 1))
    for (const member of members) member.target = new Set()
    for (const { name, topicId, partitionCount } of topics) {
      const wanting = members.filter(({ topics: wanted, pattern }) => {
        return wanted.includes(name) || (pattern !== null && new RegExp(`^(?:${pattern})$`).test(name))
      })
      for (let partition = 0; partition < partitionCount && wanting.length > 0; partition++) {
        wanting[partition % wanting.length]!.target.add(`${topicId}/${partition}`)
      }
    }
  }

  #reconcile(member: Member, { topicPartitions }: ConsumerGroupHeartbeatRequest): void {
    const owned = topicPartitions === null ? null : new Set(keysOf(topicPartitions))
    if (member.state === 'STABLE' && member.epoch === this.#assignmentEpoch) return
    if (member.state === 'UNREVOKED' && (owned === null || [...member.pending].some((key) => owned.has(key)))) return
    const keep = [...member.assigned].filter((key) => member.target.has(key))
    const revoke = [...member.assigned].filter((key) => !member.target.has(key))
    if (revoke.length > 0 && (owned === null || revoke.some((key) => owned.has(key)))) {
      member.state = 'UNREVOKED'
      member.assigned = new Set(keep)
      member.pending = new Set(revoke)
      member.previousEpoch = member.epoch
      this.#startRebalanceTimer(member)
      return
    }
    const wanted = [...member.target].filter((key) => !keep.includes(key))
    const free = wanted.filter((key) => !this.#isHeld(key, member))
    member.assigned = new Set([...keep, ...free])
    member.pending = new Set()
    member.previousEpoch = member.epoch
    member.epoch = this.#assignmentEpoch
    member.state = free.length < wanted.length ? 'UNRELEASED' : 'STABLE'
  }

  #isHeld(key: string, by: Member): boolean {
    for (const member of this.members.values()) {
      if (member !== by && (member.assigned.has(key) || member.pending.has(key))) return true
    }
    return false
  }

  #startRebalanceTimer(member: Member): void {
    const { epoch } = member
    this.#timers.setTimer(member.rebalanceTimeoutMs, () => {
      if (this.members.get(member.memberId) === member && member.state === 'UNREVOKED' && member.epoch === epoch) {
        this.fence(member.memberId)
      }
    })
  }

  #startSession(member: Member): void {
    const heard = ++member.heard
    this.#timers.setTimer(this.sessionTimeoutMs, () => {
      if (this.members.get(member.memberId) === member && member.heard === heard) this.fence(member.memberId)
    })
  }

  #leave(memberId: string, memberEpoch: number): object {
    const member = this.members.get(memberId)
    if (member === undefined) return createConsumerGroupHeartbeatResponse({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID })
    if (memberEpoch === -1) this.fence(memberId)
    else member.epoch = -2
    return createConsumerGroupHeartbeatResponse({ memberId, memberEpoch })
  }

  #byInstance(instanceId: string): Member | null {
    return [...this.members.values()].find((member) => member.instanceId === instanceId) ?? null
  }
}

function newMember(memberId: string, before: Member | null): Member {
  return {
    memberId,
    instanceId: before?.instanceId ?? null,
    epoch: 0,
    previousEpoch: -1,
    state: 'STABLE',
    topics: before?.topics ?? [],
    pattern: before?.pattern ?? null,
    rebalanceTimeoutMs: 1,
    assigned: before?.assigned ?? new Set(),
    pending: new Set(),
    target: before?.target ?? new Set(),
    heard: 0,
  }
}

function keysOf(topics: readonly { topicId: Uuid; partitions: number[] }[]): string[] {
  return topics.flatMap(({ topicId, partitions }) => partitions.map((partition) => `${topicId}/${partition}`))
}

function assignmentOf(keys: ReadonlySet<string>) {
  const byTopic = Map.groupBy(keys, (key) => key.slice(0, key.lastIndexOf('/')))
  const topicPartitions = [...byTopic].map(([topicId, list]) =>
    createConsumerGroupHeartbeatResponseTopicPartitions({
      topicId: topicId as Uuid,
      partitions: list.map((key) => Number(key.slice(key.lastIndexOf('/') + 1))),
    }),
  )
  return createConsumerGroupHeartbeatResponseAssignment({ topicPartitions })
}
