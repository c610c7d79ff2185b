import type { Offset, Uuid } from '@millrace/base'
import { type MetadataImage, SHARE_VERSION } from '@millrace/consensus'
import {
  type AlterShareGroupOffsetsRequest,
  type AlterShareGroupOffsetsResponse,
  createAlterShareGroupOffsetsResponse,
  createDeleteShareGroupOffsetsResponse,
  createDescribeShareGroupOffsetsResponse,
  createShareGroupDescribeResponse,
  type DeleteShareGroupOffsetsRequest,
  type DeleteShareGroupOffsetsResponse,
  type DescribeShareGroupOffsetsRequest,
  type DescribeShareGroupOffsetsRequestGroup,
  type DescribeShareGroupOffsetsResponse,
  ErrorCode,
  type ShareGroupDescribeRequest,
  type ShareGroupDescribeResponse,
  type ShareGroupHeartbeatRequest,
  type ShareGroupHeartbeatResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../../../handlers/handler.ts'
import { mapAsyncInSlices, mapInSlices, type NextTurn, whenMapped } from '../../../handlers/slices.ts'
import { responseErrorOf } from '../../runtime/operation-errors.ts'
import { emptySummary, type ShareStateStore } from '../../share/share-state.ts'
import { shortened } from '../group-notes.ts'
import { type GroupShards, SLICE_GROUPS } from '../group-shards.ts'
import type { TopicDirectory } from '../modern/topic-directory.ts'
import { NO_STATE_PARTITIONS, type StateTopic } from './share-group-record.ts'
import {
  AlteredOffsets,
  deletedTopic,
  describedPartition,
  describedShareGroup,
  failedOffsetsGroup,
  failedShareGroup,
  heartbeatComplaint,
  heartbeatInput,
  heartbeatResponse,
  type OffsetsQuestion,
  offsetsGroup,
} from './share-group-requests.ts'
import { type Initialization, shareError } from './share-heartbeat.ts'
import { type PartitionLists, stillToBegin } from './state-partitions.ts'

/** Operations on states of one group that are under way at a time. */
const STATES_AT_A_TIME = 200

/** Ends of partitions, wherever they are led. */
export interface LatestOffsets {
  /** The offset, or an error, for each partition. Never rejects. */
  latest(topic: string, partitions: readonly number[]): Promise<readonly { errorCode: number; offset: Offset }[]>
}

/** What share groups need of their coordinator. */
export interface ShareGroupsDeps {
  readonly shards: GroupShards
  readonly store: ShareStateStore
  readonly latestOffsets: LatestOffsets
  readonly directory: TopicDirectory
  readonly nextTurn: NextTurn
  metadata(): MetadataImage
}

/**
 * Requests about share groups (KIP-932), apart from what members fetch. What needs the share coordinator goes in three steps: a record that
 * says what is meant, the share coordinator, a record that says that it is done. So whoever takes over knows what was left.
 */
export class ShareGroups {
  readonly #deps: ShareGroupsDeps
  readonly #shards: GroupShards
  /** By group: operations on its states go one after the other, so that none undoes a later one. */
  readonly #chains = new Map<string, Promise<unknown>>()

  constructor(deps: ShareGroupsDeps) {
    this.#deps = deps
    this.#shards = deps.shards
  }

  /** The feature is finalized. */
  get isServed(): boolean {
    return (this.#deps.metadata().features.get(SHARE_VERSION) ?? 0) >= 1
  }

  async heartbeat(request: ShareGroupHeartbeatRequest, context: RequestContext): Promise<ShareGroupHeartbeatResponse> {
    const failed = (errorCode: number, message: string | null): ShareGroupHeartbeatResponse =>
      heartbeatResponse(shareError(errorCode, message))
    if (!this.isServed) return failed(ErrorCode.UNSUPPORTED_VERSION, 'Share groups are not enabled.')
    const complaint = heartbeatComplaint(request)
    if (complaint !== null) return failed(ErrorCode.INVALID_REQUEST, complaint)
    const { groupId } = request
    const partition = this.#shards.partitionFor(groupId)
    if (partition === null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE, null)
    const input = heartbeatInput(request, context)
    const outcome = await this.#shards.write(partition, (machine, step) => machine.shareHeartbeat(input, step))
    const answer = outcome.response
    if (answer === null) return failed(responseErrorOf(outcome.errorCode), null)
    if (answer.initialization !== null) void this.#initialize(partition, groupId, answer.initialization)
    return heartbeatResponse(answer)
  }

  describe(
    request: ShareGroupDescribeRequest,
    context: RequestContext,
  ): ShareGroupDescribeResponse | Promise<ShareGroupDescribeResponse> {
    const described = mapInSlices(
      [...new Set(request.groupIds)],
      this.#deps.nextTurn,
      (groupId) => this.#describeOne(groupId, request.includeAuthorizedOperations),
      context,
      SLICE_GROUPS,
      ({ members }) => 1 + members.length,
    )
    return whenMapped(described, (groups) => createShareGroupDescribeResponse({ groups }))
  }

  #describeOne(groupId: string, includeAuthorizedOperations: boolean) {
    if (!this.isServed) return failedShareGroup(groupId, ErrorCode.UNSUPPORTED_VERSION)
    const { partition, errorCode: absence } = this.#shards.placeOf(groupId)
    if (partition === null) return failedShareGroup(groupId, absence)
    const { response, errorCode } = this.#shards.read(partition, (machine) => ({ group: machine.shareGroup(groupId) }))
    if (response === null) return failedShareGroup(groupId, responseErrorOf(errorCode))
    const { group } = response
    if (group === null) {
      return failedShareGroup(groupId, ErrorCode.GROUP_ID_NOT_FOUND, `Group ${shortened(groupId)} not found.`)
    }
    return describedShareGroup(group, this.#deps.directory, includeAuthorizedOperations)
  }

  /**
   * Deletes a group with all that is stored for it; null: it is no share group. Where that stops on the way the group stays, and the next
   * try goes on: nothing of it may come to the next group of that name.
   */
  deleteGroup(partition: number, groupId: string): Promise<number> | null {
    const { response } = this.#shards.read(partition, (machine) => ({ group: machine.shareGroup(groupId) }))
    if (response?.group == null) return null
    return this.#inOrder(groupId, async () => {
      const begun = await this.#shards.write(partition, (machine, step) =>
        machine.beginShareGroupDeletion(groupId, step),
      )
      const plan = begun.response
      if (plan === null) return responseErrorOf(begun.errorCode)
      if (plan.errorCode !== ErrorCode.NONE) return plan.errorCode
      const codes = await this.#deleteStates(partition, groupId, plan.topics)
      const failed = [...codes.values()].find((code) => code !== ErrorCode.NONE)
      if (failed !== undefined) return failed
      const ended = await this.#shards.write(partition, (machine, step) =>
        machine.finishShareGroupDeletion(groupId, step),
      )
      return ended.response ?? responseErrorOf(ended.errorCode)
    })
  }

  /** The group need not exist: what its partitions have is told by the share coordinator. */
  async describeOffsets(request: DescribeShareGroupOffsetsRequest): Promise<DescribeShareGroupOffsetsResponse> {
    const groups = await mapAsyncInSlices(
      request.groups,
      this.#deps.nextTurn,
      (group) => this.#describeOffsetsOf(group),
      null,
      SLICE_GROUPS,
    )
    return createDescribeShareGroupOffsetsResponse({ groups })
  }

  async #describeOffsetsOf({ groupId, topics }: DescribeShareGroupOffsetsRequestGroup) {
    if (!this.isServed) return failedOffsetsGroup(groupId, ErrorCode.UNSUPPORTED_VERSION)
    const partition = this.#shards.partitionFor(groupId)
    if (partition === null) return failedOffsetsGroup(groupId, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const { response, errorCode } = this.#shards.read(partition, (machine) => ({ group: machine.shareGroup(groupId) }))
    if (response === null) return failedOffsetsGroup(groupId, responseErrorOf(errorCode))
    const questions =
      topics === null
        ? this.#allQuestions(response.group?.committedPartitions.initialized ?? new Map())
        : this.#questionsOf(topics)
    return offsetsGroup(groupId, await Promise.all(questions.map((question) => this.#askOffsets(groupId, question))))
  }

  #allQuestions(initialized: PartitionLists): OffsetsQuestion[] {
    return Array.from(initialized, ([topicId, { name, partitions }]) => ({ topicId, topicName: name, partitions }))
  }

  #questionsOf(topics: readonly { readonly topicName: string; readonly partitions: readonly number[] }[]) {
    return topics.map(({ topicName, partitions }) => {
      const topicId = this.#deps.directory.idOf(topicName)
      return { topicId, topicName, partitions }
    })
  }

  /** A topic that does not exist has no offsets, which is no error. */
  async #askOffsets(groupId: string, { topicId, topicName, partitions }: OffsetsQuestion) {
    if (topicId === null)
      return { topicId, topicName, partitions: partitions.map((p) => describedPartition(p, null, null)) }
    const { store, latestOffsets, directory } = this.#deps
    const count = directory.partitionCountOf(topicId)
    // Whoever has their state would be asked for a while: metadata may be late there, but not of what nobody has made.
    const unknown = Promise.resolve(emptySummary(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
    const [summaries, ends] = await Promise.all([
      mapAsyncInSlices(
        partitions,
        this.#deps.nextTurn,
        (partition) =>
          partition >= 0 && partition < count ? store.readSummary({ groupId, topicId, partition }, -1) : unknown,
        null,
        STATES_AT_A_TIME,
      ),
      latestOffsets.latest(topicName, partitions),
    ])
    const described = partitions.map((partition, slot) => describedPartition(partition, summaries[slot]!, ends[slot]!))
    return { topicId, topicName, partitions: described }
  }

  async alterOffsets(request: AlterShareGroupOffsetsRequest): Promise<AlterShareGroupOffsetsResponse> {
    const { groupId } = request
    const failed = (errorCode: number) => createAlterShareGroupOffsetsResponse({ errorCode })
    if (!this.isServed) return failed(ErrorCode.UNSUPPORTED_VERSION)
    const { partition, errorCode: absence } = this.#shards.placeOf(groupId)
    if (partition === null) return failed(absence)
    const altered = new AlteredOffsets(request, this.#deps.directory)
    return this.#inOrder(groupId, async () => {
      const lists = altered.lists()
      const begun = await this.#shards.write(partition, (machine, step) =>
        machine.beginShareAlter(groupId, lists, step),
      )
      const plan = begun.response
      if (plan === null) return failed(responseErrorOf(begun.errorCode))
      if (plan.errorCode !== ErrorCode.NONE) return failed(plan.errorCode)
      const codes = await this.#initializeStates(partition, groupId, plan.stateEpoch, lists, (topicId, number) =>
        altered.offsetOf(topicId, number),
      )
      return altered.response(codes)
    })
  }

  async deleteOffsets(request: DeleteShareGroupOffsetsRequest): Promise<DeleteShareGroupOffsetsResponse> {
    const { groupId, topics } = request
    const failed = (errorCode: number) => createDeleteShareGroupOffsetsResponse({ errorCode })
    if (!this.isServed) return failed(ErrorCode.UNSUPPORTED_VERSION)
    const { partition, errorCode: absence } = this.#shards.placeOf(groupId)
    if (partition === null) return failed(absence)
    const { directory } = this.#deps
    const named = topics.map(({ topicName }) => ({ topicName, topicId: directory.idOf(topicName) }))
    const topicIds = named.flatMap(({ topicId }) => topicId ?? [])
    return this.#inOrder(groupId, async () => {
      const begun = await this.#shards.write(partition, (machine, step) =>
        machine.beginShareDeletion(groupId, topicIds, step),
      )
      const plan = begun.response
      if (plan === null) return failed(responseErrorOf(begun.errorCode))
      if (plan.errorCode !== ErrorCode.NONE) return failed(plan.errorCode)
      const codes = await this.#deleteStates(partition, groupId, plan.topics)
      const responses = named.map(({ topicName, topicId }) =>
        deletedTopic(topicName, topicId, topicId === null ? undefined : codes.get(topicId)),
      )
      return createDeleteShareGroupOffsetsResponse({ responses })
    })
  }

  async #initialize(partition: number, groupId: string, { stateEpoch, partitions }: Initialization): Promise<void> {
    await this.#inOrder(groupId, async () => {
      const { response } = this.#shards.read(partition, (machine) => ({ group: machine.shareGroup(groupId) }))
      // While this waited an administrator may have had some of them begin elsewhere.
      const wanted = stillToBegin(response?.group?.committedPartitions ?? NO_STATE_PARTITIONS, partitions)
      if (wanted.size > 0) await this.#initializeStates(partition, groupId, stateEpoch, wanted, () => -1)
    })
  }

  /** Has the share coordinator begin with partitions, and writes down with which it has. Gives the error of each, by topic. */
  async #initializeStates(
    partition: number,
    groupId: string,
    stateEpoch: number,
    lists: PartitionLists,
    offsetOf: (topicId: Uuid, partition: number) => Offset,
  ): Promise<Map<Uuid, Map<number, number>>> {
    const { store, nextTurn } = this.#deps
    const codes = await this.#eachState(lists, async (topicId, number) => {
      const outcome = await store.initialize(
        { groupId, topicId, partition: number },
        stateEpoch,
        offsetOf(topicId, number),
      )
      return outcome.errorCode
    })
    await nextTurn()
    const done = listsWith(lists, codes, true)
    const failed = listsWith(lists, codes, false)
    const { errorCode } = await this.#shards.write(partition, (machine, step) =>
      machine.completeShareInitialization(groupId, { done, failed }, step),
    )
    // Nobody knows that they have begun: members that come will have them begin anew, wherever they were told to.
    return errorCode === ErrorCode.NONE ? codes : withoutSuccess(codes, responseErrorOf(errorCode))
  }

  /** Has the share coordinator forget topics, and writes down which of them it has. Gives the first error of each topic. */
  async #deleteStates(
    partition: number,
    groupId: string,
    topics: ReadonlyMap<Uuid, string>,
  ): Promise<Map<Uuid, number>> {
    const { store, directory } = this.#deps
    const lists = new Map<Uuid, StateTopic>()
    for (const [topicId, name] of topics) {
      // What was deleted with its topic needs nobody.
      const partitions = Array.from({ length: directory.partitionCountOf(topicId) }, (_, number) => number)
      lists.set(topicId, { name, partitions })
    }
    const codes = await this.#eachState(lists, async (topicId, number) => {
      return (await store.delete({ groupId, topicId, partition: number })).errorCode
    })
    const byTopic = new Map<Uuid, number>()
    for (const topicId of topics.keys()) {
      const failed = [...(codes.get(topicId)?.values() ?? [])].find((code) => code !== ErrorCode.NONE)
      byTopic.set(topicId, failed ?? ErrorCode.NONE)
    }
    const done = [...byTopic].flatMap(([topicId, code]) => (code === ErrorCode.NONE ? topicId : []))
    await this.#shards.write(partition, (machine, step) =>
      machine.completeShareDeletion(groupId, [...topics.keys()], done, step),
    )
    return byTopic
  }

  async #eachState(
    lists: PartitionLists,
    operate: (topicId: Uuid, partition: number) => Promise<number>,
  ): Promise<Map<Uuid, Map<number, number>>> {
    const codes = new Map<Uuid, Map<number, number>>()
    const all = [...lists].flatMap(([topicId, { partitions }]) => partitions.map((number) => ({ topicId, number })))
    const results = await mapAsyncInSlices(
      all,
      this.#deps.nextTurn,
      ({ topicId, number }) => operate(topicId, number),
      null,
      STATES_AT_A_TIME,
    )
    for (const topicId of lists.keys()) codes.set(topicId, new Map())
    for (const [slot, { topicId, number }] of all.entries()) codes.get(topicId)!.set(number, results[slot]!)
    return codes
  }

  /** Runs an operation behind those of the same group that came before. */
  #inOrder<Result>(groupId: string, operate: () => Promise<Result>): Promise<Result> {
    const before = this.#chains.get(groupId) ?? Promise.resolve()
    const result = before.then(operate, operate)
    const settled = result.then(
      () => undefined,
      () => undefined,
    )
    this.#chains.set(groupId, settled)
    void settled.then(() => {
      if (this.#chains.get(groupId) === settled) this.#chains.delete(groupId)
    })
    return result
  }
}

function withoutSuccess(codes: ReadonlyMap<Uuid, ReadonlyMap<number, number>>, errorCode: number) {
  const failed = new Map<Uuid, Map<number, number>>()
  for (const [topicId, partitions] of codes) {
    failed.set(topicId, new Map(Array.from(partitions, ([partition, code]) => [partition, code || errorCode])))
  }
  return failed
}

function listsWith(
  lists: PartitionLists,
  codes: ReadonlyMap<Uuid, ReadonlyMap<number, number>>,
  isDone: boolean,
): PartitionLists {
  const kept = new Map<Uuid, StateTopic>()
  for (const [topicId, { name, partitions }] of lists) {
    const left = partitions.filter((number) => (codes.get(topicId)?.get(number) === ErrorCode.NONE) === isDone)
    if (left.length > 0) kept.set(topicId, { name, partitions: left })
  }
  return kept
}
