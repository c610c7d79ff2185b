import type { MetadataImage } from '@millrace/consensus'
import {
  createOffsetDeleteResponse,
  createOffsetFetchResponseGroup,
  ErrorCode,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type OffsetFetchRequest,
  type OffsetFetchRequestGroup,
  type OffsetFetchResponse,
  type OffsetFetchResponseGroup,
  type TxnOffsetCommitRequest,
  type TxnOffsetCommitResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../../handlers/handler.ts'
import { distinctBy, mapAsyncInSlices, type NextTurn, SLICE_ELEMENTS, turnFor, watch } from '../../handlers/slices.ts'
import type { ReadOutcome } from '../runtime/coordinator-runtime.ts'
import { responseErrorOf } from '../runtime/operation-errors.ts'
import type { GroupMachine } from './group-machine.ts'
import { type GroupShards, SLICE_GROUPS } from './group-shards.ts'
import type { LimitRefusals } from './limit-refusals.ts'
import { fetchRequestGroups, fetchResponse, offsetFetchFailure, questionOf } from './offset-fetch-versions.ts'
import type { CommitAnswer } from './offset-operations.ts'
import { CommitPlan, DeletePlan, FetchPlan, portionsOf } from './offset-requests.ts'
import { plainCommitOf, transactionalResponse, type VerifyOffsets } from './transactional-requests.ts'

/** What requests about offsets need of their coordinator. */
export interface GroupOffsetsDeps {
  readonly shards: GroupShards
  readonly refusals: LimitRefusals
  readonly nextTurn: NextTurn
  metadata(): MetadataImage
}

/** Requests about the offsets that groups of all kinds but share groups have committed. A group without a name is one like others here. */
export class GroupOffsets {
  readonly #deps: GroupOffsetsDeps
  readonly #shards: GroupShards

  constructor(deps: GroupOffsetsDeps) {
    this.#deps = deps
    this.#shards = deps.shards
  }

  async commit(request: OffsetCommitRequest, context: RequestContext): Promise<OffsetCommitResponse> {
    const plan = new CommitPlan(request, context.apiVersion, this.#deps.metadata())
    const failed = (errorCode: number): OffsetCommitResponse => plan.response({ errorCode, partitionErrors: [] })
    const input = plan.input(context.apiVersion, context.connection.clientAddress)
    if (input === null) return failed(ErrorCode.NONE)
    const partition = this.#shards.partitionFor(request.groupId)
    if (partition === null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const outcome = await this.#shards.write(partition, (machine, step) => machine.commit(input, step))
    this.#deps.refusals.maybeTell()
    return outcome.response === null ? failed(responseErrorOf(outcome.errorCode)) : plan.response(outcome.response)
  }

  /** Offsets of a producer's transaction, once `verify` has let it in. Not for a group without a name. */
  async commitTransactional(
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
    const { partition, errorCode: absence } = this.#shards.placeOf(request.groupId)
    if (partition === null) return failed(absence)
    const verified = await verify(partition)
    if (verified.errorCode !== ErrorCode.NONE) return failed(responseErrorOf(verified.errorCode))
    const producer = {
      producerId: Number(request.producerId),
      producerEpoch: request.producerEpoch,
      verification: verified.verification,
    }
    const outcome = await this.#shards.write(
      partition,
      (machine, step) => machine.commitTransactional({ ...input, ...producer }, step),
      producer,
    )
    this.#deps.refusals.maybeTell()
    return outcome.response === null ? failed(responseErrorOf(outcome.errorCode)) : respond(outcome.response)
  }

  async fetch(request: OffsetFetchRequest, context: RequestContext): Promise<OffsetFetchResponse> {
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
    const partition = this.#shards.partitionFor(groupId)
    if (partition === null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const plan = new FetchPlan(group, context.apiVersion, this.#deps.metadata())
    // Stable offsets wait for what is being written; others are those of the last committed state.
    const take = async <Result>(compute: (machine: GroupMachine) => Result): Promise<ReadOutcome<Result>> =>
      requireStable ? this.#shards.write(partition, compute) : this.#shards.read(partition, compute)
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

  /** Not for a group without a name. */
  async delete(request: OffsetDeleteRequest): Promise<OffsetDeleteResponse> {
    const { groupId } = request
    const { partition, errorCode: absence } = this.#shards.placeOf(groupId)
    if (partition === null) return createOffsetDeleteResponse({ errorCode: absence })
    const plan = new DeletePlan(request, this.#deps.metadata())
    const outcome = await this.#shards.write(partition, (machine, step) =>
      machine.deleteOffsets(groupId, plan.topics, step),
    )
    if (outcome.response === null) return plan.response(responseErrorOf(outcome.errorCode), [])
    return plan.response(outcome.response.errorCode, outcome.response.topicErrors)
  }
}
