import {
  type ConsumerGroupDescribeRequest,
  type ConsumerGroupDescribeResponse,
  createConsumerGroupDescribeResponse,
  createDeletableGroupResult,
  createDeleteGroupsResponse,
  createDescribeGroupsResponse,
  createListedGroup,
  createListGroupsResponse,
  type DeleteGroupsRequest,
  type DeleteGroupsResponse,
  type DescribeGroupsRequest,
  type DescribeGroupsResponse,
  ErrorCode,
  type ListGroupsRequest,
  type ListGroupsResponse,
} from '@millrace/protocol'
import type { RequestContext } from '../../handlers/handler.ts'
import { mapAsyncInSlices, mapInSlices, type NextTurn, whenMapped } from '../../handlers/slices.ts'
import { responseErrorOf } from '../runtime/operation-errors.ts'
import { describedConsumerGroup, failedConsumerGroup, unknownConsumerGroup } from './consumer/consumer-requests.ts'
import { describedGroup, failedGroup } from './describe-response.ts'
import type { ListedGroup } from './group-machine.ts'
import { type GroupShards, SLICE_GROUPS } from './group-shards.ts'
import type { TopicDirectory } from './modern/topic-directory.ts'
import type { ShareGroups } from './share/share-groups.ts'

const GROUP_TYPE_NAMES = { classic: 'Classic', consumer: 'Consumer', share: 'Share' } as const

/** What administration needs of its coordinator. */
export interface GroupAdministrationDeps {
  readonly shards: GroupShards
  readonly shareGroups: ShareGroups
  readonly directory: TopicDirectory
  readonly nextTurn: NextTurn
  /** Consumer groups (KIP-848) are to be had now. */
  servesConsumerGroups(): boolean
}

/** Requests about groups as a whole, which no member sends: they are listed, described and deleted. */
export class GroupAdministration {
  readonly #deps: GroupAdministrationDeps
  readonly #shards: GroupShards

  constructor(deps: GroupAdministrationDeps) {
    this.#deps = deps
    this.#shards = deps.shards
  }

  /** Groups of all partitions that this node leads. As long as one of them loads, none is listed: a part would look like all. */
  list(request: ListGroupsRequest, context: RequestContext): ListGroupsResponse | Promise<ListGroupsResponse> {
    if (!this.#shards.isStarted) return createListGroupsResponse({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE })
    const states = new Set(request.statesFilter.map((state) => state.trim().toLowerCase()))
    const types = request.typesFilter.map((type) => type.toLowerCase())
    const found: ListedGroup[] = []
    for (const partition of this.#shards.partitions) {
      const { errorCode, response } = this.#shards.read(partition, (machine) => machine.list())
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

  /** Classic groups. One named more than once is described once: a description may be a million times as long as a name. */
  describe(
    request: DescribeGroupsRequest,
    context: RequestContext,
  ): DescribeGroupsResponse | Promise<DescribeGroupsResponse> {
    const described = mapInSlices(
      [...new Set(request.groups)],
      this.#deps.nextTurn,
      (groupId) => this.#describeClassic(groupId, context, request.includeAuthorizedOperations),
      context,
      SLICE_GROUPS,
      ({ members }) => 1 + members.length,
    )
    return whenMapped(described, (groups) => createDescribeGroupsResponse({ groups }))
  }

  #describeClassic(groupId: string, { apiVersion }: RequestContext, includeAuthorizedOperations: boolean) {
    const partition = this.#shards.partitionFor(groupId)
    if (partition === null) return failedGroup(groupId, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const { response, errorCode } = this.#shards.read(partition, (machine) => machine.describe(groupId))
    if (response === null) return failedGroup(groupId, responseErrorOf(errorCode))
    return describedGroup(response, apiVersion, includeAuthorizedOperations)
  }

  /** Consumer groups. One named more than once is described once. */
  describeConsumerGroups(
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
    if (!this.#deps.servesConsumerGroups()) return failedConsumerGroup(groupId, ErrorCode.UNSUPPORTED_VERSION)
    const { partition, errorCode: absence } = this.#shards.placeOf(groupId)
    if (partition === null) return failedConsumerGroup(groupId, absence)
    const { response, errorCode } = this.#shards.read(partition, (machine) => ({
      group: machine.describeConsumerGroup(groupId),
    }))
    if (response === null) return failedConsumerGroup(groupId, responseErrorOf(errorCode))
    if (response.group === null) return unknownConsumerGroup(groupId)
    return describedConsumerGroup(response.group, this.#deps.directory, apiVersion, includeAuthorizedOperations)
  }

  /** Groups named more than once are deleted and answered once. Each is an operation of its own, so that one cannot fail others. */
  async delete(request: DeleteGroupsRequest): Promise<DeleteGroupsResponse> {
    const results = await mapAsyncInSlices([...new Set(request.groupsNames)], this.#deps.nextTurn, async (groupId) => {
      const errorCode = await this.#deleteGroup(groupId)
      return createDeletableGroupResult({ groupId, errorCode })
    })
    return createDeleteGroupsResponse({ results })
  }

  async #deleteGroup(groupId: string): Promise<number> {
    const partition = this.#shards.partitionFor(groupId)
    if (partition === null) return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const shareDeletion = this.#deps.shareGroups.deleteGroup(partition, groupId)
    if (shareDeletion !== null) return shareDeletion
    const outcome = await this.#shards.write(partition, (machine, step) => machine.deleteGroup(groupId, step))
    return outcome.response ?? responseErrorOf(outcome.errorCode)
  }
}

/** As of the last commit. */
function listedState(group: ListedGroup): string {
  return group.type === 'classic' ? group.state : group.committedState
}
