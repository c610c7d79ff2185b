import { type Random, SeededRandom, type Uuid } from '@millrace/base'
import { emptyImage, type MetadataImage } from '@millrace/consensus'
import { createConsumerProtocolSubscription, encodeConsumerProtocolSubscription, Writer } from '@millrace/protocol'
import type { HeartbeatInput, LeaveAnswer, LeavingMember } from '../group/classic-membership.ts'
import type { DescribedConsumerGroup } from '../group/consumer/consumer-description.ts'
import type { ConsumerHeartbeatInput } from '../group/consumer/consumer-inputs.ts'
import type { GroupCoordinatorConfig } from '../group/group-config.ts'
import { GroupCounters } from '../group/group-counters.ts'
import { GroupLimits } from '../group/group-limits.ts'
import { GroupMachine } from '../group/group-machine.ts'
import type { GroupEvent, GroupStep, JoinAnswer, JoinInput, SyncAnswer, SyncInput } from '../group/group-protocol.ts'
import type { GroupRecord } from '../group/group-record.ts'
import { GroupSettings } from '../group/group-settings.ts'
import { EMPTY_ASSIGNMENT } from '../group/modern/assignment.ts'
import type { HeartbeatAnswer } from '../group/modern/heartbeat-answer.ts'
import { TopicDirectory } from '../group/modern/topic-directory.ts'
import type { CommitAnswer, CommitInput } from '../group/offset-operations.ts'
import { type ReplyToken, Step, type StepNote } from '../runtime/step.ts'
import { Timeline } from '../runtime/timeline.ts'

export const GROUP = 'group'

/** Kafka's defaults, apart from an initial delay that tests can count with. */
export const TEST_CONFIG: GroupCoordinatorConfig = {
  offsetsTopicNumPartitions: 4,
  offsetsRetentionMinutes: 10_080,
  offsetsRetentionCheckIntervalMs: 600_000,
  offsetMetadataMaxBytes: 4096,
  offsetsCommitTimeoutMs: 5000,
  groupInitialRebalanceDelayMs: 3000,
  groupMinSessionTimeoutMs: 6000,
  groupMaxSessionTimeoutMs: 1_800_000,
  groupMaxSize: 2 ** 31 - 1,
  groupConsumerSessionTimeoutMs: 45_000,
  groupConsumerMinSessionTimeoutMs: 45_000,
  groupConsumerMaxSessionTimeoutMs: 60_000,
  groupConsumerHeartbeatIntervalMs: 5000,
  groupConsumerMinHeartbeatIntervalMs: 5000,
  groupConsumerMaxHeartbeatIntervalMs: 15_000,
  groupConsumerAssignmentIntervalMs: 0,
  groupConsumerMinAssignmentIntervalMs: 0,
  groupConsumerMaxAssignmentIntervalMs: 15_000,
  groupConsumerRegexRefreshIntervalMs: 600_000,
  groupConsumerMaxSize: 2 ** 31 - 1,
  groupConsumerAssignors: ['uniform', 'range'],
  groupConsumerMigrationPolicy: 'bidirectional',
  groupCoordinatorRebalanceProtocols: ['classic', 'consumer'],
  groupShareMaxSize: 200,
  groupShareSessionTimeoutMs: 45_000,
  groupShareMinSessionTimeoutMs: 45_000,
  groupShareMaxSessionTimeoutMs: 60_000,
  groupShareHeartbeatIntervalMs: 5000,
  groupShareMinHeartbeatIntervalMs: 5000,
  groupShareMaxHeartbeatIntervalMs: 15_000,
  groupShareAssignmentIntervalMs: 0,
  groupShareMinAssignmentIntervalMs: 0,
  groupShareMaxAssignmentIntervalMs: 15_000,
  groupCoordinatorMaxGroups: 100_000,
  groupCoordinatorMaxMembers: 100_000,
  groupCoordinatorMaxOffsets: 1_000_000,
  groupCoordinatorMaxBytes: 256 * 1024 * 1024,
  groupCoordinatorAppendLingerMs: -1,
  messageMaxBytes: 1_048_588,
}

/** What a consumer that subscribes to these topics sends as its metadata. */
export function subscription(...topics: string[]): Buffer {
  const writer = new Writer()
  writer.int16(3)
  encodeConsumerProtocolSubscription(writer, createConsumerProtocolSubscription({ topics }), 3)
  return Buffer.from(writer.toBuffer())
}

/** A step whose write is not decided yet. */
interface HeldWrite {
  readonly version: number
  /** Records in the log before it. */
  readonly logLength: number
  readonly continuation: GroupEvent | null
}

/**
 * Drives a group machine by hand, with time, timers and a log as plain values. Writes are committed at once unless `holdsWrites`;
 * then `settle` commits or fails them. The verbs fill in what a test does not care about.
 */
export class GroupDriver {
  readonly config: GroupCoordinatorConfig
  readonly counters = new GroupCounters()
  readonly limits: GroupLimits
  readonly timers = new Map<string, { atMs: number; event: GroupEvent }>()
  /** Every record written, those of failed writes too. */
  readonly records: GroupRecord[] = []
  /** What was logged. */
  readonly notes: StepNote[] = []
  nowMs = 1_000_000
  /** The topics that groups see. */
  image: MetadataImage = emptyImage('cluster')
  readonly directory: TopicDirectory
  holdsWrites = false
  /** Also of its later lives: ids must not come twice. */
  readonly #random: Random
  readonly #timeline = new Timeline()
  readonly #machine: GroupMachine
  readonly #answers = new Map<ReplyToken, JoinAnswer | SyncAnswer>()
  #held: HeldWrite[] = []
  #nextToken = 1
  /** Records written and not taken back, those of a former life too. */
  readonly #log: GroupRecord[] = []

  constructor(config: Partial<GroupCoordinatorConfig> = {}, random: Random = new SeededRandom(1)) {
    this.config = { ...TEST_CONFIG, ...config }
    this.#random = random
    this.limits = new GroupLimits(this.config)
    const image = () => this.image
    this.directory = new TopicDirectory(image)
    this.#machine = new GroupMachine(
      this.config,
      random,
      this.counters,
      this.limits,
      this.directory,
      new GroupSettings(this.config, image),
      this.#timeline,
    )
  }

  get machine(): GroupMachine {
    return this.#machine
  }

  /** The group as DescribeGroups shows it. */
  get group(): ReturnType<GroupMachine['describe']> {
    return this.#machine.describe(GROUP)
  }

  get state(): string {
    return this.group.state
  }

  /** Takes one step as the runtime does, as part of a transaction if a producer is named. */
  step<Result>(compute: (machine: GroupMachine, step: GroupStep) => Result, producerId = -1): Result {
    const step: GroupStep = new Step(this.nowMs)
    const version = this.#timeline.begin()
    const logLength = this.#log.length
    const result = compute(this.#machine, step)
    for (const { key, delayMs, event, onlyIfAbsent } of step.timers) {
      if (onlyIfAbsent === true && this.timers.has(key)) continue
      if (event === null) this.timers.delete(key)
      else this.timers.set(key, { atMs: this.nowMs + delayMs, event })
    }
    this.notes.push(...step.notes)
    for (const { token, reply } of step.replies) if (!this.#answers.has(token)) this.#answers.set(token, reply)
    step.records.forEach((record, slot) => {
      this.records.push(record)
      if (!step.alreadyApplied[slot]) this.#apply(record, producerId)
      else this.#keep(record)
    })
    const waits = step.records.length > 0 || this.#held.length > 0
    this.#held.push({ version, logLength, continuation: step.continuation })
    if (!this.holdsWrites || !waits) this.settle(0)
    return result
  }

  /** Commits what is held back (0), or fails it with an error of the log. */
  settle(errorCode: number): void {
    const held = this.#held
    this.#held = []
    if (held.length === 0) return
    if (errorCode === 0) this.#timeline.commitThrough(held.at(-1)!.version)
    else {
      this.#timeline.rollbackFrom(held[0]!.version)
      this.#log.length = held[0]!.logLength
    }
    for (const { continuation } of held) {
      if (continuation !== null) this.step((machine, step) => machine.onWriteDone(continuation, errorCode, step))
    }
  }

  /** Lets time pass and fires what falls due, in order. */
  advance(durationMs: number): void {
    const endMs = this.nowMs + durationMs
    for (;;) {
      let next: { key: string; atMs: number; event: GroupEvent } | null = null
      for (const [key, timer] of this.timers) {
        if (timer.atMs <= endMs && (next === null || timer.atMs < next.atMs)) next = { key, ...timer }
      }
      if (next === null) break
      const { key, atMs, event } = next
      this.nowMs = Math.max(this.nowMs, atMs)
      this.timers.delete(key)
      this.step((machine, step) => machine.onTimer(event, step))
    }
    this.nowMs = endMs
  }

  /** Sends JoinGroup, as an old client (v3, which is not asked to join twice) unless told otherwise. */
  join(input: Partial<JoinInput> = {}): ReplyToken {
    const token = this.#nextToken++
    const full: JoinInput = {
      groupId: GROUP,
      memberId: '',
      groupInstanceId: null,
      clientId: 'client',
      clientHost: '/127.0.0.1',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('topic') }],
      requiresKnownMemberId: false,
      supportsSkippingAssignment: false,
      reason: null,
      ...input,
    }
    this.step((machine, step) => machine.join(full, token, step))
    return token
  }

  /** Sends ConsumerGroupHeartbeat: a member that is there and has nothing to say, unless told otherwise. */
  consumer(memberId: string, memberEpoch: number, input: Partial<ConsumerHeartbeatInput> = {}): HeartbeatAnswer {
    const isJoining = memberEpoch === 0
    const full: ConsumerHeartbeatInput = {
      groupId: GROUP,
      memberId,
      memberEpoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: isJoining ? 30_000 : -1,
      subscribedTopics: isJoining && input.topicRegex === undefined ? ['topic'] : null,
      topicRegex: null,
      serverAssignor: null,
      owned: isJoining ? EMPTY_ASSIGNMENT : null,
      clientId: 'client',
      clientHost: '/127.0.0.1',
      mayDescribe: () => true,
      ...input,
    }
    return this.step((machine, step) => machine.consumerHeartbeat(full, step))
  }

  /** The consumer group as ConsumerGroupDescribe shows it. */
  get consumerGroup(): DescribedConsumerGroup | null {
    return this.#machine.describeConsumerGroup(GROUP)
  }

  sync(input: Partial<SyncInput> & { memberId: string }): ReplyToken {
    const token = this.#nextToken++
    const full: SyncInput = {
      groupId: GROUP,
      generationId: 1,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: new Map(),
      ...input,
    }
    this.step((machine, step) => machine.sync(full, token, step))
    return token
  }

  heartbeat(input: Partial<HeartbeatInput> & { memberId: string }): number {
    const full: HeartbeatInput = { groupId: GROUP, generationId: 1, groupInstanceId: null, ...input }
    return this.step((machine, step) => machine.heartbeat(full, step))
  }

  leave(...members: (string | LeavingMember)[]): LeaveAnswer {
    const leaving = members.map((member) =>
      typeof member === 'string' ? { memberId: member, groupInstanceId: null } : member,
    )
    return this.step((machine, step) => machine.leave(GROUP, leaving, step))
  }

  /** Commits offsets of partition 0 of these topics, as no member unless told otherwise. */
  commit(offsets: { [topic: string]: number }, input: Partial<CommitInput> = {}): CommitAnswer {
    const full = this.#commitInput(offsets, input)
    return this.step((machine, step) => machine.commit(full, step))
  }

  /** The same, in a transaction of a producer. */
  commitIn(producerId: number, offsets: { [topic: string]: number }, input: Partial<CommitInput> = {}): CommitAnswer {
    const full = { ...this.#commitInput(offsets, input), producerId, producerEpoch: 0 }
    return this.step((machine, step) => machine.commitTransactional(full, step), producerId)
  }

  /** The producer's transaction ends. */
  endTransaction(producerId: number, commit: boolean): void {
    this.step((machine) => machine.endTransaction(producerId, commit))
  }

  #commitInput(offsets: { [topic: string]: number }, input: Partial<CommitInput>): CommitInput {
    return {
      groupId: GROUP,
      memberId: '',
      groupInstanceId: null,
      clientAddress: '127.0.0.1',
      generationId: -1,
      retentionTimeMs: -1,
      knowsGroupIdNotFound: true,
      topics: Object.entries(offsets).map(([topic, committedOffset]) => ({
        topic,
        topicId: topicId(topic),
        partitions: [{ partition: 0, committedOffset, leaderEpoch: 7, metadata: 'note' }],
      })),
      ...input,
    }
  }

  /** The committed offset of partition 0, -1 for none. */
  offsetOf(topic: string): number {
    const fetched = this.#machine.fetch(GROUP, [{ topic, topicId: topicId(topic), partitions: [0] }], false)
    return fetched[0]!.partitions[0]!.committedOffset
  }

  joinAnswer(token: ReplyToken): JoinAnswer | undefined {
    const answer = this.#answers.get(token)
    return answer?.kind === 'join' ? answer : undefined
  }

  syncAnswer(token: ReplyToken): SyncAnswer | undefined {
    const answer = this.#answers.get(token)
    return answer?.kind === 'sync' ? answer : undefined
  }

  /** Brings members into a Stable group in its next generation and gives their ids, the leader's first. */
  stabilize(members: Partial<JoinInput>[]): string[] {
    const tokens = members.map((member) => this.join(member))
    this.advance(this.config.groupInitialRebalanceDelayMs)
    while (tokens.some((token) => this.joinAnswer(token) === undefined)) {
      this.advance(this.config.groupInitialRebalanceDelayMs)
    }
    const answers = tokens.map((token) => this.joinAnswer(token)!)
    answers.sort((left, right) => Number(right.leader === right.memberId) - Number(left.leader === left.memberId))
    const memberIds = answers.map((answer) => answer.memberId)
    const { generationId } = answers[0]!
    const assignments = new Map(memberIds.map((memberId) => [memberId, Buffer.from(`of ${memberId}`)]))
    for (const memberId of memberIds.slice(1)) this.sync({ memberId, generationId })
    this.sync({ memberId: memberIds[0]!, generationId, assignments })
    return memberIds
  }

  /** A machine made from the records that this one wrote. */
  reload(config: Partial<GroupCoordinatorConfig> = {}): GroupDriver {
    const other = new GroupDriver({ ...this.config, ...config }, this.#random)
    other.nowMs = this.nowMs
    other.image = this.image
    for (const record of [...this.#log]) other.#apply(record)
    other.step((machine, step) => machine.onLoaded(step))
    return other
  }

  #apply(record: GroupRecord, producerId = -1): void {
    this.#machine.apply(record, { offset: this.#keep(record), producerId, producerEpoch: -1 })
  }

  /** Gives its offset. */
  #keep(record: GroupRecord): number {
    return this.#log.push(record) - 1
  }
}

/** The id that tests give a topic of this name. */
export function topicId(topic: string): Uuid {
  return Buffer.from(topic.padEnd(16, '.')).toString('base64url') as Uuid
}
