import type { Clock, Random, Timers, Uuid } from '@millrace/base'
import { GROUP_VERSION, type MetadataImage } from '@millrace/consensus'
import {
  type ConsumerGroupDescribeRequest,
  type ConsumerGroupDescribeResponse,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  coordinatorPartition,
  createConsumerGroupDescribeResponse,
  createDeletableGroupResult,
  createDeleteGroupsResponse,
  createDescribeGroupsResponse,
  createHeartbeatResponse,
  createListedGroup,
  createListGroupsResponse,
  createOffsetDeleteResponse,
  createOffsetFetchResponseGroup,
  type DeleteGroupsRequest,
  type DeleteGroupsResponse,
  type DescribeGroupsRequest,
  type DescribeGroupsResponse,
  ErrorCode,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type JoinGroupRequest,
  type JoinGroupResponse,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type ListGroupsRequest,
  type ListGroupsResponse,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type OffsetFetchRequest,
  type OffsetFetchRequestGroup,
  type OffsetFetchResponse,
  type OffsetFetchResponseGroup,
  type SyncGroupRequest,
  type SyncGroupResponse,
  type TxnOffsetCommitRequest,
  type TxnOffsetCommitResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../../handlers/handler.ts'
import {
  distinctBy,
  mapAsyncInSlices,
  mapInSlices,
  type NextTurn,
  SLICE_ELEMENTS,
  turnFor,
  watch,
  whenMapped,
} from '../../handlers/slices.ts'
import type { Logger } from '../../logger.ts'
import { GROUP_METADATA_TOPIC } from '../../metadata/internal-topics.ts'
import type { BudgetSample } from '../../metrics/budget.ts'
import type { CoordinatorLog } from '../coordinator-log.ts'
import { CoordinatorRuntime, type ReadOutcome } from '../runtime/coordinator-runtime.ts'
import type { TransactionEnd } from '../runtime/coordinator-shard.ts'
import { responseErrorOf } from '../runtime/operation-errors.ts'
import type { ParkedReply, ReplyToken } from '../runtime/step.ts'
import type { ShareStateStore } from '../share/share-state.ts'
import type { LeaveAnswer } from './classic-membership.ts'
import { consumerError } from './consumer/consumer-inputs.ts'
import {
  describedConsumerGroup,
  failedConsumerGroup,
  heartbeatComplaint,
  heartbeatInput,
  heartbeatResponse,
  unknownConsumerGroup,
} from './consumer/consumer-requests.ts'
import { isTopicRegexLoaded, loadTopicRegex } from './consumer/topic-regex.ts'
import { describedGroup, failedGroup } from './describe-response.ts'
import type { GroupCoordinatorConfig } from './group-config.ts'
import { GroupCounters } from './group-counters.ts'
import { GroupLimits } from './group-limits.ts'
import { GroupMachine, type ListedGroup } from './group-machine.ts'
import { type GroupEvent, type GroupReply, type GroupStep, joinError, syncError } from './group-protocol.ts'
import type { GroupRecord } from './group-record.ts'
import { GroupRecordCodec } from './group-record-codec.ts'
import {
  joinInput,
  joinResponse,
  lacksProtocol,
  leaveResponse,
  leavingMembers,
  syncInput,
  syncResponse,
} from './group-requests.ts'
import { GroupSettings } from './group-settings.ts'
import type { GroupUsage } from './group-usage.ts'
import { TopicDirectory } from './modern/topic-directory.ts'
import { fetchRequestGroups, fetchResponse, offsetFetchFailure, questionOf } from './offset-fetch-versions.ts'
import type { CommitAnswer } from './offset-operations.ts'
import { CommitPlan, DeletePlan, FetchPlan, portionsOf } from './offset-requests.ts'
import { type LatestOffsets, ShareGroups } from './share/share-groups.ts'
import { plainCommitOf, transactionalResponse, type VerifyOffsets } from './transactional-requests.ts'

/** What the group coordinator needs of the rest of the broker. */
export interface GroupCoordinatorDeps {
  readonly config: GroupCoordinatorConfig
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly logger: Logger
  /** The newest metadata. */
  metadata(): MetadataImage
  /** Runs the callback once, when the requests at hand were all handled: `Turn.beforeFlush`. */
  enqueueEndOfTurn(callback: () => void): void
  readonly nextTurn: NextTurn
  /** The states of share groups' partitions, wherever they are coordinated. */
  readonly shareStates: ShareStateStore
  readonly latestOffsets: LatestOffsets
  /** A bug of ours surfaced; its operation was answered. The process should stop. */
  onFault(error: unknown): void
}

const GROUP_TYPE_NAMES = { classic: 'Classic', consumer: 'Consumer', share: 'Share' } as const

/** A group may have some hundred members or offsets, each an element of the answer. */
const SLICE_GROUPS = 16

/** Refusals for want of room are told so often. */
const REFUSAL_LOG_INTERVAL_MS = 60_000

type GroupRuntime = CoordinatorRuntime<GroupMachine, GroupRecord, GroupEvent, GroupReply>

/**
 * Groups and their offsets, for the partitions of `__consumer_offsets` that this node leads: takes decoded requests, gives
 * responses. The rules are in {@link GroupMachine}; here is what depends on versions, on metadata and on the state of the shard.
 */
export class GroupCoordinator {
  /** For metrics. */
  readonly counters = new GroupCounters()
  /** Requests about share groups. */
  readonly shareGroups: ShareGroups
  readonly #deps: GroupCoordinatorDeps
  readonly #runtime: GroupRuntime
  readonly #limits: GroupLimits
  readonly #directory: TopicDirectory
  #knownTopics: MetadataImage['topics'] | null = null
  readonly #settings: GroupSettings
  /** By partition: one of each shard, for the limits. */
  readonly #machines = new Map<number, GroupMachine>()
  #toldRefusals = 0
  #refusalsToldMs = Number.NEGATIVE_INFINITY
  /** Who waits for the answers that the machine releases by token. */
  readonly #parked = new Map<ReplyToken, (reply: GroupReply) => void>()
  #nextToken: ReplyToken = 1
  /** Fixed at start, since it says where each group is; 0: not started. */
  #partitionCount = 0

  constructor(deps: GroupCoordinatorDeps) {
    this.#deps = deps
    const { config } = deps
    this.#limits = new GroupLimits(config)
    this.#directory = new TopicDirectory(() => deps.metadata())
    this.#settings = new GroupSettings(config, () => deps.metadata())
    this.#runtime = new CoordinatorRuntime({
      clock: deps.clock,
      timers: deps.timers,
      logger: deps.logger,
      codec: new GroupRecordCodec(),
      limits: {
        writeTimeoutMs: config.offsetsCommitTimeoutMs,
        maxBatchSizeBytes: config.messageMaxBytes,
        appendLingerMs: config.groupCoordinatorAppendLingerMs,
      },
      createCoordinator: (partition, timeline) => {
        this.#closeMachine(partition)
        const machine = new GroupMachine(
          config,
          deps.random,
          this.counters,
          this.#limits,
          this.#directory,
          this.#settings,
          timeline,
        )
        this.#machines.set(partition, machine)
        return machine
      },
      enqueueEndOfTurn: (callback) => deps.enqueueEndOfTurn(callback),
      onReply: (reply) => this.#onReply(reply),
      onFault: (error) => deps.onFault(error),
    })
    this.shareGroups = new ShareGroups({
      store: deps.shareStates,
      latestOffsets: deps.latestOffsets,
      directory: this.#directory,
      nextTurn: deps.nextTurn,
      metadata: () => deps.metadata(),
      partitionFor: (groupId) => this.partitionFor(groupId),
      write: (partition, compute) => this.#write(partition, compute),
      read: (partition, compute) => this.#runtime.read(partition, compute),
    })
  }

  /** Begins to serve. Call when the metadata is there: it says how many partitions `__consumer_offsets` has. */
  startup(): void {
    if (this.#partitionCount > 0) return
    const topic = this.#deps.metadata().topics.get(GROUP_METADATA_TOPIC)
    this.#partitionCount = topic?.partitions.length ?? this.#deps.config.offsetsTopicNumPartitions
  }

  /** Ends everything; waiting requests are answered NOT_COORDINATOR, later ones COORDINATOR_NOT_AVAILABLE. */
  shutdown(): void {
    this.#partitionCount = 0
    this.#runtime.close()
    for (const partition of [...this.#machines.keys()]) this.#closeMachine(partition)
  }

  /** Partition of `__consumer_offsets` that a group belongs to; null before `startup` and after `shutdown`. */
  partitionFor(groupId: string): number | null {
    return this.#partitionCount === 0 ? null : coordinatorPartition(groupId, this.#partitionCount)
  }

  /** This node leads the partition from now on. Resolves when it is loaded, or could not be; need not be awaited. */
  onElection(partition: number, log: CoordinatorLog): Promise<void> {
    return this.#runtime.onElection(partition, log)
  }

  /** This node does not lead the partition any more. */
  onResignation(partition: number): void {
    this.#runtime.onResignation(partition)
    this.#closeMachine(partition)
  }

  /** Partitions that this node leads and whose log could not be loaded. */
  get failedPartitions(): number[] {
    return this.#runtime.partitions.filter((partition) => this.#runtime.stateOf(partition) === 'failed')
  }

  /** What clients have the groups hold, and how much that may be. */
  budgets(): BudgetSample[] {
    const { config } = this.#deps
    const { usage } = this.#limits
    return [
      { name: 'groups', unit: 'count', used: usage.groups, limit: config.groupCoordinatorMaxGroups },
      { name: 'group-members', unit: 'count', used: usage.members, limit: config.groupCoordinatorMaxMembers },
      { name: 'committed-offsets', unit: 'count', used: usage.offsets, limit: config.groupCoordinatorMaxOffsets },
      { name: 'group-metadata', unit: 'bytes', used: usage.bytes, limit: config.groupCoordinatorMaxBytes },
    ]
  }

  /** How many groups there are of each kind and in each state that any is in. */
  countByState(): { protocol: string; state: string; count: number }[] {
    return Array.from(this.#limits.usage.states, ([key, count]) => {
      const [protocol, state] = key.includes(' ') ? key.split(' ') : ['classic', key]
      return { protocol: protocol!, state: state!, count }
    })
  }

  /** Deletes the offsets that groups have in deleted topics. */
  onTopicsDeleted(topics: readonly { name: string; id: Uuid }[]): void {
    for (const partition of this.#runtime.partitions) {
      this.#runtime.write(
        partition,
        (machine, step) => machine.onTopicsDeleted(topics, step),
        (errorCode) => {
          if (errorCode === 0) return
          this.#deps.logger.warn('offsets of deleted topics were not deleted', { partition, errorCode, topics })
        },
      )
    }
  }

  /** There is newer metadata, with these topics created or changed: regular expressions may match new ones. */
  onMetadata(image: MetadataImage, changedTopics: Iterable<string>): void {
    const former = this.#knownTopics
    this.#knownTopics = image.topics
    for (const name of changedTopics) {
      if (former?.get(name)?.id === image.topics.get(name)?.id) continue
      this.#directory.onCreated()
      return
    }
  }

  joinGroup(request: JoinGroupRequest, context: RequestContext): Promise<JoinGroupResponse> {
    const { apiVersion } = context
    const { groupId, memberId, sessionTimeoutMs } = request
    const { groupMinSessionTimeoutMs, groupMaxSessionTimeoutMs } = this.#deps.config
    const failed = (errorCode: number): Promise<JoinGroupResponse> =>
      Promise.resolve(joinResponse(joinError(errorCode, memberId), apiVersion))
    const partition = this.partitionFor(groupId)
    if (partition === null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    if (groupId === '') return failed(ErrorCode.INVALID_GROUP_ID)
    if (sessionTimeoutMs < groupMinSessionTimeoutMs || sessionTimeoutMs > groupMaxSessionTimeoutMs) {
      return failed(ErrorCode.INVALID_SESSION_TIMEOUT)
    }
    const input = joinInput(request, context)
    return this.#park(
      partition,
      (machine, token, step) => {
        machine.join(input, token, step)
        this.#maybeTellRefusals()
      },
      (errorCode) => joinError(errorCode, memberId),
      (reply) => joinResponse(reply as Extract<GroupReply, { kind: 'join' }>, apiVersion),
    )
  }

  syncGroup(request: SyncGroupRequest, context: RequestContext): Promise<SyncGroupResponse> {
    const failed = (errorCode: number): Promise<SyncGroupResponse> =>
      Promise.resolve(syncResponse(syncError(errorCode)))
    if (lacksProtocol(request, context.apiVersion)) return failed(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    const partition = this.partitionFor(request.groupId)
    if (partition === null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    if (request.groupId === '') return failed(ErrorCode.INVALID_GROUP_ID)
    const input = syncInput(request)
    return this.#park(
      partition,
      (machine, token, step) => {
        machine.sync(input, token, step)
        this.#maybeTellRefusals()
      },
      syncError,
      (reply) => syncResponse(reply as Extract<GroupReply, { kind: 'sync' }>),
    )
  }

  async heartbeat(request: HeartbeatRequest): Promise<HeartbeatResponse> {
    const respond = (errorCode: number): HeartbeatResponse => createHeartbeatResponse({ errorCode })
    const partition = this.partitionFor(request.groupId)
    if (partition === null) return respond(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    if (request.groupId === '') return respond(ErrorCode.INVALID_GROUP_ID)
    const outcome = await this.#write(partition, (machine, step) => machine.heartbeat(request, step))
    // While the group loads the member is not thrown out: it may well be in it.
    if (outcome.errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) return respond(ErrorCode.NONE)
    return respond(outcome.response ?? responseErrorOf(outcome.errorCode))
  }

  async leaveGroup(request: LeaveGroupRequest, context: RequestContext): Promise<LeaveGroupResponse> {
    const members = leavingMembers(request, context.apiVersion)
    const respond = (answer: LeaveAnswer): LeaveGroupResponse => leaveResponse(answer, members, context.apiVersion)
    const partition = this.partitionFor(request.groupId)
    if (partition === null) return respond({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, memberErrors: [] })
    if (request.groupId === '') return respond({ errorCode: ErrorCode.INVALID_GROUP_ID, memberErrors: [] })
    const outcome = await this.#write(partition, (machine, step) => machine.leave(request.groupId, members, step))
    return respond(outcome.response ?? { errorCode: responseErrorOf(outcome.errorCode), memberErrors: [] })
  }

  /** `mayDescribe` says of topics which the client may know of: it is told of those that its regular expression matches. */
  async consumerGroupHeartbeat(
    request: ConsumerGroupHeartbeatRequest,
    context: RequestContext,
    mayDescribe: (topic: string) => boolean,
  ): Promise<ConsumerGroupHeartbeatResponse> {
    const failed = (errorCode: number, message: string | null): ConsumerGroupHeartbeatResponse =>
      heartbeatResponse(consumerError(errorCode, message))
    if (!this.#servesConsumerProtocol) {
      return failed(ErrorCode.UNSUPPORTED_VERSION, 'The consumer group protocol is not enabled.')
    }
    const complaint = heartbeatComplaint(request, context.apiVersion)
    if (complaint !== null) return failed(ErrorCode.INVALID_REQUEST, complaint)
    const partition = this.partitionFor(request.groupId)
    if (partition === null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE, null)
    if (!isTopicRegexLoaded()) await loadTopicRegex()
    const input = heartbeatInput(request, context, mayDescribe)
    const outcome = await this.#write(partition, (machine, step) => machine.consumerHeartbeat(input, step))
    this.#maybeTellRefusals()
    if (outcome.response === null) return failed(responseErrorOf(outcome.errorCode), null)
    return heartbeatResponse(outcome.response)
  }

  /** Groups named more than once are described once. */
  consumerGroupDescribe(
    request: ConsumerGroupDescribeRequest,
    context: RequestContext,
  ): ConsumerGroupDescribeResponse | Promise<ConsumerGroupDescribeResponse> {
    const described = mapInSlices(
      [...new Set(request.groupIds)],
      this.#deps.nextTurn,
      (groupId) => this.#describeConsumerGroup(groupId, context, request.includeAuthorizedOperations),
      context,
      SLICE_GROUPS,
      ({ members }) => 1 + members.length,
    )
    return whenMapped(described, (groups) => createConsumerGroupDescribeResponse({ groups }))
  }

  #describeConsumerGroup(groupId: string, { apiVersion }: RequestContext, includeAuthorizedOperations: boolean) {
    if (!this.#servesConsumerProtocol) return failedConsumerGroup(groupId, ErrorCode.UNSUPPORTED_VERSION)
    const partition = this.partitionFor(groupId)
    if (partition === null) return failedConsumerGroup(groupId, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    if (groupId === '') return failedConsumerGroup(groupId, ErrorCode.INVALID_GROUP_ID)
    const { response, errorCode } = this.#runtime.read(partition, (machine) => ({
      group: machine.describeConsumerGroup(groupId),
    }))
    if (response === null) return failedConsumerGroup(groupId, responseErrorOf(errorCode))
    if (response.group === null) return unknownConsumerGroup(groupId)
    return describedConsumerGroup(response.group, this.#directory, apiVersion, includeAuthorizedOperations)
  }

  /** The feature is finalized and the broker offers the protocol. */
  get #servesConsumerProtocol(): boolean {
    const { config, metadata } = this.#deps
    const isOffered = config.groupCoordinatorRebalanceProtocols.includes('consumer')
    return isOffered && (metadata().features.get(GROUP_VERSION) ?? 0) >= 1
  }

  /** The empty group id is a group like others here, for clients that only store offsets. */
  async commitOffsets(request: OffsetCommitRequest, context: RequestContext): Promise<OffsetCommitResponse> {
    const plan = new CommitPlan(request, context.apiVersion, this.#deps.metadata())
    const input = plan.input(context.apiVersion, context.connection.clientAddress)
    if (input === null) return plan.response({ errorCode: 0, partitionErrors: [] })
    const partition = this.partitionFor(request.groupId)
    if (partition === null)
      return plan.response({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, partitionErrors: [] })
    const outcome = await this.#write(partition, (machine, step) => machine.commit(input, step))
    this.#maybeTellRefusals()
    return plan.response(outcome.response ?? { errorCode: responseErrorOf(outcome.errorCode), partitionErrors: [] })
  }

  /** Offsets of a producer's transaction, once `verify` has let it in. */
  async commitTransactionalOffsets(
    request: TxnOffsetCommitRequest,
    context: RequestContext,
    verify: VerifyOffsets,
  ): Promise<TxnOffsetCommitResponse> {
    const { apiVersion, connection } = context
    const plain = plainCommitOf(request, apiVersion)
    const plan = new CommitPlan(plain.request, plain.apiVersion, this.#deps.metadata())
    const input = plan.input(plain.apiVersion, connection.clientAddress)
    const respond = (answer: CommitAnswer): TxnOffsetCommitResponse =>
      transactionalResponse(plan.response(answer), apiVersion)
    const failed = (errorCode: number): TxnOffsetCommitResponse => respond({ errorCode, partitionErrors: [] })
    if (input === null) return failed(ErrorCode.NONE)
    const partition = this.partitionFor(request.groupId)
    if (partition === null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    if (request.groupId === '') return failed(ErrorCode.INVALID_GROUP_ID)
    const verified = await verify(partition)
    if (verified.errorCode !== ErrorCode.NONE) return failed(responseErrorOf(verified.errorCode))
    const producer = {
      producerId: Number(request.producerId),
      producerEpoch: request.producerEpoch,
      verification: verified.verification,
    }
    const outcome = await new Promise<ReadOutcome<CommitAnswer>>((resolve) => {
      this.#runtime.write(
        partition,
        (machine, step) => machine.commitTransactional({ ...input, ...producer }, step),
        (errorCode, response) => resolve({ errorCode, response }),
        producer,
      )
    })
    this.#maybeTellRefusals()
    return outcome.response === null ? failed(responseErrorOf(outcome.errorCode)) : respond(outcome.response)
  }

  /** The end of a transaction that has offsets in the partition: resolves to an error code once it is committed. */
  endTransaction(partition: number, end: TransactionEnd): Promise<number> {
    return new Promise((resolve) => this.#runtime.endTransaction(partition, end, resolve))
  }

  async fetchOffsets(request: OffsetFetchRequest, context: RequestContext): Promise<OffsetFetchResponse> {
    const { apiVersion } = context
    // The same question is answered once: the offsets of a group may be many.
    const groups = distinctBy(fetchRequestGroups(request, apiVersion), questionOf)
    // One of the two watches: a request has one callback.
    const isLong = groups.length > SLICE_GROUPS
    const isGone = watch(isLong ? null : context)
    const answers = await mapAsyncInSlices(
      groups,
      this.#deps.nextTurn,
      (group) => this.#fetchGroup(group, request.requireStable, context, isLong, isGone),
      isLong ? context : null,
      SLICE_GROUPS,
    )
    return fetchResponse(groups, answers, apiVersion)
  }

  async #fetchGroup(
    group: OffsetFetchRequestGroup,
    requireStable: boolean,
    context: RequestContext,
    isOneOfMany: boolean,
    isGone: () => boolean,
  ): Promise<OffsetFetchResponseGroup> {
    const { groupId } = group
    const failed = (errorCode: number): OffsetFetchResponseGroup =>
      createOffsetFetchResponseGroup({ groupId, errorCode: offsetFetchFailure(errorCode, requireStable) })
    const partition = this.partitionFor(groupId)
    if (partition === null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const plan = new FetchPlan(group, context.apiVersion, this.#deps.metadata())
    // Stable offsets wait for what is being written; others are those of the last committed state.
    const take = async <Result>(compute: (machine: GroupMachine) => Result): Promise<ReadOutcome<Result>> =>
      requireStable ? this.#write(partition, compute) : this.#runtime.read(partition, compute)
    const claim = { memberId: group.memberId, memberEpoch: group.memberEpoch }
    const all = await take((machine) => {
      const refusal = machine.fetchError(groupId, claim, requireStable)
      if (refusal !== 0) return { refusal, count: 0, fetched: [], topics: null }
      const count = plan.topics === null ? machine.offsetCountOf(groupId) : plan.partitionCount
      return count <= SLICE_ELEMENTS
        ? { refusal, count, fetched: machine.fetch(groupId, plan.topics, requireStable), topics: null }
        : { refusal, count, fetched: null, topics: plan.topics ?? machine.offsetTopics(groupId, requireStable) }
    })
    if (all.response === null) return failed(all.errorCode)
    if (all.response.refusal !== 0) return failed(all.response.refusal)
    plan.add(all.response.fetched ?? [], false)
    if (isOneOfMany && all.response.fetched !== null) context.growAnswer(all.response.count)
    // Longer ones a portion a turn, each as of its own moment: that one group's offsets are of one moment nobody was promised.
    for (const { topics, goesOn } of portionsOf(all.response.topics ?? [], SLICE_ELEMENTS)) {
      await turnFor(context, this.#deps.nextTurn)
      if (isGone()) break
      const { errorCode, response } = await take((machine) => machine.fetch(groupId, topics, requireStable))
      if (response === null) return failed(errorCode)
      plan.add(response, goesOn)
      context.growAnswer(SLICE_ELEMENTS)
    }
    return plan.response()
  }

  async deleteOffsets(request: OffsetDeleteRequest): Promise<OffsetDeleteResponse> {
    const { groupId } = request
    const partition = this.partitionFor(groupId)
    if (partition === null) return createOffsetDeleteResponse({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE })
    if (groupId === '') return createOffsetDeleteResponse({ errorCode: ErrorCode.INVALID_GROUP_ID })
    const plan = new DeletePlan(request, this.#deps.metadata())
    const outcome = await this.#write(partition, (machine, step) => machine.deleteOffsets(groupId, plan.topics, step))
    if (outcome.response === null) return plan.response(responseErrorOf(outcome.errorCode), [])
    return plan.response(outcome.response.errorCode, outcome.response.topicErrors)
  }

  /** Groups named more than once are deleted and answered once. Each is an operation of its own, so that one cannot fail others. */
  async deleteGroups(request: DeleteGroupsRequest): Promise<DeleteGroupsResponse> {
    const results = await mapAsyncInSlices([...new Set(request.groupsNames)], this.#deps.nextTurn, async (groupId) => {
      const partition = this.partitionFor(groupId)
      if (partition === null) {
        return createDeletableGroupResult({ groupId, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE })
      }
      const shareDeletion = this.shareGroups.deleteGroup(partition, groupId)
      if (shareDeletion !== null) return createDeletableGroupResult({ groupId, errorCode: await shareDeletion })
      const outcome = await this.#write(partition, (machine, step) => machine.deleteGroup(groupId, step))
      const errorCode = outcome.response ?? responseErrorOf(outcome.errorCode)
      return createDeletableGroupResult({ groupId, errorCode })
    })
    return createDeleteGroupsResponse({ results })
  }

  /** Groups named more than once are described once: a description may be a million times as long as a name. */
  describeGroups(
    request: DescribeGroupsRequest,
    context: RequestContext,
  ): DescribeGroupsResponse | Promise<DescribeGroupsResponse> {
    const described = mapInSlices(
      [...new Set(request.groups)],
      this.#deps.nextTurn,
      (groupId) => {
        const partition = this.partitionFor(groupId)
        if (partition === null) return failedGroup(groupId, ErrorCode.COORDINATOR_NOT_AVAILABLE)
        const { response, errorCode } = this.#runtime.read(partition, (machine) => machine.describe(groupId))
        if (response === null) return failedGroup(groupId, responseErrorOf(errorCode))
        return describedGroup(response, context.apiVersion, request.includeAuthorizedOperations)
      },
      context,
      SLICE_GROUPS,
      ({ members }) => 1 + members.length,
    )
    return whenMapped(described, (groups) => createDescribeGroupsResponse({ groups }))
  }

  /** Groups of all partitions that this node leads. As long as one of them loads, none is listed: a part would look like all. */
  listGroups(request: ListGroupsRequest, context: RequestContext): ListGroupsResponse | Promise<ListGroupsResponse> {
    if (this.#partitionCount === 0) return createListGroupsResponse({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE })
    const states = new Set(request.statesFilter.map((state) => state.trim().toLowerCase()))
    const types = request.typesFilter.map((type) => type.toLowerCase())
    const found: ListedGroup[] = []
    for (const partition of this.#runtime.partitions) {
      const { errorCode, response } = this.#runtime.read(partition, (machine) => machine.list())
      if (errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) return createListGroupsResponse({ errorCode })
      for (const group of response ?? []) {
        if (types.length > 0 && !types.includes(group.type)) continue
        if (states.size === 0 || states.has(listedState(group).toLowerCase())) found.push(group)
      }
    }
    const listed = mapInSlices(
      found,
      this.#deps.nextTurn,
      (group) =>
        createListedGroup({
          groupId: group.groupId,
          protocolType: group.protocolType ?? '',
          groupState: listedState(group),
          groupType: GROUP_TYPE_NAMES[group.type],
        }),
      context,
    )
    return whenMapped(listed, (groups) => createListGroupsResponse({ groups }))
  }

  /** What it held, or still holds for a moment, is not the node's any more. */
  #closeMachine(partition: number): void {
    this.#machines.get(partition)?.usage.close()
    this.#machines.delete(partition)
  }

  #maybeTellRefusals(): void {
    const { limitRefusals } = this.counters
    if (limitRefusals === this.#toldRefusals) return
    const nowMs = this.#deps.clock.monotonicMs()
    if (nowMs - this.#refusalsToldMs < REFUSAL_LOG_INTERVAL_MS) return
    this.#deps.logger.warn('joins or commits are refused: the groups of this node hold as much as they may', {
      refusals: limitRefusals - this.#toldRefusals,
      ...usageFields(this.#limits.usage),
    })
    this.#toldRefusals = limitRefusals
    this.#refusalsToldMs = nowMs
  }

  #write<Response>(
    partition: number,
    compute: (machine: GroupMachine, step: GroupStep) => Response,
  ): Promise<{ errorCode: number; response: Response | null }> {
    return new Promise((resolve) => {
      this.#runtime.write(partition, compute, (errorCode, response) => resolve({ errorCode, response }))
    })
  }

  /** Starts an operation whose answer comes by token, unless the shard refuses it or its write fails before. */
  #park<Response>(
    partition: number,
    compute: (machine: GroupMachine, token: ReplyToken, step: GroupStep) => void,
    failed: (errorCode: number) => GroupReply,
    respond: (reply: GroupReply) => Response,
  ): Promise<Response> {
    return new Promise((resolve) => {
      const token = this.#nextToken++
      this.#parked.set(token, (reply) => resolve(respond(reply)))
      this.#runtime.write(
        partition,
        (machine, step) => compute(machine, token, step),
        (errorCode) => {
          if (errorCode !== 0) this.#onReply({ token, reply: failed(responseErrorOf(errorCode)) })
        },
      )
    })
  }

  /** Only the first answer to a token counts. */
  #onReply({ token, reply }: ParkedReply<GroupReply>): void {
    const respond = this.#parked.get(token)
    if (respond === undefined) return
    this.#parked.delete(token)
    respond(reply)
  }
}

/** As of the last commit. */
function listedState(group: ListedGroup): string {
  return group.type === 'classic' ? group.state : group.committedState
}

function usageFields({ groups, members, offsets, bytes }: GroupUsage) {
  return { groups, members, offsets, bytes }
}
