import {
  createConsumerProtocolSubscription,
  ErrorCode,
  encodeConsumerProtocolSubscription,
  Writer,
} from '@millrace/protocol'
import { encodeAssignment, parseAssignment, parseSubscription } from '../group/consumer-protocol.ts'
import { EMPTY_BYTES, type JoinAnswer, type SyncAnswer } from '../group/group-protocol.ts'
import { type Assignment, EMPTY_ASSIGNMENT } from '../group/modern/assignment.ts'
import type { HeartbeatAnswer } from '../group/modern/heartbeat-answer.ts'
import type { ReplyToken } from '../runtime/step.ts'
import { type GroupDriver, topicId } from './group-driver.ts'

export const WORLD_TOPIC = 'topic'
const TOPIC_ID = topicId(WORLD_TOPIC)

/** What both kinds of consumers are seen to do. */
export interface SimulatedConsumer {
  readonly memberId: string
  /** Partitions that it works on. */
  readonly owned: ReadonlySet<number>
  /** Epoch or generation. */
  readonly epoch: number
  /** Sends what it has to send next, and acts on what it hears unless the answer is lost. */
  act(driver: GroupDriver, isAnswerLost: boolean): void
  leave(driver: GroupDriver): void
  /** The coordinator is another one: what it was asked is not answered any more. */
  onFailover(): void
}

/** The offset that a consumer is about to commit: it may be late with it, but gives it up with its partition. */
export class LateCommit {
  #draft: { partition: number; offset: number; epoch: number } | null = null

  /** Takes note of how far the consumer is, or commits what it took note of. */
  act(consumer: SimulatedConsumer, driver: GroupDriver, offset: number): void {
    const draft = this.#draft
    if (draft === null) {
      const partitions = [...consumer.owned]
      const partition = partitions[offset % Math.max(partitions.length, 1)]
      if (partition !== undefined) this.#draft = { partition, offset, epoch: consumer.epoch }
      return
    }
    this.#draft = null
    if (!consumer.owned.has(draft.partition)) return
    const { partition, offset: committedOffset, epoch } = draft
    const partitions = [{ partition, committedOffset, leaderEpoch: -1, metadata: '' }]
    const topics = [{ topic: WORLD_TOPIC, topicId: TOPIC_ID, partitions }]
    driver.commit({}, { memberId: consumer.memberId, generationId: epoch, topics })
  }
}

/** A consumer of the new protocol, as clients implement it: gives up first, says so, and only then gets more. */
export class NewConsumer implements SimulatedConsumer {
  readonly memberId: string
  readonly instanceId: string | null
  readonly owned = new Set<number>()
  epoch = 0
  /** What it told the coordinator last; null: everything is to be said again. */
  #told: string | null = null
  readonly #hesitates: () => boolean
  #target: ReadonlySet<number> = new Set()

  /** `hesitates`: whether it is not done yet with what it works on. */
  constructor(memberId: string, instanceId: string | null, hesitates: () => boolean) {
    this.memberId = memberId
    this.instanceId = instanceId
    this.#hesitates = hesitates
  }

  act(driver: GroupDriver, isAnswerLost: boolean): void {
    const isGivingUp = [...this.owned].some((partition) => !this.#target.has(partition))
    if (isGivingUp && !this.#hesitates()) {
      for (const partition of this.owned) if (!this.#target.has(partition)) this.owned.delete(partition)
    }
    for (const partition of isGivingUp ? [] : this.#target) this.owned.add(partition)
    const { memberId, instanceId, epoch } = this
    const list = [...this.owned].sort((left, right) => left - right)
    const owned: Assignment = epoch === 0 || list.length === 0 ? EMPTY_ASSIGNMENT : new Map([[TOPIC_ID, list]])
    const saying = list.join()
    const isFull = epoch === 0 || this.#told === null
    const answer = driver.consumer(memberId, epoch, {
      instanceId,
      owned: isFull || saying !== this.#told ? owned : null,
      rebalanceTimeoutMs: isFull ? 20_000 : -1,
      subscribedTopics: isFull ? [WORLD_TOPIC] : null,
    })
    this.#told = isAnswerLost ? null : saying
    if (!isAnswerLost) this.#onAnswer(answer)
  }

  #onAnswer({ errorCode, memberEpoch, assignment }: HeartbeatAnswer): void {
    switch (errorCode) {
      case ErrorCode.NONE:
        this.epoch = memberEpoch
        if (assignment !== null) this.#target = new Set(assignment.get(TOPIC_ID) ?? [])
        return
      case ErrorCode.UNKNOWN_MEMBER_ID:
      case ErrorCode.FENCED_MEMBER_EPOCH:
      case ErrorCode.GROUP_ID_NOT_FOUND:
        this.#beginAnew()
        return
      case ErrorCode.UNRELEASED_INSTANCE_ID:
        return
      default:
        throw new Error(`a consumer was told ${errorCode}`)
    }
  }

  #beginAnew(): void {
    this.owned.clear()
    this.#target = new Set()
    this.epoch = 0
    this.#told = null
  }

  leave(driver: GroupDriver): void {
    driver.consumer(this.memberId, this.instanceId === null ? -1 : -2, { instanceId: this.instanceId })
    this.#beginAnew()
  }

  onFailover(): void {
    this.#told = null
  }
}

/** A cooperative consumer of the classic protocol (KIP-429), which assigns itself where it leads. */
export class ClassicConsumer implements SimulatedConsumer {
  memberId = ''
  readonly owned = new Set<number>()
  epoch = -1
  #join: ReplyToken | null = null
  #sync: ReplyToken | null = null
  #isMember = false
  readonly #partitionCount: () => number
  /** For so many partitions it has assigned as the leader; null: it does not lead. */
  #assignedCount: number | null = null

  constructor(partitionCount: () => number) {
    this.#partitionCount = partitionCount
  }

  act(driver: GroupDriver, isAnswerLost: boolean): void {
    if (this.#join !== null) this.#onJoined(driver, driver.joinAnswer(this.#join))
    else if (this.#sync !== null) this.#onSynced(driver, driver.syncAnswer(this.#sync))
    else if (this.#isMember) this.#heartbeat(driver, isAnswerLost)
    else this.#sendJoin(driver)
  }

  #sendJoin(driver: GroupDriver): void {
    this.#isMember = false
    const writer = new Writer()
    writer.int16(3)
    const partitions = [...this.owned].sort((left, right) => left - right)
    const ownedPartitions =
      partitions.length === 0 ? [] : [{ topic: WORLD_TOPIC, partitions, unknownTaggedFields: null }]
    const subscription = createConsumerProtocolSubscription({ topics: [WORLD_TOPIC], ownedPartitions })
    encodeConsumerProtocolSubscription(writer, subscription, 3)
    this.#join = driver.join({
      memberId: this.memberId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      protocols: [{ name: 'cooperative-sticky', metadata: Buffer.from(writer.toBuffer()) }],
      requiresKnownMemberId: true,
    })
  }

  #onJoined(driver: GroupDriver, answer: JoinAnswer | undefined): void {
    if (answer === undefined) return
    this.#join = null
    if (answer.errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.memberId = answer.memberId
    if (answer.errorCode !== 0) {
      if (answer.errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.#beginAnew()
      return
    }
    this.memberId = answer.memberId
    this.epoch = answer.generationId
    const isLeader = answer.leader === this.memberId
    this.#assignedCount = isLeader ? this.#partitionCount() : null
    this.#sync = driver.sync({
      memberId: this.memberId,
      generationId: answer.generationId,
      assignments: isLeader ? this.#assign(driver, answer) : new Map(),
    })
  }

  /** Nobody gets what somebody else still has. */
  #assign(driver: GroupDriver, { members }: JoinAnswer): Map<string, Buffer> {
    const taken = new Map<number, string>()
    const held = members.map(({ memberId, metadata }) => {
      const owned = parseSubscription(metadata)!.owned.flatMap(({ partitions }) => partitions)
      for (const partition of owned) taken.set(partition, memberId)
      return memberId
    })
    const assignments = new Map<string, Buffer>()
    held.forEach((memberId, slot) => {
      const partitions: number[] = []
      for (let partition = slot; partition < this.#partitionCount(); partition += held.length) {
        const owner = taken.get(partition)
        if (owner === undefined || owner === memberId) partitions.push(partition)
      }
      const assignment: Assignment = partitions.length === 0 ? EMPTY_ASSIGNMENT : new Map([[TOPIC_ID, partitions]])
      assignments.set(memberId, encodeAssignment(assignment, driver.directory, EMPTY_BYTES))
    })
    return assignments
  }

  #onSynced(driver: GroupDriver, answer: SyncAnswer | undefined): void {
    if (answer === undefined) return
    this.#sync = null
    if (answer.errorCode !== 0) {
      this.#onError(answer.errorCode)
      return
    }
    this.#isMember = true
    const assigned = new Set(
      answer.assignment.length === 0
        ? []
        : parseAssignment(answer.assignment)!.topics.flatMap((each) => each.partitions),
    )
    const revoked = [...this.owned].filter((partition) => !assigned.has(partition))
    this.owned.clear()
    for (const partition of assigned) this.owned.add(partition)
    // What it gave up others can have once it joins again.
    if (revoked.length > 0) this.#sendJoin(driver)
  }

  #heartbeat(driver: GroupDriver, isAnswerLost: boolean): void {
    // A leader looks for new partitions itself.
    if (this.#assignedCount !== null && this.#assignedCount !== this.#partitionCount()) {
      this.#sendJoin(driver)
      return
    }
    const errorCode = driver.heartbeat({ memberId: this.memberId, generationId: this.epoch })
    if (!isAnswerLost && errorCode !== 0) this.#onError(errorCode)
  }

  #onError(errorCode: number): void {
    this.#isMember = false
    if (errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.#beginAnew()
    else if (errorCode === ErrorCode.ILLEGAL_GENERATION) this.owned.clear()
  }

  #beginAnew(): void {
    this.owned.clear()
    this.memberId = ''
    this.epoch = -1
    this.#isMember = false
  }

  leave(driver: GroupDriver): void {
    if (this.memberId !== '') driver.leave(this.memberId)
    this.#join = null
    this.#sync = null
    this.#beginAnew()
  }

  onFailover(): void {
    this.#join = null
    this.#sync = null
  }
}
